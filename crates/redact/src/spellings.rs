//! How a value is written in queries, forms and JSON: one that is known is looked for in each of its spellings.

use std::borrow::Cow;
use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// What RFC 3986 section 2.3 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What `encodeURIComponent` leaves as it is beside.
const COMPONENT: &AsciiSet = &UNRESERVED.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');
/// What Python's `quote` leaves as it is.
const QUOTED: &AsciiSet = &UNRESERVED.remove(b'/');

/// A value as it was found, and as queries, forms and JSON write it, each once.
pub(super) fn of(value: &[u8]) -> Vec<Box<[u8]>> {
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
        add(lower_case_escapes(&percent));
        add(percent.into_bytes());
    }
    add(url::form_urlencoded::byte_serialize(&decoded).collect::<String>().into_bytes());
    if let Ok(text) = std::str::from_utf8(&decoded) {
        json(text).into_iter().for_each(|spelling| add(spelling.into_bytes()));
    }
    all
}

fn lower_case_escapes(percent: &str) -> Vec<u8> {
    let mut bytes = percent.as_bytes().to_vec();
    let escapes: Vec<usize> = memchr::memchr_iter(b'%', percent.as_bytes()).collect();
    for at in escapes {
        bytes[at + 1..at + 3].make_ascii_lowercase();
    }
    bytes
}

/// The inside of a JSON string as one writes it or another: no more than has to be escaped (most), `/` too (PHP), nothing but
/// ASCII (Python, PHP), nothing that HTML has a use for (Go, Rails), both (.NET).
fn json(text: &str) -> Vec<String> {
    let quoted = serde_json::Value::from(text).to_string();
    let plain = &quoted[1..quoted.len() - 1];
    let markup = |c: char| matches!(c, '<' | '>' | '&');
    let net = |c: char| !c.is_ascii() || markup(c) || matches!(c, '"' | '\'' | '+' | '`');
    let ascii = escaped(plain, |c| !c.is_ascii(), false);
    vec![
        plain.replace('/', "\\/"),
        ascii.replace('/', "\\/"),
        ascii,
        escaped(plain, markup, false),
        escaped(plain, |c| markup(c) || c == '\'', false),
        escaped(&plain.replace("\\\"", "\""), net, true),
        plain.to_owned(),
    ]
}

/// With `\u…` for these characters.
fn escaped(text: &str, is_escaped: impl Fn(char) -> bool, upper: bool) -> String {
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

    /// Each as its language's own library writes it.
    #[test]
    fn a_value_is_spelled_as_each_language_does() {
        let all = of("a\"b/c é😀&<>'+".as_bytes());
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
        assert_eq!(of(b"plain-token").len(), 1);
    }
}
