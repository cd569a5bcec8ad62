//! What stands for a secret: `REDACTED-<name>-<n>`, or something of the value's own form that is known again all the same.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use memchr::memmem;
use regex::bytes::Regex;

use super::grouping::{self, Grouping};
use harproxy_http::jwt;

/// How every placeholder begins that is plain text.
pub const BEGINS: &str = "REDACTED-";
/// How one begins that stands for a UUID; twelve digits follow, its number.
const UUID_BEGINS: &str = "0edac7ed-0000-4000-8000-";
/// How one begins that stands for a number: `REDACTED` on a telephone's keys. Three digits or more follow, its number.
pub(super) const NUMBER_BEGINS: &str = "73322833";
/// How one begins in base64.
const BASE64_BEGINS: &str = "UkVEQUNURUQt";
/// What an e-mail address's number stands between.
const EMAIL_BEGINS: &str = "redacted-";
const EMAIL_ENDS: &str = "@example.invalid";
/// How each of them begins: most texts hold none, which one look tells.
#[expect(clippy::expect_used, reason = "the expression is in the program")]
static BEGINNINGS: LazyLock<Regex> = LazyLock::new(|| {
    // Between digits may be separators, which may be percent-encoded.
    let digits: Vec<String> = NUMBER_BEGINS.chars().map(String::from).collect();
    let number = digits.join("(?:[ +./()-]|%[0-9A-Fa-f]{2}){0,2}");
    let begins = [BEGINS, UUID_BEGINS, BASE64_BEGINS, EMAIL_BEGINS].map(regex::escape);
    Regex::new(&format!("{}|{number}", begins.join("|"))).expect("letters, digits and `-`, escaped")
});
/// Longer names are cut.
const LONGEST_NAME: usize = 40;

/// The name in a placeholder: that of the place where its value was first found, in letters that are safe in a header, a
/// URL, a JSON string and base64url.
///
/// ```
/// use harproxy_redact::Name;
/// assert_eq!(Name::new("X-Api-Key").as_str(), "x-api-key");
/// assert_eq!(Name::new("access_token").as_str(), "access_token");
/// assert_eq!(Name::new("päss wort").as_str(), "p-ss-wort");
/// assert_eq!(Name::new("").as_str(), "value");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

impl Name {
    /// From whatever the place is called.
    #[must_use]
    pub fn new(place: &str) -> Self {
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
        let name: String = place.chars().map(safe).take(LONGEST_NAME).collect();
        let name = name.trim_matches('-');
        Name(if name.is_empty() { "value" } else { name }.into())
    }

    /// As it stands in placeholders.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One value's stand-in within a fixture: its name and number. How it is written depends on the [`Form`] of the value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Placeholder {
    /// The name; `uuid` and `number` for the forms that have no room for one.
    pub name: Name,
    /// From 1.
    pub number: u64,
}

/// What form a value has, which its placeholder keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Form {
    /// Any text.
    #[default]
    Text,
    /// A UUID (RFC 9562).
    Uuid,
    /// A JSON number.
    Number,
    /// Base64, standard alphabet.
    Base64,
    /// An e-mail address.
    Email,
    /// Digits in groups: a telephone, account or card number.
    Digits(Grouping),
}

impl Form {
    /// The name that placeholders of this form share, for those that have no room for one of their own.
    #[must_use]
    pub fn shared_name(self) -> Option<Name> {
        match self {
            Form::Uuid => Some(Name::new("uuid")),
            Form::Number | Form::Digits(_) => Some(Name::new("number")),
            Form::Email => Some(Name::new("email")),
            Form::Text | Form::Base64 => None,
        }
    }

    /// How a placeholder is written in this form.
    ///
    /// ```
    /// use harproxy_redact::{Form, Name, Placeholder};
    /// let token = Placeholder { name: Name::new("token"), number: 2 };
    /// assert_eq!(Form::Text.write(&token), "REDACTED-token-2");
    /// assert_eq!(Form::Number.write(&token), "73322833002");
    /// ```
    #[must_use]
    pub fn write(self, placeholder: &Placeholder) -> String {
        let number = placeholder.number;
        match self {
            Form::Text => placeholder.to_string(),
            Form::Uuid => format!("{UUID_BEGINS}{number:012}"),
            Form::Number => format!("{NUMBER_BEGINS}{number:03}"),
            Form::Digits(grouping) => grouping.write(number),
            Form::Base64 => BASE64_STANDARD.encode(placeholder.to_string()),
            Form::Email => format!("{EMAIL_BEGINS}{number}{EMAIL_ENDS}"),
        }
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{BEGINS}{}-{}", self.name, self.number)
    }
}

/// A placeholder in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where all of it is: of a redacted JWT, the whole token.
    pub range: Range<usize>,
    /// Which one.
    pub placeholder: Placeholder,
    /// How it is written.
    pub form: Form,
}

/// The placeholders in a text, in order, in whatever form.
///
/// ```
/// use harproxy_redact::placeholder;
/// let found: Vec<_> = placeholder::find(b"Bearer REDACTED-token-1; REDACTED-x").collect();
/// assert_eq!((found.len(), found[0].range.clone()), (1, 7..23));
/// ```
pub fn find(text: &[u8]) -> impl Iterator<Item = Found> + '_ {
    if !may_be_in(text) {
        return Vec::new().into_iter();
    }
    let mut found: Vec<Found> =
        plain(text).chain(uuids(text)).chain(numbers(text)).chain(base64(text)).chain(emails(text)).collect();
    found.sort_by_key(|found| (found.range.start, Reverse(found.range.end)));
    // What looks like one within another is a part of it.
    let mut end = 0;
    found.retain(|found| {
        let apart = found.range.start >= end;
        end = end.max(found.range.end);
        apart
    });
    found.into_iter()
}

/// The text with nothing left of its placeholders: equal for texts that differ in nothing else.
///
/// ```
/// use harproxy_redact::placeholder::set_aside;
/// assert_eq!(set_aside(b"a REDACTED-sid-1."), set_aside(b"a REDACTED-token-22."));
/// ```
#[must_use]
pub fn set_aside(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    let mut kept = 0;
    for Found { range, .. } in find(text) {
        out.extend_from_slice(&text[kept..range.start]);
        out.push(0);
        kept = range.end;
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(&text[kept..]);
    Cow::Owned(out)
}

/// Whether one begins in the text, as it seems; `false` is certain, also of what the text is once it is decoded from its
/// percent-encoding or a JSON string.
#[must_use]
pub fn may_be_in(text: &[u8]) -> bool {
    BEGINNINGS.is_match(text)
}

/// Whether there is one in the text.
#[must_use]
pub fn is_in(text: &[u8]) -> bool {
    find(text).next().is_some()
}

fn plain(text: &[u8]) -> impl Iterator<Item = Found> + '_ {
    let mut end = 0;
    memmem::find_iter(text, BEGINS).filter_map(move |start| {
        // Each byte is looked at once, however often a placeholder seems to begin.
        (start >= end).then_some(())?;
        end = start + run(&text[start..], |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let placeholder = parse(&text[start..end])?;
        let range = jwt::redacted_around(text, start).unwrap_or(start..end);
        Some(Found { range, placeholder, form: Form::Text })
    })
}

fn uuids(text: &[u8]) -> impl Iterator<Item = Found> + '_ {
    memmem::find_iter(text, UUID_BEGINS).filter_map(|start| {
        let digits = start + UUID_BEGINS.len();
        let end = digits + run(&text[digits..], |byte| byte.is_ascii_hexdigit());
        shared(text, Form::Uuid, start..end, digits..end).filter(|_| end - digits == 12)
    })
}

fn numbers(text: &[u8]) -> impl Iterator<Item = Found> + '_ {
    memchr::memchr_iter(b'7', text).filter_map(|first| {
        // Only where digits begin.
        (first == 0 || !text[first - 1].is_ascii_digit()).then_some(())?;
        let run = run(&text[first..], |byte| byte.is_ascii_digit());
        let is_one = run > NUMBER_BEGINS.len();
        let start = before_digits(text, first, is_one)?;
        let (len, digits) = grouping::digits(&text[first..], if is_one { run } else { 2 * grouping::LONGEST })?;
        let number = digits.strip_prefix(NUMBER_BEGINS).filter(|number| !number.is_empty())?;
        let range = start..first + len;
        let form = if text[range.clone()].iter().all(u8::is_ascii_digit) {
            Some(Form::Number).filter(|_| number.len() >= 3)?
        } else {
            Form::Digits(Grouping::of(&text[range.clone()], true)?)
        };
        let placeholder = Placeholder { name: form.shared_name()?, number: number.parse().ok()? };
        Some(Found { range, placeholder, form })
    })
}

/// Where a number begins whose first digit stands here: with a `+`, the two letters of a country, the `(` of a first group.
fn before_digits(text: &[u8], first: usize, is_one: bool) -> Option<usize> {
    let start = match text[..first] {
        [.., b'+', b'('] if !is_one => first - 2,
        [.., b'('] if !is_one => first - 1,
        [.., b'+'] => first - 1,
        [.., a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => first - 2,
        _ => first,
    };
    (start == 0 || !text[start - 1].is_ascii_alphanumeric()).then_some(start)
}

fn base64(text: &[u8]) -> impl Iterator<Item = Found> + '_ {
    let mut end = 0;
    memmem::find_iter(text, BASE64_BEGINS).filter_map(move |start| {
        (start >= end).then_some(())?;
        end = start + run(&text[start..], |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        let placeholder = parse(&BASE64_STANDARD.decode(&text[start..end]).ok()?)?;
        Some(Found { range: start..end, placeholder, form: Form::Base64 })
    })
}

fn emails(text: &[u8]) -> impl Iterator<Item = Found> + '_ {
    memmem::find_iter(text, EMAIL_BEGINS).filter_map(|start| {
        let digits = start + EMAIL_BEGINS.len();
        let end = digits + run(&text[digits..], |byte| byte.is_ascii_digit());
        let whole = text[end..].starts_with(EMAIL_ENDS.as_bytes());
        shared(text, Form::Email, start..end + EMAIL_ENDS.len(), digits..end).filter(|_| whole)
    })
}

/// A placeholder without a name of its own, whose number stands in `digits`.
fn shared(text: &[u8], form: Form, range: Range<usize>, digits: Range<usize>) -> Option<Found> {
    let number = std::str::from_utf8(&text[digits]).ok()?.parse().ok()?;
    Some(Found { range, placeholder: Placeholder { name: form.shared_name()?, number }, form })
}

/// `REDACTED-<name>-<n>`, the whole of it.
fn parse(text: &[u8]) -> Option<Placeholder> {
    let (name, number) = std::str::from_utf8(text).ok()?.strip_prefix(BEGINS)?.rsplit_once('-')?;
    let number = Some(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
    (!name.is_empty()).then(|| Placeholder { name: Name(name.into()), number })
}

fn run(text: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|&byte| !belongs(byte)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, u64, &str)> {
        find(text.as_bytes())
            .map(|found| (found.placeholder.name.to_string(), found.placeholder.number, &text[found.range]))
            .collect()
    }

    #[test]
    fn every_form_is_known_again() {
        let token = Placeholder { name: Name::new("access_token"), number: 12 };
        for form in [Form::Text, Form::Uuid, Form::Number, Form::Base64, Form::Email] {
            let placeholder = Placeholder { name: form.shared_name().unwrap_or(token.name.clone()), number: 12 };
            let written = form.write(&placeholder);
            for text in [written.clone(), format!("<{written}>"), format!("a {written}, b")] {
                let [one] = &find(text.as_bytes()).collect::<Vec<_>>()[..] else { panic!("{text}") };
                assert_eq!((&one.placeholder, one.form, &text[one.range.clone()]), (&placeholder, form, &*written));
            }
        }
    }

    #[test]
    fn numbers_in_groups_are_known_again() {
        for (written, is_iban, one, many) in [
            ("+49 170 1234567", false, "+73 322 8330001", "+73 322 833123456"),
            ("(555) 123-4567", false, "(733) 228-3301", "(733) 228-33123456"),
            ("4111 1111 1111 1111", false, "7332 2833 0000 0001", "7332 2833 0012 3456"),
            ("4111111111111111", false, "7332283300000001", "7332283300123456"),
            ("DE89 3704 0044 0532 0130 00", true, "DE73 3228 3300 0000 0000 01", "DE73 3228 3300 0000 1234 56"),
            ("GB29NWBK60161331926819", true, "GB73322833000000000001", "GB73322833000000123456"),
            ("+491701234567", false, "+733228330001", "+73322833123456"),
            ("+491701234 567", false, "+733228331", "+73322833123456"),
        ] {
            let form = Form::Digits(Grouping::of(written.as_bytes(), is_iban).unwrap());
            for (number, expected) in [(1, one), (123_456, many)] {
                let placeholder = Placeholder { name: Name::new("number"), number };
                assert_eq!(form.write(&placeholder), expected);
                let Form::Digits(grouping) = form else { panic!("no digits") };
                assert!(grouping.code().bytes().all(|byte| byte.is_ascii_alphanumeric()));
                assert_eq!(Grouping::from_code(&grouping.code()), Some(grouping));
                for text in [expected.to_owned(), format!("a {expected}, 5"), format!("\"{expected}\"")] {
                    assert_eq!(found(&text), [("number".to_owned(), number, expected)], "{text}");
                }
            }
        }
        assert_eq!(Grouping::of(b"12345678", false), None);
        assert_eq!(Grouping::of(b"1234 5678 a", false), None);
        assert_eq!(
            found("x 73322833001 200 (73322833002)").iter().map(|f| f.2).collect::<Vec<_>>(),
            ["73322833001", "73322833002"]
        );
    }

    #[test]
    fn a_redacted_token_is_one_whole() {
        let jwt = "eyJhbGciOiJub25lIn0.eyJleHAiOjEwMDB9.REDACTED-token-1";
        assert_eq!(found(&format!("Bearer {jwt}")), [("token".to_owned(), 1, jwt)]);
    }

    #[test]
    fn one_look_says_that_there_is_none() {
        let token = Placeholder { name: Name::new("token"), number: 7 };
        let phone = Form::Digits(Grouping::of(b"+49 (30) 901820", false).unwrap()).write(&token);
        for text in
            ["REDACTED-token-1", "redacted-1%40example.invalid", "73322833001", &phone, &phone.replace(' ', "%20")]
        {
            assert!(may_be_in(text.as_bytes()), "{text}");
        }
        assert!(!may_be_in(b"redacted, 7332283, 0edac7ed"));
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for text in [
            "REDACTED",
            "REDACTED-",
            "REDACTED-1",
            "REDACTED-x",
            "73322833",
            "a73322833001",
            "UkVEQUNURUQt",
            "redacted-1@x",
        ] {
            assert_eq!(found(text), [], "{text}");
            assert_eq!(set_aside(text.as_bytes()), text.as_bytes());
        }
    }

    #[test]
    fn what_is_in_another_is_a_part_of_it() {
        for text in
            ["REDACTED-73322833001-1", "REDACTED-a-1REDACTED-b-2", "REDACTED-0edac7ed-0000-4000-8000-000000000001-1"]
        {
            assert_eq!(found(text).len(), 1, "{text}");
            assert_eq!(&*set_aside(text.as_bytes()), b"\0");
        }
    }

    /// Nor does it take longer than the text is long, when nearly all of it seems to begin one.
    #[test]
    fn long_texts_of_beginnings_end() {
        for unit in [
            "REDACTED-",
            "REDACTED-a-1.",
            "7",
            "73322833",
            "7 ",
            "UkVEQUNURUQt",
            "redacted-1",
            "0edac7ed-0000-4000-8000-",
        ] {
            let _ = find(unit.repeat(1 << 20).as_bytes()).count();
        }
    }

    #[test]
    fn several_in_order() {
        let text = "sid=REDACTED-sid-1; n=73322833004; t=REDACTED-x-api-key-3";
        assert_eq!(
            found(text),
            [
                ("sid".to_owned(), 1, "REDACTED-sid-1"),
                ("number".to_owned(), 4, "73322833004"),
                ("x-api-key".to_owned(), 3, "REDACTED-x-api-key-3"),
            ]
        );
        assert_eq!(&*set_aside(text.as_bytes()), b"sid=\0; n=\0; t=\0");
    }
}
