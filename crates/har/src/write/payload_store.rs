//! The payload files of a fixture that is being written: their form, their names, and the staging folder.
//!
//! Names are SHA-256 prefixes, so equal payloads share a file and existing files are not written again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::options::{ContentMode, JsonLayout, PayloadSource};
use crate::Error;
use crate::model::{Body, Storage};
use crate::store::digest::{CharsetValidator, HashWriter, has_content, hex, is_text};
use crate::store::payload;
use crate::store::staging::Staging;
use harproxy_http::MediaType;
use harproxy_json::CompactDetector;

/// Payloads up to this size are processed in memory, bytes.
const IN_MEMORY: u64 = 1 << 20;
/// Text of requests up to this size is stored in the entry, bytes.
const INLINE_REQUEST: usize = 4 << 10;

/// The message of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Request,
    Response,
}

/// The payload files of a fixture being written.
#[derive(Debug)]
pub(crate) struct PayloadStore {
    /// The folder of the fixture.
    parent: PathBuf,
    fixture: PathBuf,
    /// The payload folder of a HAR (`api` beside `api.har`). `None` for an archive, whose payloads are at its root.
    folder: Option<String>,
    /// True if the payload folder existed when writing began.
    has_folder: bool,
    staging: Option<Staging>,
    names: BTreeMap<String, FileState>,
}

/// The state of a payload file before the fixture is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileState {
    /// In the staging folder, named after its bytes.
    Staged,
    /// In the payload folder, with these bytes.
    Present,
    /// Used by an entry that is kept byte for byte. It may have been edited, so its name may not match its bytes.
    Unchanged,
}

impl PayloadStore {
    pub(crate) fn new(parent: &Path, fixture: &Path, folder: Option<String>) -> Self {
        let has_folder = folder.as_ref().is_some_and(|folder| parent.join(folder).exists());
        PayloadStore {
            parent: parent.to_owned(),
            fixture: fixture.to_owned(),
            folder,
            has_folder,
            staging: None,
            names: BTreeMap::new(),
        }
    }

    /// The path of the payload folder of a HAR.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|name| self.parent.join(name))
    }

    /// All payload files of the fixture by name.
    pub(crate) fn names(&self) -> &BTreeMap<String, FileState> {
        &self.names
    }

    /// The path of a file in the staging folder, if there is one.
    pub(crate) fn staged(&self, name: &str) -> Option<PathBuf> {
        self.staging.as_ref().map(|staging| staging.path().join(name))
    }

    /// Takes the staging folder, which is then not removed on drop.
    pub(crate) fn take_staging(&mut self) -> Option<PathBuf> {
        self.staging.take().map(Staging::keep)
    }

    /// Stores a payload and returns its `content` or `postData`. `layout_text` replaces compact JSON.
    pub(crate) fn store(
        &mut self,
        source: PayloadSource<'_>,
        side: Message,
        mode: ContentMode,
        layout: JsonLayout,
        layout_text: Option<&[u8]>,
    ) -> Result<Body, Error> {
        let PayloadSource { read, mime_type, encoded, truncated } = source;
        let indent = layout == JsonLayout::Indent && side == Message::Response && !encoded && truncated.is_none();
        let plan = StoragePlan { media: MediaType::parse(mime_type), encoded, indent, layout_text };
        let mut body = Body { mime_type: mime_type.to_owned(), encoded, truncated, ..Body::default() };
        let size = match mode {
            ContentMode::Omit => io::copy(read, &mut io::sink()).map_err(reading)?,
            ContentMode::Embed => {
                let mut bytes = Vec::new();
                read.read_to_end(&mut bytes).map_err(reading)?;
                let size = bytes.len() as u64;
                body.stored = inline(bytes);
                size
            }
            ContentMode::Attach => {
                let mut head = Vec::with_capacity(4 << 10);
                read.take(IN_MEMORY + 1).read_to_end(&mut head).map_err(reading)?;
                if head.len() as u64 > IN_MEMORY {
                    self.attach_large(&head, read, &plan, &mut body)?
                } else {
                    let size = head.len() as u64;
                    self.attach_small(head, side, &plan, &mut body)?;
                    size
                }
            }
        };
        body.size = Some(i64::try_from(size).unwrap_or(i64::MAX));
        Ok(body)
    }

    fn attach_small(
        &mut self,
        bytes: Vec<u8>,
        side: Message,
        plan: &StoragePlan<'_>,
        body: &mut Body,
    ) -> Result<(), Error> {
        let inline_request = side == Message::Request && bytes.len() <= INLINE_REQUEST && plan.may_be_inline(&bytes);
        if bytes.is_empty() || inline_request {
            body.stored = inline(bytes);
            return Ok(());
        }
        let extension = plan.extension(is_text(&bytes, &plan.media));
        body.compact = plan.is_indented(|| harproxy_json::is_compact(&bytes));
        let bytes = match plan.layout_text {
            _ if !body.compact => bytes,
            Some(text) => text.to_owned(),
            None => harproxy_json::indent(&bytes),
        };
        let (name, new) = self.claim(&Sha256::digest(&bytes), extension, bytes.len() as u64, || Ok(&bytes[..]))?;
        if new {
            let path = self.staging()?.join(&name);
            fs::write(&path, bytes).map_err(Error::at(&path, "writing"))?;
        }
        body.stored = self.file(name);
        Ok(())
    }

    fn attach_large(
        &mut self,
        head: &[u8],
        rest: &mut dyn Read,
        plan: &StoragePlan<'_>,
        body: &mut Body,
    ) -> Result<u64, Error> {
        let part = self.staging()?.join(".part");
        let mut out = HashWriter::create(&part)?;
        let mut layout = CompactDetector::default();
        let mut text = CharsetValidator::new(&plan.media);
        let mut utf8 = CharsetValidator::of(encoding_rs::UTF_8);
        let mut chunk = vec![0; 64 * 1024];
        let mut all = io::Cursor::new(head).chain(rest);
        loop {
            let n = all.read(&mut chunk).map_err(reading)?;
            let last = n == 0;
            text.push(&chunk[..n], last);
            utf8.push(&chunk[..n], last);
            layout.push(&chunk[..n]);
            out.write_all(&chunk[..n]).map_err(Error::at(&part, "writing"))?;
            if last {
                break;
            }
        }
        let (mut digest, mut stored_len) = out.finish()?;
        let size = stored_len;
        let compact = || layout.is_compact() && utf8.valid && File::open(&part).is_ok_and(harproxy_json::is_valid);
        body.compact = plan.is_indented(compact);
        let mut stored = part.clone();
        if body.compact {
            stored = part.with_file_name(".indented");
            let mut out = HashWriter::create(&stored)?;
            let indented = match plan.layout_text {
                Some(text) => out.write_all(text),
                None => File::open(&part).and_then(|read| harproxy_json::indent_stream(read, &mut out)),
            };
            indented.map_err(Error::at(&stored, "writing"))?;
            (digest, stored_len) = out.finish()?;
        }
        let name = self.stage(&stored, &digest, plan.extension(text.valid), stored_len)?;
        body.stored = self.file(name);
        Ok(size)
    }

    /// Copies bytes that are in stored form into a file named after them.
    pub(crate) fn adopt(&mut self, read: &mut dyn Read, extension: &str) -> Result<Storage, Error> {
        let part = self.staging()?.join(".part");
        let mut out = HashWriter::create(&part)?;
        io::copy(read, &mut out).map_err(Error::at(&part, "writing"))?;
        let (digest, len) = out.finish()?;
        let name = self.stage(&part, &digest, extension, len)?;
        Ok(self.file(name))
    }

    /// Keeps a payload file of an entry that is kept byte for byte. False if another payload has its name.
    pub(crate) fn keep(
        &mut self,
        file: &str,
        open: impl FnOnce() -> Result<Box<dyn Read>, Error>,
    ) -> Result<bool, Error> {
        let name = match &self.folder {
            // A file outside the payload folder stays where it is.
            Some(folder) => match file.strip_prefix(&**folder).and_then(|rest| rest.strip_prefix('/')) {
                Some(name) => name,
                None => return Ok(true),
            },
            None => file,
        };
        if name.contains('/') {
            return Ok(self.folder.is_some());
        }
        match self.names.get(name) {
            Some(FileState::Unchanged | FileState::Present) => return Ok(true),
            Some(FileState::Staged) => return Ok(false),
            None => {}
        }
        if self.folder.is_none() {
            let path = self.staging()?.join(name);
            let mut out = File::create(&path).map_err(Error::at(&path, "writing"))?;
            io::copy(&mut open()?, &mut out).map_err(Error::at(&path, "writing"))?;
        }
        self.names.insert(name.to_owned(), FileState::Unchanged);
        Ok(true)
    }

    /// Renames a complete temporary file to its final name in the staging folder, unless the fixture has the payload
    /// already.
    fn stage(&mut self, part: &Path, digest: &[u8], extension: &str, len: u64) -> Result<String, Error> {
        let (name, new) = self.claim(digest, extension, len, || File::open(part))?;
        if new {
            let path = self.staging()?.join(&name);
            fs::rename(part, &path).map_err(Error::at(&path, "writing"))?;
        }
        Ok(name)
    }

    /// Assigns a name to a payload. Returns true if it must be staged.
    ///
    /// The name has more than 16 hex digits only if a kept file with other bytes has the shorter one.
    fn claim<R: Read>(
        &mut self,
        digest: &[u8],
        extension: &str,
        len: u64,
        bytes: impl Fn() -> io::Result<R>,
    ) -> Result<(String, bool), Error> {
        let hex = hex(digest);
        let home = if self.folder.is_some() { self.folder().filter(|_| self.has_folder) } else { self.staged("") };
        for digits in [16, 24, 32, 64] {
            let name = format!("{}.{extension}", &hex[..digits.min(hex.len())]);
            let existing = || home.as_ref().map(|home| home.join(&name)).filter(|path| path.exists());
            let is_equal = |path: &PathBuf| bytes().is_ok_and(|bytes| has_content(path, bytes, len));
            let place = match self.names.get(&name) {
                Some(FileState::Staged | FileState::Present) => return Ok((name, false)),
                Some(FileState::Unchanged) => match existing() {
                    None => FileState::Staged,
                    Some(path) if is_equal(&path) => return Ok((name, false)),
                    Some(_) => continue,
                },
                None if self.folder.is_some() && existing().as_ref().is_some_and(is_equal) => FileState::Present,
                None => FileState::Staged,
            };
            self.names.insert(name.clone(), place);
            return Ok((name, place == FileState::Staged));
        }
        let exhausted =
            io::Error::new(io::ErrorKind::AlreadyExists, "files with other bytes have all names of this payload");
        Err(Error::at(&self.parent.join(hex), "writing")(exhausted))
    }

    fn file(&self, name: String) -> Storage {
        Storage::File(match &self.folder {
            Some(folder) => format!("{folder}/{name}"),
            None => name,
        })
    }

    fn staging(&mut self) -> Result<PathBuf, Error> {
        if let Some(staging) = &self.staging {
            return Ok(staging.path().to_owned());
        }
        let failed = Error::at(&self.parent, "creating a folder for payloads in");
        let staging = Staging::create(&self.fixture).map_err(failed)?;
        let path = staging.path().to_owned();
        self.staging = Some(staging);
        Ok(path)
    }
}

/// The storage form of a payload, as far as it follows from its headers.
struct StoragePlan<'a> {
    media: MediaType,
    encoded: bool,
    indent: bool,
    /// The text to store instead of compact JSON.
    layout_text: Option<&'a [u8]>,
}

impl StoragePlan<'_> {
    fn is_indented(&self, is_compact: impl FnOnce() -> bool) -> bool {
        self.indent && self.media.is_json() && is_compact()
    }

    /// True for readable text, which may be stored in the entry.
    fn may_be_inline(&self, bytes: &[u8]) -> bool {
        let is_text = self.media.is_text() || self.media.essence().is_empty() || self.media.is_multipart();
        !self.encoded && is_text && std::str::from_utf8(bytes).is_ok()
    }

    fn extension(&self, valid_text: bool) -> &'static str {
        let bytes_only = self.encoded || (self.media.is_text() && !valid_text);
        if bytes_only { "bin" } else { self.media.extension() }
    }
}

fn inline(bytes: Vec<u8>) -> Storage {
    if bytes.is_empty() {
        return Storage::Nowhere;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Storage::Text(text),
        Err(error) => Storage::Base64(payload::encode_base64(error.as_bytes())),
    }
}

fn reading(source: io::Error) -> Error {
    Error::Payload { doing: "reading a payload", source }
}
