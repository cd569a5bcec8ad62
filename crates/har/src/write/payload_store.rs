//! The payload files of a fixture that is being written: their form, their names, and the staging folder.
//!
//! Names are SHA-256 prefixes, so equal payloads share a file and existing files are not written again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::model::{Body, Storage, Truncated};
use crate::read::Fixture;
use crate::store::digest::{has_content, is_text, is_valid_in, sha256_hex};
use crate::store::payload;
use crate::store::staging::{Staging, parent};
use harproxy_http::MediaType;
use harproxy_json::{Spacing, SpacingDetector};

/// Payloads up to this size are processed in memory, bytes.
const IN_MEMORY: u64 = 1 << 20;
/// Text of requests up to this size is stored in the entry, bytes.
const INLINE_REQUEST: usize = 4 << 10;

/// The storage of payloads (`--content`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentMode {
    /// In files beside the HAR, or in members of the archive.
    #[default]
    Attach,
    /// In the HAR itself.
    Embed,
    /// Not at all: only sizes are recorded.
    Omit,
}

impl ContentMode {
    /// Returns the storage of new payloads that fits that of these entries.
    ///
    /// # Errors
    /// When an entry can't be read.
    pub fn of(fixture: &Fixture, mut entries: impl Iterator<Item = usize>) -> Result<Self, Error> {
        let is_inside = |entry: usize| {
            let stored = &fixture.entry(entry)?.response.content.stored;
            Ok::<bool, Error>(matches!(stored, Storage::Text(_) | Storage::Base64(_)))
        };
        let all_inside = entries.try_fold(true, |all, entry| Ok::<bool, Error>(all && is_inside(entry)?))?;
        Ok(if all_inside && !fixture.is_archive() { ContentMode::Embed } else { ContentMode::Attach })
    }
}

/// How JSON payloads on one line are attached (`--json-layout`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JsonLayout {
    /// Indented, one member per line. Replay sends them on one line again.
    #[default]
    Indent,
    /// As received.
    Wire,
}

/// A payload to write.
pub struct PayloadSource<'a> {
    /// The decoded bytes.
    pub read: &'a mut dyn Read,
    /// `Content-Type` as received, or empty.
    pub mime_type: &'a str,
    /// True if the content coding of the bytes could not be removed.
    pub encoded: bool,
    /// The reason and sizes, if the payload is truncated.
    pub truncated: Option<Truncated>,
}

/// The message of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Request,
    Response,
}

/// The payload files of a fixture being written.
#[derive(Debug)]
pub(crate) struct PayloadStore {
    fixture: PathBuf,
    /// The payload folder of a HAR (`api` beside `api.har`). `None` for an archive, whose payloads are at its root.
    folder: Option<String>,
    /// True if the payload folder existed when writing began.
    has_folder: bool,
    mode: ContentMode,
    /// The layout of JSON in the following payloads.
    pub(crate) layout: JsonLayout,
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

/// A payload that has no name yet.
enum UnnamedPayload {
    Memory(Vec<u8>),
    /// A temporary file in the staging folder.
    File(PathBuf),
}

impl UnnamedPayload {
    fn reader(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            UnnamedPayload::Memory(bytes) => Box::new(&bytes[..]),
            UnnamedPayload::File(path) => Box::new(File::open(path)?),
        })
    }

    /// The extension of the payload's file: `txt` for text, whatever its type.
    fn extension(&self, media: &MediaType, is_encoded: bool) -> io::Result<&'static str> {
        let charset = media.charset().unwrap_or(encoding_rs::UTF_8);
        let is_declared = !is_encoded && media.is_text();
        if is_text(self.reader()?)? || (is_declared && is_valid_in(charset, self.reader()?)?) {
            return Ok("txt");
        }
        Ok(if is_encoded || media.is_text() { "bin" } else { media.extension() })
    }

    /// The spacing of JSON on one line, in UTF-8.
    fn spacing(&self) -> io::Result<Option<Spacing>> {
        if let UnnamedPayload::Memory(bytes) = self {
            return Ok(harproxy_json::spacing(bytes));
        }
        let mut detector = SpacingDetector::default();
        let mut read = BufReader::with_capacity(64 * 1024, self.reader()?);
        loop {
            let chunk = read.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            detector.push(chunk);
            let len = chunk.len();
            read.consume(len);
        }
        let Some(spacing) = detector.spacing() else { return Ok(None) };
        let is_json = is_valid_in(encoding_rs::UTF_8, self.reader()?)? && harproxy_json::is_valid(self.reader()?);
        Ok(is_json.then_some(spacing))
    }

    /// The indented text of JSON on one line.
    fn indent(&self) -> io::Result<UnnamedPayload> {
        Ok(match self {
            UnnamedPayload::Memory(bytes) => UnnamedPayload::Memory(harproxy_json::indent(bytes)),
            UnnamedPayload::File(part) => {
                let path = part.with_file_name(".indented");
                let mut out = BufWriter::new(File::create(&path)?);
                harproxy_json::indent_stream(File::open(part)?, &mut out)?;
                out.flush()?;
                UnnamedPayload::File(path)
            }
        })
    }
}

impl PayloadStore {
    pub(crate) fn new(fixture: &Path, folder: Option<String>, mode: ContentMode) -> Self {
        let has_folder = folder.as_ref().is_some_and(|folder| parent(fixture).join(folder).exists());
        PayloadStore {
            fixture: fixture.to_owned(),
            folder,
            has_folder,
            mode,
            layout: JsonLayout::default(),
            staging: None,
            names: BTreeMap::new(),
        }
    }

    /// The path of the payload folder of a HAR.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|name| parent(&self.fixture).join(name))
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

    /// Stores a payload and returns its `content` or `postData`. `layout_text` replaces JSON on one line.
    pub(crate) fn store(
        &mut self,
        source: PayloadSource<'_>,
        message: Message,
        layout_text: Option<&[u8]>,
    ) -> Result<Body, Error> {
        let PayloadSource { read, mime_type, encoded, truncated } = source;
        let mut body = Body { mime_type: mime_type.to_owned(), encoded, truncated, ..Body::default() };
        let size = match self.mode {
            ContentMode::Omit => io::copy(read, &mut io::sink()).map_err(reading)?,
            ContentMode::Embed => {
                let mut bytes = Vec::new();
                read.read_to_end(&mut bytes).map_err(reading)?;
                let size = bytes.len() as u64;
                body.stored = inline(bytes);
                size
            }
            ContentMode::Attach => self.attach(read, message, layout_text, &mut body)?,
        };
        body.size = Some(i64::try_from(size).unwrap_or(i64::MAX));
        Ok(body)
    }

    /// Attaches a payload to `body` and returns its size.
    fn attach(
        &mut self,
        read: &mut dyn Read,
        message: Message,
        layout_text: Option<&[u8]>,
        body: &mut Body,
    ) -> Result<u64, Error> {
        let media = MediaType::parse(&body.mime_type);
        let mut head = Vec::with_capacity(4 << 10);
        read.take(IN_MEMORY + 1).read_to_end(&mut head).map_err(reading)?;
        let mut size = head.len() as u64;
        let is_inline = message == Message::Request
            && head.len() <= INLINE_REQUEST
            && !body.encoded
            && (media.is_text() || media.essence().is_empty() || media.is_multipart())
            && std::str::from_utf8(&head).is_ok();
        if head.is_empty() || is_inline {
            body.stored = inline(head);
            return Ok(size);
        }
        let mut payload = UnnamedPayload::Memory(head);
        if size > IN_MEMORY {
            (payload, size) = self.spill(&mut payload.reader().map_err(reading)?.chain(read))?;
        }
        let failed = Error::at(&self.fixture, "storing a payload of");
        let extension = payload.extension(&media, body.encoded).map_err(failed)?;
        let may_indent = self.layout == JsonLayout::Indent && message == Message::Response && media.is_json();
        let may_indent = may_indent && !body.encoded && body.truncated.is_none();
        body.compact = if may_indent { payload.spacing().map_err(failed)? } else { None };
        if body.compact.is_some() {
            payload = match layout_text {
                Some(text) => UnnamedPayload::Memory(text.to_owned()),
                None => payload.indent().map_err(failed)?,
            };
        }
        body.stored = self.stage(&payload, extension)?;
        Ok(size)
    }

    /// Copies bytes that are in stored form into a file named after them.
    pub(crate) fn adopt(&mut self, read: &mut dyn Read, extension: &str) -> Result<Storage, Error> {
        let part = self.staging()?.join(".part");
        let copied = File::create(&part).and_then(|mut out| io::copy(read, &mut out));
        copied.map_err(Error::at(&part, "writing"))?;
        self.stage(&UnnamedPayload::File(part), extension)
    }

    /// Copies a payload into a temporary file. Returns its size.
    fn spill(&mut self, read: &mut dyn Read) -> Result<(UnnamedPayload, u64), Error> {
        let part = self.staging()?.join(".part");
        let mut out = File::create(&part).map_err(Error::at(&part, "writing"))?;
        let mut chunk = vec![0; 64 * 1024];
        let mut size = 0;
        loop {
            let n = read.read(&mut chunk).map_err(reading)?;
            if n == 0 {
                return Ok((UnnamedPayload::File(part), size));
            }
            out.write_all(&chunk[..n]).map_err(Error::at(&part, "writing"))?;
            size += n as u64;
        }
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

    /// Puts a payload under its final name in the staging folder, unless the fixture has it already.
    fn stage(&mut self, payload: &UnnamedPayload, extension: &str) -> Result<Storage, Error> {
        let failed = Error::at(&self.fixture, "storing a payload of");
        let (hex, len) = payload.reader().and_then(|mut read| sha256_hex(&mut *read)).map_err(failed)?;
        let (name, new) = self.claim(&hex, extension, len, || payload.reader())?;
        if new {
            let path = self.staging()?.join(&name);
            let staged = match payload {
                UnnamedPayload::Memory(bytes) => fs::write(&path, bytes),
                UnnamedPayload::File(part) => fs::rename(part, &path),
            };
            staged.map_err(Error::at(&path, "writing"))?;
        }
        Ok(Storage::File(match &self.folder {
            Some(folder) => format!("{folder}/{name}"),
            None => name,
        }))
    }

    /// Assigns a name to a payload. Returns true if it must be staged.
    ///
    /// The name has more than 16 hex digits only if a kept file with other bytes has the shorter one.
    fn claim<R: Read>(
        &mut self,
        hex: &str,
        extension: &str,
        len: u64,
        bytes: impl Fn() -> io::Result<R>,
    ) -> Result<(String, bool), Error> {
        let home = if self.folder.is_some() { self.folder().filter(|_| self.has_folder) } else { self.staged("") };
        for digits in [16, 24, 32, 64] {
            let name = format!("{}.{extension}", &hex[..digits]);
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
        Err(Error::at(&parent(&self.fixture).join(hex), "writing")(exhausted))
    }

    fn staging(&mut self) -> Result<PathBuf, Error> {
        if let Some(staging) = &self.staging {
            return Ok(staging.path().to_owned());
        }
        let failed = Error::at(parent(&self.fixture), "creating a folder for payloads in");
        let staging = Staging::create(&self.fixture).map_err(failed)?;
        let path = staging.path().to_owned();
        self.staging = Some(staging);
        Ok(path)
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
