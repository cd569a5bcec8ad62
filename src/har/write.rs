//! Writing a fixture in canonical form: payloads first, then the HAR (or the archive) by atomic rename.

use std::io::Read;
use std::path::Path;

use super::{Entry, Error, model};

/// Where payloads go (`--content`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentMode {
    /// Files beside the HAR, or members of the archive.
    #[default]
    Attach,
    /// Inside the HAR.
    Embed,
    /// Dropped; only sizes stay.
    Omit,
}

/// What to write a payload from: the decoded bytes and what is known about them.
pub struct PayloadSource<'a> {
    /// The decoded bytes.
    pub read: &'a mut dyn Read,
    /// `Content-Type` as received, or empty.
    pub mime_type: &'a str,
    /// Set when `read` yields bytes that could not be decoded as their coding says.
    pub encoded: bool,
    /// Set when the payload was cut.
    pub truncated: Option<model::Truncated>,
}

/// A fixture being written. Nothing under the final name changes before [`FixtureWriter::finish`].
pub struct FixtureWriter {
    _private: (),
}

/// What a finished fixture consists of.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Entries in it.
    pub entries: usize,
    /// Payload files (or archive members) in it.
    pub payloads: usize,
    /// Bytes of the HAR or archive.
    pub bytes: u64,
}

impl FixtureWriter {
    /// Starts a fixture at `path` (`.zip` by its ending, else a HAR with a payload folder beside it).
    ///
    /// # Errors
    /// When the folder cannot be created or written.
    pub fn create(path: &Path, content: ContentMode, scope: &[String]) -> Result<Self, Error> {
        let _ = (path, content, scope);
        todo!("har")
    }

    /// Stores a response payload by streaming; memory stays bounded in attach mode.
    ///
    /// # Errors
    /// When reading or writing fails.
    pub fn content(&mut self, source: PayloadSource<'_>) -> Result<model::Body, Error> {
        let _ = source.read;
        todo!("har")
    }

    /// Stores a request payload: small text inside the entry, large or binary ones attached.
    ///
    /// # Errors
    /// When reading or writing fails.
    pub fn post_data(&mut self, source: PayloadSource<'_>) -> Result<model::Body, Error> {
        let _ = source.read;
        todo!("har")
    }

    /// Adds an entry at the end.
    ///
    /// # Errors
    /// When writing fails.
    pub fn entry(&mut self, entry: &Entry) -> Result<(), Error> {
        let _ = entry;
        todo!("har")
    }

    /// Adds an entry of an existing fixture (the one at this path, when it is recorded again) as it stands, byte for byte,
    /// and its payloads with it. How a recording that changed nothing changes no byte.
    ///
    /// # Errors
    /// When the fixture changed under us, or reading or writing fails.
    pub fn keep(&mut self, fixture: &super::Fixture, entry: usize) -> Result<(), Error> {
        let _ = (fixture, entry);
        todo!("har")
    }

    /// Puts payloads, then the HAR, in place: synced, renamed atomically; payload files that the old fixture referenced
    /// and the new one does not are removed afterwards.
    ///
    /// # Errors
    /// When a write, sync or rename fails; the old fixture is then still whole.
    pub fn finish(self) -> Result<Written, Error> {
        todo!("har")
    }
}
