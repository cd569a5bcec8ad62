//! The page's data as JSON: the verdict, the requests, and the entries that they refer to. Names, header fields and
//! payloads are stored in tables, so that ten thousand requests take a few megabytes.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use encoding_rs::UTF_8;
use indexmap::IndexSet;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use crate::verdict::report::{Report, Shard};
use crate::verdict::request::{EntryChange, RequestRow, ResultKind, SourceKind};
use crate::verdict::{Counts, Finding, FixtureUse, RuleUse, RunMode, Severity, StatusSource};
use crate::verdict::{EntryView, PayloadExcerpt};
use harproxy_http::headers::to_chars;
use harproxy_http::{Header, Headers, MediaType};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    harproxy: &'static str,
    headline: &'a str,
    mode: &'a RunMode,
    passed: bool,
    status: u8,
    source: StatusSource,
    started: String,
    duration_ms: u64,
    command: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    shards: &'a [Shard],
    counts: &'a Counts,
    findings: &'a [Finding],
    fixtures: &'a [FixtureUse],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rules: &'a [RuleUse],
    /// Names of fixtures. Requests and entries refer to them by number.
    names: Vec<&'a str>,
    requests: Vec<PageRequest<'a>>,
    more_requests: u64,
    entries: Vec<PageEntry<'a>>,
    #[serde(flatten)]
    tables: Tables,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageRequest<'a> {
    id: u64,
    at: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    waited: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took: Option<f64>,
    connection: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    protocol: &'a str,
    method: &'a str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    outcome: ResultKind,
    source: SourceKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<(usize, usize)>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    followed: &'a [usize],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rules: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fallback: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<EntryChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mime: Option<&'a str>,
    bytes: u64,
    #[serde(skip_serializing_if = "is_true")]
    complete: bool,
    /// `None` if the budget of the page is exhausted.
    asked: Option<Vec<usize>>,
    answered: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<usize>,
}

#[derive(Serialize)]
struct PageEntry<'a> {
    fixture: usize,
    entry: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    method: &'a str,
    url: &'a str,
    status: u16,
    asked: Option<Vec<usize>>,
    answered: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<usize>,
}

pub(super) fn json(report: &Report, headline: &str) -> String {
    let Report { verdict, status, source, started, command, requests: rows, more_requests, entries: views, shards } =
        report;
    let mut names: IndexSet<&str> = verdict.fixtures.iter().map(|fixture| fixture.fixture.as_str()).collect();
    let mut store = PageStore::default();
    // Failed requests and near entries are stored first, before the budget is exhausted.
    let failing = verdict.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let failed: HashSet<u64> = failing.flat_map(|finding| finding.requests.iter().copied()).collect();
    rows.iter()
        .filter(|row| failed.contains(&row.id))
        .for_each(|row| drop(PageRequest::of(row, &mut names, &mut store)));
    let near = verdict.findings.iter().flat_map(|finding| &finding.near).map(|near| &near.place);
    let near: HashSet<(&str, usize)> = near.map(|place| (place.fixture.as_str(), place.entry)).collect();
    for ((name, entry), view) in views.iter().filter(|((name, entry), _)| near.contains(&(name.as_str(), *entry))) {
        PageEntry::of(name, *entry, view, &mut names, &mut store);
    }
    let requests = rows.iter().map(|row| PageRequest::of(row, &mut names, &mut store)).collect();
    let entries = views.iter().map(|((name, entry), view)| PageEntry::of(name, *entry, view, &mut names, &mut store));
    let entries = entries.collect();
    let page = Page {
        harproxy: env!("CARGO_PKG_VERSION"),
        headline,
        mode: &verdict.mode,
        passed: verdict.passed(),
        status: *status,
        source: *source,
        started: started.format(&Rfc3339).unwrap_or_default(),
        duration_ms: verdict.duration_ms,
        command,
        shards,
        counts: &verdict.counts,
        findings: &verdict.findings,
        fixtures: &verdict.fixtures,
        rules: &verdict.rules,
        names: names.into_iter().collect(),
        requests,
        more_requests: *more_requests,
        entries,
        tables: store.tables(),
    };
    // Serialising plain data with string keys never fails.
    serde_json::to_string(&page).unwrap_or_default()
}

impl<'a> PageRequest<'a> {
    fn of(seen: &'a RequestRow, names: &mut IndexSet<&'a str>, store: &mut PageStore) -> Self {
        let fixture = seen.fixture.as_deref().map(|name| names.insert_full(name).0);
        PageRequest {
            id: seen.id,
            at: seen.started_ms,
            waited: seen.waited_ms,
            took: seen.took_ms,
            connection: seen.connection,
            session: seen.session.as_deref(),
            shard: seen.shard.as_deref(),
            protocol: &seen.protocol,
            method: &seen.method,
            url: &seen.url,
            status: seen.status,
            outcome: seen.outcome,
            source: seen.source,
            entry: fixture.zip(seen.entry),
            followed: &seen.followed,
            rules: &seen.rules,
            fallback: &seen.fallback,
            change: seen.change,
            mime: seen.mime_type.as_deref(),
            bytes: seen.bytes,
            complete: seen.complete,
            payload: store.payload(seen.payload.as_ref()),
            asked: store.fields(&seen.request_headers),
            answered: store.fields(&seen.response_headers),
        }
    }
}

impl<'a> PageEntry<'a> {
    fn of(
        name: &'a str,
        entry: usize,
        view: &'a EntryView,
        names: &mut IndexSet<&'a str>,
        store: &mut PageStore,
    ) -> Self {
        PageEntry {
            fixture: names.insert_full(name).0,
            entry,
            line: view.line,
            method: &view.method,
            url: &view.url,
            status: view.status,
            asked: store.fields(&view.request_headers),
            answered: store.fields(&view.response_headers),
            sent: store.payload(view.request_payload.as_ref()),
            received: store.payload(view.response_payload.as_ref()),
        }
    }
}

fn is_true(value: &bool) -> bool {
    *value
}

/// Size budget of header fields and payloads in the page, bytes.
const ROOM: usize = 25 << 20;
/// Maximum length of the shown start of a binary payload, bytes.
const DUMPED: usize = 1024;

/// Collects the fields and payloads of a page. Requests and entries refer to them by number.
#[derive(Debug)]
struct PageStore {
    room: usize,
    fields: IndexSet<(String, String)>,
    payloads: Vec<PagePayload>,
    known: HashMap<(String, Bytes, u64), usize>,
}

#[derive(Debug, Serialize)]
struct PagePayload {
    mime: String,
    size: u64,
    /// Number of bytes in the report. `text` and `bytes` are absent if they exceed the budget of the page.
    kept: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Base64 of an image or a binary multipart payload, or of the start of other binary data.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

#[derive(Debug, Serialize)]
struct Tables {
    fields: Vec<(String, String)>,
    payloads: Vec<PagePayload>,
}

impl Default for PageStore {
    fn default() -> Self {
        PageStore { room: ROOM, fields: IndexSet::new(), payloads: Vec::new(), known: HashMap::new() }
    }
}

impl PageStore {
    /// Returns the numbers of these fields; `None` if the budget is exhausted.
    fn fields(&mut self, headers: &Headers) -> Option<Vec<usize>> {
        let number = |header: &Header| {
            let field = (header.name.to_string(), to_chars(&header.value).into_owned());
            if let Some(known) = self.fields.get_index_of(&field) {
                return Some(known);
            }
            self.take(field.0.len() + cost(&field.1))?;
            Some(self.fields.insert_full(field).0)
        };
        headers.iter().map(number).collect()
    }

    /// Returns the number of this payload; `None` without a payload.
    fn payload(&mut self, excerpt: Option<&PayloadExcerpt>) -> Option<usize> {
        let PayloadExcerpt { mime_type, bytes, size } = excerpt.filter(|excerpt| excerpt.size > 0)?;
        let key = (mime_type.clone(), bytes.clone(), *size);
        if let Some(known) = self.known.get(&key) {
            return Some(*known);
        }
        let mut payload = PagePayload::of(mime_type, bytes, *size);
        let shown = payload.text.as_deref().map_or(0, cost) + payload.bytes.as_ref().map_or(0, String::len);
        if self.take(shown).is_none() {
            (payload.text, payload.bytes) = (None, None);
        }
        self.payloads.push(payload);
        let number = self.payloads.len() - 1;
        self.known.insert(key, number);
        Some(number)
    }

    fn take(&mut self, bytes: usize) -> Option<()> {
        self.room = self.room.checked_sub(bytes)?;
        Some(())
    }

    fn tables(self) -> Tables {
        Tables { fields: self.fields.into_iter().collect(), payloads: self.payloads }
    }
}

impl PagePayload {
    fn of(mime_type: &str, bytes: &Bytes, size: u64) -> Self {
        let is_whole = bytes.len() as u64 == size;
        let media = MediaType::parse(mime_type);
        let text = text(&media, bytes, is_whole);
        let is_image = is_whole && media.essence().starts_with("image/");
        let is_multipart = media.essence().starts_with("multipart/");
        let shown = match &text {
            _ if is_image => &bytes[..],
            Some(_) => &[],
            None if is_multipart => &bytes[..],
            None => &bytes[..bytes.len().min(DUMPED)],
        };
        let bytes_shown = (!shown.is_empty()).then(|| BASE64_STANDARD.encode(shown));
        PagePayload { mime: mime_type.to_owned(), size, kept: bytes.len(), text, bytes: bytes_shown }
    }
}

/// Decodes a textual payload. A truncated payload may end within a character.
fn text(media: &MediaType, bytes: &Bytes, is_whole: bool) -> Option<String> {
    let declared = media.charset().filter(|charset| *charset != UTF_8);
    if let Some(charset) = declared.filter(|_| media.is_text()) {
        return Some(charset.decode(bytes).0.into_owned());
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if !is_whole && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) if media.is_text() => return Some(String::from_utf8_lossy(bytes).into_owned()),
        Err(_) => return None,
    };
    // Binary data that happens to decode as text usually contains a NUL.
    (media.is_text() || !text.contains('\0')).then(|| text.to_owned())
}

/// Returns the size of a text in the page with its escapes, bytes.
fn cost(text: &str) -> usize {
    text.bytes()
        .map(|byte| match byte {
            b'<' | b'>' | b'&' => 6,
            b'"' | b'\\' | b'\n' | b'\t' | b'\r' => 2,
            0..0x20 => 6,
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(mime: &str, bytes: &[u8], size: u64) -> serde_json::Value {
        serde_json::to_value(PagePayload::of(mime, &Bytes::copy_from_slice(bytes), size)).unwrap()
    }

    #[test]
    fn text_is_decoded_in_any_charset_and_when_truncated() {
        assert_eq!(shown("text/plain; charset=latin1", b"caf\xe9", 4)["text"], "café");
        assert_eq!(shown("application/json", "{\"a\":\"é\"}".as_bytes(), 10)["text"], "{\"a\":\"é\"}");
        let cut = shown("application/json", &"{\"a\":\"é".as_bytes()[..7], 5000);
        assert_eq!((&cut["text"], &cut["kept"], &cut["size"]), (&"{\"a\":\"".into(), &7.into(), &5000.into()));
        assert_eq!(shown("", b"\xef\xbb\xbfplain", 8)["text"], "plain", "of no declared type, with a BOM");
    }

    #[test]
    fn binary_payload_is_cut_and_an_image_is_stored_whole_or_as_bytes() {
        let binary = shown("application/octet-stream", &[0; 5000], 5000);
        assert!(binary.get("text").is_none());
        assert_eq!(BASE64_STANDARD.decode(binary["bytes"].as_str().unwrap()).unwrap().len(), DUMPED);
        let image = shown("image/png", &[0x89; 5000], 5000);
        assert_eq!(BASE64_STANDARD.decode(image["bytes"].as_str().unwrap()).unwrap().len(), 5000);
        let svg = shown("image/svg+xml", b"<svg/>", 6);
        assert_eq!((&svg["text"], &svg["bytes"]), (&"<svg/>".into(), &BASE64_STANDARD.encode("<svg/>").into()));
    }

    #[test]
    fn binary_multipart_payload_is_stored_as_far_as_it_was_read() {
        let cut = shown("multipart/form-data; boundary=b", &[0; 5000], 9000);
        assert_eq!(BASE64_STANDARD.decode(cut["bytes"].as_str().unwrap()).unwrap().len(), 5000);
        let text = shown("multipart/form-data; boundary=b", b"--b\r\n\r\nplain\r\n--b--", 20);
        assert!(text["text"].as_str().unwrap().contains("plain") && text.get("bytes").is_none());
    }

    #[test]
    fn equal_values_are_stored_once() {
        let mut store = PageStore::default();
        let excerpt = PayloadExcerpt::of("text/plain", b"same");
        let longer = PayloadExcerpt { size: 5000, ..excerpt.clone() };
        let numbers = [Some(&excerpt), None, Some(&excerpt.clone()), Some(&longer)].map(|e| store.payload(e));
        assert_eq!(numbers, [Some(0), None, Some(0), Some(1)]);
        let mut headers = Headers::default();
        headers.push("a", "1");
        headers.push("a", "2");
        headers.push("a", "1");
        assert_eq!(store.fields(&headers), Some(vec![0, 1, 0]));
    }

    #[test]
    fn a_page_has_room_for_so_much_and_counts_escapes() {
        let mut store = PageStore { room: 100, ..PageStore::default() };
        assert_eq!(store.payload(Some(&PayloadExcerpt::of("text/html", &[b'<'; 16]))), Some(0));
        let none = store.payload(Some(&PayloadExcerpt::of("text/html", &[b'<'; 17]))).unwrap();
        let tables = serde_json::to_value(store.tables()).unwrap();
        assert_eq!(tables["payloads"][0]["text"], "<".repeat(16));
        assert!(tables["payloads"][none].get("text").is_none(), "there was no room for it");
        assert_eq!(tables["payloads"][none]["size"], 17);
    }
}
