//! The spellings of a secret in queries, forms and JSON. A known secret is searched for in all of them.

use std::borrow::Cow;
use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// All but the unreserved characters of RFC 3986 section 2.3.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Characters that `encodeURIComponent` of JavaScript escapes.
const COMPONENT: &AsciiSet = &UNRESERVED.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');
/// Characters that `quote` of Python escapes.
const QUOTED: &AsciiSet = &UNRESERVED.remove(b'/');

/// Returns a value as it was found, and its spellings in queries, forms and JSON, without duplicates.
pub(crate) fn spellings(value: &[u8]) -> Vec<Box<[u8]>> {
    let mut all: Vec<Box<[u8]>> = vec![value.into()];
    let decoded: Cow<'_, [u8]> = percent_decode(value).into();
    let mut add = |spelling: Vec<u8>| {
        if !all.iter().any(|known| **known == *spelling) {
            all.push(spelling.into());
        }
    };
    add(decoded.to_vec());
    for set in [UNRESERVED, COMPONENT, QUOTED] {
        let percent = percent_encode(&decoded, set).to_string();
        add(with_lower_case_escapes(&percent));
        add(percent.into_bytes());
    }
    add(url::form_urlencoded::byte_serialize(&decoded).collect::<String>().into_bytes());
    if let Ok(text) = std::str::from_utf8(&decoded) {
        json_spellings(text).into_iter().for_each(|spelling| add(spelling.into_bytes()));
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

    #[test]
    fn spellings_include_those_of_each_language() {
        let all = spellings("a\"b/c é😀&<>'+".as_bytes());
        for (who, spelling) in [
            ("JavaScript", "a\\\"b/c é😀&<>'+"),
            ("Python", r#"a\"b/c \u00e9\ud83d\ude00&<>'+"#),
            ("PHP", r#"a\"b\/c \u00e9\ud83d\ude00&<>'+"#),
            ("Go", "a\\\"b/c é😀\\u0026\\u003c\\u003e'+"),
            (".NET", r"a\u0022b/c \u00E9\uD83D\uDE00\u0026\u003C\u003E\u0027\u002B"),
            ("encodeURIComponent", "a%22b%2Fc%20%C3%A9%F0%9F%98%80%26%3C%3E'%2B"),
            ("a form", "a%22b%2Fc+%C3%A9%F0%9F%98%80%26%3C%3E%27%2B"),
            ("Python's quote", "a%22b/c%20%C3%A9%F0%9F%98%80%26%3C%3E%27%2B"),
        ] {
            assert!(all.iter().any(|known| **known == *spelling.as_bytes()), "{who}: {spelling}");
        }
        assert_eq!(spellings(b"plain-token").len(), 1);
    }
}
