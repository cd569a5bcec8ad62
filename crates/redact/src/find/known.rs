//! Finding values that are known to be secret wherever they occur, as whole words and in all spellings.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::ops::{Bound, Range};

use aho_corasick::{AhoCorasick, Input};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

use super::automaton::{MAX_NEEDLES, automaton};
use super::{can_begin_token, token_rest};
use crate::replace::placeholder::ValueFormat;

/// The length of the shortest value that is searched for, bytes. A shorter value is too likely to occur by chance.
pub(crate) const MIN_LEN: usize = 8;
/// The length of the longest value that is searched for, bytes. A longer value does not occur in other places.
pub(crate) const MAX_LEN: usize = 64 << 10;
/// Words that are not searched for although they are values: they occur in paths and member names.
#[rustfmt::skip]
const WORDS: [&str; 14] = [
    "password", "username", "undefined", "anonymous", "changeme", "localhost", "redacted", "required", "disabled",
    "authorization", "access_token", "refresh_token", "client_secret", "example.com",
];

/// The first bytes of placeholders and markers.
const REDACTED: Prefix = *b"REDACTED";

type Prefix = [u8; MIN_LEN];

#[derive(Default)]
pub(crate) struct KnownValues {
    /// The values by their beginning. Many tokens begin alike, so they are in order.
    by_prefix: HashMap<Prefix, BTreeSet<Box<[u8]>>>,
    /// Searches for all prefixes. `None` if there are too many for a fast search: then each word is looked up.
    automaton: Option<AhoCorasick>,
    pub(crate) longest: usize,
}

impl KnownValues {
    /// Adds a value. Short, long and common values are ignored.
    pub(crate) fn insert(&mut self, value: &[u8]) {
        let is_word = || WORDS.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
        let is_common = || is_word() || is_time(value);
        let Some(prefix) = value.first_chunk().filter(|_| value.len() <= MAX_LEN && !is_common()) else { return };
        self.longest = self.longest.max(value.len());
        let values = self.by_prefix.entry(*prefix).or_default();
        values.insert(value.into());
        if values.len() == 1 {
            let is_few = self.by_prefix.len() < MAX_NEEDLES;
            self.automaton = is_few.then(|| automaton(&self.by_prefix.keys().chain([&REDACTED]).collect::<Vec<_>>()));
        }
    }

    /// Finds the values that begin in a range of a text, in order. If two values begin in one place, the longer one is
    /// found. Names within placeholders are skipped.
    pub(crate) fn find(&self, text: &[u8], range: Range<usize>) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut at = range.start;
        while let Some(start) = self.next_prefix(text, at).filter(|start| *start < range.end) {
            at = start + 1;
            if !can_begin_token(text, start) {
                continue;
            }
            if text[start..].starts_with(&REDACTED) {
                at = start + token_rest(text, start);
            } else if let Some(len) = self.value_at(&text[start..]) {
                at = start + len;
                found.push(start..at);
            }
        }
        found
    }

    /// Returns the position of the next prefix from `at` on.
    fn next_prefix(&self, text: &[u8], at: usize) -> Option<usize> {
        if self.by_prefix.is_empty() {
            return None;
        }
        if let Some(automaton) = &self.automaton {
            return automaton.find(Input::new(text).range(at..)).map(|found| found.start());
        }
        let is_prefix = |at: usize| {
            let prefix = text[at..].first_chunk();
            prefix.is_some_and(|prefix| *prefix == REDACTED || self.by_prefix.contains_key(prefix))
        };
        (at..text.len()).find(|&at| can_begin_token(text, at) && is_prefix(at))
    }

    /// Returns the length of the longest value that a text begins with and that ends a word.
    fn value_at(&self, text: &[u8]) -> Option<usize> {
        let ends_word = |len: usize| text.get(len).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let values = self.by_prefix.get(text.first_chunk()?)?;
        let mut beginning = text;
        loop {
            // In order, a value stands before the texts that begin with it. So every value that `beginning` begins with
            // is a beginning of `last`, too.
            let last = values.range::<[u8], _>((Bound::Unbounded, Bound::Included(beginning))).next_back()?;
            let common = last.iter().zip(beginning).take_while(|(a, b)| a == b).count();
            if common < last.len() {
                beginning = &beginning[..common];
            } else if ends_word(common) {
                return Some(common);
            } else {
                beginning = &beginning[..common - 1];
            }
        }
    }
}

/// Returns true for times, which occur beside those of signatures by chance: Unix time in seconds or milliseconds, and
/// ISO 8601.
fn is_time(value: &[u8]) -> bool {
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_unix = digits == value.len() && matches!(digits, 10 | 13) && value[0] == b'1';
    let is_iso = value.starts_with(b"20")
        && value.contains(&b'T')
        && value.iter().all(|byte| byte.is_ascii_digit() || b"TZ-:.+".contains(byte));
    is_unix || is_iso
}

/// All but the unreserved characters of RFC 3986 section 2.3.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Characters that `encodeURIComponent` of JavaScript escapes.
const COMPONENT: &AsciiSet = &UNRESERVED.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');
/// Characters that `quote` of Python escapes.
const QUOTED: &AsciiSet = &UNRESERVED.remove(b'/');

/// The length of the longest value that is also searched for in base64, bytes.
const MAX_BASE64: usize = 512;

/// A spelling of a known value, and the format of what replaces it.
pub(crate) type Spelling = (Box<[u8]>, ValueFormat);

/// Returns a value as it was found, and its spellings in queries, forms, JSON, HTML and base64, without duplicates.
pub(crate) fn spellings(value: &[u8], format: ValueFormat) -> Vec<Spelling> {
    let mut all: Vec<Spelling> = vec![(value.into(), format)];
    let decoded: Cow<'_, [u8]> = percent_decode(value).into();
    let mut add_as = |spelling: Vec<u8>, format: ValueFormat| {
        if !all.iter().any(|(known, _)| **known == *spelling) {
            all.push((spelling.into(), format));
        }
    };
    let mut add = |spelling: Vec<u8>| add_as(spelling, format);
    add(decoded.to_vec());
    for set in [UNRESERVED, COMPONENT, QUOTED] {
        let percent = percent_encode(&decoded, set).to_string();
        add(with_lower_case_escapes(&percent));
        add(percent.into_bytes());
    }
    add(url::form_urlencoded::byte_serialize(&decoded).collect::<String>().into_bytes());
    if let Ok(text) = std::str::from_utf8(&decoded) {
        json_spellings(text).into_iter().for_each(|spelling| add(spelling.into_bytes()));
        html_spellings(text).into_iter().for_each(|spelling| add(spelling.into_bytes()));
    }
    if (MIN_LEN..=MAX_BASE64).contains(&decoded.len()) {
        for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            add_as(engine.encode(&decoded).into_bytes(), ValueFormat::Base64);
        }
    }
    all
}

fn with_lower_case_escapes(percent: &str) -> Vec<u8> {
    let mut bytes = percent.as_bytes().to_vec();
    let escapes: Vec<usize> = memchr::memchr_iter(b'%', percent.as_bytes()).collect();
    for at in escapes {
        bytes[at + 1..at + 3].make_ascii_lowercase();
    }
    bytes
}

/// Returns the contents of a JSON string as different writers escape it: the minimum (most), `/` (PHP), all but ASCII
/// (Python, PHP), characters with a meaning in HTML (Go, Rails), both (.NET).
fn json_spellings(text: &str) -> Vec<String> {
    let quoted = serde_json::Value::from(text).to_string();
    let plain = &quoted[1..quoted.len() - 1];
    let markup = |c: char| matches!(c, '<' | '>' | '&');
    let net = |c: char| !c.is_ascii() || markup(c) || matches!(c, '"' | '\'' | '+' | '`');
    let ascii = escape(plain, |c| !c.is_ascii(), false);
    vec![
        plain.replace('/', "\\/"),
        ascii.replace('/', "\\/"),
        ascii,
        escape(plain, markup, false),
        escape(plain, |c| markup(c) || c == '\'', false),
        escape(&plain.replace("\\\"", "\""), net, true),
        plain.to_owned(),
    ]
}

/// Returns a text as different languages escape it for HTML: PHP, Python, Go, and libraries for JavaScript.
fn html_spellings(text: &str) -> Vec<String> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Vec::new();
    }
    let markup = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let quotes = [
        ("\"", "'"),
        ("&quot;", "'"),
        ("&quot;", "&#039;"),
        ("&quot;", "&#39;"),
        ("&quot;", "&#x27;"),
        ("&#34;", "&#39;"),
    ];
    quotes.map(|(double, single)| markup.replace('"', double).replace('\'', single)).into()
}

/// Replaces the chosen characters by `\u` escapes, with hexadecimal digits in upper or lower case.
fn escape(text: &str, is_escaped: impl Fn(char) -> bool, upper: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !is_escaped(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing into a string cannot fail.
            let _ = if upper { write!(out, "\\u{unit:04X}") } else { write!(out, "\\u{unit:04x}") };
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'t>(values: &[&str], text: &'t str) -> Vec<&'t str> {
        let mut known = KnownValues::default();
        values.iter().for_each(|value| known.insert(value.as_bytes()));
        known.find(text.as_bytes(), 0..text.len()).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn values_are_found_as_whole_words() {
        let text =
            "s3cr3t-value/1 as3cr3t-value/1 2Fs3cr3t-value/1 %2Fs3cr3t-value/1 s3cr3t-value/12 \\ns3cr3t-value/1";
        assert_eq!(found(&["s3cr3t-value/1"], text).len(), 3);
        assert_eq!(found(&["abcdefgh", "abcdefgh-ijkl"], "abcdefgh-ijkl abcdefgh-ijk"), ["abcdefgh-ijkl", "abcdefgh"]);
    }

    #[test]
    fn longest_value_is_found_among_values_that_begin_alike() {
        let values = ["abcdefgh", "abcdefgh-1", "abcdefgh-1-x", "abcdefgh-2", "abcdefgh-11", "abcdefgh-b-c"];
        for (text, expected) in [
            ("abcdefgh-1-x", Some("abcdefgh-1-x")),
            ("abcdefgh-1-y", Some("abcdefgh-1")),
            ("abcdefgh-12", Some("abcdefgh")),
            ("abcdefgh-b-d", Some("abcdefgh")),
            ("abcdefgh-zzz", Some("abcdefgh")),
            ("abcdefghi", None),
            ("abcdefg", None),
        ] {
            assert_eq!(found(&values, text).first().copied(), expected, "{text}");
        }
    }

    #[test]
    fn short_values_and_common_words_are_not_found() {
        assert!(found(&["short", "password", "Localhost"], "short password localhost Localhost").is_empty());
    }

    #[test]
    fn values_within_placeholders_are_not_found() {
        for text in ["REDACTED-x-secret-key-1", "REDACTED_00secret-key", "\"REDACTED-secret-key-2\""] {
            assert!(found(&["secret-key"], text).is_empty(), "{text}");
        }
    }

    #[test]
    fn each_of_many_values_is_found() {
        let values: Vec<String> = (0..300).map(|n| format!("{n}-value-{n}")).collect();
        let values: Vec<&str> = values.iter().map(|value| &**value).collect();
        assert_eq!(found(&values, &values.join(" ")), values);
        assert_eq!(found(&values[..9], &values.join(" ")), &values[..9]);
    }

    #[test]
    fn spellings_include_those_of_each_language() {
        let all = spellings("a\"b/c é😀&<>'+".as_bytes(), ValueFormat::Text);
        for (who, spelling) in [
            ("JavaScript", "a\\\"b/c é😀&<>'+"),
            ("Python", r#"a\"b/c \u00e9\ud83d\ude00&<>'+"#),
            ("PHP", r#"a\"b\/c \u00e9\ud83d\ude00&<>'+"#),
            ("Go", "a\\\"b/c é😀\\u0026\\u003c\\u003e'+"),
            (".NET", r"a\u0022b/c \u00E9\uD83D\uDE00\u0026\u003C\u003E\u0027\u002B"),
            ("encodeURIComponent", "a%22b%2Fc%20%C3%A9%F0%9F%98%80%26%3C%3E'%2B"),
            ("a form", "a%22b%2Fc+%C3%A9%F0%9F%98%80%26%3C%3E%27%2B"),
            ("PHP's htmlspecialchars", "a&quot;b/c é😀&amp;&lt;&gt;&#039;+"),
            ("Python's html.escape", "a&quot;b/c é😀&amp;&lt;&gt;&#x27;+"),
            ("Go's html/template", "a&#34;b/c é😀&amp;&lt;&gt;&#39;+"),
            ("base64", "YSJiL2Mgw6nwn5iAJjw+Jys="),
            ("base64url", "YSJiL2Mgw6nwn5iAJjw-Jys"),
            ("Python's quote", "a%22b/c%20%C3%A9%F0%9F%98%80%26%3C%3E%27%2B"),
        ] {
            assert!(all.iter().any(|(known, _)| **known == *spelling.as_bytes()), "{who}: {spelling}");
        }
        let plain = spellings(b"plain-token", ValueFormat::Text);
        let texts: Vec<&[u8]> = plain.iter().map(|(text, _)| &**text).collect();
        assert_eq!(texts, [&b"plain-token"[..], b"cGxhaW4tdG9rZW4=", b"cGxhaW4tdG9rZW4"]);
        assert_eq!(plain[1].1, ValueFormat::Base64);
    }
}
