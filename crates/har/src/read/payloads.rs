//! The payloads of a fixture's entries, in files, archive members or the HAR itself.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;

use harproxy_json::Spacing;

use super::Fixture;
use super::entry::payload_files;
use super::snapshot::Snapshot;
use super::window::Span;
use crate::Error;
use crate::model::{Body, Storage};
use crate::store::archive::{Archive, Member, ReadSeek};
use crate::store::payload::{self, Payload};
use crate::store::payload_path;
use crate::store::stamp::Stamp;
use crate::store::text_store::TextStore;
use harproxy_support::regular_file;

impl Fixture {
    /// Reads the payload of a `content` or `postData` from where it is stored.
    ///
    /// # Errors
    /// When a payload file is missing, unreadable or outside the fixture.
    pub fn payload(&self, entry: usize, body: &Body) -> Result<Payload, Error> {
        let bytes = match &body.stored {
            Storage::File(name) => {
                let payload = self.payload_file(entry, name, body.compact)?;
                return match body.kept_as_utf8 {
                    Some(charset) => payload.in_charset(charset),
                    None => Ok(payload),
                };
            }
            Storage::Text(text) => text.clone().into_bytes(),
            Storage::Base64(text) => {
                let bad = || self.bad_entry(entry, "a payload is marked as base64 but is not valid base64".to_owned());
                payload::decode_base64(text).ok_or_else(bad)?
            }
            Storage::Nowhere => Vec::new(),
        };
        Ok(embedded_payload(bytes, body))
    }

    /// Like [`Fixture::payload`], but consumes `body` so that an embedded text is not copied.
    ///
    /// # Errors
    /// As for [`Fixture::payload`].
    pub fn into_payload(&self, entry: usize, mut body: Body) -> Result<Payload, Error> {
        match &mut body.stored {
            Storage::Text(text) => Ok(embedded_payload(std::mem::take(text).into_bytes(), &body)),
            _ => self.payload(entry, &body),
        }
    }

    /// The bytes of a payload as stored: `_compact` JSON in a file is indented. `None` if there are none or more than
    /// `longest`.
    ///
    /// # Errors
    /// As for [`Fixture::payload`].
    pub fn stored_bytes(&self, entry: usize, body: &Body, longest: u64) -> Result<Option<Vec<u8>>, Error> {
        let mut bytes = Vec::new();
        match &body.stored {
            Storage::File(name) => {
                let read = self.open_stored(entry, name)?.take(longest + 1).read_to_end(&mut bytes);
                read.map_err(|source| self.unreadable(source))?;
            }
            _ => bytes = self.payload(entry, body)?.bytes()?.to_vec(),
        }
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty() && bytes.len() as u64 <= longest))
    }

    fn payload_file(&self, entry: usize, name: &str, compact: Option<Spacing>) -> Result<Payload, Error> {
        if let Some(bytes) = self.snapshot.get().and_then(|snapshot| snapshot.payloads.get(name)) {
            return Ok(Payload::of_bytes(bytes.to_vec(), compact));
        }
        let bad = |reason| self.bad_entry(entry, reason);
        match self.locate(name).map_err(bad)? {
            PayloadLocation::Path(path) => Payload::of_file(path, compact, None),
            PayloadLocation::Member(archive, index) => {
                let failed = |error| bad(format!("archive member `{name}` can't be unpacked: {error}"));
                match archive.member(index, payload::IN_MEMORY).map_err(failed)? {
                    Member::Bytes(bytes) => Ok(Payload::of_bytes(bytes, compact)),
                    Member::File(path, folder) => Payload::of_file(path, compact, Some(folder)),
                }
            }
        }
    }

    /// Opens a payload file or archive member, as stored. Does not read the copy that [`Fixture::preload`] made.
    ///
    /// # Errors
    /// When it is missing, unreadable or outside the fixture.
    pub fn open_stored(&self, entry: usize, name: &str) -> Result<Box<dyn Read>, Error> {
        let bad = |reason| self.bad_entry(entry, reason);
        let failed = |error: io::Error| bad(format!("`_file` `{name}` can't be read: {error}"));
        let opened: io::Result<Box<dyn Read>> = match self.locate(name).map_err(bad)? {
            PayloadLocation::Path(path) => regular_file::open(&path).map(|file| Box::new(file) as Box<dyn Read>),
            PayloadLocation::Member(archive, index) => archive.open_member(index).map(|member| member as Box<dyn Read>),
        };
        opened.map_err(failed)
    }

    fn locate(&self, name: &str) -> Result<PayloadLocation<'_>, String> {
        match self.archive() {
            Some(archive) => Ok(PayloadLocation::Member(archive, archive.find(name)?)),
            None => self.find_file(name).map(PayloadLocation::Path),
        }
    }

    fn find_file(&self, name: &str) -> Result<PathBuf, String> {
        let parts = payload_path::file_parts(self.path(), self.is_own(), name)?;
        payload_path::resolve(self.folder(), name, &parts)
    }

    /// Opens a payload of an archive with random access, to copy it into another archive.
    pub(crate) fn member(&self, name: &str) -> Result<Box<dyn ReadSeek>, Error> {
        let bad = |reason| Error::Malformed { path: self.path().to_owned(), line: None, reason };
        let Some(archive) = self.archive() else { return Err(bad("not an archive".to_owned())) };
        let index = archive.find(name).map_err(bad)?;
        let failed = |error: io::Error| bad(format!("archive member `{name}` can't be unpacked: {error}"));
        archive.open_member(index).map_err(failed)
    }

    /// The path of a payload file of a HAR.
    pub(crate) fn payload_path(&self, entry: usize, name: &str) -> Result<PathBuf, Error> {
        self.find_file(name).map_err(|reason| self.bad_entry(entry, reason))
    }

    /// The values of all `_file` members, each with the first entry that has it. Reads the whole fixture.
    #[must_use]
    pub fn payload_names(&self) -> BTreeMap<String, usize> {
        let mut names = BTreeMap::new();
        for head in self.heads().iter() {
            let Ok(json) = self.entry_json(head.entry) else { continue };
            if memchr::memmem::find(&json, b"\"_file\"").is_some() {
                for name in payload_files(&json) {
                    names.entry(name).or_insert(head.entry);
                }
            }
        }
        names
    }

    /// The path of a payload file, whether it exists or not. `None` for archives and for names that are refused.
    #[must_use]
    pub fn expected_payload_path(&self, name: &str) -> Option<PathBuf> {
        let parts = payload_path::file_parts(self.path(), self.is_own(), name).ok().filter(|_| !self.is_archive())?;
        Some(parts.into_iter().fold(self.folder().to_owned(), |path, part| path.join(part)))
    }

    /// Checks that the payload file of an entry exists.
    ///
    /// # Errors
    /// When it does not exist or cannot be used.
    pub fn expect_payload(&self, entry: usize, name: &str) -> Result<(), Error> {
        self.locate(name).map(drop).map_err(|reason| self.bad_entry(entry, reason))
    }

    /// Reads the HAR text and the named payloads into memory: later writes to the files do not change a running replay.
    ///
    /// Subtracts their size from the budget `bytes`. Larger payloads stay on disk, and so does the text if the file has
    /// changed since it was opened or the text was unpacked. Only the first call has an effect.
    pub fn preload(&self, names: &BTreeMap<String, usize>, bytes: &mut u64) {
        let mut snapshot = Snapshot::default();
        if matches!(self.store, TextStore::File(_))
            && let Some(len) = self.store.len().ok().filter(|len| *len <= *bytes)
            && let Ok(text) = self.range(Span { offset: 0, len, line: 1 })
            && Stamp::at(self.path()).as_ref() == Some(self.stamp())
        {
            *bytes -= len;
            snapshot.text = Some(text);
        }
        for (name, entry) in names {
            let longest = payload::IN_MEMORY.min(*bytes);
            let mut payload = Vec::new();
            let read = self.open_stored(*entry, name).map(|stored| stored.take(longest + 1).read_to_end(&mut payload));
            // A read error is reported when the payload is requested.
            if matches!(read, Ok(Ok(_))) && payload.len() as u64 <= longest {
                *bytes -= payload.len() as u64;
                snapshot.payloads.insert(name.clone(), payload.into());
            }
        }
        let _ = self.snapshot.set(snapshot);
    }
}

/// The payload for bytes that are embedded in the HAR. No bytes with a `size` above 0 mean that it was not recorded.
fn embedded_payload(stored: Vec<u8>, body: &Body) -> Payload {
    if stored.is_empty() && body.size.unwrap_or_default() > 0 {
        return Payload::NotRecorded;
    }
    Payload::of_bytes(stored, body.compact)
}

/// The location of a payload file.
enum PayloadLocation<'a> {
    Path(PathBuf),
    Member(&'a Archive, usize),
}
