//! Translates entries of other tools to the meaning that harproxy's own entries have.
//!
//! Nothing is invented: lost bodies are marked as not recorded, and guesses are noted for `check`.

use serde_json::Value;

use super::bodies::{self, StatedLength, inline, is_empty};
use super::charset::Conversion;
use super::{Dialect, charset, forms};
use crate::model::{Body, Entry, Request, Response, Storage};
use crate::store::payload;
use harproxy_http::coding::{self, Coding};
use harproxy_http::{Headers, MediaType};

/// A body that is still encoded is decoded up to this size, bytes. A larger one stays encoded.
const MAX_DECODED: u64 = 64 << 20;

/// Translates an entry. `notes` gets the guesses and losses.
pub(crate) fn translate(entry: &mut Entry, dialect: Dialect, notes: &mut Vec<String>) {
    if dialect != Dialect::Own {
        request(&mut entry.request, dialect, notes);
        response(&mut entry.response, dialect, notes);
        let bodiless =
            entry.request.method.eq_ignore_ascii_case("HEAD") || matches!(entry.response.status, 100..200 | 204 | 304);
        let content = &mut entry.response.content;
        if bodiless && is_empty(&content.stored) {
            // The recorded size is that of a body which was not sent.
            content.size = Some(0);
        } else {
            bodies::mark_lost_body(&mut entry.response);
        }
    }
    let size = entry.request.body_size.max(0);
    if let Some(body) = &mut entry.request.post_data {
        if is_empty(&body.stored) {
            // With a size, the payload was not recorded. Without one, there was no payload: tools write an empty one
            // even for GET.
            body.stored = Storage::Nowhere;
            body.size = body.size.or(Some(size));
        }
        if dialect != Dialect::Own && body.size == Some(0) {
            entry.request.post_data = None;
        }
    }
}

fn request(request: &mut Request, dialect: Dialect, notes: &mut Vec<String>) {
    if let Some(upper) = harproxy_http::standard_method(&request.method) {
        notes.push(format!("the method is written `{}`; requests with {upper} match, too", request.method));
    }
    let length = StatedLength::of_request(request, dialect);
    let Some(body) = &mut request.post_data else { return };
    if body.mime_type.is_empty() {
        request.headers.get_str("content-type").unwrap_or_default().clone_into(&mut body.mime_type);
    }
    if is_empty(&body.stored) {
        forms::from_params(body, notes);
    }
    let media = MediaType::parse(request.headers.get_str("content-type").unwrap_or(&body.mime_type));
    bodies::restore_escaped_bytes(body);
    bodies::restore_bytes(body, &media, request.headers.contains("content-encoding"), length);
    bodies::forget_damaged(body, &media, "request", notes);
    bodies::add_boundary(body, &request.headers);
    to_declared_charset(body, &media, "request", notes);
}

fn response(response: &mut Response, dialect: Dialect, notes: &mut Vec<String>) {
    // Chrome's SPDY and HTTP/2 recordings have the status line as a header.
    let status = response.status.to_string();
    response
        .headers
        .retain(|field| !(field.name.eq_ignore_ascii_case("status") && field.value.starts_with(status.as_bytes())));
    let length = StatedLength::of_response(response, dialect);
    let content = &mut response.content;
    let has_response = harproxy_http::is_received_status(response.status);
    if has_response && response.headers.is_empty() && !content.mime_type.is_empty() && content.mime_type != "x-unknown"
    {
        response.headers.push("content-type", content.mime_type.clone());
    }
    if has_response && response.status_text.is_empty() && !is_http2_or_later(&response.http_version) {
        let reason = u16::try_from(response.status).ok().and_then(|code| ::http::StatusCode::from_u16(code).ok());
        reason.and_then(|code| code.canonical_reason()).unwrap_or_default().clone_into(&mut response.status_text);
    }
    let media = MediaType::parse(response.headers.get_str("content-type").unwrap_or(&content.mime_type));
    let codings = coding::codings(response.headers.get_all("content-encoding")).unwrap_or_default();
    if dialect == Dialect::Polly {
        polly(content, &codings);
    }
    bodies::restore_escaped_bytes(content);
    unflagged_base64(content, &media, notes);
    bodies::restore_bytes(content, &media, false, length);
    bodies::forget_damaged(content, &media, "response", notes);
    still_encoded(content, &media, &codings, dialect);
    recover_utf8(content, &media, notes);
    to_declared_charset(content, &media, "response", notes);
    if dialect == Dialect::Playwright && matches!(content.stored, Storage::File(_)) {
        content.kept_as_utf8 = match media.charset() {
            None => is_read_as_windows_1252(&media).then_some(encoding_rs::UTF_8),
            declared => declared.filter(|charset| *charset != encoding_rs::UTF_8),
        };
    }
    check_truncation(content, &media, &response.headers, notes);
}

fn is_http2_or_later(version: &str) -> bool {
    let version = version.to_ascii_lowercase();
    ["h2", "h3", "http/2", "http/3"].iter().any(|newer| version.starts_with(newer))
}

/// Detects base64 of binary types without the `encoding` flag, by the magic bytes of the decoded text.
fn unflagged_base64(content: &mut Body, media: &MediaType, notes: &mut Vec<String>) {
    let binary = ["image/", "font/", "audio/", "video/", "application/octet-stream", "application/font"];
    let Storage::Text(text) = &mut content.stored else { return };
    if media.is_text() || !binary.iter().any(|kind| media.essence().starts_with(kind)) {
        return;
    }
    let plausible = payload::decode_base64(text).is_some_and(|bytes| has_binary_magic(&bytes));
    if plausible {
        notes.push(format!("the response body ({}) is base64 without being marked as such", media.essence()));
        content.stored = Storage::Base64(std::mem::take(text));
    }
}

/// Magic bytes of binary file types.
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

/// Removes the content codings of a base64 body that the tool left encoded, or marks it as encoded. Tools that decode
/// bodies leave those with several codings as they are.
fn still_encoded(content: &mut Body, media: &MediaType, codings: &[Coding], dialect: Dialect) {
    let (Some(last), Some(bytes)) = (codings.last(), coded_bytes(content)) else { return };
    let is_compressed_type =
        ["gzip", "zip", "zstd", "tar", "compressed"].iter().any(|kind| media.essence().contains(kind));
    let has_magic = match last {
        Coding::Gzip => bytes.starts_with(b"\x1f\x8b"),
        Coding::Zstd => bytes.starts_with(b"\x28\xb5\x2f\xfd"),
        _ => false,
    };
    let is_coded = if codings.len() > 1 {
        dialect == Dialect::Mitmproxy || coding::decode(codings, &bytes, MAX_DECODED).is_some()
    } else {
        has_magic && !is_compressed_type
    };
    if is_coded {
        decode(content, &bytes, codings);
    }
}

fn coded_bytes(content: &Body) -> Option<Vec<u8>> {
    let Storage::Base64(text) = &content.stored else { return None };
    payload::decode_base64(text).filter(|bytes| !bytes.is_empty())
}

/// Decodes the bodies of Polly.JS: compressed ones are JSON arrays of hex or base64 chunks, binary ones are hex.
fn polly(content: &mut Body, codings: &[Coding]) {
    let (Storage::Text(text) | Storage::Base64(text)) = &content.stored else { return };
    let binary = content.extras.get("_isBinary") == Some(&Value::Bool(true));
    if !codings.is_empty() {
        let Ok(chunks) = serde_json::from_str::<Vec<String>>(text) else { return };
        let bytes: Option<Vec<Vec<u8>>> =
            chunks.iter().map(|chunk| from_hex(chunk).or_else(|| payload::decode_base64(chunk))).collect();
        if let Some(bytes) = bytes {
            decode(content, &bytes.concat(), codings);
        }
    } else if binary
        && matches!(content.stored, Storage::Text(_))
        && let Some(bytes) = from_hex(text)
    {
        content.stored = inline(&bytes);
    }
}

/// Stores the decoded bytes, or the encoded ones if decoding fails.
fn decode(content: &mut Body, encoded: &[u8], codings: &[Coding]) {
    let decoded = coding::decode(codings, encoded, MAX_DECODED);
    content.encoded = decoded.is_none();
    content.stored = match decoded {
        Some(bytes) => inline(&bytes),
        None => Storage::Base64(payload::encode_base64(encoded)),
    };
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// True for text that Chromium's DevTools protocol decodes as windows-1252: without a charset in the headers or in
/// the text. Pages decode such text as UTF-8 instead if they fetch it or if it is an event stream.
fn is_read_as_windows_1252(media: &MediaType) -> bool {
    let declares_charset = ["html", "xml", "css", "javascript", "ecmascript"];
    media.charset().is_none()
        && media.essence().starts_with("text/")
        && !media.is_json()
        && !declares_charset.iter().any(|kind| media.essence().ends_with(kind))
}

/// Recovers UTF-8 that was decoded as windows-1252.
fn recover_utf8(content: &mut Body, media: &MediaType, notes: &mut Vec<String>) {
    let Storage::Text(text) = &content.stored else { return };
    if is_read_as_windows_1252(media)
        && let Some(bytes) = charset::recover_utf8(text)
    {
        notes.push("the response body is UTF-8 that was read as windows-1252; sent as UTF-8".to_owned());
        content.stored = inline(&bytes);
    }
}

/// Encodes text in its declared charset, if the conversion is lossless.
fn to_declared_charset(body: &mut Body, media: &MediaType, side: &str, notes: &mut Vec<String>) {
    let Storage::Text(text) = &body.stored else { return };
    if text.contains('\u{fffd}') {
        notes.push(format!("the {side} body has U+FFFD: some of its bytes were lost when it was recorded"));
        return;
    }
    let Some(charset) = media.charset().filter(|charset| *charset != encoding_rs::UTF_8) else { return };
    match charset::encode(text, charset) {
        Conversion::Same => {}
        Conversion::Bytes(bytes) => body.stored = inline(&bytes),
        Conversion::Lossy => {
            notes.push(format!("the {side} body declares {} but has other characters; sent as UTF-8", charset.name()));
        }
    }
}

/// Detects text that the tool truncated, by its size. Truncated JSON counts as not recorded.
fn check_truncation(content: &mut Body, media: &MediaType, headers: &Headers, notes: &mut Vec<String>) {
    let (Storage::Text(text), Some(size)) = (&content.stored, content.size) else { return };
    let len = i64::try_from(text.len()).unwrap_or(i64::MAX);
    // Some tools record the encoded size, which is unrelated to the length of the text.
    if text.is_empty() || len >= size / 2 || headers.contains("content-encoding") {
        return;
    }
    if media.is_json() && !harproxy_json::is_valid(text.as_bytes()) {
        notes.push(format!(
            "the response body was cut at {len} of {size} bytes, so it is not valid JSON; treated as not recorded"
        ));
        content.stored = Storage::Nowhere;
    } else {
        notes.push(format!("the response body was probably cut at {len} of {size} bytes"));
    }
}
