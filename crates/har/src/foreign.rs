//! The habits of other tools, undone: after this an entry means what harproxy's own would.
//!
//! Nothing is invented. Where a body was lost the entry says so, and what had to be guessed is noted for `check`.

use std::io::Read;

use serde_json::Value;

use super::charset::Encoded;
use super::model::{Body, Entry, Request, Response, Stored};
use super::parse::Dialect;
use super::{charset, forms, payload};
use harproxy_http::coding::{self, Coding};
use harproxy_http::{Headers, MediaType};

/// What a still-encoded body may decode to, bytes; a larger one stays as it is.
const MAX_DECODED: u64 = 64 << 20;

/// Translates an entry; `notes` says what had to be guessed or was lost.
pub(super) fn translate(entry: &mut Entry, dialect: Dialect, notes: &mut Vec<String>) {
    if dialect != Dialect::Own {
        request(&mut entry.request, dialect, notes);
        response(&mut entry.response, dialect, notes);
        let bodiless = entry.request.method == "HEAD" || matches!(entry.response.status, 100..200 | 204 | 304);
        let content = &mut entry.response.content;
        if bodiless && is_empty(&content.stored) {
            // A size noted here is that of a body which was never sent.
            content.size = Some(0);
        }
    }
    let size = entry.request.body_size.max(0);
    if let Some(body) = &mut entry.request.post_data {
        if is_empty(&body.stored) {
            // Dropped if it had a size; otherwise there was none, though tools write an empty one even for GET.
            body.stored = Stored::Nowhere;
            body.size = body.size.or(Some(size));
        }
        if dialect != Dialect::Own && body.size == Some(0) {
            entry.request.post_data = None;
        }
    }
}

fn request(request: &mut Request, dialect: Dialect, notes: &mut Vec<String>) {
    let sent = request.body_size;
    let Some(body) = &mut request.post_data else { return };
    if body.mime_type.is_empty() {
        request.headers.get_str("content-type").unwrap_or_default().clone_into(&mut body.mime_type);
    }
    if is_empty(&body.stored) {
        forms::from_params(body, notes);
    }
    let media = MediaType::parse(request.headers.get_str("content-type").unwrap_or(&body.mime_type));
    check_base64(body, "request", notes);
    if dialect == Dialect::Mitmproxy {
        read_as_latin1(body, &media, sent);
    }
    to_declared_charset(body, &media, "request", notes);
}

fn response(response: &mut Response, dialect: Dialect, notes: &mut Vec<String>) {
    // Chrome's SPDY and HTTP/2 recordings carry the status line as a field.
    let status = response.status.to_string();
    response
        .headers
        .retain(|field| !(field.name.eq_ignore_ascii_case("status") && field.value.starts_with(status.as_bytes())));
    let content = &mut response.content;
    let answered = (100..600).contains(&response.status);
    if answered && response.headers.is_empty() && !content.mime_type.is_empty() && content.mime_type != "x-unknown" {
        response.headers.push("content-type", content.mime_type.clone());
    }
    if answered && response.status_text.is_empty() && !is_http2_or_later(&response.http_version) {
        let reason = u16::try_from(response.status).ok().and_then(|code| ::http::StatusCode::from_u16(code).ok());
        reason.and_then(|code| code.canonical_reason()).unwrap_or_default().clone_into(&mut response.status_text);
    }
    let media = MediaType::parse(response.headers.get_str("content-type").unwrap_or(&content.mime_type));
    let codings = coding::codings(response.headers.get_all("content-encoding")).unwrap_or_default();
    if dialect == Dialect::Polly {
        polly(content, &codings);
    }
    check_base64(content, "response", notes);
    unflagged_base64(content, &media, notes);
    still_encoded(content, &media, &codings);
    if dialect == Dialect::Mitmproxy {
        let compression = content.extras.get("compression").and_then(Value::as_i64).unwrap_or_default();
        let decoded = content.size.unwrap_or(-1).saturating_add(compression);
        read_as_latin1(content, &media, decoded);
    }
    misread(content, &media, notes);
    to_declared_charset(content, &media, "response", notes);
    if dialect == Dialect::Playwright && matches!(content.stored, Stored::File(_)) {
        content.kept_as_utf8 = match media.charset() {
            None => is_read_blindly(&media).then_some(encoding_rs::UTF_8),
            declared => declared.filter(|charset| *charset != encoding_rs::UTF_8),
        };
    }
    cut_short(content, &media, &response.headers, notes);
}

fn is_http2_or_later(version: &str) -> bool {
    let version = version.to_ascii_lowercase();
    ["h2", "h3", "http/2", "http/3"].iter().any(|newer| version.starts_with(newer))
}

fn is_empty(stored: &Stored) -> bool {
    match stored {
        Stored::Nowhere => true,
        Stored::Text(text) | Stored::Base64(text) => text.is_empty(),
        Stored::File(_) => false,
    }
}

/// Bytes inside an entry.
fn inline(bytes: &[u8]) -> Stored {
    match std::str::from_utf8(bytes) {
        Ok(text) => Stored::Text(text.to_owned()),
        Err(_) => Stored::Base64(payload::to_base64(bytes)),
    }
}

/// What says it is base64 and is not, is text.
fn check_base64(body: &mut Body, side: &str, notes: &mut Vec<String>) {
    let Stored::Base64(text) = &mut body.stored else { return };
    if payload::base64(text).is_none() {
        notes.push(format!("the {side} body says it is base64 and is not; taken as text"));
        body.stored = Stored::Text(std::mem::take(text));
    }
}

/// Images and their like whose text is base64 though nothing says so: only when the bytes begin as such files do.
fn unflagged_base64(content: &mut Body, media: &MediaType, notes: &mut Vec<String>) {
    let binary = ["image/", "font/", "audio/", "video/", "application/octet-stream", "application/font"];
    let Stored::Text(text) = &mut content.stored else { return };
    if media.is_text() || !binary.iter().any(|kind| media.essence().starts_with(kind)) {
        return;
    }
    let plausible = payload::base64(text).is_some_and(|bytes| has_binary_magic(&bytes));
    if plausible {
        notes.push(format!("the response body ({}) is base64 though nothing says so", media.essence()));
        content.stored = Stored::Base64(std::mem::take(text));
    }
}

/// How files of binary types begin.
const MAGIC: [&[u8]; 18] = [
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"RIFF",
    b"\0\0\x01\0",
    b"wOFF",
    b"wOF2",
    b"\0\x01\0\0",
    b"OTTO",
    b"ID3",
    b"\xff\xfb",
    b"OggS",
    b"\x1a\x45\xdf\xa3",
    b"fLaC",
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"%PDF",
    b"\0asm",
];

fn has_binary_magic(bytes: &[u8]) -> bool {
    MAGIC.iter().any(|magic| bytes.starts_with(magic)) || bytes.get(4..8) == Some(b"ftyp")
}

/// A body kept in base64 of which Content-Encoding was never removed: it is removed now, or said to be still on.
fn still_encoded(content: &mut Body, media: &MediaType, codings: &[Coding]) {
    let Stored::Base64(text) = &content.stored else { return };
    let magic: &[u8] = match codings.last() {
        Some(Coding::Gzip) => b"\x1f\x8b",
        Some(Coding::Zstd) => b"\x28\xb5\x2f\xfd",
        _ => return,
    };
    let itself = ["gzip", "zip", "zstd", "tar", "compressed"].iter().any(|kind| media.essence().contains(kind));
    let Some(bytes) = payload::base64(text).filter(|bytes| !itself && bytes.starts_with(magic)) else { return };
    decode(content, &bytes, codings);
}

/// Polly.JS keeps compressed bodies as a JSON list of hex or base64 chunks, and binary ones as hex.
fn polly(content: &mut Body, codings: &[Coding]) {
    let (Stored::Text(text) | Stored::Base64(text)) = &content.stored else { return };
    let binary = content.extras.get("_isBinary") == Some(&Value::Bool(true));
    if !codings.is_empty() {
        let Ok(chunks) = serde_json::from_str::<Vec<String>>(text) else { return };
        let bytes: Option<Vec<Vec<u8>>> =
            chunks.iter().map(|chunk| from_hex(chunk).or_else(|| payload::base64(chunk))).collect();
        if let Some(bytes) = bytes {
            decode(content, &bytes.concat(), codings);
        }
    } else if binary
        && matches!(content.stored, Stored::Text(_))
        && let Some(bytes) = from_hex(text)
    {
        content.stored = inline(&bytes);
    }
}

/// Puts the decoded bytes in, or the encoded ones when they do not decode.
fn decode(content: &mut Body, encoded: &[u8], codings: &[Coding]) {
    let mut bytes = Vec::new();
    let decoder = coding::decoder(codings, Box::new(encoded));
    let whole = decoder.take(MAX_DECODED + 1).read_to_end(&mut bytes).is_ok() && bytes.len() as u64 <= MAX_DECODED;
    content.encoded = !whole;
    content.stored = if whole { inline(&bytes) } else { Stored::Base64(payload::to_base64(encoded)) };
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// Whether Chromium, and who asks it for a body, reads a payload of this type as windows-1252 whatever it is: text that says
/// nothing of its charset, neither here nor inside. (The page itself reads an event stream as UTF-8, as the HTML Standard has
/// it, and what it fetches as text too.)
fn is_read_blindly(media: &MediaType) -> bool {
    let says_inside = ["html", "xml", "css", "javascript", "ecmascript"];
    media.charset().is_none()
        && media.essence().starts_with("text/")
        && !media.is_json()
        && !says_inside.iter().any(|kind| media.essence().ends_with(kind))
}

/// UTF-8 that was read so, by its looks.
fn misread(content: &mut Body, media: &MediaType, notes: &mut Vec<String>) {
    let Stored::Text(text) = &content.stored else { return };
    if is_read_blindly(media)
        && let Some(bytes) = charset::misread(text)
    {
        notes.push("the response body is UTF-8 that was read as windows-1252; sent as UTF-8".to_owned());
        content.stored = inline(&bytes);
    }
}

/// mitmproxy reads text that declares no charset as latin-1. The size it notes, of the decoded bytes, tells.
fn read_as_latin1(body: &mut Body, media: &MediaType, decoded: i64) {
    let Stored::Text(text) = &body.stored else { return };
    if media.charset().is_none()
        && !text.is_ascii()
        && let Some(bytes) = charset::latin1(text).filter(|bytes| i64::try_from(bytes.len()) == Ok(decoded))
    {
        body.stored = inline(&bytes);
    }
}

/// Text of a declared charset goes back to the bytes of that charset, when none of it is lost.
fn to_declared_charset(body: &mut Body, media: &MediaType, side: &str, notes: &mut Vec<String>) {
    let Stored::Text(text) = &body.stored else { return };
    if text.contains('\u{fffd}') {
        notes.push(format!("the {side} body holds U+FFFD: bytes of it were lost when it was recorded"));
        return;
    }
    let Some(charset) = media.charset().filter(|charset| *charset != encoding_rs::UTF_8) else { return };
    match charset::encoded(text, charset) {
        Encoded::Same => {}
        Encoded::Bytes(bytes) => body.stored = inline(&bytes),
        Encoded::Lossy => {
            notes
                .push(format!("the {side} body declares {} and holds other characters; sent as UTF-8", charset.name()));
        }
    }
}

/// A text far shorter than its size was cut by the tool; JSON that no longer parses for that is as good as not kept.
fn cut_short(content: &mut Body, media: &MediaType, headers: &Headers, notes: &mut Vec<String>) {
    let (Stored::Text(text), Some(size)) = (&content.stored, content.size) else { return };
    let len = i64::try_from(text.len()).unwrap_or(i64::MAX);
    // Some tools note the encoded size, which may be anything.
    if text.is_empty() || len >= size / 2 || headers.contains("content-encoding") {
        return;
    }
    if media.is_json() && !harproxy_json::is_valid(text.as_bytes()) {
        notes.push(format!(
            "the response body was cut at {len} of {size} bytes and is no JSON any more; taken as not kept"
        ));
        content.stored = Stored::Nowhere;
    } else {
        notes.push(format!("the response body was probably cut at {len} of {size} bytes"));
    }
}
