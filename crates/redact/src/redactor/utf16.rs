//! Payloads in UTF-16.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use harproxy_http::MediaType;

/// The encoding of a payload in UTF-16.
#[derive(Clone, Copy, Debug)]
pub(super) struct Utf16 {
    encoding: &'static Encoding,
    /// The length of the byte order mark.
    mark: usize,
}

impl Utf16 {
    /// Detects UTF-16 by the byte order mark or by the declared charset.
    pub(super) fn detect(media: &MediaType, payload: &[u8]) -> Option<Self> {
        // Without a zero byte, the payload was converted before, or it has no ASCII.
        let declared = || media.charset().filter(|_| payload.contains(&0)).map(|encoding| (encoding, 0));
        let by_mark = Encoding::for_bom(payload).filter(|(_, mark)| *mark == 2);
        let (encoding, mark) = by_mark.or_else(declared)?;
        (encoding == UTF_16BE || encoding == UTF_16LE).then_some(Utf16 { encoding, mark })
    }

    /// Decodes a payload without its byte order mark. `None` if it is invalid.
    pub(super) fn decode(self, payload: &[u8]) -> Option<Cow<'_, str>> {
        self.encoding.decode_without_bom_handling_and_without_replacement(payload.get(self.mark..)?)
    }

    /// Encodes a payload, with a byte order mark if the original has one.
    pub(super) fn encode(self, text: &str) -> Vec<u8> {
        let mark = (self.mark > 0).then_some(0xfeff);
        let units = mark.into_iter().chain(text.encode_utf16());
        units.flat_map(|unit| if self.encoding == UTF_16BE { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }
}
