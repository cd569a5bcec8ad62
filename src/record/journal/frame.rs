//! The frames of the journal: a header, a payload and a checksum. The checksum detects a frame that was cut off or
//! damaged. The mark is where the next frame is found behind a damaged one.
//!
//! ```text
//! mark, 8 bytes │ payload length u32 LE │ kind u8 │ exchange u64 LE │ payload │ CRC-32 of everything before it, u32 LE
//! ```

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};

use bytes::Bytes;

/// The first bytes of a journal, which name the version of its format. The mark of its frames follows.
pub const MAGIC: [u8; 19] = *b"harproxy journal 7\n";

/// Bytes before a payload.
pub const HEADER: usize = FrameMark::LEN + 13;

/// Bytes after a payload.
pub const TRAILER: usize = 4;

/// The longest payload, bytes. hyper hands over bodies in far smaller pieces and bounds heads, so a header that
/// announces more is damaged.
pub const MAX_PAYLOAD: usize = 64 << 20;

/// The bytes with which each frame of one journal begins. They are random, so that no recorded payload contains them: a
/// reader behind a damaged frame must not take recorded bytes for frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameMark(pub [u8; FrameMark::LEN]);

impl FrameMark {
    pub const LEN: usize = 8;

    #[must_use]
    pub fn random() -> Self {
        FrameMark(RandomState::new().hash_one(std::process::id()).to_le_bytes())
    }

    /// Returns the beginning of a journal with this mark: everything before its first frame.
    #[must_use]
    pub fn journal_head(self) -> Vec<u8> {
        [&MAGIC[..], &self.0].concat()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// The settings of the recording: the first frame.
    Meta,
    Request,
    /// Bytes of a request payload, as sent.
    RequestData,
    RequestEnd,
    Response,
    /// Bytes of a response payload, as received.
    ResponseData,
    End,
    /// Bytes of a request payload, decoded and redacted.
    RequestDecoded,
    /// Bytes of a response payload, decoded and redacted.
    ResponseDecoded,
}

/// All kinds. A kind is written as its position, from 1.
const KINDS: [FrameKind; 9] = [
    FrameKind::Meta,
    FrameKind::Request,
    FrameKind::RequestData,
    FrameKind::RequestEnd,
    FrameKind::Response,
    FrameKind::ResponseData,
    FrameKind::End,
    FrameKind::RequestDecoded,
    FrameKind::ResponseDecoded,
];

impl FrameKind {
    /// Returns true if the payload is a piece of a body, which a reader does not load while it indexes frames.
    #[must_use]
    pub fn is_data(self) -> bool {
        use FrameKind::{RequestData, RequestDecoded, ResponseData, ResponseDecoded};
        matches!(self, RequestData | ResponseData | RequestDecoded | ResponseDecoded)
    }
}

/// A frame to be written.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The content of the payload.
    pub kind: FrameKind,
    /// The number of the exchange, from 1; 0 for [`FrameKind::Meta`].
    pub exchange: u64,
    /// At most [`MAX_PAYLOAD`] bytes.
    pub payload: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The content of the payload.
    pub kind: FrameKind,
    /// The number of the exchange.
    pub exchange: u64,
    pub len: u32,
}

impl FrameHeader {
    fn to_bytes(self, mark: FrameMark) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&mark.0);
        bytes[8..12].copy_from_slice(&self.len.to_le_bytes());
        bytes[12] = self.kind as u8 + 1;
        bytes[13..].copy_from_slice(&self.exchange.to_le_bytes());
        bytes
    }

    /// Parses a header. `None` for another mark, an unknown kind and a length above [`MAX_PAYLOAD`].
    #[must_use]
    pub fn from_bytes(mark: FrameMark, bytes: &[u8; HEADER]) -> Option<Self> {
        let [l0, l1, l2, l3, kind, exchange @ ..] = *bytes.strip_prefix(&mark.0)?.first_chunk::<13>()?;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        let kind = *KINDS.get(usize::from(kind).checked_sub(1)?)?;
        let header = FrameHeader { kind, exchange: u64::from_le_bytes(exchange), len };
        (len as usize <= MAX_PAYLOAD).then_some(header)
    }

    /// Starts the checksum of a frame with this header. The payload comes next.
    #[must_use]
    pub fn start_checksum(self, mark: FrameMark) -> crc32fast::Hasher {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.to_bytes(mark));
        crc
    }
}

impl Frame {
    /// Bytes that the frame takes in the journal.
    #[must_use]
    pub fn size(&self) -> usize {
        HEADER + self.payload.len() + TRAILER
    }

    /// Appends the frame to `out`.
    ///
    /// # Errors
    /// When the writer fails, or the payload is longer than [`MAX_PAYLOAD`].
    pub fn write(&self, mark: FrameMark, out: &mut impl Write) -> io::Result<()> {
        let len = u32::try_from(self.payload.len()).ok().filter(|len| *len as usize <= MAX_PAYLOAD);
        let len = len.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a frame is too long"))?;
        let header = FrameHeader { kind: self.kind, exchange: self.exchange, len };
        let mut crc = header.start_checksum(mark);
        crc.update(&self.payload);
        out.write_all(&header.to_bytes(mark))?;
        out.write_all(&self.payload)?;
        out.write_all(&crc.finalize().to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: FrameMark = FrameMark(*b"thismark");

    #[test]
    fn header_round_trips_through_its_bytes() {
        for kind in KINDS {
            let header = FrameHeader { kind, exchange: u64::MAX - 7, len: 123_456 };
            assert_eq!(FrameHeader::from_bytes(MARK, &header.to_bytes(MARK)), Some(header));
        }
    }

    #[test]
    fn header_is_rejected_when_kind_or_length_is_invalid() {
        let parse = |bytes| FrameHeader::from_bytes(MARK, &bytes);
        let long = FrameHeader { kind: FrameKind::End, exchange: 1, len: u32::MAX };
        assert_eq!(parse(long.to_bytes(MARK)), None, "too long");
        let header = FrameHeader { kind: FrameKind::End, exchange: 1, len: 1 };
        assert_eq!(parse(header.to_bytes(FrameMark([8; 8]))), None, "another mark");
        for kind in [0, 10] {
            let mut unknown = header.to_bytes(MARK);
            unknown[12] = kind;
            assert_eq!(parse(unknown), None, "kind {kind}");
        }
    }
}
