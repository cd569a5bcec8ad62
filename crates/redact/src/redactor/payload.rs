//! Redaction of payloads by their media type, multipart payloads (RFC 7578) included.

use std::borrow::Cow;
use std::sync::LazyLock;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use memchr::memmem;
use regex::bytes::{Captures, Regex};

use super::Redactor;
use super::json::is_document;
use super::url::{is_form, split_at_first};
use crate::find::{SecretMatch, compile_regex};
use crate::names::NameLocation;
use crate::splice::{Splice, apply_splices, of_part};
use harproxy_http::{MediaType, multipart};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadRedaction {
    Clean,
    Redacted(Vec<u8>),
    /// The format is unknown, such as that of an image, so that the payload can't be searched.
    Opaque,
}

#[rustfmt::skip]
const LINES: [&str; 6] = [
    "text/event-stream", "application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines",
    "application/json-seq",
];

const MESSAGES: [&str; 2] = ["application/http", "message/http"];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PayloadFormat {
    Json,
    Form,
    Multipart,
    /// An HTTP message, as in the parts of a batch (RFC 9112 section 10).
    Message,
    /// Events, or lines of JSON.
    Lines,
    /// Other text. Some servers send JSON as `text/plain`.
    Text,
    /// No type is declared.
    #[default]
    Undeclared,
    Opaque,
}

impl PayloadFormat {
    pub(super) fn of(media: &MediaType) -> Self {
        let essence = media.essence();
        // For example `application/x-amz-json-1.1`.
        let is_json = media.is_json() || essence.contains("json") && !media.is_text();
        match () {
            () if LINES.contains(&essence) => PayloadFormat::Lines,
            () if MESSAGES.contains(&essence) => PayloadFormat::Message,
            () if essence.is_empty() => PayloadFormat::Undeclared,
            () if essence.starts_with("application/grpc") => PayloadFormat::Opaque,
            () if is_json => PayloadFormat::Json,
            () if media.is_form() => PayloadFormat::Form,
            () if media.is_multipart() => PayloadFormat::Multipart,
            () if media.is_text() => PayloadFormat::Text,
            () => PayloadFormat::Opaque,
        }
    }
}

/// The depth up to which the parts of multipart payloads may be multipart themselves.
const MAX_PART_DEPTH: u8 = 4;

impl Redactor<'_> {
    /// Redacts a decoded payload. `content_type` is empty if it is not declared.
    ///
    /// UTF-16 is converted and written back. In other charsets than UTF-8, only ASCII is searched.
    pub fn redact_payload(&mut self, content_type: &str, payload: &[u8]) -> PayloadRedaction {
        if self.policy.is_off() || payload.is_empty() {
            return PayloadRedaction::Clean;
        }
        let media = MediaType::parse(content_type);
        let utf16 = Utf16::detect(&media, payload).filter(|_| PayloadFormat::of(&media) != PayloadFormat::Opaque);
        let decoded = utf16.map(|utf16| utf16.decode(payload));
        let text = match &decoded {
            None => payload,
            Some(Some(decoded)) => decoded.as_bytes(),
            Some(None) => return PayloadRedaction::Opaque,
        };
        let Some(splices) = self.media_splices(&media, text, 0) else { return PayloadRedaction::Opaque };
        match (apply_splices(text, &splices), utf16) {
            (None, _) => PayloadRedaction::Clean,
            (Some(redacted), None) => PayloadRedaction::Redacted(redacted),
            (Some(redacted), Some(utf16)) => {
                PayloadRedaction::Redacted(utf16.encode(&String::from_utf8_lossy(&redacted)))
            }
        }
    }

    /// Finds the secrets in a payload that is text. `None` if its format is unknown.
    pub(super) fn payload_splices(&mut self, content_type: &str, text: &[u8]) -> Option<Vec<Splice>> {
        let media = MediaType::parse(content_type);
        if Utf16::detect(&media, text).is_none() {
            return self.media_splices(&media, text, 0);
        }
        match self.redact_payload(content_type, text) {
            PayloadRedaction::Clean => Some(Vec::new()),
            PayloadRedaction::Redacted(redacted) => {
                Some(vec![Splice { range: 0..text.len(), with: String::from_utf8(redacted).ok()? }])
            }
            PayloadRedaction::Opaque => None,
        }
    }

    /// Finds the secrets in a payload of a media type. `None` if the format is unknown.
    pub(super) fn media_splices(&mut self, media: &MediaType, payload: &[u8], depth: u8) -> Option<Vec<Splice>> {
        match PayloadFormat::of(media) {
            PayloadFormat::Lines => Some(self.lines_splices(payload)),
            PayloadFormat::Json => Some(self.json_splices(payload, 0)),
            PayloadFormat::Form if media.is_form_of(payload) => Some(self.form_splices(payload)),
            PayloadFormat::Form => Some(self.json_splices(payload, 0)),
            PayloadFormat::Multipart => self.parts_splices(media, payload, depth),
            PayloadFormat::Message => Some(self.message_splices(payload, depth)),
            PayloadFormat::Undeclared if !is_text(payload) => None,
            PayloadFormat::Text | PayloadFormat::Undeclared if is_form(payload) => Some(self.form_splices(payload)),
            PayloadFormat::Text | PayloadFormat::Undeclared => Some(self.text_or_json_splices(payload)),
            PayloadFormat::Opaque => None,
        }
    }

    fn text_or_json_splices(&mut self, text: &[u8]) -> Vec<Splice> {
        if is_document(text) { self.json_splices(text, 0) } else { self.text_splices(text, false) }
    }

    /// Finds the secrets in an HTTP message: in the URL, the header fields, and the payload by its type.
    fn message_splices(&mut self, message: &[u8], depth: u8) -> Vec<Splice> {
        let (mut splices, mut content_type, mut at) = (Vec::new(), String::new(), 0);
        for line in message.split_inclusive(|byte| *byte == b'\n') {
            let field = line.trim_ascii_end();
            let is_first = at == 0;
            at += line.len();
            if field.is_empty() && !is_first {
                break;
            }
            let separator = if is_first { b' ' } else { b':' };
            let (name, rest) = split_at_first(field, separator);
            let Some(rest) = rest.map(<[u8]>::trim_ascii_start) else { continue };
            if is_first {
                let url = split_at_first(rest, b' ').0;
                splices.extend(of_part(message, url, self.url_splices(url, 0)));
                continue;
            }
            let name = String::from_utf8_lossy(name);
            if name.eq_ignore_ascii_case("content-type") {
                content_type = String::from_utf8_lossy(rest).into_owned();
            }
            splices.extend(of_part(message, rest, self.header_splices(&name, rest)));
        }
        let payload = &message[at..];
        let media = MediaType::parse(&content_type);
        let found = (depth < MAX_PART_DEPTH).then(|| self.media_splices(&media, payload, depth + 1)).flatten();
        splices.extend(of_part(message, payload, found.unwrap_or_default()));
        splices
    }

    fn parts_splices(&mut self, media: &MediaType, payload: &[u8], depth: u8) -> Option<Vec<Splice>> {
        let boundary = media.parameter("boundary").filter(|_| depth < MAX_PART_DEPTH);
        let splices = boundary.and_then(|boundary| self.multipart_splices(payload, boundary, depth));
        splices.or_else(|| is_text(payload).then(|| self.text_splices(payload, false)))
    }
}

/// Returns true if payloads with this `Content-Type` can't be searched.
#[must_use]
pub fn is_opaque(content_type: &str) -> bool {
    PayloadFormat::of(&MediaType::parse(content_type)) == PayloadFormat::Opaque
}

/// Returns true if payloads with this `Content-Type` are redacted line by line.
#[must_use]
pub fn is_lines(content_type: &str) -> bool {
    PayloadFormat::of(&MediaType::parse(content_type)) == PayloadFormat::Lines
}

/// Returns true if bytes without a declared type are text: UTF-8 without control characters. The last character may be
/// cut off.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let is_cut_off = |error: std::str::Utf8Error| error.error_len().is_none();
    let is_control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x1e);
    std::str::from_utf8(bytes).err().is_none_or(is_cut_off) && !bytes.iter().any(is_control)
}

/// The head of a form field, found without the boundary.
static FIELD: LazyLock<Regex> =
    LazyLock::new(|| compile_regex(r"(?i:content-disposition):([^\r\n]{1,512})\r?\n(?:[^\r\n]{1,512}\r?\n){0,4}\r?\n"));

impl Redactor<'_> {
    /// Finds the secrets in the parts of a payload. `None` if it has no parts with this boundary.
    pub(super) fn multipart_splices(&mut self, payload: &[u8], boundary: &str, depth: u8) -> Option<Vec<Splice>> {
        // A payload that was cut off has no closing boundary.
        let closed;
        let (text, parts) = match multipart::parts(payload, boundary) {
            Some(parts) => (payload, parts),
            None => {
                closed = [payload, b"\r\n--", boundary.as_bytes(), b"--"].concat();
                (&closed[..], multipart::parts(&closed, boundary)?)
            }
        };
        let mut splices = Vec::new();
        for part in parts {
            splices.extend(of_part(text, part.headers, self.text_splices(part.headers, false)));
            splices.extend(of_part(text, part.body, self.part_splices(&part, depth)));
        }
        splices.retain(|splice| splice.range.end <= payload.len());
        Some(splices)
    }

    fn part_splices(&mut self, part: &multipart::BodyPart<'_>, depth: u8) -> Vec<Splice> {
        // A field without a type is text (RFC 7578 section 4.4). A file is not necessarily.
        let is_file = part.header("content-disposition").is_some_and(|value| has_file_name(&MediaType::parse(value)));
        let media = MediaType::parse(part.header("content-type").unwrap_or(if is_file { "" } else { "text/plain" }));
        if !is_file
            && media.essence() == "text/plain"
            && let Some(name) = part.name().and_then(|name| self.secret_name(NameLocation::Form, name.as_bytes()))
            && name.applies_to(part.body)
        {
            return self.value_splice(part.body, 0, &name.placeholder);
        }
        self.media_splices(&media, part.body, depth + 1).unwrap_or_default()
    }

    /// Finds form fields and JSON members with a secret name in a window of a multipart payload.
    pub(super) fn find_fields(&self, text: &[u8]) -> Vec<SecretMatch> {
        let field = |found: Captures<'_>| {
            let (head, disposition) = (found.get(0)?, found.get(1)?);
            let disposition = MediaType::parse(std::str::from_utf8(disposition.as_bytes()).ok()?);
            let name = disposition.parameter("name").filter(|_| !has_file_name(&disposition))?;
            let name = self.secret_name(NameLocation::Form, name.as_bytes())?;
            let len = memmem::find(&text[head.end()..], b"\n--").unwrap_or(text.len() - head.end());
            let value = text[head.end()..head.end() + len].trim_ascii_end();
            let range = head.end()..head.end() + value.len();
            let (from, is_secret) = (head.start(), !range.is_empty() && name.applies_to(value));
            let name = name.placeholder.as_str().to_owned();
            is_secret.then(|| SecretMatch { from, ..SecretMatch::text(range, name) })
        };
        FIELD.captures_iter(text).filter_map(field).chain(self.find_members(text)).collect()
    }
}

fn has_file_name(disposition: &MediaType) -> bool {
    ["filename", "filename*"].iter().any(|name| disposition.parameter(name).is_some())
}

#[derive(Clone, Copy, Debug)]
struct Utf16 {
    encoding: &'static Encoding,
    /// The length of the byte order mark.
    mark: usize,
}

impl Utf16 {
    /// Detects UTF-16 by the byte order mark or by the declared charset.
    fn detect(media: &MediaType, payload: &[u8]) -> Option<Self> {
        // Without a zero byte, the payload was converted before, or it has no ASCII.
        let declared = || media.charset().filter(|_| payload.contains(&0)).map(|encoding| (encoding, 0));
        let by_mark = Encoding::for_bom(payload).filter(|(_, mark)| *mark == 2);
        let (encoding, mark) = by_mark.or_else(declared)?;
        (encoding == UTF_16BE || encoding == UTF_16LE).then_some(Utf16 { encoding, mark })
    }

    /// Decodes a payload without its byte order mark. `None` if it is invalid.
    fn decode(self, payload: &[u8]) -> Option<Cow<'_, str>> {
        self.encoding.decode_without_bom_handling_and_without_replacement(payload.get(self.mark..)?)
    }

    /// Encodes a payload, with a byte order mark if the original has one.
    fn encode(self, text: &str) -> Vec<u8> {
        let mark = (self.mark > 0).then_some(0xfeff);
        let units = mark.into_iter().chain(text.encode_utf16());
        units.flat_map(|unit| if self.encoding == UTF_16BE { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }
}
