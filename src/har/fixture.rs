//! Opening a fixture: one pass that indexes key and byte range of each entry; entries are parsed when asked for.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::index::Heads;
use super::model::Stored;
use super::parse::{self, Dialect};
use super::read::Contents;
use super::store::Store;
use super::{Entry, Error, Payload, model, payload, sidecar};
use crate::http::json;

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
    store: Store,
    contents: Contents,
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
        let io = |source| Error::Io { doing: "opening", path: path.to_owned(), source };
        let store = Store::File(File::open(path).map_err(io)?);
        let mut bom = [0; 3];
        store.read_at(0, &mut bom).map_err(io)?;
        let start = if bom == *b"\xef\xbb\xbf" { 3 } else { 0 };
        let contents = super::read::contents(path, &store, start)?;
        let mut fixture = Fixture {
            path: path.to_owned(),
            store,
            contents,
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

    /// Whether harproxy wrote it (`log._harproxy` is there).
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own
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

    /// The payload behind a `content` or `postData` of this fixture.
    ///
    /// # Errors
    /// When a payload file is missing, unreadable or outside the fixture.
    pub fn payload(&self, entry: usize, body: &model::Body) -> Result<Payload, Error> {
        let bytes = match &body.stored {
            Stored::File(name) => return self.payload_file(entry, name, body.compact),
            Stored::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Stored::Base64(text) => {
                let bad = || self.bad_entry(entry, "a payload says it is base64 and is not".to_owned());
                payload::base64(text).ok_or_else(bad)?.into()
            }
            Stored::Nowhere => Bytes::new(),
        };
        Ok(match bytes.is_empty() {
            false if body.compact => Payload::Bytes(json::compact(&bytes).into()),
            false => Payload::Bytes(bytes),
            true if body.size.unwrap_or_default() > 0 && self.may_have_content(entry) => Payload::NotRecorded,
            true => Payload::Empty,
        })
    }

    /// Answers to HEAD, and 1xx, 204 and 304, have no content, whatever size was noted.
    fn may_have_content(&self, entry: usize) -> bool {
        self.heads()
            .get(entry)
            .is_some_and(|head| head.method != "HEAD" && !matches!(head.status, 100..200 | 204 | 304))
    }

    fn payload_file(&self, entry: usize, name: &str, compact: bool) -> Result<Payload, Error> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let path = sidecar::resolve(folder, name).map_err(|reason| self.bad_entry(entry, reason))?;
        Payload::of_file(path, compact)
    }

    /// The text of an entry as it stands in the file.
    pub(super) fn entry_json(&self, entry: usize) -> Result<Vec<u8>, Error> {
        let span = self
            .contents
            .index
            .span(entry)
            .ok_or_else(|| self.bad_entry(entry, "there is no such entry".to_owned()))?;
        self.store.range(span.offset, span.len).map_err(|source| self.unreadable(source))
    }

    /// An error about one entry.
    pub(super) fn bad_entry(&self, entry: usize, reason: String) -> Error {
        let line = self.contents.index.span(entry).map(|span| span.line);
        Error::Entry { path: self.path.clone(), entry, line, reason }
    }

    fn unreadable(&self, source: std::io::Error) -> Error {
        Error::Io { doing: "reading", path: self.path.clone(), source }
    }

    /// A member of `log` but `entries`.
    fn log_member(&self, name: &str) -> Result<Option<Value>, Error> {
        let Some((_, span)) = self.contents.members.iter().rfind(|(n, _)| n == name) else { return Ok(None) };
        let json = self.store.range(span.offset, span.len).map_err(|source| self.unreadable(source))?;
        Ok(serde_json::from_slice(&json).ok())
    }

    fn know_the_writer(&mut self) -> Result<(), Error> {
        if let Some(Value::Object(own)) = self.log_member("_harproxy")? {
            self.own = true;
            self.dialect = Dialect::Own;
            self.scope = Some(scope_of(&own));
        } else if let Some(creator) = self.log_member("creator")? {
            if creator.get("name").and_then(Value::as_str) == Some("Polly.JS") {
                self.dialect = Dialect::Polly;
            }
        }
        Ok(())
    }
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

const CACHE_BYTES: usize = 8 << 20;

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
