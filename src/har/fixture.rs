//! Opening a fixture: one pass that indexes key and byte range of each entry; entries are parsed when asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Entry, Error, Payload, model};

/// What the index keeps of an entry.
#[derive(Clone, Debug)]
pub struct EntryHead {
    /// Its place in the file, from 0.
    pub entry: usize,
    /// The line of the HAR on which it begins, from 1.
    pub line: usize,
    /// `request.method`.
    pub method: Box<str>,
    /// `request.url` as written.
    pub url: Box<str>,
    /// `response.status`.
    pub status: i32,
}

/// Something odd that was read around: shown by `check`, and under `-v`.
#[derive(Clone, Debug)]
pub struct Warning {
    /// The entry it is about, if one.
    pub entry: Option<usize>,
    /// The line of the HAR, from 1.
    pub line: Option<usize>,
    /// What, in words.
    pub text: String,
}

/// An opened fixture: a `.har` (or `.har.gz`, or a HAR in any name) or a `.zip`.
#[derive(Debug)]
pub struct Fixture {
    path: PathBuf,
}

impl Fixture {
    /// Opens and indexes a fixture.
    ///
    /// # Errors
    /// When it cannot be read or is not a HAR; a single bad entry is a [`Warning`] instead.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let _ = path;
        todo!("har")
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether harproxy wrote it (`log._harproxy` is there).
    #[must_use]
    pub fn is_own(&self) -> bool {
        todo!("har")
    }

    /// `log._harproxy.scope` of a fixture of harproxy's own.
    #[must_use]
    pub fn scope(&self) -> Option<&[String]> {
        todo!("har")
    }

    /// The usable entries, in file order.
    #[must_use]
    pub fn heads(&self) -> &[EntryHead] {
        todo!("har")
    }

    /// What was odd.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        todo!("har")
    }

    /// One entry, parsed (and kept in a bounded cache).
    ///
    /// # Errors
    /// When the file changed under us or the entry is malformed.
    pub fn entry(&self, entry: usize) -> Result<Arc<Entry>, Error> {
        let _ = entry;
        todo!("har")
    }

    /// The payload behind a `content` or `postData` of this fixture.
    ///
    /// # Errors
    /// When a payload file is missing, unreadable or outside the fixture.
    pub fn payload(&self, entry: usize, body: &model::Body) -> Result<Payload, Error> {
        let _ = (entry, body);
        todo!("har")
    }
}
