//! Base64 of text: it is decoded for the search, and encoded again with the same alphabet and padding.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode;

use crate::find::automaton::automaton;
use crate::find::can_begin_token;

/// The length of the longest base64 that is decoded, bytes.
pub(crate) const MAX_LEN: usize = 32 << 10;
/// The number of positions at which base64 may begin in a text with slashes.
const MAX_BEGINNINGS: usize = 4;

/// The beginnings of JSON and of PEM in base64: `{"`, `{ "`, `{` with a line end, `["`, `[{"`, `-----BEGIN `.
pub(crate) const BEGINNINGS: [&str; 8] = ["eyJ", "eyAi", "ewogI", "ewoJI", "ew0K", "WyJ", "W3si", "LS0tLS1CRUdJTi"];

/// `REDACTED-`, the beginning of placeholders, at the three positions that it can have in base64.
pub(crate) const PLACEHOLDERS: [&str; 3] = ["UkVEQUNURUQt", "JFREFDVEVEL", "SRURBQ1RFRC"];
/// `REDACTED_`, the beginning of markers, likewise.
const MARKERS: [&str; 3] = ["UkVEQUNURURf", "JFREFDVEVEX", "SRURBQ1RFRF"];

static FIND_BEGINNINGS: LazyLock<AhoCorasick> = LazyLock::new(|| automaton(&BEGINNINGS));
static FIND_PLACEHOLDERS: LazyLock<AhoCorasick> = LazyLock::new(|| automaton(&PLACEHOLDERS));
static FIND_MARKERS: LazyLock<AhoCorasick> = LazyLock::new(|| automaton(&MARKERS));

/// A decoded text with the spelling of its base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base64Text {
    pub(crate) text: Vec<u8>,
    is_url_safe: bool,
    is_padded: bool,
    /// `+`, `/` and `=` are percent-encoded.
    is_escaped: bool,
}

impl Base64Text {
    /// Decodes base64 in either alphabet, padded or not, percent-encoded or not. `None` if it is not UTF-8 text.
    pub(crate) fn decode(base64: &[u8]) -> Option<Self> {
        let is_escaped = base64.contains(&b'%');
        let plain: Cow<'_, [u8]> = if is_escaped { percent_decode(base64).into() } else { base64.into() };
        let len = plain.iter().rposition(|byte| *byte != b'=')? + 1;
        let is_url_safe = plain.iter().any(|byte| matches!(byte, b'-' | b'_'));
        let text = engine(is_url_safe, false).decode(&plain[..len]).ok()?;
        std::str::from_utf8(&text).ok()?;
        // Base64 without need for padding does not show whether its writer pads.
        let is_padded = len < plain.len() || len.is_multiple_of(4) && !is_url_safe;
        Some(Base64Text { text, is_url_safe, is_padded, is_escaped })
    }

    /// Encodes another text in the same spelling.
    pub(crate) fn encode(&self, text: &[u8]) -> String {
        let base64 = engine(self.is_url_safe, self.is_padded).encode(text);
        if self.is_escaped { base64.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D") } else { base64 }
    }
}

fn engine(is_url_safe: bool, is_padded: bool) -> GeneralPurpose {
    let alphabet: &Alphabet = if is_url_safe { &URL_SAFE } else { &STANDARD };
    let config = GeneralPurposeConfig::new().with_encode_padding(is_padded).with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config.with_decode_padding_mode(DecodePaddingMode::Indifferent))
}

/// Finds base64 of JSON or of PEM. Parts of a JWT are left out, since the token is redacted as a whole.
pub(crate) fn find_documents(text: &[u8]) -> Vec<(Range<usize>, Base64Text)> {
    let (mut found, mut done) = (Vec::new(), 0);
    for hit in FIND_BEGINNINGS.find_iter(text) {
        let start = hit.start();
        if start < done || !can_begin_token(text, start) {
            continue;
        }
        done = end_of_run(text, start);
        let is_part_of_token = start > 0 && text[start - 1] == b'.' || text.get(done) == Some(&b'.');
        if done - start <= MAX_LEN / 2 && !is_part_of_token {
            found.extend(Base64Text::decode(&text[start..done]).map(|base64| (start..done, base64)));
        }
    }
    found
}

/// Finds base64 that contains placeholders.
pub(crate) fn find_placeholders(text: &[u8]) -> Vec<(Range<usize>, Base64Text)> {
    find_around(text, &FIND_PLACEHOLDERS)
}

/// Finds base64 that contains markers.
pub(crate) fn find_markers(text: &[u8]) -> Vec<(Range<usize>, Base64Text)> {
    find_around(text, &FIND_MARKERS)
}

fn find_around(text: &[u8], needles: &AhoCorasick) -> Vec<(Range<usize>, Base64Text)> {
    let (mut found, mut done) = (Vec::new(), 0);
    for hit in needles.find_iter(text) {
        let needle = hit.start();
        if needle < done {
            continue;
        }
        let run = start_of_run(text, needle, done)..end_of_run(text, needle);
        done = run.end;
        // A `/` before base64 may be a part of it, or of a path.
        let is_beginning = |at: &usize| {
            let begins = BEGINNINGS.iter().any(|begin| text[*at..].starts_with(begin.as_bytes()));
            (begins || *at == needle) && can_begin_token(text, *at)
        };
        let mut beginnings = (run.start..=needle).filter(is_beginning).take(MAX_BEGINNINGS);
        found.extend(
            beginnings.find_map(|at| Base64Text::decode(&text[at..run.end]).map(|base64| (at..run.end, base64))),
        );
    }
    found
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// Returns true if a text begins with `+` or `/` in percent-encoding.
fn begins_with_escape(text: &[u8]) -> bool {
    matches!(text, [b'%', b'2', b'B' | b'b' | b'F' | b'f', ..])
}

/// Returns the start of the base64 around `at`, not before `floor`.
fn start_of_run(text: &[u8], at: usize, floor: usize) -> usize {
    let floor = floor.max(at.saturating_sub(MAX_LEN));
    let mut start = at;
    while start > floor {
        match text[start - 1] {
            byte if is_base64(byte) => start -= 1,
            b'%' if begins_with_escape(&text[start - 1..]) => start -= 1,
            b'%' => return (start + 2).min(at),
            _ => break,
        }
    }
    start
}

/// Returns the end of the base64 that begins at `at`, with its padding.
fn end_of_run(text: &[u8], at: usize) -> usize {
    let mut end = at;
    loop {
        end += text[end..].iter().take_while(|byte| is_base64(**byte)).count();
        if !begins_with_escape(&text[end..]) {
            break;
        }
        end += 3;
    }
    for _ in 0..2 {
        match &text[end..] {
            [b'=', ..] => end += 1,
            [b'%', b'3', b'D' | b'd', ..] => end += 3,
            _ => break,
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_encoded_in_the_spelling_of_its_base64() {
        for (base64, text) in [
            ("eyJhIjoiPz8/In0=", r#"{"a":"???"}"#),
            ("eyJhIjoiPz8_In0", r#"{"a":"???"}"#),
            ("eyJhIjoiPz8%2FIn0%3D", r#"{"a":"???"}"#),
            ("eyJhIjoiYiJ9", r#"{"a":"b"}"#),
            ("eyJhIjoiYmIifQ", r#"{"a":"bb"}"#),
        ] {
            let decoded = Base64Text::decode(base64.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&decoded.text), text);
            assert_eq!(decoded.encode(text.as_bytes()), base64);
        }
        assert_eq!(Base64Text::decode(b"/////w=="), None, "not UTF-8");
        assert_eq!(Base64Text::decode(b"=="), None);
    }

    #[test]
    fn placeholders_are_found_at_each_position() {
        for before in ["{\"a\":\"", "{\"ab\":\"", "{\"abc\":\""] {
            let json = format!("{before}REDACTED-a-1\"}}");
            let base64 = engine(false, true).encode(&json);
            for around in ["x", "/api/v1/", "state=", "a=%2F", "\"", "data:application/json;base64,"] {
                let text = format!("{} {around}", around.replace('x', " ")).replace("  ", " ");
                let text = if around == "x" { base64.clone() } else { format!("{text}{base64}") };
                let [(range, found)] = &find_placeholders(text.as_bytes())[..] else { panic!("{text}") };
                assert_eq!((&text[range.clone()], &*found.text), (&*base64, json.as_bytes()), "{text}");
            }
        }
        assert!(find_placeholders(b"UkVEQUNURUQ xSRURBQ1RFRC").is_empty());
    }

    /// The search takes linear time even if every byte begins base64.
    #[test]
    fn search_is_linear_in_beginnings() {
        for unit in ["eyJ", "eyJ/", "eyJ.", "JFREFDVEVEL", "/JFREFDVEVEL/", "%2FeyJ", "eyJ "] {
            let text = unit.repeat(300_000);
            let _ = (find_documents(text.as_bytes()), find_placeholders(text.as_bytes()));
        }
    }
}
