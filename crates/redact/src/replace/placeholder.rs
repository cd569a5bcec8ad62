//! Placeholders: `REDACTED-<name>-<number>`, or a recognisable value in the format of the secret.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use memchr::memmem;
use regex::bytes::Regex;

use super::digit_groups::{self, DigitGroups, NUMBER_PREFIX, read_digits};
use crate::base64_text::{self, Base64Text};
use crate::find::{compile_regex, is_token_byte};
use crate::splice::{Splice, apply_splices, remove_overlaps, spliced};
use harproxy_http::jwt;

/// The beginning of each placeholder that is plain text.
pub const PREFIX: &str = "REDACTED-";
/// The beginning of a placeholder for a UUID. Twelve digits follow: its number.
const UUID_PREFIX: &str = "0edac7ed-0000-4000-8000-";
/// The parts of a placeholder for an e-mail address, before and behind its number.
const EMAIL_PREFIX: &str = "redacted-";
const EMAIL_SUFFIX: &str = "@example.invalid";
/// The length of the longest name, in characters. Longer names are cut.
const MAX_NAME: usize = 40;

/// The beginnings of placeholders in all formats. Most texts contain none.
static PREFIXES: LazyLock<Regex> = LazyLock::new(|| {
    // Separators may stand between digits, and they may be percent-encoded.
    let digits: Vec<String> = NUMBER_PREFIX.chars().map(String::from).collect();
    let number = digits.join("(?:[ +./()-]|%[0-9A-Fa-f]{2}){0,2}");
    let prefixes = [PREFIX, UUID_PREFIX, EMAIL_PREFIX].into_iter().chain(base64_text::PLACEHOLDERS);
    let prefixes: Vec<String> = prefixes.map(regex::escape).collect();
    compile_regex(&format!("{}|{number}", prefixes.join("|")))
});

/// The name in a placeholder: that of the place where the value was first found. Its characters are safe in a header, a
/// URL, a JSON string and base64url.
///
/// ```
/// use harproxy_redact::PlaceholderName;
/// assert_eq!(PlaceholderName::new("X-Api-Key").as_str(), "x-api-key");
/// assert_eq!(PlaceholderName::new("access_token").as_str(), "access_token");
/// assert_eq!(PlaceholderName::new("päss wort").as_str(), "p-ss-wort");
/// assert_eq!(PlaceholderName::new("").as_str(), "value");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaceholderName(Box<str>);

impl PlaceholderName {
    #[must_use]
    pub fn new(name: &str) -> Self {
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
        let name: String = name.chars().map(safe).take(MAX_NAME).collect();
        let name = name.trim_matches('-');
        PlaceholderName(if name.is_empty() { "value" } else { name }.into())
    }

    /// Converts a name that need not be text.
    pub(crate) fn from_bytes(name: &[u8]) -> Self {
        PlaceholderName::new(&String::from_utf8_lossy(name))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlaceholderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The replacement of one value in a fixture. Its [`ValueFormat`] decides how it is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Placeholder {
    /// The name. Formats without space for a name share one, such as `uuid` and `number`.
    pub name: PlaceholderName,
    /// The number among the placeholders with this name, from 1.
    pub number: u64,
}

/// The format of a value, which its placeholder keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ValueFormat {
    #[default]
    Text,
    /// A UUID (RFC 9562).
    Uuid,
    Number,
    /// Base64 in the standard alphabet.
    Base64,
    Email,
    /// A telephone, account or card number.
    Digits(DigitGroups),
}

impl ValueFormat {
    /// Returns the name of all placeholders in this format, if the format has no space for their own names.
    #[must_use]
    pub fn shared_name(self) -> Option<PlaceholderName> {
        match self {
            ValueFormat::Uuid => Some(PlaceholderName::new("uuid")),
            ValueFormat::Number | ValueFormat::Digits(_) => Some(PlaceholderName::new("number")),
            ValueFormat::Email => Some(PlaceholderName::new("email")),
            ValueFormat::Text | ValueFormat::Base64 => None,
        }
    }

    /// Writes a placeholder in this format.
    ///
    /// ```
    /// use harproxy_redact::{Placeholder, PlaceholderName, ValueFormat};
    /// let token = Placeholder { name: PlaceholderName::new("token"), number: 2 };
    /// assert_eq!(ValueFormat::Text.write(&token), "REDACTED-token-2");
    /// assert_eq!(ValueFormat::Number.write(&token), "73322833002");
    /// ```
    #[must_use]
    pub fn write(self, placeholder: &Placeholder) -> String {
        let number = placeholder.number;
        match self {
            ValueFormat::Text => placeholder.to_string(),
            ValueFormat::Uuid => format!("{UUID_PREFIX}{number:012}"),
            ValueFormat::Number => format!("{NUMBER_PREFIX}{number:03}"),
            ValueFormat::Digits(groups) => groups.write(number),
            ValueFormat::Base64 => BASE64_STANDARD.encode(placeholder.to_string()),
            ValueFormat::Email => format!("{EMAIL_PREFIX}{number}{EMAIL_SUFFIX}"),
        }
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-{}", self.name, self.number)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceholderMatch {
    /// The position. In a redacted JWT, and in base64 of a text, that of the whole token.
    pub range: Range<usize>,
    pub placeholder: Placeholder,
    /// The format in which it is written.
    pub format: ValueFormat,
}

/// Finds the placeholders in a text in all formats, in order.
///
/// ```
/// use harproxy_redact::placeholder;
/// let found: Vec<_> = placeholder::find(b"Bearer REDACTED-token-1; REDACTED-x").collect();
/// assert_eq!((found.len(), found[0].range.clone()), (1, 7..23));
/// ```
pub fn find(text: &[u8]) -> impl Iterator<Item = PlaceholderMatch> + '_ {
    if !may_occur_in(text) {
        return Vec::new().into_iter();
    }
    let texts = find_runs(text, PREFIX, is_token_byte).filter_map(|run| {
        let placeholder = parse(&text[run.clone()])?;
        let range = jwt::redacted_around(text, run.start).unwrap_or(run);
        Some(PlaceholderMatch { range, placeholder, format: ValueFormat::Text })
    });
    let uuids = find_runs(text, UUID_PREFIX, |byte| byte.is_ascii_hexdigit())
        .filter(|run| run.len() == UUID_PREFIX.len() + 12)
        .filter_map(|run| unnamed(text, ValueFormat::Uuid, run.start + UUID_PREFIX.len()..run.end, run));
    // Base64 of a text with several placeholders is one match, since any value of it has another length.
    let base64 = base64_text::find_placeholders(text).into_iter().filter_map(|(range, decoded)| {
        let mut inside = find_runs(&decoded.text, PREFIX, is_token_byte);
        let placeholder = inside.find_map(|run| parse(&decoded.text[run]))?;
        Some(PlaceholderMatch { range, placeholder, format: ValueFormat::Base64 })
    });
    let emails = find_runs(text, EMAIL_PREFIX, |byte| byte.is_ascii_digit())
        .filter(|run| text[run.end..].starts_with(EMAIL_SUFFIX.as_bytes()))
        .filter_map(|Range { start, end }| {
            unnamed(text, ValueFormat::Email, start + EMAIL_PREFIX.len()..end, start..end + EMAIL_SUFFIX.len())
        });
    let mut found: Vec<PlaceholderMatch> =
        texts.chain(uuids).chain(find_numbers(text)).chain(base64).chain(emails).collect();
    // A match within another one belongs to it.
    remove_overlaps(&mut found, |found| found.range.clone());
    found.into_iter()
}

/// Decodes base64 of text, in either alphabet, padded or not. `None` if it is not that.
#[must_use]
pub fn decode_base64(base64: &[u8]) -> Option<Vec<u8>> {
    Base64Text::decode(base64).map(|decoded| decoded.text)
}

/// Renames the placeholders for which `rename_one` returns another one. `None` if there are none.
#[must_use]
pub fn rename<'p>(text: &[u8], rename_one: &dyn Fn(&Placeholder) -> Option<&'p Placeholder>) -> Option<Vec<u8>> {
    let splice = |PlaceholderMatch { range, placeholder, format }: PlaceholderMatch| {
        let whole = &text[range.clone()];
        if format == ValueFormat::Base64 {
            let decoded = Base64Text::decode(whole)?;
            let with = decoded.encode(&rename(&decoded.text, rename_one)?);
            return Some(Splice { range, with });
        }
        let old = format.write(&placeholder);
        // The placeholder of a redacted JWT is its last part.
        let start = range.start + memmem::rfind(whole, old.as_bytes())?;
        Some(Splice { range: start..start + old.len(), with: format.write(rename_one(&placeholder)?) })
    };
    apply_splices(text, &find(text).filter_map(splice).collect::<Vec<_>>())
}

/// Replaces each placeholder by the same byte, so that texts that differ only in placeholders are equal.
///
/// ```
/// use harproxy_redact::placeholder::mask;
/// assert_eq!(mask(b"a REDACTED-sid-1."), mask(b"a REDACTED-token-22."));
/// ```
#[must_use]
pub fn mask(text: &[u8]) -> Cow<'_, [u8]> {
    let splices: Vec<_> = find(text).map(|found| Splice { range: found.range, with: "\0".to_owned() }).collect();
    spliced(text, &splices)
}

/// Returns false if the text certainly contains no placeholder, also once its percent-encoding or its JSON escapes are
/// decoded.
#[must_use]
pub fn may_occur_in(text: &[u8]) -> bool {
    PREFIXES.is_match(text)
}

#[must_use]
pub fn occurs_in(text: &[u8]) -> bool {
    find(text).next().is_some()
}

fn find_numbers(text: &[u8]) -> impl Iterator<Item = PlaceholderMatch> + '_ {
    memchr::memchr_iter(b'7', text).filter_map(|first| {
        let begins_digits = first == 0 || !text[first - 1].is_ascii_digit();
        begins_digits.then_some(())?;
        let run = run(&text[first..], |byte| byte.is_ascii_digit());
        let is_plain = run > NUMBER_PREFIX.len();
        let start = number_start(text, first, is_plain)?;
        let (len, digits) = read_digits(&text[first..], if is_plain { run } else { 2 * digit_groups::MAX_LEN })?;
        let number = digits.strip_prefix(NUMBER_PREFIX).filter(|number| !number.is_empty())?;
        let range = start..first + len;
        let format = if text[range.clone()].iter().all(u8::is_ascii_digit) {
            Some(ValueFormat::Number).filter(|_| number.len() >= 3)?
        } else {
            ValueFormat::Digits(DigitGroups::of(&text[range.clone()], true)?)
        };
        let placeholder = Placeholder { name: format.shared_name()?, number: number.parse().ok()? };
        Some(PlaceholderMatch { range, placeholder, format })
    })
}

/// Returns the start of a number whose first digit is at `first`. A `+`, the letters of a country and the `(` of a
/// first group belong to it.
fn number_start(text: &[u8], first: usize, is_plain: bool) -> Option<usize> {
    let start = match text[..first] {
        [.., b'+', b'('] if !is_plain => first - 2,
        [.., b'('] if !is_plain => first - 1,
        [.., b'+'] => first - 1,
        [.., a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => first - 2,
        _ => first,
    };
    (start == 0 || !text[start - 1].is_ascii_alphanumeric()).then_some(start)
}

/// Finds the runs of bytes for which `belongs` is true behind a prefix, with the prefix. Each byte is read once, even
/// if many prefixes follow each other.
fn find_runs<'t>(
    text: &'t [u8],
    prefix: &'static str,
    belongs: fn(u8) -> bool,
) -> impl Iterator<Item = Range<usize>> + 't {
    let mut end = 0;
    memmem::find_iter(text, prefix).filter_map(move |start| {
        (start >= end).then_some(())?;
        end = start + prefix.len() + run(&text[start + prefix.len()..], belongs);
        Some(start..end)
    })
}

/// Returns a placeholder without a name of its own, whose number is in `digits`.
fn unnamed(text: &[u8], format: ValueFormat, digits: Range<usize>, range: Range<usize>) -> Option<PlaceholderMatch> {
    let number = std::str::from_utf8(&text[digits]).ok()?.parse().ok()?;
    Some(PlaceholderMatch { range, placeholder: Placeholder { name: format.shared_name()?, number }, format })
}

/// Parses `REDACTED-<name>-<number>`.
fn parse(text: &[u8]) -> Option<Placeholder> {
    let (name, number) = std::str::from_utf8(text).ok()?.strip_prefix(PREFIX)?.rsplit_once('-')?;
    let number = Some(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
    (!name.is_empty()).then(|| Placeholder { name: PlaceholderName(name.into()), number })
}

/// Returns the number of leading bytes for which `belongs` is true.
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
    fn placeholders_are_found_in_every_format() {
        let token = Placeholder { name: PlaceholderName::new("access_token"), number: 12 };
        for format in
            [ValueFormat::Text, ValueFormat::Uuid, ValueFormat::Number, ValueFormat::Base64, ValueFormat::Email]
        {
            let placeholder = Placeholder { name: format.shared_name().unwrap_or(token.name.clone()), number: 12 };
            let written = format.write(&placeholder);
            for text in [written.clone(), format!("<{written}>"), format!("a {written}, b")] {
                let [one] = &find(text.as_bytes()).collect::<Vec<_>>()[..] else { panic!("{text}") };
                assert_eq!((&one.placeholder, one.format, &text[one.range.clone()]), (&placeholder, format, &*written));
            }
        }
    }

    #[test]
    fn placeholders_are_found_in_groups_of_digits() {
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
            let format = ValueFormat::Digits(DigitGroups::of(written.as_bytes(), is_iban).unwrap());
            for (number, expected) in [(1, one), (123_456, many)] {
                let placeholder = Placeholder { name: PlaceholderName::new("number"), number };
                assert_eq!(format.write(&placeholder), expected);
                let ValueFormat::Digits(groups) = format else { panic!("no digits") };
                assert!(groups.code().bytes().all(|byte| byte.is_ascii_alphanumeric()));
                assert_eq!(DigitGroups::from_code(&groups.code()), Some(groups));
                for text in [expected.to_owned(), format!("a {expected}, 5"), format!("\"{expected}\"")] {
                    assert_eq!(found(&text), [("number".to_owned(), number, expected)], "{text}");
                }
            }
        }
        assert_eq!(DigitGroups::of(b"12345678", false), None);
        assert_eq!(DigitGroups::of(b"1234 5678 a", false), None);
        assert_eq!(
            found("x 73322833001 200 (73322833002)").iter().map(|f| f.2).collect::<Vec<_>>(),
            ["73322833001", "73322833002"]
        );
    }

    #[test]
    fn redacted_jwt_is_one_placeholder() {
        let jwt = "eyJhbGciOiJub25lIn0.eyJleHAiOjEwMDB9.REDACTED-token-1";
        assert_eq!(found(&format!("Bearer {jwt}")), [("token".to_owned(), 1, jwt)]);
    }

    #[test]
    fn text_without_a_prefix_contains_no_placeholder() {
        let token = Placeholder { name: PlaceholderName::new("token"), number: 7 };
        let phone = ValueFormat::Digits(DigitGroups::of(b"+49 (30) 901820", false).unwrap()).write(&token);
        for text in
            ["REDACTED-token-1", "redacted-1%40example.invalid", "73322833001", &phone, &phone.replace(' ', "%20")]
        {
            assert!(may_occur_in(text.as_bytes()), "{text}");
        }
        assert!(!may_occur_in(b"redacted, 7332283, 0edac7ed"));
    }

    #[test]
    fn incomplete_placeholders_are_not_found() {
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
            assert_eq!(mask(text.as_bytes()), text.as_bytes());
        }
    }

    #[test]
    fn placeholder_within_another_belongs_to_it() {
        for text in
            ["REDACTED-73322833001-1", "REDACTED-a-1REDACTED-b-2", "REDACTED-0edac7ed-0000-4000-8000-000000000001-1"]
        {
            assert_eq!(found(text).len(), 1, "{text}");
            assert_eq!(&*mask(text.as_bytes()), b"\0");
        }
    }

    /// The search takes linear time even if every byte begins an incomplete placeholder.
    #[test]
    fn search_is_linear_in_prefixes() {
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
    fn several_placeholders_are_found_in_order() {
        let text = "sid=REDACTED-sid-1; n=73322833004; t=REDACTED-x-api-key-3";
        assert_eq!(
            found(text),
            [
                ("sid".to_owned(), 1, "REDACTED-sid-1"),
                ("number".to_owned(), 4, "73322833004"),
                ("x-api-key".to_owned(), 3, "REDACTED-x-api-key-3"),
            ]
        );
        assert_eq!(&*mask(text.as_bytes()), b"sid=\0; n=\0; t=\0");
    }
}
