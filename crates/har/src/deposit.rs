//! Payloads on their way into a fixture: how they are stored, under which name, and where they wait until it is finished.
//!
//! Files wait in a staging folder beside the HAR. Their names come from their bytes, so equal payloads are one file and what
//! the fixture already has is not written again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::model::{Body, Stored};
use super::observe::{self, Charset, Hashing, holds, writing};
use super::staging::Staging;
use super::write::{ContentMode, JsonLayout, PayloadSource};
use super::{Error, payload};
use harproxy_http::MediaType;
use harproxy_json::CompactDetector;

/// Payloads up to this size are handled in memory.
const IN_MEMORY: u64 = 1 << 20;
/// Request payloads up to this size stay inside the entry when they are text.
const INLINE_REQUEST: usize = 4 << 10;

/// Which message a payload belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// The payload files of a fixture being written.
#[derive(Debug)]
pub(super) struct Deposit {
    /// Where the fixture goes; staging happens on the same file system.
    parent: PathBuf,
    /// The name of the fixture, after which what waits beside it is called.
    fixture: OsString,
    /// The payload folder of a HAR (`api` beside `api.har`); `None` for an archive, whose payloads lie at its root.
    folder: Option<String>,
    /// Whether that was there when writing began.
    has_folder: bool,
    staging: Option<Staging>,
    names: BTreeMap<String, Place>,
}

/// Where a payload file is before the fixture is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the staging folder; its name is that of its bytes.
    Staged,
    /// Already in the payload folder, with these bytes.
    Present,
    /// A kept entry's, as it stands: someone may have edited it, so its name says nothing about its bytes.
    Kept,
}

impl Deposit {
    pub(super) fn new(parent: &Path, fixture: &Path, folder: Option<String>) -> Self {
        let fixture = fixture.file_name().unwrap_or_default().to_owned();
        let has_folder = folder.as_ref().is_some_and(|folder| parent.join(folder).exists());
        Deposit { parent: parent.to_owned(), fixture, folder, has_folder, staging: None, names: BTreeMap::new() }
    }

    /// The payload folder, for a HAR.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|name| self.parent.join(name))
    }

    /// Every payload file of the fixture, by name.
    pub(super) fn names(&self) -> &BTreeMap<String, Place> {
        &self.names
    }

    /// Where a staged file waits, once all is settled.
    pub(super) fn staged(&self, name: &str) -> Option<PathBuf> {
        self.staging.as_ref().map(|staging| staging.path().join(name))
    }

    /// The staging folder itself, to become the payload folder; it is no longer removed when this is dropped.
    pub(super) fn take_staging(&mut self) -> Option<PathBuf> {
        self.staging.take().map(Staging::keep)
    }

    /// Stores a payload.
    pub(super) fn store(
        &mut self,
        source: PayloadSource<'_>,
        side: Side,
        mode: ContentMode,
        layout: JsonLayout,
        laid_out: Option<&[u8]>,
    ) -> Result<Body, Error> {
        let PayloadSource { read, mime_type, encoded, truncated } = source;
        let indent = layout == JsonLayout::Indent && side == Side::Response && !encoded && truncated.is_none();
        let plan = Plan { media: MediaType::parse(mime_type), encoded, indent, laid_out };
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

    fn attach_small(&mut self, bytes: Vec<u8>, side: Side, plan: &Plan<'_>, body: &mut Body) -> Result<(), Error> {
        let inline_request = side == Side::Request && bytes.len() <= INLINE_REQUEST && plan.may_be_inline(&bytes);
        if bytes.is_empty() || inline_request {
            body.stored = inline(bytes);
            return Ok(());
        }
        let name_end = plan.ending(observe::is_text(&bytes, &plan.media));
        body.compact = plan.is_indented(|| harproxy_json::is_compact(&bytes));
        let bytes = match plan.laid_out {
            _ if !body.compact => bytes,
            Some(laid_out) => laid_out.to_owned(),
            None => harproxy_json::indent(&bytes),
        };
        let (name, new) = self.claim(&Sha256::digest(&bytes), name_end, bytes.len() as u64, || Ok(&bytes[..]))?;
        if new {
            let path = self.staging()?.join(&name);
            fs::write(&path, bytes).map_err(|source| writing(&path, source))?;
        }
        body.stored = self.file(name);
        Ok(())
    }

    fn attach_large(
        &mut self,
        head: &[u8],
        rest: &mut dyn Read,
        plan: &Plan<'_>,
        body: &mut Body,
    ) -> Result<u64, Error> {
        let part = self.staging()?.join(".part");
        let mut out = Hashing::create(&part)?;
        let mut layout = CompactDetector::default();
        let mut text = Charset::new(&plan.media);
        let mut utf8 = Charset::utf8();
        let mut chunk = vec![0; 64 * 1024];
        let mut all = io::Cursor::new(head).chain(rest);
        loop {
            let n = all.read(&mut chunk).map_err(reading)?;
            let last = n == 0;
            text.push(&chunk[..n], last);
            utf8.push(&chunk[..n], last);
            layout.push(&chunk[..n]);
            out.write_all(&chunk[..n]).map_err(|source| writing(&part, source))?;
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
            let mut out = Hashing::create(&stored)?;
            let indented = match plan.laid_out {
                Some(laid_out) => out.write_all(laid_out),
                None => File::open(&part).and_then(|read| harproxy_json::indent_stream(read, &mut out)),
            };
            indented.map_err(|source| writing(&stored, source))?;
            (digest, stored_len) = out.finish()?;
        }
        let name = self.stage(&stored, &digest, plan.ending(text.valid), stored_len)?;
        body.stored = self.file(name);
        Ok(size)
    }

    /// Stores bytes that already are in stored form, under the name that they deserve.
    pub(super) fn adopt(&mut self, read: &mut dyn Read, ending: &str) -> Result<Stored, Error> {
        let part = self.staging()?.join(".part");
        let mut out = Hashing::create(&part)?;
        io::copy(read, &mut out).map_err(|source| writing(&part, source))?;
        let (digest, len) = out.finish()?;
        let name = self.stage(&part, &digest, ending, len)?;
        Ok(self.file(name))
    }

    /// Keeps a payload of an entry that is kept as it stands. False when that can't be, since other bytes go by its name.
    pub(super) fn keep(
        &mut self,
        file: &str,
        open: impl FnOnce() -> Result<Box<dyn Read>, Error>,
    ) -> Result<bool, Error> {
        let name = match &self.folder {
            // A file elsewhere beside the HAR is not ours to move.
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
            Some(Place::Kept | Place::Present) => return Ok(true),
            Some(Place::Staged) => return Ok(false),
            None => {}
        }
        if self.folder.is_none() {
            let path = self.staging()?.join(name);
            let mut out = File::create(&path).map_err(|source| writing(&path, source))?;
            io::copy(&mut open()?, &mut out).map_err(|source| writing(&path, source))?;
        }
        self.names.insert(name.to_owned(), Place::Kept);
        Ok(true)
    }

    /// Moves a finished part to its name in the staging folder, unless the fixture has it.
    fn stage(&mut self, part: &Path, digest: &[u8], ending: &str, len: u64) -> Result<String, Error> {
        let (name, new) = self.claim(digest, ending, len, || File::open(part))?;
        if new {
            let path = self.staging()?.join(&name);
            fs::rename(part, &path).map_err(|source| writing(&path, source))?;
        }
        Ok(name)
    }

    /// Finds the name for bytes, and whether they have to be staged under it. The name is as long as usual unless a kept
    /// file with other bytes has that.
    fn claim<R: Read>(
        &mut self,
        digest: &[u8],
        ending: &str,
        len: u64,
        bytes: impl Fn() -> io::Result<R>,
    ) -> Result<(String, bool), Error> {
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
        let hex: String = digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        let home = if self.folder.is_some() { self.folder().filter(|_| self.has_folder) } else { self.staged("") };
        for digits in [16, 24, 32, 64] {
            let name = format!("{}.{ending}", &hex[..digits.min(hex.len())]);
            let there = || home.as_ref().map(|home| home.join(&name)).filter(|path| path.exists());
            let holds = |path: &PathBuf| bytes().is_ok_and(|bytes| holds(path, bytes, len));
            let place = match self.names.get(&name) {
                Some(Place::Staged | Place::Present) => return Ok((name, false)),
                Some(Place::Kept) => match there() {
                    None => Place::Staged,
                    Some(path) if holds(&path) => return Ok((name, false)),
                    Some(_) => continue,
                },
                None if self.folder.is_some() && there().as_ref().is_some_and(holds) => Place::Present,
                None => Place::Staged,
            };
            self.names.insert(name.clone(), place);
            return Ok((name, place == Place::Staged));
        }
        let taken = io::Error::new(io::ErrorKind::AlreadyExists, "files with other bytes have every name for these");
        Err(writing(&self.parent.join(hex), taken))
    }

    fn file(&self, name: String) -> Stored {
        Stored::File(match &self.folder {
            Some(folder) => format!("{folder}/{name}"),
            None => name,
        })
    }

    fn staging(&mut self) -> Result<PathBuf, Error> {
        if let Some(staging) = &self.staging {
            return Ok(staging.path().to_owned());
        }
        let parent = self.parent.clone();
        let failed = |source| Error::Io { doing: "creating a folder for payloads in", path: parent.clone(), source };
        let staging = Staging::create(&parent, &self.fixture).map_err(failed)?;
        let path = staging.path().to_owned();
        self.staging = Some(staging);
        Ok(path)
    }
}

/// What is known of a payload before its bytes come.
struct Plan<'a> {
    media: MediaType,
    encoded: bool,
    indent: bool,
    /// Compact JSON goes as this.
    laid_out: Option<&'a [u8]>,
}

impl Plan<'_> {
    fn is_indented(&self, is_compact: impl FnOnce() -> bool) -> bool {
        self.indent && self.media.is_json() && is_compact()
    }

    /// Small request payloads stay inside when people can read them there.
    fn may_be_inline(&self, bytes: &[u8]) -> bool {
        let texty = self.media.is_text() || self.media.essence().is_empty() || self.media.is_multipart();
        !self.encoded && texty && std::str::from_utf8(bytes).is_ok()
    }

    fn ending(&self, valid_text: bool) -> &'static str {
        let bytes_only = self.encoded || (self.media.is_text() && !valid_text);
        if bytes_only { "bin" } else { self.media.extension() }
    }
}

fn inline(bytes: Vec<u8>) -> Stored {
    if bytes.is_empty() {
        return Stored::Nowhere;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Stored::Text(text),
        Err(error) => Stored::Base64(payload::to_base64(error.as_bytes())),
    }
}

fn reading(source: io::Error) -> Error {
    Error::Payload { doing: "reading a payload", source }
}
