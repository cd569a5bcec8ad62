//! Encoded texts within other texts: a JSON string, a part of a URL, a field of a form.
//!
//! Secrets are searched for in the decoded text. Their replacements go into the encoded text, whose other bytes do not
//! change.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::splice::Splice;

/// The characters of replacements that are percent-encoded.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'@');

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextEncoding {
    /// The inside of a JSON string (RFC 8259 section 7).
    Json,
    /// Percent-encoding (RFC 3986 section 2.1).
    Percent,
    /// Percent-encoding with `+` for a space (URL Standard, application/x-www-form-urlencoded).
    Form,
    /// Character references of HTML and XML: the five that escape markup, and numeric ones.
    Markup,
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
        let find_escape = |raw| match encoding {
            TextEncoding::Json => memchr::memchr(b'\\', raw),
            TextEncoding::Percent => memchr::memchr(b'%', raw),
            TextEncoding::Form => memchr::memchr2(b'%', b'+', raw),
            TextEncoding::Markup => memchr::memchr(b'&', raw),
        };
        if find_escape(raw).is_none() {
            return DecodedText { text: Cow::Borrowed(raw), encoding, positions: Vec::new() };
        }
        let mut text = Vec::with_capacity(raw.len());
        let mut positions = Vec::with_capacity(raw.len() + 1);
        let mut at = 0;
        while at < raw.len() {
            let escape = find_escape(&raw[at..]).map_or(raw.len(), |found| at + found);
            text.extend_from_slice(&raw[at..escape]);
            positions.extend(at..escape);
            at = escape;
            if at < raw.len() {
                let len = decode_escape(&raw[at..], encoding, &mut text);
                positions.resize(text.len(), at);
                at += len;
            }
        }
        positions.push(raw.len());
        DecodedText { text: Cow::Owned(text), encoding, positions }
    }

    pub(super) fn raw_position(&self, decoded: usize) -> usize {
        self.positions.get(decoded).copied().unwrap_or(decoded)
    }

    /// Converts splices of the decoded text to splices of a text that contains the raw text at `offset`.
    pub(super) fn encode_splices(&self, splices: Vec<Splice>, offset: usize) -> impl Iterator<Item = Splice> {
        splices.into_iter().map(move |Splice { range, with }| Splice {
            range: offset + self.raw_position(range.start)..offset + self.raw_position(range.end),
            with: encode(&with, self.encoding),
        })
    }
}

/// Decodes the escape that a text begins with. Returns its raw length. Keeps the first byte of an invalid escape.
fn decode_escape(raw: &[u8], encoding: TextEncoding, out: &mut Vec<u8>) -> usize {
    let escape = match (encoding, raw[0]) {
        (TextEncoding::Json, b'\\') => decode_json_escape(raw, out),
        (TextEncoding::Markup, b'&') => decode_reference(raw, out),
        (TextEncoding::Form | TextEncoding::Percent, b'%') => raw.get(1..3).and_then(parse_hex).map(|byte| {
            out.push(byte as u8);
            3
        }),
        _ => None,
    };
    escape.unwrap_or_else(|| {
        out.push(if encoding == TextEncoding::Form && raw[0] == b'+' { b' ' } else { raw[0] });
        1
    })
}

fn decode_json_escape(raw: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let byte = match *raw.get(1)? {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let first = raw.get(2..6).and_then(parse_hex)?;
            let second = raw.get(6..12).and_then(|next| next.strip_prefix(b"\\u")).and_then(parse_hex);
            let (code, len) = match second {
                Some(second @ 0xdc00..=0xdfff) if (0xd800..0xdc00).contains(&first) => {
                    (0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00), 12)
                }
                _ => (first, 6),
            };
            let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(len);
        }
        other => other,
    };
    out.push(byte);
    Some(2)
}

/// The named character references that escape markup.
const REFERENCES: [(&[u8], char); 5] = [(b"amp", '&'), (b"quot", '"'), (b"lt", '<'), (b"gt", '>'), (b"apos", '\'')];

/// Decodes a character reference: `&amp;`, `&#38;`, `&#x26;`.
fn decode_reference(raw: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let len = raw.iter().take(10).position(|byte| *byte == b';')?;
    let c = match &raw[1..len] {
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(parse_hex(digits)?)?,
        [b'#', digits @ ..] => char::from_u32(std::str::from_utf8(digits).ok()?.parse().ok()?)?,
        name => REFERENCES.iter().find(|(known, _)| *known == name)?.1,
    };
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Some(len + 1)
}

fn parse_hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, &digit| Some(value * 16 + char::from(digit).to_digit(16)?))
}

fn encode(with: &str, encoding: TextEncoding) -> String {
    match encoding {
        TextEncoding::Json => {
            let quoted = harproxy_json::text::quote(with);
            quoted[1..quoted.len() - 1].to_owned()
        }
        TextEncoding::Percent | TextEncoding::Form => utf8_percent_encode(with, ESCAPED).to_string(),
        TextEncoding::Markup => with.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splice::apply_splices;

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
        assert_eq!(
            decoded("&quot;a&#39;&#x2F;&amp;lt;&b &#; &#xd800;", TextEncoding::Markup),
            "\"a'/&lt;&b &#; &#xd800;"
        );
        assert_eq!(decoded("a%20b+c%zz%e2%82%ac", TextEncoding::Form), "a b c%zz\u{20ac}");
    }

    #[test]
    fn text_around_a_splice_keeps_its_spelling() {
        assert_eq!(replaced(r#"\u0061 \"key\" \/"#, TextEncoding::Json, "key", "X"), r#"\u0061 \"X\" \/"#);
        assert_eq!(replaced(r#"{\"a\":true}"#, TextEncoding::Json, "true", "\"X\""), r#"{\"a\":\"X\"}"#);
        assert_eq!(replaced("%61%20k%65y+%7e", TextEncoding::Form, "key", "X y@z"), "%61%20X%20y@z+%7e");
        assert_eq!(replaced("key", TextEncoding::Percent, "key", "X"), "X");
        assert_eq!(
            replaced("{&#34;a&quot;:true}", TextEncoding::Markup, "true", "\"X\""),
            "{&#34;a&quot;:&quot;X&quot;}"
        );
    }
}
