//! The lexical elements of JSON (RFC 8259): white space, strings, scalars.
//!
//! The functions take any bytes, so they also serve text that is cut off, malformed, or a part of a stream.

use std::io::{self, Read};
use std::ops::Range;

use serde::de::IgnoredAny;

/// The byte order mark that some tools write before a document.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns true for the four white space characters of JSON (RFC 8259 section 2).
#[must_use]
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Returns true for bytes that JSON has between strings: white space, brackets, numbers, and the letters of its three
/// words.
#[must_use]
pub fn is_between_strings(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'\n' | b'\r' | b'{' | b'}' | b'[' | b']' | b',' | b':' | b'+' | b'-' | b'.' | b'E' | b'0'
            ..=b'9' | b't' | b'r' | b'u' | b'e' | b'f' | b'a' | b'l' | b's' | b'n'
    )
}

/// Returns the position of the first byte from `at` on that is not white space.
#[must_use]
pub fn skip_space(text: &[u8], at: usize) -> usize {
    text.get(at..).map_or(at, |rest| at + rest.iter().take_while(|byte| is_space(**byte)).count())
}

/// Returns the position of the quote that closes a string. `at` is the position behind the opening quote.
///
/// ```
/// use harproxy_json::scan::string_end;
/// assert_eq!(string_end(br#""a\"b", 1"#, 1), Some(5));
/// assert_eq!(string_end(br#""not closed\""#, 1), None);
/// ```
#[must_use]
pub fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[found] == b'"' {
            return Some(found);
        }
        at = found + 2;
    }
}

/// Returns the end of the number or word that begins at `at`; `at` itself if neither begins there.
#[must_use]
pub fn scalar_end(text: &[u8], at: usize) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
    text.get(at..).map_or(at, |rest| at + rest.iter().take_while(|byte| is_part(byte)).count())
}

/// The positions of a string in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringSpan {
    /// The string without its quotes.
    pub inside: Range<usize>,
    /// The position behind the closing quote; the end of the text if the string is not closed.
    pub end: usize,
}

impl StringSpan {
    /// Finds the end of the string whose opening quote is at `quote`.
    #[must_use]
    pub fn at(text: &[u8], quote: usize) -> Self {
        let inside = quote + 1;
        match string_end(text, inside) {
            Some(end) => StringSpan { inside: inside..end, end: end + 1 },
            None => StringSpan { inside: inside.min(text.len())..text.len(), end: text.len() },
        }
    }
}

/// Tracks which bytes of a text that arrives in chunks are inside strings.
#[derive(Clone, Copy, Debug, Default)]
pub struct StringTracker {
    inside: bool,
    escaped: bool,
}

impl StringTracker {
    /// Returns true if the next byte is inside a string.
    #[must_use]
    pub fn is_inside(self) -> bool {
        self.inside
    }

    /// Returns how many bytes at the start of `text` are inside a string and neither end it nor begin an escape.
    #[must_use]
    pub fn plain_run(self, text: &[u8]) -> usize {
        match self {
            StringTracker { inside: true, escaped: false } => memchr::memchr2(b'"', b'\\', text).unwrap_or(text.len()),
            _ => 0,
        }
    }

    /// Advances by one byte. Returns true if the byte belongs to a string, including its quotes.
    pub fn advance(&mut self, byte: u8) -> bool {
        if !self.inside {
            self.inside = byte == b'"';
            return self.inside;
        }
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.inside = false,
            _ => {}
        }
        true
    }
}

/// Returns true if all of the input is one JSON value. Strings are not checked to be UTF-8.
#[must_use]
pub fn is_valid(read: impl Read) -> bool {
    serde_json::from_reader::<_, IgnoredAny>(io::BufReader::new(read)).is_ok()
}

/// Returns true if the text begins like an object or array whose first element is a string, a name or an object.
#[must_use]
pub fn begins_with_text(text: &[u8]) -> bool {
    match text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii_start() {
        [b'{' | b'[', inside @ ..] => matches!(inside.trim_ascii_start().first(), Some(b'"' | b'{')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn string_tracker_agrees_with_string_end(text in r#"["\\a{, ]{0,40}"#) {
            let text = text.as_bytes();
            let (mut tracker, mut inside) = (StringTracker::default(), Vec::new());
            for &byte in text {
                inside.push(tracker.advance(byte));
            }
            let (mut expected, mut at) = (vec![false; text.len()], 0);
            while let Some(quote) = text[at..].iter().position(|byte| *byte == b'"').map(|quote| at + quote) {
                at = StringSpan::at(text, quote).end;
                expected[quote..at].fill(true);
            }
            prop_assert_eq!(inside, expected);
        }

        #[test]
        fn scanning_accepts_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..60), at in 0_usize..80) {
            let _ = string_end(&bytes, at);
            prop_assert!(skip_space(&bytes, at) >= at);
            prop_assert!(scalar_end(&bytes, at) >= at);
            prop_assert!(StringSpan::at(&bytes, at).end <= bytes.len().max(at));
            let _ = begins_with_text(&bytes);
        }
    }

    #[test]
    fn begins_with_text_looks_at_the_first_element() {
        for (text, expected) in
            [(r#"{"a":1}"#, true), ("\u{feff} [ {} ]", true), ("[1]", false), ("{}", false), ("\"a\"", false)]
        {
            assert_eq!(begins_with_text(text.as_bytes()), expected, "{text}");
        }
    }
}
