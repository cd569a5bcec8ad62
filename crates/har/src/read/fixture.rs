//! An opened fixture: one scan indexes the key and byte range of each entry. Entries are parsed on demand.

use std::collections::{HashMap, VecDeque};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use serde_json::{Map, Value};

use super::contents::{self, Contents, LeftOutCause, Warning};
use super::index::Heads;
use super::snapshot::Snapshot;
use super::window::Span;
use super::{entry, source};
use crate::Error;
use crate::foreign::Dialect;
use crate::model::{Entry, LAYOUT};
use crate::store::archive::Archive;
use crate::store::digest;
use crate::store::stamp::Stamp;
use crate::store::text_store::TextStore;
use harproxy_json::text::{quote, replace_lone_surrogates};
use harproxy_json::{TextMember, TextValue};

/// An opened fixture: a `.har` (or `.har.gz`, or a HAR in any name) or a `.zip`.
#[derive(Debug)]
pub struct Fixture {
    path: PathBuf,
    stamp: Stamp,
    pub(super) store: TextStore,
    /// The copy that [`Fixture::preload`] makes. [`Fixture::entry_json`] and [`Fixture::payload`] read it first.
    pub(super) snapshot: OnceLock<Snapshot>,
    archive: Option<Archive>,
    contents: Contents,
    compressed: bool,
    dialect: Dialect,
    own: bool,
    has_old_layout: bool,
    scope: Option<Vec<String>>,
    cache: RwLock<EntryCache>,
}

impl Fixture {
    /// Opens and indexes a fixture.
    ///
    /// # Errors
    /// When the file cannot be read or is not a HAR. A single bad entry is a [`Warning`] instead.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let source = source::open(path)?;
        let contents = contents::read(path, &source)?;
        let mut fixture = Fixture {
            path: path.to_owned(),
            stamp: source.stamp,
            store: source.store,
            snapshot: OnceLock::new(),
            archive: source.archive,
            contents,
            compressed: source.compressed,
            dialect: Dialect::Foreign,
            own: false,
            has_old_layout: false,
            scope: None,
            cache: RwLock::default(),
        };
        fixture.detect_dialect()?;
        Ok(fixture)
    }

    /// The path that was passed to [`Fixture::open`].
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the HAR. Empty for the current one.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The stamp of the file when it was opened.
    #[must_use]
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// True if harproxy wrote the fixture: `log._harproxy` is present.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own
    }

    /// True if an older harproxy wrote the fixture, with one member a line. The next write migrates it.
    #[must_use]
    pub fn has_old_layout(&self) -> bool {
        self.has_old_layout
    }

    /// True if both fixtures were written by tools with the same quirks, so that equal entries have equal meanings.
    #[must_use]
    pub fn has_same_dialect(&self, other: &Fixture) -> bool {
        self.dialect == other.dialect
    }

    /// The URL globs in `log._harproxy.scope`; empty if it is missing. `None` if another tool wrote the fixture.
    #[must_use]
    pub fn scope(&self) -> Option<&[String]> {
        self.scope.as_deref()
    }

    /// The usable entries, in file order.
    #[must_use]
    pub fn heads(&self) -> Heads<'_> {
        self.contents.index.heads()
    }

    /// The number of entries, including unusable ones.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.contents.index.len()
    }

    /// The length of an entry's JSON in bytes. 0 if the entry does not exist.
    #[must_use]
    pub fn entry_len(&self, entry: usize) -> u64 {
        self.contents.index.span(entry).map_or(0, |span| span.len)
    }

    /// The oddities of the HAR that the scan tolerated.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.contents.warnings.list
    }

    /// The entries that replay leaves out, grouped by cause. Entries of browsers that need no server (`data:` URLs) are
    /// not among them.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOutCause] {
        &self.contents.left_out
    }

    /// One parsed entry. Entries that were read recently come from a cache.
    ///
    /// # Errors
    /// When the file has changed since it was opened, or the entry is malformed.
    pub fn entry(&self, entry: usize) -> Result<Arc<Entry>, Error> {
        if let Some(cached) = self.cache.read().unwrap_or_else(PoisonError::into_inner).get(entry) {
            return Ok(cached);
        }
        let json = self.entry_json(entry)?;
        let parsed = entry::parse(&json, self.dialect, &mut Vec::new());
        let parsed = Arc::new(parsed.map_err(|reason| self.bad_entry(entry, reason))?);
        self.cache.write().unwrap_or_else(PoisonError::into_inner).insert(entry, &parsed, json.len());
        Ok(parsed)
    }

    /// The warnings about an entry: guesses by the reader, and data that the recording tool lost.
    ///
    /// Parses the entry on each call.
    ///
    /// # Errors
    /// When the file has changed since it was opened, or the entry is malformed.
    pub fn examine(&self, entry: usize) -> Result<Vec<Warning>, Error> {
        let mut notes = Vec::new();
        let parsed = entry::parse(&self.entry_json(entry)?, self.dialect, &mut notes);
        parsed.map_err(|reason| self.bad_entry(entry, reason))?;
        let line = self.contents.index.span(entry).map(|span| span.line);
        Ok(notes.into_iter().map(|text| Warning { entry: Some(entry), line, text }).collect())
    }

    /// Checks that the HAR has an `entries` array, which may be empty. [`Fixture::open`] accepts a HAR without one, as
    /// Playwright does.
    ///
    /// # Errors
    /// [`Error::Malformed`] without an `entries` array.
    pub fn expect_entries(&self) -> Result<(), Error> {
        if self.contents.has_entries {
            return Ok(());
        }
        let why = self.warnings().last().map_or("there are no `entries`", |warning| &warning.text);
        Err(Error::Malformed { path: self.path.clone(), line: None, reason: why.to_owned() })
    }

    /// The JSON of an entry, byte for byte.
    ///
    /// # Errors
    /// When the entry does not exist, or the file has changed since it was opened.
    pub fn entry_json(&self, entry: usize) -> Result<Vec<u8>, Error> {
        let span = self.contents.index.span(entry).ok_or_else(|| self.bad_entry(entry, self.no_such_entry()))?;
        if let Some(text) = self.snapshot.get().and_then(|snapshot| snapshot.text(span)) {
            return Ok(text.to_vec());
        }
        self.range(span)
    }

    fn no_such_entry(&self) -> String {
        match self.entries() {
            0 => "no such entry: the fixture is empty".to_owned(),
            1 => "no such entry: the only entry is #0".to_owned(),
            n => format!("no such entry: the fixture has {n} entries, #0 to #{}", n - 1),
        }
    }

    /// An [`Error::Entry`] with the line of the entry.
    pub fn bad_entry(&self, entry: usize, reason: String) -> Error {
        let line = self.contents.index.span(entry).map(|span| span.line);
        Error::Entry { path: self.path.clone(), entry, line, reason }
    }

    pub(crate) fn unreadable(&self, source: std::io::Error) -> Error {
        Error::Io { doing: "reading", path: self.path.clone(), source }
    }

    /// True if `later`, the same path opened again, has the same text.
    pub fn has_same_text(&self, later: &Fixture) -> Result<bool, Error> {
        let spans = |fixture: &Fixture| {
            (0..fixture.entries()).map(|entry| fixture.span(entry).map(|s| (s.offset, s.len))).collect::<Vec<_>>()
        };
        // An in-place write also changes the text behind the open handle. Only the index is still that of `open`.
        if spans(self) != spans(later) || !self.heads().iter().eq(later.heads().iter()) {
            return Ok(false);
        }
        let (then, now) = (BufReader::new(self.text()), BufReader::new(later.text()));
        digest::is_same(then, now).map_err(|source| self.unreadable(source))
    }

    /// True for a HAR that is gzip-compressed as a whole (`.har.gz`).
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// True for an archive (`.zip`).
    #[must_use]
    pub fn is_archive(&self) -> bool {
        self.archive.is_some()
    }

    /// Checks that writing the HAR again loses nothing: every entry is usable and the members around them are regular.
    pub(crate) fn check_rewritable(&self) -> Result<(), Error> {
        if let Some(entry) = (0..self.entries()).find(|entry| self.heads().get(*entry).is_none()) {
            let why = self.warnings().iter().find(|warning| warning.entry == Some(entry));
            let why = why.map_or("it can't be used", |warning| warning.text.trim_end_matches("; left out"));
            return Err(self.bad_entry(entry, why.to_owned()));
        }
        self.expect_entries()?;
        self.contents.frame_oddity.map_or(Ok(()), |reason| {
            Err(Error::Malformed { path: self.path.clone(), line: None, reason: reason.to_owned() })
        })
    }

    pub(crate) fn archive(&self) -> Option<&Archive> {
        self.archive.as_ref()
    }

    /// A reader of the whole HAR.
    pub(crate) fn text(&self) -> impl Read + '_ {
        self.store.reader()
    }

    /// The byte range of an entry.
    pub(crate) fn span(&self, entry: usize) -> Option<Span> {
        self.contents.index.span(entry)
    }

    /// Names and byte ranges of all members outside the entries.
    pub(crate) fn members_outside_entries(&self) -> impl Iterator<Item = &(String, Span)> {
        self.contents.members.iter().chain(&self.contents.outside_log).chain(&self.contents.extra_entries)
    }

    /// The bytes of a range.
    pub(crate) fn range(&self, span: Span) -> Result<Vec<u8>, Error> {
        self.store.range(span.offset, span.len).map_err(|source| self.unreadable(source))
    }

    /// The JSON of an entry as a tree.
    pub(crate) fn node<'a>(&self, entry: usize, json: &'a [u8]) -> Result<TextValue<'a>, Error> {
        let node = entry::tree(json);
        node.map_err(|reason| self.bad_entry(entry, reason))
    }

    /// The members of `log` except `entries`, with their original spelling.
    pub(crate) fn log(&self) -> Result<Vec<TextMember<'static>>, Error> {
        self.members(&self.contents.members)
    }

    /// The top-level members other than `log`, with their original spelling.
    pub(crate) fn beside_log(&self) -> Result<Vec<TextMember<'static>>, Error> {
        self.members(&self.contents.outside_log)
    }

    fn members(&self, members: &[(String, Span)]) -> Result<Vec<TextMember<'static>>, Error> {
        let member = |(name, span): &(String, Span)| {
            let json = self.range(*span)?;
            let node = entry::tree(&json).map_err(|reason| self.malformed(*span, reason))?;
            Ok((quote(name).into(), node.into_owned()))
        };
        members.iter().map(member).collect()
    }

    fn value(&self, span: Span) -> Result<Value, Error> {
        let json = self.range(span)?;
        let text = String::from_utf8_lossy(&json);
        let value = serde_json::from_str(&text).or_else(|_| serde_json::from_str(&replace_lone_surrogates(&text)));
        value.map_err(|error| self.malformed(span, error.to_string()))
    }

    fn malformed(&self, span: Span, reason: String) -> Error {
        Error::Malformed { path: self.path.clone(), line: Some(span.line), reason }
    }

    /// A member of `log` other than `entries`.
    fn log_member(&self, name: &str) -> Result<Option<Value>, Error> {
        let found = self.contents.members.iter().rfind(|(n, _)| n == name);
        found.map(|(_, span)| self.value(*span)).transpose()
    }

    fn detect_dialect(&mut self) -> Result<(), Error> {
        if let Some(Value::Object(own)) = self.log_member("_harproxy")? {
            let layout = own.get("version").or(own.get("format")).and_then(Value::as_u64).unwrap_or(1);
            if layout > LAYOUT {
                let reason = format!("it has layout {layout}, but this harproxy reads up to {LAYOUT}: use a newer one");
                return Err(Error::Malformed { path: self.path.clone(), line: None, reason });
            }
            self.own = true;
            self.has_old_layout = layout < LAYOUT;
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

fn scope_of(own: &Map<String, Value>) -> Vec<String> {
    let globs = own.get("scope").and_then(Value::as_array).into_iter().flatten();
    globs.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Caches the entries that [`Fixture::entry`] parsed, by index. The oldest are evicted first.
#[derive(Debug, Default)]
struct EntryCache {
    /// Each entry with the length of its JSON.
    entries: HashMap<usize, (Arc<Entry>, usize)>,
    /// The cached entries in the order of insertion.
    order: VecDeque<usize>,
    /// The JSON length of all cached entries.
    bytes: usize,
}

/// The limit of `EntryCache::bytes`. A longer entry is not cached.
const CACHE_BYTES: usize = 4 << 20;

impl EntryCache {
    fn get(&self, entry: usize) -> Option<Arc<Entry>> {
        self.entries.get(&entry).map(|(cached, _)| cached.clone())
    }

    fn insert(&mut self, entry: usize, parsed: &Arc<Entry>, bytes: usize) {
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
