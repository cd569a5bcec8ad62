//! Encoded texts within other texts: a JSON string, a part of a URL, a field of a form.
//!
//! Secrets are searched for in the decoded text. Their replacements go into the encoded text, whose other bytes do not
//! change.

use std::borrow::Cow;
use std::fmt::Write;

use super::splice::Splice;

/// The encoding of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextEncoding {
    /// The inside of a JSON string (RFC 8259 section 7).
    Json,
    /// Percent-encoding (RFC 3986 section 2.1).
    Percent,
    /// Percent-encoding with `+` for a space (URL Standard, application/x-www-form-urlencoded).
    Form,
}

/// A decoded text with the raw position of each byte.
#[derive(Debug)]
pub(super) struct DecodedText<'t> {
    pub(super) text: Cow<'t, [u8]>,
    encoding: TextEncoding,
    /// The raw position of each decoded byte, and of the end. Empty if the raw text needs no decoding.
    positions: Vec<usize>,
}

impl<'t> DecodedText<'t> {
    pub(super) fn new(raw: &'t [u8], encoding: TextEncoding) -> Self {
        let is_plain = match encoding {
            TextEncoding::Json => memchr::memchr(b'\\', raw).is_none(),
            TextEncoding::Percent => memchr::memchr(b'%', raw).is_none(),
            TextEncoding::Form => memchr::memchr2(b'%', b'+', raw).is_none(),
        };
        if is_plain {
            return DecodedText { text: Cow::Borrowed(raw), encoding, positions: Vec::new() };
        }
        let mut text = Vec::with_capacity(raw.len());
        let mut positions = Vec::with_capacity(raw.len() + 1);
        let mut at = 0;
        while at < raw.len() {
            let (bytes, len) = decode_unit(&raw[at..], encoding);
            text.extend_from_slice(bytes.as_slice());
            positions.resize(text.len(), at);
            at += len;
        }
        positions.push(raw.len());
        DecodedText { text: Cow::Owned(text), encoding, positions }
    }

    /// Returns the raw position of a decoded byte.
    pub(super) fn raw_position(&self, decoded: usize) -> usize {
        self.positions.get(decoded).copied().unwrap_or(decoded)
    }

    /// Converts splices of the decoded text to splices of a text that contains the raw text at `offset`.
    pub(super) fn encode_splices(&self, splices: Vec<Splice>, offset: usize) -> impl Iterator<Item = Splice> {
        splices.into_iter().map(move |Splice { range, with }| Splice {
            range: offset + self.raw_position(range.start)..offset + self.raw_position(range.end),
            with: encode(with, self.encoding),
        })
    }
}

/// The decoded bytes of one byte or one escape.
enum DecodedUnit {
    Byte([u8; 1]),
    Char([u8; 4], usize),
}

impl DecodedUnit {
    fn char(c: char) -> Self {
        let mut bytes = [0; 4];
        let len = c.encode_utf8(&mut bytes).len();
        DecodedUnit::Char(bytes, len)
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            DecodedUnit::Byte(byte) => byte,
            DecodedUnit::Char(bytes, len) => &bytes[..*len],
        }
    }
}

/// Decodes the first unit of a text that is not empty. Returns its raw length, too. An invalid escape is kept as it is.
fn decode_unit(raw: &[u8], encoding: TextEncoding) -> (DecodedUnit, usize) {
    let unchanged = (DecodedUnit::Byte([raw[0]]), 1);
    match (encoding, raw[0]) {
        (TextEncoding::Json, b'\\') => decode_json_escape(raw).unwrap_or(unchanged),
        (TextEncoding::Form, b'+') => (DecodedUnit::Byte(*b" "), 1),
        (TextEncoding::Form | TextEncoding::Percent, b'%') => {
            raw.get(1..3).and_then(parse_hex).map_or(unchanged, |value| (DecodedUnit::Byte([value as u8]), 3))
        }
        _ => unchanged,
    }
}

fn decode_json_escape(raw: &[u8]) -> Option<(DecodedUnit, usize)> {
    let byte = match *raw.get(1)? {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let first = raw.get(2..6).and_then(parse_hex)?;
            let second = raw.get(6..12).and_then(|next| next.strip_prefix(b"\\u")).and_then(parse_hex);
            return Some(match (char::from_u32(first), second) {
                (Some(c), _) => (DecodedUnit::char(c), 6),
                (None, Some(second @ 0xdc00..=0xdfff)) if first < 0xdc00 => {
                    let c = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                    (DecodedUnit::char(char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER)), 12)
                }
                _ => (DecodedUnit::char(char::REPLACEMENT_CHARACTER), 6),
            });
        }
        other => other,
    };
    Some((DecodedUnit::Byte([byte]), 2))
}

fn parse_hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, &digit| Some(value * 16 + char::from(digit).to_digit(16)?))
}

/// Encodes a replacement. Almost all need no encoding.
fn encode(with: String, encoding: TextEncoding) -> String {
    let is_safe = |byte: u8| match encoding {
        TextEncoding::Json => !matches!(byte, b'"' | b'\\') && byte >= b' ',
        TextEncoding::Percent | TextEncoding::Form => byte.is_ascii_alphanumeric() || b"-_.~@".contains(&byte),
    };
    if with.bytes().all(is_safe) {
        return with;
    }
    let mut out = String::with_capacity(with.len() + 8);
    match encoding {
        TextEncoding::Json => with.chars().for_each(|c| match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }),
        TextEncoding::Percent | TextEncoding::Form => with.bytes().for_each(|byte| match byte {
            byte if is_safe(byte) => out.push(char::from(byte)),
            byte => drop(write!(out, "%{byte:02X}")),
        }),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::splice::apply_splices;
    use super::*;

    fn decoded(raw: &str, encoding: TextEncoding) -> String {
        String::from_utf8(DecodedText::new(raw.as_bytes(), encoding).text.into_owned()).unwrap()
    }

    fn replaced(raw: &str, encoding: TextEncoding, what: &str, with: &str) -> String {
        let decoded = DecodedText::new(raw.as_bytes(), encoding);
        let start = memchr::memmem::find(&decoded.text, what.as_bytes()).unwrap();
        let splice = Splice { range: start..start + what.len(), with: with.to_owned() };
        let splices: Vec<_> = decoded.encode_splices(vec![splice], 0).collect();
        String::from_utf8(apply_splices(raw.as_bytes(), &splices).unwrap()).unwrap()
    }

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(decoded(r#"a\"\\\/\n\u00e9\ud83d\ude00"#, TextEncoding::Json), "a\"\\/\n\u{e9}\u{1f600}");
        assert_eq!(decoded(r"\ud83d\u0041\udc00\u00", TextEncoding::Json), "\u{fffd}A\u{fffd}\\u00");
        assert_eq!(decoded("a%20b+c%", TextEncoding::Percent), "a b+c%");
        assert_eq!(decoded("a%20b+c%zz%e2%82%ac", TextEncoding::Form), "a b c%zz\u{20ac}");
    }

    #[test]
    fn text_around_a_splice_keeps_its_spelling() {
        assert_eq!(replaced(r#"\u0061 \"key\" \/"#, TextEncoding::Json, "key", "X"), r#"\u0061 \"X\" \/"#);
        assert_eq!(replaced(r#"{\"a\":true}"#, TextEncoding::Json, "true", "\"X\""), r#"{\"a\":\"X\"}"#);
        assert_eq!(replaced("%61%20k%65y+%7e", TextEncoding::Form, "key", "X y@z"), "%61%20X%20y@z+%7e");
        assert_eq!(replaced("key", TextEncoding::Percent, "key", "X"), "X");
    }
}
