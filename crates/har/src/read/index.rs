//! The index of a HAR: byte range and match key of each entry, in a few dozen bytes per entry.

use std::collections::HashMap;

use super::scan::EntryScan;
use super::window::Span;

/// The indexed members of a usable entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHead<'a> {
    /// The number of the entry in the file, from 0.
    pub entry: usize,
    /// The line of the HAR on which it begins, from 1.
    pub line: usize,
    /// `request.method`, or `GET` if it is missing.
    pub method: &'a str,
    /// `request.url`, not normalised.
    pub url: &'a str,
    /// `response.status`, or 0 without a response.
    pub status: i32,
    /// True if the response's `httpVersion` is HTTP/2.
    pub http2: bool,
    /// True if there is a `postData`, which may be empty.
    pub post_data: bool,
    /// True for a WebSocket, which must not be served as a plain response.
    pub websocket: bool,
}

/// The usable entries of a fixture, in file order.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a>(&'a Index);

impl<'a> Heads<'a> {
    /// The entries in file order.
    pub fn iter(&self) -> impl Iterator<Item = EntryHead<'a>> + use<'a> {
        let index = self.0;
        (0..index.records.len()).filter_map(|entry| index.head(entry))
    }

    /// The entry with this number, if it exists and is usable.
    #[must_use]
    pub fn get(&self, entry: usize) -> Option<EntryHead<'a>> {
        self.0.head(entry)
    }

    /// The number of usable entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.usable
    }

    /// True if no entry is usable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.usable == 0
    }
}

impl<'a> IntoIterator for Heads<'a> {
    type Item = EntryHead<'a>;
    type IntoIter = Box<dyn Iterator<Item = EntryHead<'a>> + 'a>;
    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

/// The index record of one entry.
#[derive(Clone, Copy, Debug)]
struct Record {
    offset: u64,
    len: u64,
    line: u32,
    method: u16,
    flags: u16,
    status: i32,
    url: ArenaText,
}

const USABLE: u16 = 1;
const HTTP2: u16 = 2;
const POST_DATA: u16 = 4;
const WEBSOCKET: u16 = 8;

/// All entries of a file, with method names and URLs stored once.
#[derive(Debug, Default)]
pub(crate) struct Index {
    records: Vec<Record>,
    usable: usize,
    methods: Vec<Box<str>>,
    method_ids: HashMap<Box<str>, u16>,
    urls: Arena,
}

impl Index {
    pub(crate) fn heads(&self) -> Heads<'_> {
        Heads(self)
    }

    /// The number of entries, including unusable ones.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// The byte range of an entry.
    pub(crate) fn span(&self, entry: usize) -> Option<Span> {
        let record = self.records.get(entry)?;
        Some(Span { offset: record.offset, len: record.len, line: record.line as usize })
    }

    /// Adds the next entry of the file. `scanned` is `None` for an unusable one.
    pub(crate) fn push(&mut self, span: Span, scanned: Option<&EntryScan>) {
        let mut record = Record {
            offset: span.offset,
            len: span.len,
            line: u32::try_from(span.line).unwrap_or(u32::MAX),
            method: 0,
            flags: 0,
            status: 0,
            url: ArenaText::default(),
        };
        if let Some(scanned) = scanned {
            record.method = self.method_id(scanned.method.as_deref().unwrap_or("GET"));
            record.url = self.urls.push(scanned.url.as_deref().unwrap_or_default());
            record.status = scanned.status.unwrap_or_default();
            let websocket = scanned.websocket || scanned.status == Some(101) || is_websocket(scanned.url.as_deref());
            let flags = [(scanned.http2, HTTP2), (scanned.post_data, POST_DATA), (websocket, WEBSOCKET)];
            record.flags = flags.iter().filter(|(set, _)| *set).fold(USABLE, |flags, (_, flag)| flags | flag);
            self.usable += 1;
        }
        self.records.push(record);
    }

    fn head(&self, entry: usize) -> Option<EntryHead<'_>> {
        let record = self.records.get(entry).filter(|record| record.flags & USABLE != 0)?;
        Some(EntryHead {
            entry,
            line: record.line as usize,
            method: &self.methods[usize::from(record.method)],
            url: self.urls.get(record.url),
            status: record.status,
            http2: record.flags & HTTP2 != 0,
            post_data: record.flags & POST_DATA != 0,
            websocket: record.flags & WEBSOCKET != 0,
        })
    }

    fn method_id(&mut self, method: &str) -> u16 {
        if let Some(&id) = self.method_ids.get(method) {
            return id;
        }
        // No recording has 65,536 different methods. Further ones share the last id.
        let Ok(id) = u16::try_from(self.methods.len()) else { return u16::MAX };
        self.methods.push(method.into());
        self.method_ids.insert(method.into(), id);
        id
    }
}

/// Strings stored end to end in chunks, which avoids one allocation per string and copies when the arena grows.
#[derive(Debug, Default)]
struct Arena {
    chunks: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ArenaText {
    chunk: u32,
    start: u32,
    len: u32,
}

const ARENA_CHUNK: usize = 256 * 1024;

impl Arena {
    fn push(&mut self, text: &str) -> ArenaText {
        let fits = self.chunks.last().is_some_and(|chunk| chunk.capacity() - chunk.len() >= text.len());
        if !fits {
            self.chunks.push(String::with_capacity(ARENA_CHUNK.max(text.len())));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let start = chunk.len();
        chunk.push_str(text);
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        ArenaText { chunk: narrow(number), start: narrow(start), len: narrow(text.len()) }
    }

    fn get(&self, text: ArenaText) -> &str {
        let start = text.start as usize;
        let chunk = self.chunks.get(text.chunk as usize).map_or("", String::as_str);
        chunk.get(start..start + text.len as usize).unwrap_or_default()
    }
}

fn is_websocket(url: Option<&str>) -> bool {
    let scheme = url.and_then(|url| url.split_once(':')).map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("ws") || scheme.eq_ignore_ascii_case("wss")
}
