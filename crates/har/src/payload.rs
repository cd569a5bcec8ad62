//! The bytes of a stored payload, wherever they are.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use super::{Error, charset};
use harproxy_json::CompactReader;
use harproxy_support::temp::TempFolder;

/// A payload as it is to be compared or served: decoded, compact again when `_compact` said so.
#[derive(Clone, Debug)]
pub enum Payload {
    /// The message had none, or an empty one.
    Empty,
    /// It had one, but nobody kept it (`text` missing or empty though `size` > 0).
    NotRecorded,
    /// Held in memory.
    Bytes(Bytes),
    /// A large one, read when asked for.
    File(PayloadFile),
}

/// A payload file that is read on demand.
#[derive(Clone, Debug)]
pub struct PayloadFile {
    /// The file, already checked to lie inside the fixture's folder.
    pub path: PathBuf,
    /// Its length in bytes, as it will be served.
    pub len: u64,
    /// `_compact`: white space outside strings is left out while reading.
    compact: bool,
    /// Keeps the temporary folder that an archive's member was unpacked into.
    _folder: Option<Arc<TempFolder>>,
}

/// Payloads up to this size are read at once.
pub(super) const IN_MEMORY: u64 = 1 << 20;
/// Longer ones stay in the charset that their tool wrote them in.
const MAX_RECODED: u64 = 64 << 20;

impl Payload {
    /// A payload from its bytes as stored.
    pub(super) fn of_bytes(stored: Vec<u8>, compact: bool) -> Self {
        match stored.is_empty() {
            true => Payload::Empty,
            false if compact => Payload::Bytes(harproxy_json::compact(&stored).into()),
            false => Payload::Bytes(stored.into()),
        }
    }

    /// The payload in a file that was found to be the fixture's own; `folder` is a temporary one that it needs.
    pub(super) fn of_file(path: PathBuf, compact: bool, folder: Option<Arc<TempFolder>>) -> Result<Self, Error> {
        let mut file = PayloadFile { path, len: 0, compact, _folder: folder };
        let stored = std::fs::metadata(&file.path).map_err(|source| file.unreadable(source))?.len();
        if stored <= IN_MEMORY {
            return Ok(Payload::of_bytes(file.stored()?, compact));
        }
        file.len = match compact {
            true => io::copy(&mut file.reader()?, &mut io::sink()).map_err(|source| file.unreadable(source))?,
            false => stored,
        };
        Ok(Payload::File(file))
    }

    /// The payload as it went over the wire, where a tool may have written its text as UTF-8 instead of this charset.
    pub(super) fn in_charset(self, charset: &'static encoding_rs::Encoding) -> Result<Self, Error> {
        if matches!(&self, Payload::File(file) if file.len > MAX_RECODED) {
            return Ok(self);
        }
        let recoded = charset::of_file(&self.bytes()?, charset);
        Ok(recoded.map_or(self, |bytes| Payload::Bytes(bytes.into())))
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Payload::Empty | Payload::NotRecorded => 0,
            Payload::Bytes(bytes) => bytes.len() as u64,
            Payload::File(file) => file.len,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it.
    ///
    /// # Errors
    /// When the file cannot be read any more.
    pub fn bytes(&self) -> Result<Bytes, Error> {
        match self {
            Payload::Empty | Payload::NotRecorded => Ok(Bytes::new()),
            Payload::Bytes(bytes) => Ok(bytes.clone()),
            Payload::File(file) => file.bytes(),
        }
    }

    /// As a stream.
    ///
    /// # Errors
    /// When the file cannot be opened any more.
    pub fn reader(&self) -> Result<Box<dyn Read + Send>, Error> {
        match self {
            Payload::Empty | Payload::NotRecorded => Ok(Box::new(io::empty())),
            Payload::Bytes(bytes) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
            Payload::File(file) => file.reader(),
        }
    }
}

impl PayloadFile {
    fn bytes(&self) -> Result<Bytes, Error> {
        let bytes = self.stored()?;
        Ok(if self.compact { harproxy_json::compact(&bytes).into() } else { bytes.into() })
    }

    fn stored(&self) -> Result<Vec<u8>, Error> {
        std::fs::read(&self.path).map_err(|source| self.unreadable(source))
    }

    fn reader(&self) -> Result<Box<dyn Read + Send>, Error> {
        let file = File::open(&self.path).map_err(|source| self.unreadable(source))?;
        Ok(if self.compact { Box::new(CompactReader::new(file)) } else { Box::new(file) })
    }

    fn unreadable(&self, source: io::Error) -> Error {
        Error::Io { doing: "reading", path: self.path.clone(), source }
    }
}

/// Base64 as tools write it: standard or URL-safe alphabet, broken over lines, padded or not.
pub fn base64(text: &str) -> Option<Vec<u8>> {
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

/// Base64 as harproxy writes it.
pub fn to_base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}
