//! Decides for each payload of another tool which bytes its text stands for, and whether the tool kept it at all.

use super::{Dialect, charset};
use crate::model::{Body, Request, Response, Storage};
use crate::store::payload;
use harproxy_http::{Headers, MediaType};
use serde_json::Value;

/// A response of this size on the wire may have an empty body: a chunk or HTTP/2 frame header takes up to 9 bytes, and
/// an empty gzip stream in a chunk 31.
const MAX_FRAMING: i64 = 9;
const MAX_ENCODED_FRAMING: i64 = 31;
/// The size of an empty body in chunks; a chunk with data takes more (RFC 9112 section 7.1).
const LAST_CHUNK: i64 = 5;

/// The lengths that a message states for its payload.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StatedLength {
    /// The number of bytes, from a source that counts bytes.
    exact: Option<usize>,
    /// The number of bytes, or of characters: some tools count these.
    counted: Option<usize>,
}

impl StatedLength {
    pub(super) fn of_request(request: &Request, dialect: Dialect) -> Self {
        let body_size = usize::try_from(request.body_size).ok().filter(|size| *size > 0);
        match dialect {
            Dialect::Mitmproxy => StatedLength { exact: body_size, counted: None },
            _ => StatedLength { exact: content_length(&request.headers), counted: body_size },
        }
    }

    pub(super) fn of_response(response: &Response, dialect: Dialect) -> Self {
        let content = &response.content;
        let size = content.size.unwrap_or(-1);
        let bytes = |size| usize::try_from(size).ok();
        match dialect {
            // mitmproxy writes the encoded size.
            Dialect::Mitmproxy => {
                let compression = content.extras.get("compression").and_then(Value::as_i64).unwrap_or_default();
                StatedLength { exact: bytes(size.saturating_add(compression)), counted: None }
            }
            _ if response.headers.contains("content-encoding") => StatedLength { exact: None, counted: bytes(size) },
            _ => StatedLength { exact: content_length(&response.headers), counted: bytes(size) },
        }
    }
}

fn content_length(headers: &Headers) -> Option<usize> {
    headers.get_str("content-length")?.trim().parse().ok()
}

/// Replaces a text that has one character for each byte by these bytes. `is_coded` tells whether the payload has a
/// content coding. A declared charset is honoured instead, except in binary payloads.
pub(super) fn restore_bytes(body: &mut Body, media: &MediaType, is_coded: bool, length: StatedLength) {
    let Storage::Text(text) = &body.stored else { return };
    let is_text = media.is_text() && !is_coded;
    if is_text && media.charset().is_some() {
        return;
    }
    if !text.is_ascii()
        && let Some(bytes) = charset::latin1(text)
        && stands_for_bytes(text, &bytes, media, is_text, length)
    {
        body.stored = inline(&bytes);
    }
}

/// True if each character of `text` is a byte, false if the text is the payload in UTF-8.
fn stands_for_bytes(text: &str, bytes: &[u8], media: &MediaType, is_text: bool, length: StatedLength) -> bool {
    if let Some(exact) = length.exact.filter(|exact| [text.len(), bytes.len()].contains(exact)) {
        return exact == bytes.len();
    }
    if length.counted == Some(text.len()) {
        return false;
    }
    let is_counted = length.counted == Some(bytes.len());
    if is_text {
        // UTF-8 that was read byte by byte. Any other text may be counted in characters.
        return is_counted && std::str::from_utf8(bytes).is_ok();
    }
    // Form fields are text; files have control characters.
    let has_control = text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n'));
    has_control || (is_counted && !media.is_multipart() && !media.essence().is_empty())
}

/// Stores the bytes of a text from Python, which writes undecodable bytes as lone surrogates.
pub(super) fn restore_escaped_bytes(body: &mut Body) {
    if let Storage::Text(text) = &body.stored
        && let Some(bytes) = charset::escaped_bytes(text)
    {
        body.stored = inline(&bytes);
    }
}

/// Forgets a body whose bytes the tool lost: base64 that is invalid, and replacement characters in a binary type.
pub(super) fn forget_damaged(body: &mut Body, media: &MediaType, side: &str, notes: &mut Vec<String>) {
    let damage = match &body.stored {
        Storage::Base64(text) if payload::decode_base64(text).is_none() => {
            "is marked as base64 but is not valid base64"
        }
        Storage::Text(text) if text.contains('\u{fffd}') && is_binary(media) => {
            "has U+FFFD in the place of its binary bytes"
        }
        _ => return,
    };
    notes.push(format!("the {side} body {damage}; treated as not recorded"));
    forget(body);
}

fn is_binary(media: &MediaType) -> bool {
    !media.is_text() && !media.essence().is_empty()
}

/// Marks a body as not recorded.
pub(super) fn forget(body: &mut Body) {
    body.stored = Storage::Nowhere;
    body.size = Some(body.size.unwrap_or_default().max(1));
}

/// Marks an empty body of a response as not recorded, if the sizes or headers tell that the origin sent one. Not for
/// responses without content, such as 204.
pub(super) fn mark_lost_body(response: &mut Response) {
    let content = &response.content;
    if !is_empty(&content.stored) || !(100..1000).contains(&response.status) {
        return;
    }
    let is_coded = response.headers.contains("content-encoding");
    let framing = match content.size {
        Some(0) if is_coded => MAX_ENCODED_FRAMING,
        Some(0) => MAX_FRAMING,
        _ if response.headers.contains("transfer-encoding") => LAST_CHUNK,
        _ => 0,
    };
    let sent = match content_length(&response.headers) {
        Some(0) => 0,
        Some(length) if is_coded && response.content.size == Some(0) && length <= 20 => 0,
        Some(length) => i64::try_from(length).unwrap_or(i64::MAX),
        None if response.body_size > framing => response.body_size,
        // The tool knows no size. A coding means content; chunks do not, because servers also send an empty body so.
        None if content.size.is_none_or(|size| size < 0) && response.body_size < 0 && is_coded => 1,
        None => 0,
    };
    if content.size.unwrap_or_default() <= 0 && sent > 0 {
        response.content.size = Some(sent);
    }
}

/// Adds the boundary to the media type of a multipart payload that states it nowhere else than in its first line.
pub(super) fn add_boundary(body: &mut Body, headers: &Headers) {
    let has_boundary = |media: &str| MediaType::parse(media).parameter("boundary").is_some_and(|b| !b.is_empty());
    let declared = headers.get_str("content-type").unwrap_or_default();
    let media = MediaType::parse(if body.mime_type.is_empty() { declared } else { &body.mime_type });
    if !media.is_multipart() || has_boundary(&body.mime_type) || has_boundary(declared) {
        return;
    }
    let Storage::Text(text) = &body.stored else { return };
    let first = text.lines().next().unwrap_or_default().trim_end();
    let is_boundary = |name: &&str| (1..=70).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    if let Some(boundary) = first.strip_prefix("--").filter(is_boundary) {
        body.mime_type = format!("{}; boundary=\"{boundary}\"", media.essence());
    }
}

pub(super) fn is_empty(stored: &Storage) -> bool {
    match stored {
        Storage::Nowhere => true,
        Storage::Text(text) | Storage::Base64(text) => text.is_empty(),
        Storage::File(_) => false,
    }
}

/// The storage of bytes in the HAR itself.
pub(super) fn inline(bytes: &[u8]) -> Storage {
    match std::str::from_utf8(bytes) {
        Ok(text) => Storage::Text(text.to_owned()),
        Err(_) => Storage::Base64(payload::encode_base64(bytes)),
    }
}
