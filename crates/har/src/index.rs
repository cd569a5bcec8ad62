//! The index of a HAR: where each entry stands and what a matcher wants to know of it, in a few dozen bytes an entry.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::window::Span;
use harproxy_json::text::unquote_lossy;

/// What the index keeps of a usable entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHead<'a> {
    /// Its place in the file, from 0.
    pub entry: usize,
    /// The line of the HAR on which it begins, from 1.
    pub line: usize,
    /// `request.method`, `GET` where a tool left it out.
    pub method: &'a str,
    /// `request.url` as written.
    pub url: &'a str,
    /// `response.status`; 0 without an answer.
    pub status: i32,
    /// Whether the response's `httpVersion` says HTTP/2.
    pub http2: bool,
    /// Whether there is a `postData`; it may still be an empty one.
    pub post_data: bool,
    /// Whether it is a WebSocket: never to be served as an ordinary answer.
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

    /// The entry at this place of the file, if it is there and usable.
    #[must_use]
    pub fn get(&self, entry: usize) -> Option<EntryHead<'a>> {
        self.0.head(entry)
    }

    /// How many are usable.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.usable
    }

    /// Whether none is usable.
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

/// One entry of the file.
#[derive(Clone, Copy, Debug)]
struct Record {
    offset: u64,
    len: u64,
    line: u32,
    method: u16,
    flags: u16,
    status: i32,
    url: Text,
}

const USABLE: u16 = 1;
const HTTP2: u16 = 2;
const POST_DATA: u16 = 4;
const WEBSOCKET: u16 = 8;

/// All entries of a file.
#[derive(Debug, Default)]
pub(super) struct Index {
    records: Vec<Record>,
    usable: usize,
    methods: Vec<Box<str>>,
    method_ids: HashMap<Box<str>, u16>,
    urls: Arena,
}

impl Index {
    pub(super) fn heads(&self) -> Heads<'_> {
        Heads(self)
    }

    /// Entries in the file, the unusable ones included.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Where an entry stands.
    pub(super) fn span(&self, entry: usize) -> Option<Span> {
        let record = self.records.get(entry)?;
        Some(Span { offset: record.offset, len: record.len, line: record.line as usize })
    }

    /// Adds the next entry of the file; `None` for one that can't be used.
    pub(super) fn push(&mut self, span: Span, scanned: Option<&Scanned>) {
        let mut record = Record {
            offset: span.offset,
            len: span.len,
            line: u32::try_from(span.line).unwrap_or(u32::MAX),
            method: 0,
            flags: 0,
            status: 0,
            url: Text::default(),
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
        // 65,536 different methods are not a recording; what comes after shares the last id.
        let Ok(id) = u16::try_from(self.methods.len()) else { return u16::MAX };
        self.methods.push(method.into());
        self.method_ids.insert(method.into(), id);
        id
    }
}

/// Strings end to end in chunks: no allocation of its own for each, and none is moved when there are more.
#[derive(Debug, Default)]
struct Arena {
    chunks: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Text {
    chunk: u32,
    start: u32,
    len: u32,
}

const ARENA_CHUNK: usize = 256 * 1024;

impl Arena {
    fn push(&mut self, text: &str) -> Text {
        let fits = self.chunks.last().is_some_and(|chunk| chunk.capacity() - chunk.len() >= text.len());
        if !fits {
            self.chunks.push(String::with_capacity(ARENA_CHUNK.max(text.len())));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let start = chunk.len();
        chunk.push_str(text);
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Text { chunk: narrow(number), start: narrow(start), len: narrow(text.len()) }
    }

    fn get(&self, text: Text) -> &str {
        let start = text.start as usize;
        let chunk = self.chunks.get(text.chunk as usize).map_or("", String::as_str);
        chunk.get(start..start + text.len as usize).unwrap_or_default()
    }
}

/// What one look at an entry tells, whatever shape it has: no type is wrong enough to stop the pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Scanned {
    /// The entry is an object.
    pub(super) is_object: bool,
    /// `request` is an object.
    pub(super) request: bool,
    /// `response` is an object with members.
    pub(super) response: bool,
    pub(super) method: Option<String>,
    pub(super) url: Option<String>,
    pub(super) status: Option<i32>,
    pub(super) http2: bool,
    pub(super) post_data: bool,
    pub(super) websocket: bool,
}

impl<'de> serde::Deserialize<'de> for Scanned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut scanned = Scanned::default();
        deserializer.deserialize_any(Part { scanned: &mut scanned, place: Place::Entry })?;
        Ok(scanned)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Entry,
    Request,
    Response,
}

/// Visits an object of the entry for the members of interest; anything else in its place is passed over.
struct Part<'a> {
    scanned: &'a mut Scanned,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Part { scanned, place } = self;
        match place {
            Place::Entry => scanned.is_object = true,
            Place::Request => scanned.request = true,
            Place::Response => {}
        }
        while let Some(Name(name)) = map.next_key()? {
            scanned.response |= place == Place::Response;
            match (place, name) {
                (Place::Entry, "request") => map.next_value_seed(Part { scanned, place: Place::Request })?,
                (Place::Entry, "response") => map.next_value_seed(Part { scanned, place: Place::Response })?,
                (Place::Entry, "_webSocketMessages") => scanned.websocket |= is_there(map.next_value()?),
                (Place::Entry, "_resourceType") => {
                    scanned.websocket |= text(map.next_value()?).as_deref() == Some("websocket");
                }
                (Place::Request, "method") => scanned.method = text(map.next_value()?).filter(|m| !m.is_empty()),
                (Place::Request, "url") => scanned.url = text(map.next_value()?).filter(|url| !url.is_empty()),
                (Place::Request, "postData") => scanned.post_data = is_there(map.next_value()?),
                (Place::Response, "status") => scanned.status = number(map.next_value()?),
                (Place::Response, "httpVersion") => {
                    let version = text(map.next_value()?).unwrap_or_default().to_ascii_lowercase();
                    scanned.http2 = version == "h2" || version.starts_with("http/2");
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// The name of a member of interest; any other is empty. Nothing is allocated for it.
struct Name(&'static str);

const NAMES: [&str; 9] = [
    "request",
    "response",
    "_webSocketMessages",
    "_resourceType",
    "method",
    "url",
    "postData",
    "status",
    "httpVersion",
];

impl<'de> serde::Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Known;
        impl Visitor<'_> for Known {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a member")
            }
            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name(NAMES.into_iter().find(|known| *known == name).unwrap_or_default()))
            }
        }
        deserializer.deserialize_str(Known)
    }
}

fn is_there(raw: &RawValue) -> bool {
    raw.get() != "null"
}

fn text(raw: &RawValue) -> Option<String> {
    unquote_lossy(raw.get()).map(Cow::into_owned)
}

fn is_websocket(url: Option<&str>) -> bool {
    let scheme = url.and_then(|url| url.split_once(':')).map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("ws") || scheme.eq_ignore_ascii_case("wss")
}

/// An integer, however it is written: `200`, `200.0`, `"200"`.
fn number(raw: &RawValue) -> Option<i32> {
    let text = raw.get().trim_matches('"');
    let number: f64 = text.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and any odd status is as odd as another")]
    Some(number as i32)
}
