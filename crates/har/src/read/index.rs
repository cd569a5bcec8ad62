//! The index of a HAR: byte range and match key of each entry.

use std::collections::HashSet;
use std::sync::Arc;

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
    /// True if replay leaves the entry out, because its URL or status is invalid.
    pub left_out: bool,
}

/// The usable entries of a fixture, in file order.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a>(&'a Index);

impl<'a> Heads<'a> {
    /// The entries in file order.
    pub fn iter(&self) -> impl Iterator<Item = EntryHead<'a>> + use<'a> {
        let index = self.0;
        (0..index.entries.len()).filter_map(|entry| index.head(entry))
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

/// An entry of the file. The members of its head are only set if it is usable.
#[derive(Debug, Default)]
struct IndexedEntry {
    span: Span,
    is_usable: bool,
    method: Arc<str>,
    url: Box<str>,
    status: i32,
    http2: bool,
    post_data: bool,
    websocket: bool,
    left_out: bool,
}

/// All entries of a file. Equal method names share one allocation.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: Vec<IndexedEntry>,
    usable: usize,
    methods: HashSet<Arc<str>>,
}

impl Index {
    pub(crate) fn heads(&self) -> Heads<'_> {
        Heads(self)
    }

    /// The number of entries, including unusable ones.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The byte range of an entry.
    pub(crate) fn span(&self, entry: usize) -> Option<Span> {
        self.entries.get(entry).map(|indexed| indexed.span)
    }

    /// Adds the next entry of the file. `scanned` is `None` for an unusable one. Replay leaves out the unusable ones
    /// and those with `left_out`.
    pub(crate) fn push(&mut self, span: Span, scanned: Option<&EntryScan>, left_out: bool) {
        let mut indexed = IndexedEntry { span, left_out, ..IndexedEntry::default() };
        if let Some(scanned) = scanned {
            indexed.is_usable = true;
            indexed.method = self.method(scanned.method.as_deref().unwrap_or("GET"));
            indexed.url = scanned.url.as_deref().unwrap_or_default().into();
            indexed.status = scanned.status.unwrap_or_default();
            indexed.http2 = scanned.http2;
            indexed.post_data = scanned.post_data;
            indexed.websocket = scanned.websocket || scanned.status == Some(101) || is_websocket(&indexed.url);
            self.usable += 1;
        }
        self.entries.push(indexed);
    }

    fn head(&self, entry: usize) -> Option<EntryHead<'_>> {
        let indexed = self.entries.get(entry).filter(|indexed| indexed.is_usable)?;
        Some(EntryHead {
            entry,
            line: indexed.span.line,
            method: &indexed.method,
            url: &indexed.url,
            status: indexed.status,
            http2: indexed.http2,
            post_data: indexed.post_data,
            websocket: indexed.websocket,
            left_out: indexed.left_out,
        })
    }

    fn method(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.methods.get(name) {
            return known.clone();
        }
        let method: Arc<str> = name.into();
        self.methods.insert(method.clone());
        method
    }
}

fn is_websocket(url: &str) -> bool {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("ws") || scheme.eq_ignore_ascii_case("wss")
}
