//! Text that another tool kept as UTF-8, back in the charset that its message declares: the bytes that went over the wire.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// What a text is in a charset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Encoded {
    /// The bytes that it has already.
    Same,
    /// Others.
    Bytes(Vec<u8>),
    /// It holds characters that the charset has not: it was never in it.
    Lossy,
}

/// The text in a charset.
pub(super) fn encoded(text: &str, charset: &'static Encoding) -> Encoded {
    // encoding_rs only reads UTF-16.
    if charset == UTF_16LE {
        return Encoded::Bytes(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    }
    if charset == UTF_16BE {
        return Encoded::Bytes(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    }
    if text.is_ascii() && charset.is_ascii_compatible() {
        return Encoded::Same;
    }
    match charset.encode(text) {
        (_, _, true) => Encoded::Lossy,
        (bytes, _, false) => Encoded::Bytes(bytes.into_owned()),
    }
}

/// The bytes of a payload file that a tool may have written as UTF-8 whatever the charset; `None` when they are the wire's as
/// they are, for all that can be told.
pub(super) fn of_file(stored: &[u8], charset: &'static Encoding) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(stored).ok()?;
    if charset == UTF_8 {
        return misread(text);
    }
    // UTF-16 as it went over the wire is full of NULs wherever it is ASCII, and so is valid UTF-8 by accident.
    let wire = text.contains('\0') || text.contains('\u{fffd}');
    match encoded(text, charset) {
        Encoded::Bytes(bytes) if !wire => Some(bytes),
        _ => None,
    }
}

/// The UTF-8 that a tool took for windows-1252 or latin-1, byte by byte (`grÃ¶ÃŸer` for `größer`); `None` when the text is
/// none that such a mistake makes.
pub(super) fn misread(text: &str) -> Option<Vec<u8>> {
    let windows = || match encoded(text, WINDOWS_1252) {
        Encoded::Bytes(bytes) => Some(bytes),
        Encoded::Same | Encoded::Lossy => None,
    };
    let bytes = if text.is_ascii() { None } else { latin1(text).or_else(windows) };
    bytes.filter(|bytes| std::str::from_utf8(bytes).is_ok())
}

/// One byte for each character; `None` when one is above U+00FF.
pub(super) fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(c).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::SHIFT_JIS;

    #[test]
    fn utf8_that_was_taken_for_one_byte_a_character_is_known_by_its_looks() {
        for misread_as in ["gr\u{c3}\u{b6}\u{c3}\u{178}er", "gr\u{c3}\u{b6}\u{c3}\u{9f}er"] {
            assert_eq!(misread(misread_as).as_deref(), Some("größer".as_bytes()), "{misread_as:?}");
            assert_eq!(of_file(misread_as.as_bytes(), UTF_8).as_deref(), Some("größer".as_bytes()), "{misread_as:?}");
        }
        for as_it_is in ["plain", "", "größer", "3 €", "日本", "Ã"] {
            assert_eq!(misread(as_it_is), None, "{as_it_is:?}");
        }
    }

    #[test]
    fn a_file_of_utf8_becomes_the_declared_charset_when_nothing_is_lost() {
        assert_eq!(of_file("Grüße".as_bytes(), WINDOWS_1252).as_deref(), Some(&b"Gr\xfc\xdfe"[..]));
        assert_eq!(of_file("日本".as_bytes(), SHIFT_JIS).as_deref(), Some(&b"\x93\xfa\x96\x7b"[..]));
        assert_eq!(of_file("aé".as_bytes(), UTF_16LE).as_deref(), Some(&b"a\0\xe9\0"[..]));
        assert_eq!(of_file("aé".as_bytes(), UTF_16BE).as_deref(), Some(&b"\0a\0\xe9"[..]));
    }

    #[test]
    fn what_is_the_wires_already_stays() {
        assert_eq!(of_file(b"Gr\xfc\xdfe", WINDOWS_1252), None, "not UTF-8");
        assert_eq!(of_file(b"plain", WINDOWS_1252), None, "the same in both");
        assert_eq!(of_file("日本".as_bytes(), WINDOWS_1252), None, "never latin-1");
        assert_eq!(of_file(b"a\0b\0", UTF_16LE), None, "UTF-16 as it is");
    }
}
