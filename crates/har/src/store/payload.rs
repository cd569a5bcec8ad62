//! Stored payloads in memory and in files, and base64.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use crate::Error;
use crate::foreign::charset;
use harproxy_json::{LineReader, Spacing, single_line};
use harproxy_support::temp::TempFolder;

/// A payload to compare or serve: without content coding, and on one line again if it is marked `_compact`.
#[derive(Clone, Debug)]
pub enum Payload {
    /// The message had no payload or an empty one.
    Empty,
    /// The message had a payload that was not recorded: `text` is missing or empty, but `size` > 0.
    NotRecorded,
    /// A payload in memory.
    Bytes(Bytes),
    /// A large payload that is read on demand.
    File(PayloadFile),
}

/// A payload file that is read on demand.
#[derive(Clone, Debug)]
pub struct PayloadFile {
    /// The path, checked to be inside the folder of the fixture.
    pub path: PathBuf,
    /// The length in bytes as served.
    pub len: u64,
    /// `_compact`: the reader writes JSON on one line.
    compact: Option<Spacing>,
    /// The temporary folder of an unpacked archive member, removed with the last reference.
    _folder: Option<Arc<TempFolder>>,
}

/// Payloads up to this size are read into memory, bytes.
pub(crate) const IN_MEMORY: u64 = 1 << 20;
/// Larger payloads are not converted to their declared charset, bytes.
const MAX_RECODED: u64 = 64 << 20;

impl Payload {
    /// The payload with these stored bytes.
    pub(crate) fn of_bytes(stored: Vec<u8>, compact: Option<Spacing>) -> Self {
        match compact {
            _ if stored.is_empty() => Payload::Empty,
            Some(spacing) => Payload::Bytes(single_line(&stored, spacing).into()),
            None => Payload::Bytes(stored.into()),
        }
    }

    /// The payload in a file that belongs to the fixture. `folder` is its temporary folder, if it was unpacked.
    pub(crate) fn of_file(
        path: PathBuf,
        compact: Option<Spacing>,
        folder: Option<Arc<TempFolder>>,
    ) -> Result<Self, Error> {
        let mut file = PayloadFile { path, len: 0, compact, _folder: folder };
        let stored = std::fs::metadata(&file.path).map_err(|source| file.unreadable(source))?.len();
        if stored <= IN_MEMORY {
            return Ok(Payload::of_bytes(file.read_stored()?, compact));
        }
        file.len = match compact {
            Some(_) => io::copy(&mut file.reader()?, &mut io::sink()).map_err(|source| file.unreadable(source))?,
            None => stored,
        };
        Ok(Payload::File(file))
    }

    /// Converts a text that a tool may have written as UTF-8 back to the charset that it had on the wire.
    pub(crate) fn in_charset(self, charset: &'static encoding_rs::Encoding) -> Result<Self, Error> {
        if matches!(&self, Payload::File(file) if file.len > MAX_RECODED) {
            return Ok(self);
        }
        let recoded = charset::wire_bytes(&self.bytes()?, charset);
        Ok(recoded.map_or(self, |bytes| Payload::Bytes(bytes.into())))
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Payload::Empty | Payload::NotRecorded => 0,
            Payload::Bytes(bytes) => bytes.len() as u64,
            Payload::File(file) => file.len,
        }
    }

    /// True if there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn bytes(&self) -> Result<Bytes, Error> {
        match self {
            Payload::Empty | Payload::NotRecorded => Ok(Bytes::new()),
            Payload::Bytes(bytes) => Ok(bytes.clone()),
            Payload::File(file) => {
                let stored = file.read_stored()?;
                Ok(match file.compact {
                    Some(spacing) => single_line(&stored, spacing).into(),
                    None => stored.into(),
                })
            }
        }
    }

    pub fn reader(&self) -> Result<Box<dyn Read + Send>, Error> {
        match self {
            Payload::Empty | Payload::NotRecorded => Ok(Box::new(io::empty())),
            Payload::Bytes(bytes) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
            Payload::File(file) => file.reader(),
        }
    }
}

impl PayloadFile {
    fn read_stored(&self) -> Result<Vec<u8>, Error> {
        std::fs::read(&self.path).map_err(|source| self.unreadable(source))
    }

    fn reader(&self) -> Result<Box<dyn Read + Send>, Error> {
        let file = File::open(&self.path).map_err(|source| self.unreadable(source))?;
        Ok(match self.compact {
            Some(spacing) => Box::new(LineReader::new(file, spacing)),
            None => Box::new(file),
        })
    }

    fn unreadable(&self, source: io::Error) -> Error {
        Error::Io { doing: "reading", path: self.path.clone(), source }
    }
}

/// Decodes base64 of any tool: standard or URL-safe alphabet, with or without line breaks and padding.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone),
    );
    let standard = |byte: u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => byte,
    };
    let text = text.trim_end_matches(|c: char| c == '=' || c.is_ascii_whitespace());
    let plain: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(standard).collect();
    LENIENT.decode(plain).ok()
}

/// Encodes standard base64 with padding.
pub fn encode_base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}
