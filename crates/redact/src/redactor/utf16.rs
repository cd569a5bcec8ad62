//! Payloads in UTF-16.

use harproxy_http::MediaType;

/// The byte order of a payload in UTF-16.
#[derive(Clone, Copy, Debug)]
pub(super) struct Utf16 {
    is_big_endian: bool,
    has_mark: bool,
}

impl Utf16 {
    /// Detects UTF-16 by the byte order mark or by the declared charset.
    pub(super) fn detect(media: &MediaType, payload: &[u8]) -> Option<Self> {
        match payload {
            [0xff, 0xfe, ..] => Some(Utf16 { is_big_endian: false, has_mark: true }),
            [0xfe, 0xff, ..] => Some(Utf16 { is_big_endian: true, has_mark: true }),
            _ => {
                let charset = media.charset()?;
                let is_big_endian = charset == encoding_rs::UTF_16BE;
                // Without a zero byte, the payload was converted before, or it has no ASCII.
                let is_utf16 = (is_big_endian || charset == encoding_rs::UTF_16LE) && payload.contains(&0);
                is_utf16.then_some(Utf16 { is_big_endian, has_mark: false })
            }
        }
    }

    /// Decodes a payload without its byte order mark. `None` if it is invalid.
    pub(super) fn decode(self, payload: &[u8]) -> Option<String> {
        let (pairs, []) = payload.get(2 * usize::from(self.has_mark)..)?.as_chunks::<2>() else { return None };
        let unit = |pair: &[u8; 2]| {
            if self.is_big_endian { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) }
        };
        char::decode_utf16(pairs.iter().map(unit)).collect::<Result<String, _>>().ok()
    }

    /// Encodes a payload, with a byte order mark if the original has one.
    pub(super) fn encode(self, text: &str) -> Vec<u8> {
        let mark = self.has_mark.then_some(0xfeff);
        let units = mark.into_iter().chain(text.encode_utf16());
        units.flat_map(|unit| if self.is_big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }
}
