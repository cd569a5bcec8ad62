//! One record of the journal: a header, a payload, a checksum. What was torn by a crash is told apart from what is whole.
//!
//! ```text
//! length of the payload  u32 LE │ kind u8 │ exchange u64 LE │ payload │ CRC-32 of all before it u32 LE
//! ```

use std::io::{self, Write};

use bytes::Bytes;

/// What a journal begins with; a file that does not is no journal of this version.
pub const MAGIC: [u8; 19] = *b"harproxy journal 2\n";

/// Bytes before a payload.
pub const HEADER: usize = 13;

/// Bytes after a payload.
pub const TRAILER: usize = 4;

/// Longer payloads don't occur (hyper hands over bodies in far smaller pieces, heads are bounded by its limits): a header
/// that announces one is damaged.
pub const MAX_PAYLOAD: usize = 64 << 20;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How the recording was asked for: the first frame.
    Meta,
    /// The head of a request.
    Request,
    /// Bytes of a request's payload, as sent.
    RequestData,
    /// The end of a request's payload.
    RequestEnd,
    /// The head of a response.
    Response,
    /// Bytes of a response's payload, as received.
    ResponseData,
    /// The end of the exchange.
    End,
    /// Bytes of a request's payload, decoded and without secrets.
    RequestDecoded,
    /// Bytes of a response's payload, decoded and without secrets.
    ResponseDecoded,
    /// Clues to secrets that stand in frames behind this one.
    Clues,
}

const KINDS: [Kind; 10] = [
    Kind::Meta,
    Kind::Request,
    Kind::RequestData,
    Kind::RequestEnd,
    Kind::Response,
    Kind::ResponseData,
    Kind::End,
    Kind::RequestDecoded,
    Kind::ResponseDecoded,
    Kind::Clues,
];

impl Kind {
    /// Whether the payload is a piece of a body, which a reader need not hold.
    #[must_use]
    pub fn is_data(self) -> bool {
        matches!(self, Kind::RequestData | Kind::ResponseData | Kind::RequestDecoded | Kind::ResponseDecoded)
    }
}

/// A frame on its way into the journal.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What it holds.
    pub kind: Kind,
    /// Which exchange it belongs to, from 1; 0 for [`Kind::Meta`] and [`Kind::Clues`].
    pub exchange: u64,
    /// At most [`MAX_PAYLOAD`] bytes.
    pub payload: Bytes,
}

/// The header of a frame as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it holds.
    pub kind: Kind,
    /// Which exchange it belongs to.
    pub exchange: u64,
    /// Length of the payload.
    pub len: u32,
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&self.len.to_le_bytes());
        bytes[4] = self.kind as u8 + 1;
        bytes[5..].copy_from_slice(&self.exchange.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` when these bytes are not one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; HEADER]) -> Option<Self> {
        let [l0, l1, l2, l3, kind, exchange @ ..] = *bytes;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        let kind = *KINDS.get(usize::from(kind).checked_sub(1)?)?;
        let header = Header { kind, exchange: u64::from_le_bytes(exchange), len };
        (len as usize <= MAX_PAYLOAD).then_some(header)
    }

    /// The checksum so far: of this header alone.
    #[must_use]
    pub fn checksum(self) -> crc32fast::Hasher {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.to_bytes());
        crc
    }
}

impl Frame {
    /// Bytes it takes in the journal.
    #[must_use]
    pub fn size(&self) -> usize {
        HEADER + self.payload.len() + TRAILER
    }

    /// What stands before its payload, and behind it.
    ///
    /// # Errors
    /// When the payload is longer than [`MAX_PAYLOAD`].
    pub fn around(&self) -> io::Result<([u8; HEADER], [u8; TRAILER])> {
        let len = u32::try_from(self.payload.len()).ok().filter(|len| *len as usize <= MAX_PAYLOAD);
        let len = len.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a frame is too long"))?;
        let header = Header { kind: self.kind, exchange: self.exchange, len };
        let mut crc = header.checksum();
        crc.update(&self.payload);
        Ok((header.to_bytes(), crc.finalize().to_le_bytes()))
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the writer fails, or the payload is longer than [`MAX_PAYLOAD`].
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let (header, trailer) = self.around()?;
        out.write_all(&header)?;
        out.write_all(&self.payload)?;
        out.write_all(&trailer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_its_bytes() {
        for kind in KINDS {
            let header = Header { kind, exchange: u64::MAX - 7, len: 123_456 };
            assert_eq!(Header::from_bytes(&header.to_bytes()), Some(header));
        }
    }

    #[test]
    fn noise_is_no_header() {
        assert_eq!(Header::from_bytes(&[0; HEADER]), None, "no kind");
        let long = Header { kind: Kind::End, exchange: 1, len: u32::MAX };
        assert_eq!(Header::from_bytes(&long.to_bytes()), None, "too long");
        let mut unknown = Header { kind: Kind::End, exchange: 1, len: 1 }.to_bytes();
        unknown[4] = 11;
        assert_eq!(Header::from_bytes(&unknown), None, "a kind of a later version");
    }
}
