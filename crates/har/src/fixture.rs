//! Opening a fixture: one pass that indexes key and byte range of each entry; entries are parsed when asked for.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use serde_json::{Map, Value};

use super::archive::{Archive, Member};
use super::hold::Held;
use super::index::Heads;
use super::model::Stored;
use super::parse::{self, Dialect};
use super::read::Contents;
use super::stamp::Stamp;
use super::store::Store;
use super::window::Span;
use super::write::FORMAT;
use super::{Entry, Error, Payload, model, observe, open, payload, sidecar};
use harproxy_json::text::{quote, replace_lone_surrogates};
use harproxy_json::{TextMember, TextValue};

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
    stamp: Stamp,
    store: Store,
    held: OnceLock<Held>,
    archive: Option<Archive>,
    contents: Contents,
    compressed: bool,
    dialect: Dialect,
    own: bool,
    scope: Option<Vec<String>>,
    cache: RwLock<Cache>,
}

impl Fixture {
    /// Opens and indexes a fixture.
    ///
    /// # Errors
    /// When it cannot be read or is not a HAR; a single bad entry is a [`Warning`] instead.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let opened = open::open(path)?;
        let contents = super::read::contents(path, &opened)?;
        let mut fixture = Fixture {
            path: path.to_owned(),
            stamp: opened.stamp,
            store: opened.store,
            held: OnceLock::new(),
            archive: opened.archive,
            contents,
            compressed: opened.compressed,
            dialect: Dialect::Foreign,
            own: false,
            scope: None,
            cache: RwLock::default(),
        };
        fixture.know_the_writer()?;
        Ok(fixture)
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file as it was when it was opened.
    #[must_use]
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Whether harproxy wrote it (`log._harproxy` is there).
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own
    }

    /// Whether its entries mean what they would in this other one: the habits of the tool that wrote a HAR are known by what
    /// its log says.
    #[must_use]
    pub fn is_read_as(&self, other: &Fixture) -> bool {
        self.dialect == other.dialect
    }

    /// `log._harproxy.scope` of a fixture of harproxy's own.
    #[must_use]
    pub fn scope(&self) -> Option<&[String]> {
        self.scope.as_deref()
    }

    /// The usable entries, in file order.
    #[must_use]
    pub fn heads(&self) -> Heads<'_> {
        self.contents.index.heads()
    }

    /// How many entries there are, those that can't be used included.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.contents.index.len()
    }

    /// The length in bytes of an entry's JSON; 0 without such an entry.
    #[must_use]
    pub fn entry_len(&self, entry: usize) -> u64 {
        self.contents.index.span(entry).map_or(0, |span| span.len)
    }

    /// What was odd.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.contents.warnings.list
    }

    /// One entry, parsed (and kept in a bounded cache).
    ///
    /// # Errors
    /// When the file changed under us or the entry is malformed.
    pub fn entry(&self, entry: usize) -> Result<Arc<Entry>, Error> {
        if let Some(cached) = self.cache.read().unwrap_or_else(PoisonError::into_inner).get(entry) {
            return Ok(cached);
        }
        let json = self.entry_json(entry)?;
        let parsed = parse::entry(&json, self.dialect, &mut Vec::new());
        let parsed = Arc::new(parsed.map_err(|reason| self.bad_entry(entry, reason))?);
        self.cache.write().unwrap_or_else(PoisonError::into_inner).put(entry, &parsed, json.len());
        Ok(parsed)
    }

    /// What had to be guessed about an entry, or was lost when another tool recorded it. Read from the file each time.
    ///
    /// # Errors
    /// When the file changed under us or the entry is malformed.
    pub fn examine(&self, entry: usize) -> Result<Vec<Warning>, Error> {
        let mut notes = Vec::new();
        let parsed = parse::entry(&self.entry_json(entry)?, self.dialect, &mut notes);
        parsed.map_err(|reason| self.bad_entry(entry, reason))?;
        let line = self.contents.index.span(entry).map(|span| span.line);
        Ok(notes.into_iter().map(|text| Warning { entry: Some(entry), line, text }).collect())
    }

    /// That this is a HAR: it has a list of entries, were it an empty one. What has none is read, as Playwright opens it, and
    /// answers nothing.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it has none.
    pub fn expect_entries(&self) -> Result<(), Error> {
        if self.contents.has_entries {
            return Ok(());
        }
        let why = self.warnings().last().map_or("there are no `entries`", |warning| &warning.text);
        Err(Error::Malformed { path: self.path.clone(), line: None, reason: why.to_owned() })
    }

    /// The payload behind a `content` or `postData` of this fixture.
    ///
    /// # Errors
    /// When a payload file is missing, unreadable or outside the fixture.
    pub fn payload(&self, entry: usize, body: &model::Body) -> Result<Payload, Error> {
        let bytes = match &body.stored {
            Stored::File(name) => {
                let payload = self.payload_file(entry, name, body.compact)?;
                return match body.kept_as_utf8 {
                    Some(charset) => payload.in_charset(charset),
                    None => Ok(payload),
                };
            }
            Stored::Text(text) => text.clone().into_bytes(),
            Stored::Base64(text) => {
                let bad = || self.bad_entry(entry, "a payload says it is base64 and is not".to_owned());
                payload::base64(text).ok_or_else(bad)?
            }
            Stored::Nowhere => Vec::new(),
        };
        Ok(embedded(bytes, body))
    }

    /// As [`Fixture::payload`], without a second copy of an embedded text.
    ///
    /// # Errors
    /// As for [`Fixture::payload`].
    pub fn into_payload(&self, entry: usize, mut body: model::Body) -> Result<Payload, Error> {
        match &mut body.stored {
            Stored::Text(text) => Ok(embedded(std::mem::take(text).into_bytes(), &body)),
            _ => self.payload(entry, &body),
        }
    }

    /// The bytes of a payload as they are stored, in whatever layout; `None` when they are more than `longest`, or there are
    /// none.
    ///
    /// # Errors
    /// As for [`Fixture::payload`].
    pub fn as_stored(&self, entry: usize, body: &model::Body, longest: u64) -> Result<Option<Vec<u8>>, Error> {
        let mut bytes = Vec::new();
        match &body.stored {
            Stored::File(name) => {
                let read = self.stored(entry, name)?.take(longest + 1).read_to_end(&mut bytes);
                read.map_err(|source| self.unreadable(source))?;
            }
            _ => bytes = self.payload(entry, body)?.bytes()?.to_vec(),
        }
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty() && bytes.len() as u64 <= longest))
    }

    fn payload_file(&self, entry: usize, name: &str, compact: bool) -> Result<Payload, Error> {
        if let Some(bytes) = self.held.get().and_then(|held| held.payload(name)) {
            return Ok(Payload::of_bytes(bytes.to_vec(), compact));
        }
        let bad = |reason| self.bad_entry(entry, reason);
        match self.located(name).map_err(bad)? {
            Located::Path(path) => Payload::of_file(path, compact, None),
            Located::Member(archive, index) => {
                let failed = |error| bad(format!("archive member `{name}` can't be unpacked: {error}"));
                match archive.member(index, payload::IN_MEMORY).map_err(failed)? {
                    Member::Bytes(bytes) => Ok(Payload::of_bytes(bytes, compact)),
                    Member::File(path, folder) => Payload::of_file(path, compact, Some(folder)),
                }
            }
        }
    }

    /// The text of an entry as it stands in the file.
    pub fn entry_json(&self, entry: usize) -> Result<Vec<u8>, Error> {
        let span = self.contents.index.span(entry).ok_or_else(|| self.bad_entry(entry, self.no_such_entry()))?;
        if let Some(text) = self.held.get().and_then(|held| held.text(span)) {
            return Ok(text.to_vec());
        }
        self.store.range(span.offset, span.len).map_err(|source| self.unreadable(source))
    }

    fn no_such_entry(&self) -> String {
        match self.entries() {
            0 => "there is no such entry: the fixture has none".to_owned(),
            1 => "there is no such entry: the only one is #0".to_owned(),
            n => format!("there is no such entry: there are {n}, from #0 to #{}", n - 1),
        }
    }

    /// An error about one entry.
    pub fn bad_entry(&self, entry: usize, reason: String) -> Error {
        let line = self.contents.index.span(entry).map(|span| span.line);
        Error::Entry { path: self.path.clone(), entry, line, reason }
    }

    fn unreadable(&self, source: std::io::Error) -> Error {
        Error::Io { doing: "reading", path: self.path.clone(), source }
    }

    /// The bytes of a payload file or archive member as they are stored.
    pub fn stored(&self, entry: usize, name: &str) -> Result<Box<dyn Read>, Error> {
        let bad = |reason| self.bad_entry(entry, reason);
        let failed = |error: io::Error| bad(format!("`_file` `{name}` can't be read: {error}"));
        let path = match self.located(name).map_err(bad)? {
            Located::Path(path) => path,
            Located::Member(archive, index) => match archive.member(index, payload::IN_MEMORY).map_err(failed)? {
                Member::Bytes(bytes) => return Ok(Box::new(io::Cursor::new(bytes))),
                Member::File(path, _) => path,
            },
        };
        Ok(Box::new(File::open(path).map_err(failed)?))
    }

    fn located(&self, name: &str) -> Result<Located<'_>, String> {
        match &self.archive {
            Some(archive) => Ok(Located::Member(archive, archive.find(name)?)),
            None => sidecar::resolve(self.path.parent().unwrap_or(Path::new("")), name).map(Located::Path),
        }
    }

    /// Whether this, opened later, still says what it did, entry by entry: nobody has written to it meanwhile.
    ///
    /// # Errors
    /// When one of them can't be read.
    pub fn says_the_same(&self, later: &Fixture) -> Result<bool, Error> {
        let places = |fixture: &Fixture| {
            (0..fixture.entries()).map(|entry| fixture.span(entry).map(|s| (s.offset, s.len))).collect::<Vec<_>>()
        };
        // Who writes into the file itself changes what we read of the one that we have open: only the index is from then.
        if places(self) != places(later) || !self.heads().iter().eq(later.heads().iter()) {
            return Ok(false);
        }
        let (then, now) = (BufReader::new(self.text()), BufReader::new(later.text()));
        observe::same(then, now).map_err(|source| self.unreadable(source))
    }

    /// How long its text is, where that is read from the file itself.
    pub(super) fn text_on_disk(&self) -> Option<u64> {
        if matches!(self.store, Store::File(_)) { self.store.len().ok() } else { None }
    }

    /// That there is a payload of this name, in words that follow the entry.
    pub(super) fn has_payload(&self, name: &str) -> Result<(), String> {
        self.located(name).map(drop)
    }

    /// From here on, this is read in place of the files.
    pub(super) fn keep(&self, held: Held) {
        let _ = self.held.set(held);
    }

    /// Whether it is compressed as a whole (`.har.gz`).
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Whether it is an archive (`.zip`).
    #[must_use]
    pub fn is_archive(&self) -> bool {
        self.archive.is_some()
    }

    /// Makes sure that the HAR can be written anew and say the same: there is no entry that was not understood, and nothing
    /// around them that was only put up with.
    pub(super) fn can_be_rewritten(&self) -> Result<(), Error> {
        if let Some(entry) = (0..self.entries()).find(|entry| self.heads().get(*entry).is_none()) {
            let why = self.warnings().iter().find(|warning| warning.entry == Some(entry));
            let why = why.map_or("it can't be used", |warning| warning.text.trim_end_matches("; left out"));
            return Err(self.bad_entry(entry, why.to_owned()));
        }
        self.expect_entries()?;
        self.contents.odd_frame.map_or(Ok(()), |reason| {
            Err(Error::Malformed { path: self.path.clone(), line: None, reason: reason.to_owned() })
        })
    }

    pub(super) fn archive(&self) -> Option<&Archive> {
        self.archive.as_ref()
    }

    /// The text of the HAR from its first byte.
    pub(super) fn text(&self) -> impl Read + '_ {
        self.store.reader()
    }

    /// An archive's member, to be read any number of times.
    pub(super) fn member(&self, name: &str) -> Result<Box<dyn ReadSeek>, Error> {
        let bad = |reason| Error::Malformed { path: self.path.clone(), line: None, reason };
        let Some(archive) = &self.archive else { return Err(bad("it is no archive".to_owned())) };
        let index = archive.find(name).map_err(bad)?;
        let failed = |error: io::Error| bad(format!("archive member `{name}` can't be unpacked: {error}"));
        match archive.member(index, payload::IN_MEMORY).map_err(failed)? {
            Member::Bytes(bytes) => Ok(Box::new(io::Cursor::new(bytes))),
            Member::File(path, _) => Ok(Box::new(File::open(path).map_err(failed)?)),
        }
    }

    /// Where an entry stands in the text.
    pub(super) fn span(&self, entry: usize) -> Option<Span> {
        self.contents.index.span(entry)
    }

    /// What stands around the entries.
    pub(super) fn around(&self) -> impl Iterator<Item = &(String, Span)> {
        self.contents.members.iter().chain(&self.contents.beside).chain(&self.contents.passed_over)
    }

    /// The text that stands there.
    pub(super) fn range(&self, span: Span) -> Result<Vec<u8>, Error> {
        self.store.range(span.offset, span.len).map_err(|source| self.unreadable(source))
    }

    /// Where an entry begins in the text.
    pub(super) fn offset(&self, entry: usize) -> Option<u64> {
        self.contents.index.span(entry).map(|span| span.offset)
    }

    /// The payload file that `_file` names, beside a HAR.
    pub(super) fn payload_path(&self, entry: usize, name: &str) -> Result<PathBuf, Error> {
        let home = self.path.parent().unwrap_or(Path::new(""));
        sidecar::resolve(home, name).map_err(|reason| self.bad_entry(entry, reason))
    }

    /// An entry's text, taken apart.
    pub(super) fn node<'a>(&self, entry: usize, json: &'a [u8]) -> Result<TextValue<'a>, Error> {
        let node = parse::tree(json);
        node.map_err(|reason| self.bad_entry(entry, reason))
    }

    /// The members of `log` but `entries`, as they are spelled.
    pub(super) fn log(&self) -> Result<Vec<TextMember<'static>>, Error> {
        self.members(&self.contents.members)
    }

    /// The members beside `log`, as they are spelled.
    pub(super) fn beside_log(&self) -> Result<Vec<TextMember<'static>>, Error> {
        self.members(&self.contents.beside)
    }

    fn members(&self, members: &[(String, Span)]) -> Result<Vec<TextMember<'static>>, Error> {
        let member = |(name, span): &(String, Span)| {
            let json = self.store.range(span.offset, span.len).map_err(|source| self.unreadable(source))?;
            let node = parse::tree(&json).map_err(|reason| self.malformed(*span, reason))?;
            Ok((quote(name).into(), node.into_owned()))
        };
        members.iter().map(member).collect()
    }

    fn value(&self, span: Span) -> Result<Value, Error> {
        let json = self.store.range(span.offset, span.len).map_err(|source| self.unreadable(source))?;
        let text = String::from_utf8_lossy(&json);
        let value = serde_json::from_str(&text).or_else(|_| serde_json::from_str(&replace_lone_surrogates(&text)));
        value.map_err(|error| self.malformed(span, error.to_string()))
    }

    fn malformed(&self, span: Span, reason: String) -> Error {
        Error::Malformed { path: self.path.clone(), line: Some(span.line), reason }
    }

    /// A member of `log` but `entries`.
    fn log_member(&self, name: &str) -> Result<Option<Value>, Error> {
        let found = self.contents.members.iter().rfind(|(n, _)| n == name);
        found.map(|(_, span)| self.value(*span)).transpose()
    }

    fn know_the_writer(&mut self) -> Result<(), Error> {
        if let Some(Value::Object(own)) = self.log_member("_harproxy")? {
            let format = own.get("format").and_then(Value::as_u64).unwrap_or(FORMAT);
            if format > FORMAT {
                let reason = format!("it is of format {format}, this harproxy reads up to {FORMAT}: use a newer one");
                return Err(Error::Malformed { path: self.path.clone(), line: None, reason });
            }
            self.own = true;
            self.dialect = Dialect::Own;
            self.scope = Some(scope_of(&own));
        } else {
            let creator = self.log_member("creator")?.unwrap_or_default();
            self.dialect = match creator.get("name").and_then(Value::as_str) {
                Some("Playwright") => Dialect::Playwright,
                Some("mitmproxy") => Dialect::Mitmproxy,
                Some("Polly.JS") => Dialect::Polly,
                _ => Dialect::Foreign,
            };
        }
        Ok(())
    }
}

/// What can be read again from its beginning.
pub(super) trait ReadSeek: Read + io::Seek {}

impl<T: Read + io::Seek> ReadSeek for T {}

/// Where a `_file` is.
enum Located<'a> {
    Path(PathBuf),
    Member(&'a Archive, usize),
}

/// The payload that a HAR embeds.
fn embedded(stored: Vec<u8>, body: &model::Body) -> Payload {
    if stored.is_empty() && body.size.unwrap_or_default() > 0 {
        return Payload::NotRecorded;
    }
    Payload::of_bytes(stored, body.compact)
}

fn scope_of(own: &Map<String, Value>) -> Vec<String> {
    let globs = own.get("scope").and_then(Value::as_array).into_iter().flatten();
    globs.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The entries parsed last, by the size of their JSON; the oldest go first.
#[derive(Debug, Default)]
struct Cache {
    entries: HashMap<usize, (Arc<Entry>, usize)>,
    order: VecDeque<usize>,
    bytes: usize,
}

const CACHE_BYTES: usize = 4 << 20;

impl Cache {
    fn get(&self, entry: usize) -> Option<Arc<Entry>> {
        self.entries.get(&entry).map(|(cached, _)| cached.clone())
    }

    fn put(&mut self, entry: usize, parsed: &Arc<Entry>, bytes: usize) {
        if bytes > CACHE_BYTES || self.entries.insert(entry, (parsed.clone(), bytes)).is_some() {
            return;
        }
        self.order.push_back(entry);
        self.bytes += bytes;
        while self.bytes > CACHE_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.entries.remove(&oldest).map_or(0, |(_, bytes)| bytes);
        }
    }
}
