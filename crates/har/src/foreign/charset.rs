//! Converts text that a tool stored as UTF-8 back to the declared charset, which gives the bytes on the wire.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// The result of encoding a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// The bytes are equal in UTF-8 and the charset.
    Same,
    /// The different bytes.
    Bytes(Vec<u8>),
    /// The text has characters that the charset lacks, so it never was in this charset.
    Lossy,
}

pub(crate) fn encode(text: &str, charset: &'static Encoding) -> Conversion {
    // encoding_rs has no UTF-16 encoder.
    if charset == UTF_16LE {
        return Conversion::Bytes(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    }
    if charset == UTF_16BE {
        return Conversion::Bytes(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    }
    if text.is_ascii() && charset.is_ascii_compatible() {
        return Conversion::Same;
    }
    match charset.encode(text) {
        (_, _, true) => Conversion::Lossy,
        (bytes, _, false) => Conversion::Bytes(bytes.into_owned()),
    }
}

/// The wire bytes of a payload file that a tool may have written as UTF-8. `None` if the stored bytes seem to be the
/// wire bytes.
pub(crate) fn wire_bytes(stored: &[u8], charset: &'static Encoding) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(stored).ok()?;
    if charset == UTF_8 {
        return recover_utf8(text);
    }
    // ASCII text in UTF-16 has NULs and is valid UTF-8 by accident.
    let is_wire = text.contains('\0') || text.contains('\u{fffd}');
    match encode(text, charset) {
        Conversion::Bytes(bytes) if !is_wire => Some(bytes),
        _ => None,
    }
}

/// Recovers UTF-8 that a tool decoded as windows-1252 or latin-1 (`grÃ¶ÃŸer` for `größer`). `None` for other texts.
pub(crate) fn recover_utf8(text: &str) -> Option<Vec<u8>> {
    let windows = || match encode(text, WINDOWS_1252) {
        Conversion::Bytes(bytes) => Some(bytes),
        Conversion::Same | Conversion::Lossy => None,
    };
    let bytes = if text.is_ascii() { None } else { latin1(text).or_else(windows) };
    bytes.filter(|bytes| std::str::from_utf8(bytes).is_ok())
}

/// Encodes one byte per character. `None` for a character above U+00FF.
pub(crate) fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(c).ok()).collect()
}

/// Python writes a byte that it cannot decode, 0x80 + n, as the lone surrogate U+DC80 + n (PEP 383). A `String` cannot
/// have surrogates, so the reader replaces them by the private character U+10DC80 + n.
const ESCAPED: std::ops::RangeInclusive<u32> = 0x10_DC80..=0x10_DCFF;

/// Replaces the escapes of lone surrogates that stand for bytes. `None` if there are none, or the JSON has the private
/// characters itself.
pub(crate) fn keep_escaped_bytes(json: &str) -> Option<String> {
    if json.chars().any(|c| ESCAPED.contains(&u32::from(c))) {
        return None;
    }
    let kept = harproxy_json::text::replace_surrogates(json, |unit| match unit {
        0xDC80..=0xDCFF => char::from_u32(0x10_0000 + u32::from(unit)),
        _ => None,
    });
    (kept != json).then(|| kept.into_owned())
}

/// The bytes of a text with characters of [`keep_escaped_bytes`]. `None` for other texts.
pub(crate) fn escaped_bytes(text: &str) -> Option<Vec<u8>> {
    if !text.chars().any(|c| ESCAPED.contains(&u32::from(c))) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c) {
            escaped if ESCAPED.contains(&escaped) => bytes.extend(u8::try_from(escaped & 0xFF)),
            _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::SHIFT_JIS;

    #[test]
    fn recover_utf8_detects_text_that_was_decoded_as_a_single_byte_charset() {
        for misread_as in ["gr\u{c3}\u{b6}\u{c3}\u{178}er", "gr\u{c3}\u{b6}\u{c3}\u{9f}er"] {
            assert_eq!(recover_utf8(misread_as).as_deref(), Some("größer".as_bytes()), "{misread_as:?}");
            assert_eq!(
                wire_bytes(misread_as.as_bytes(), UTF_8).as_deref(),
                Some("größer".as_bytes()),
                "{misread_as:?}"
            );
        }
        for unchanged in ["plain", "", "größer", "3 €", "日本", "Ã"] {
            assert_eq!(recover_utf8(unchanged), None, "{unchanged:?}");
        }
    }

    #[test]
    fn wire_bytes_are_in_the_declared_charset_when_the_conversion_is_lossless() {
        assert_eq!(wire_bytes("Grüße".as_bytes(), WINDOWS_1252).as_deref(), Some(&b"Gr\xfc\xdfe"[..]));
        assert_eq!(wire_bytes("日本".as_bytes(), SHIFT_JIS).as_deref(), Some(&b"\x93\xfa\x96\x7b"[..]));
        assert_eq!(wire_bytes("aé".as_bytes(), UTF_16LE).as_deref(), Some(&b"a\0\xe9\0"[..]));
        assert_eq!(wire_bytes("aé".as_bytes(), UTF_16BE).as_deref(), Some(&b"\0a\0\xe9"[..]));
    }

    #[test]
    fn wire_bytes_is_none_when_the_file_has_the_wire_bytes() {
        assert_eq!(wire_bytes(b"Gr\xfc\xdfe", WINDOWS_1252), None, "not UTF-8");
        assert_eq!(wire_bytes(b"plain", WINDOWS_1252), None, "the same in both");
        assert_eq!(wire_bytes("日本".as_bytes(), WINDOWS_1252), None, "never latin-1");
        assert_eq!(wire_bytes(b"a\0b\0", UTF_16LE), None, "UTF-16 as it is");
    }
}
