//! The bytes of a stored payload, wherever they are.

use std::io::Read;
use std::path::PathBuf;

use bytes::Bytes;

use super::Error;

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
}

impl Payload {
    /// All of it.
    ///
    /// # Errors
    /// When the file cannot be read any more.
    pub fn bytes(&self) -> Result<Bytes, Error> {
        todo!("har")
    }

    /// As a stream.
    ///
    /// # Errors
    /// When the file cannot be opened any more.
    pub fn reader(&self) -> Result<Box<dyn Read + Send>, Error> {
        todo!("har")
    }
}
