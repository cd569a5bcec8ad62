//! Entries prepared for comparison, with parsed URLs and payloads.

use std::borrow::Cow;

use serde_json::Value;
use url::{Url, form_urlencoded};

use harproxy_har::{Fixture, model};
use harproxy_http::{Headers, MediaType, multipart};
use harproxy_redact::placeholder;

/// Maximum payload size in bytes to parse; longer payloads are compared by length only.
const READ: u64 = 16 << 20;

/// A parsed exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) method: String,
    pub(super) url: String,
    /// Scheme, host and non-default port, such as `https://api.example.com`.
    pub(super) origin: String,
    /// Set if the host is loopback, whose port can differ between runs.
    pub(super) loopback: bool,
    /// Path segments, without the leading `/`.
    pub(super) segments: Vec<String>,
    /// Decoded query parameters in order.
    pub(super) query: Vec<(String, String)>,
    pub(super) request: Headers,
    pub(super) sent: Payload,
    pub(super) status: i32,
    pub(super) response: Headers,
    pub(super) received: Payload,
}

/// A payload, parsed as far as differences in it can be located. Placeholders are neutralised.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Payload {
    /// Absent, empty or not stored.
    None,
    /// A JSON value.
    Json(Value),
    /// The fields of a URL-encoded form.
    Form(Vec<(String, String)>),
    /// Anything else.
    Bytes(Vec<u8>),
    /// Too long to parse; the length in bytes.
    Long(u64),
}

impl Exchange {
    /// Returns all entries of a fixture that have a response.
    pub(super) fn all(fixture: &Fixture) -> Result<Vec<Exchange>, harproxy_har::Error> {
        let heads = fixture.heads();
        heads.iter().filter(|head| head.status > 0).map(|head| Exchange::of(fixture, head.entry)).collect()
    }

    fn of(fixture: &Fixture, at: usize) -> Result<Exchange, harproxy_har::Error> {
        let entry = fixture.entry(at)?;
        let (request, response) = (&entry.request, &entry.response);
        let url = Url::parse(&request.url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        let content_type = |headers: &Headers| headers.get_str("content-type").unwrap_or_default().to_owned();
        let payload = |body: Option<&model::Body>, headers| match body {
            Some(body) => Payload::of(&fixture.payload(at, body)?, &content_type(headers)),
            None => Ok(Payload::None),
        };
        let segments = url.as_ref().and_then(Url::path_segments).into_iter().flatten().map(aside).collect();
        let query = url.as_ref().map(Url::query_pairs).into_iter().flatten();
        Ok(Exchange {
            method: request.method.clone(),
            url: request.url.clone(),
            origin: url.as_ref().map(|url| url.origin().ascii_serialization()).unwrap_or_default(),
            loopback: host == "localhost"
                || host.ends_with(".localhost")
                || host.starts_with("127.")
                || host == "[::1]",
            segments,
            query: query.map(|(name, value)| (name.into_owned(), aside(&value))).collect(),
            request: request.headers.clone(),
            sent: payload(request.post_data.as_ref(), &request.headers)?,
            status: response.status,
            response: response.headers.clone(),
            received: payload(Some(&response.content), &response.headers)?,
        })
    }

    /// Returns method and URL for messages, such as `GET https://api.example.com/x`.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.url)
    }
}

impl Payload {
    pub(super) fn of(payload: &harproxy_har::Payload, content_type: &str) -> Result<Payload, harproxy_har::Error> {
        if payload.len() > READ {
            return Ok(Payload::Long(payload.len()));
        }
        let bytes = payload.bytes()?;
        if bytes.is_empty() {
            return Ok(Payload::None);
        }
        if let Ok(value) = serde_json::from_slice(&bytes) {
            let mut value: Value = value;
            values_aside(&mut value);
            return Ok(Payload::Json(value));
        }
        let media = MediaType::parse(content_type);
        // Clients generate a new boundary for each request.
        let boundary = media.parameter("boundary").filter(|_| media.is_multipart());
        if let Some(parts) = boundary.and_then(|boundary| multipart::parts(&bytes, boundary)) {
            let parts: Vec<_> = parts.iter().flat_map(|part| [part.headers, b"\r\n\r\n", part.body, b"\0"]).collect();
            return Ok(Payload::Bytes(placeholder::mask(&parts.concat()).into_owned()));
        }
        if media.is_form() {
            let fields = form_urlencoded::parse(&bytes).map(|(name, value)| (name.into_owned(), aside(&value)));
            return Ok(Payload::Form(fields.collect()));
        }
        Ok(Payload::Bytes(placeholder::mask(&bytes).into_owned()))
    }
}

/// Neutralises placeholders in a text, because differences between them are not volatile values.
pub(super) fn aside(text: &str) -> String {
    match placeholder::mask(text.as_bytes()) {
        Cow::Borrowed(_) => text.to_owned(),
        Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

fn values_aside(value: &mut Value) {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => *text = aside(text),
            Value::Array(items) => open.extend(items),
            Value::Object(members) => open.extend(members.values_mut()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
