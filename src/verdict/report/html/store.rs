//! Header fields and payloads that requests and entries share. Each is stored once, within the page's size budget.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use encoding_rs::UTF_8;
use indexmap::IndexSet;
use serde::Serialize;

use crate::verdict::PayloadExcerpt;
use harproxy_http::headers::to_chars;
use harproxy_http::{Header, Headers, MediaType};

/// Size budget of header fields and payloads in the page, bytes.
const ROOM: usize = 25 << 20;
/// Maximum length of the shown start of a binary payload, bytes.
const DUMPED: usize = 1024;

/// Collects the fields and payloads of a page. Requests and entries refer to them by number.
#[derive(Debug)]
pub(super) struct PageStore {
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
    /// Base64 of an image, or of the start of other binary data.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Tables {
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
    pub(super) fn fields(&mut self, headers: &Headers) -> Option<Vec<usize>> {
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
    pub(super) fn payload(&mut self, excerpt: Option<&PayloadExcerpt>) -> Option<usize> {
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

    pub(super) fn tables(self) -> Tables {
        Tables { fields: self.fields.into_iter().collect(), payloads: self.payloads }
    }
}

impl PagePayload {
    fn of(mime_type: &str, bytes: &Bytes, size: u64) -> Self {
        let is_whole = bytes.len() as u64 == size;
        let media = MediaType::parse(mime_type);
        let text = text(&media, bytes, is_whole);
        let is_image = is_whole && media.essence().starts_with("image/");
        let shown = match &text {
            _ if is_image => &bytes[..],
            Some(_) => &[],
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
