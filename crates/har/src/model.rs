//! A typed model of the HAR members that harproxy uses. Other members are kept unchanged.
//!
//! Fields have the meanings of HAR 1.2. Sizes are in bytes, times in milliseconds. `-1` or `None` means unknown.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use harproxy_http::Headers;
use harproxy_json::Spacing;

/// The layout of the fixtures that harproxy writes, as `log._harproxy.version`. Layout 1 has one member a line, and
/// says `log._harproxy.format`.
pub const LAYOUT: u64 = 2;

/// Unknown members in their original order.
pub type Extras = Map<String, Value>;

/// `log.entries[i]`: a stored exchange.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// `startedDateTime`, verbatim (RFC 3339 when harproxy wrote it).
    pub started: String,
    /// `time`, the total duration in milliseconds.
    pub time: f64,
    pub request: Request,
    pub response: Response,
    pub timings: Timings,
    /// `serverIPAddress`.
    pub server_ip: Option<String>,
    /// `connection`, the number of the upstream connection.
    pub connection: Option<String>,
    /// `_harproxy`: data that HAR has no members for (`error`, `informational`, `stream`, `chunks`), if any.
    pub harproxy: Option<Map<String, Value>>,
    /// All other members, including `cache` and `pageref`.
    pub extras: Extras,
}

/// A part of a streamed response that arrived at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Milliseconds since the head of the response.
    pub at_ms: u64,
    /// The number of lines or messages that it completed.
    pub units: u64,
}

/// The most chunks of a response that are recorded.
pub const MAX_CHUNKS: usize = 10_000;

/// Writes chunks as one word each, `MILLISECONDS:UNITS`: one line, however many there are.
///
/// ```
/// use harproxy_har::model::{Chunk, chunks_text};
/// assert_eq!(chunks_text(&[Chunk { at_ms: 0, units: 2 }, Chunk { at_ms: 105, units: 4 }]), "0:2 105:4");
/// ```
#[must_use]
pub fn chunks_text(chunks: &[Chunk]) -> String {
    let mut text = String::new();
    for Chunk { at_ms, units } in chunks {
        let space = if text.is_empty() { "" } else { " " };
        // Writing to a string never fails.
        let _ = write!(text, "{space}{at_ms}:{units}");
    }
    text
}

/// Returns the text of `startedDateTime` (RFC 3339, milliseconds in UTC). `micros`: microseconds since 1970.
#[must_use]
pub fn started_text(micros: i64) -> String {
    let moment =
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (moment.date(), moment.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

impl Entry {
    /// Returns the name of the test that recorded the entry (`_harproxy.session`).
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.harproxy.as_ref()?.get("session")?.as_str()
    }

    /// Returns true if client and server answered each other while the request was still being sent.
    #[must_use]
    pub fn is_duplex(&self) -> bool {
        self.harproxy.as_ref().and_then(|own| own.get("stream")?.as_bool()).unwrap_or_default()
    }

    /// Returns the chunks in which the response arrived. None if they were not recorded or are malformed.
    #[must_use]
    pub fn chunks(&self) -> Vec<Chunk> {
        let chunk = |word: &str| {
            let (at_ms, units) = word.split_once(':')?;
            Some(Chunk { at_ms: at_ms.parse().ok()?, units: units.parse().ok()? })
        };
        let text = self.harproxy.as_ref().and_then(|own| own.get("chunks")?.as_str()).unwrap_or_default();
        text.split_whitespace().take(MAX_CHUNKS).map(chunk).collect::<Option<_>>().unwrap_or_default()
    }
}

#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `method`, in its original case.
    pub method: String,
    /// `url`, absolute, not normalised.
    pub url: String,
    /// `httpVersion`.
    pub http_version: String,
    /// `headers` in order, without pseudo headers, with newline-joined values split.
    pub headers: Headers,
    /// `postData`, if the request had a payload.
    pub post_data: Option<Body>,
    /// `headersSize`, -1 when unknown.
    pub headers_size: i64,
    /// `bodySize` as sent (encoded), -1 when unknown.
    pub body_size: i64,
    /// All other members, including `cookies` and `queryString` if they differ from headers and URL.
    pub extras: Extras,
}

#[derive(Clone, Debug, Default)]
pub struct Response {
    /// `status`. 0 or -1 for a request without a response.
    pub status: i32,
    /// `statusText`, the reason phrase.
    pub status_text: String,
    /// `httpVersion`.
    pub http_version: String,
    /// `headers`, as for the request.
    pub headers: Headers,
    pub content: Body,
    /// `redirectURL`, verbatim.
    pub redirect_url: String,
    /// `headersSize`, -1 when unknown.
    pub headers_size: i64,
    /// `bodySize` as received (encoded), -1 when unknown.
    pub body_size: i64,
    /// `_trailers`.
    pub trailers: Headers,
    /// All other members, including `cookies` if they differ from the headers.
    pub extras: Extras,
}

/// `content` or `postData`: the storage and properties of a payload.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// `mimeType`.
    pub mime_type: String,
    /// `size`, decoded bytes. `None` if the member is missing. `postData` has no such member: for a request payload
    /// that was not recorded, this is `bodySize`.
    pub size: Option<i64>,
    /// `text` and `encoding`, or `_file`.
    pub stored: Storage,
    /// `_compact`: the spacing of JSON on one line that is stored indented and served on one line.
    pub compact: Option<Spacing>,
    /// `_encoded`: stored as received, because its content coding could not be removed.
    pub encoded: bool,
    /// `_truncated`, if the payload is truncated.
    pub truncated: Option<Truncated>,
    /// The charset on the wire, if the tool may have written the file as UTF-8. UTF-8 means that the tool may have
    /// read UTF-8 as windows-1252. Always `None` in fixtures of harproxy.
    pub kept_as_utf8: Option<&'static encoding_rs::Encoding>,
    /// The payload was rebuilt from `params`: its fields are known, and its bytes are not.
    pub is_rebuilt: bool,
    /// All other members (`compression`, `params`, `comment` …).
    pub extras: Extras,
}

/// The meaning of `_compact`, as spelled in JSON.
#[must_use]
pub fn spacing_of(json: &str) -> Option<Spacing> {
    match json {
        "true" => Some(Spacing::Compact),
        r#""spaced""# => Some(Spacing::Spaced),
        _ => None,
    }
}

/// The storage of a payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// Neither `text` nor `_file`.
    #[default]
    Nowhere,
    Text(String),
    /// `text` with `"encoding": "base64"`.
    Base64(String),
    /// `_file`, relative to the HAR or a member of the archive.
    File(String),
}

/// `_truncated`: the reason and sizes of a truncated payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// One of the reasons below, or `undecodable`.
    pub reason: String,
    /// The number of recorded bytes.
    pub kept: u64,
    /// The number of received or announced bytes. `None` if unknown.
    pub total: Option<u64>,
}

impl Truncated {
    /// The client closed the connection.
    pub const CLIENT_LEFT: &'static str = "client-left";
    /// The server closed the connection.
    pub const UPSTREAM_DIED: &'static str = "upstream-died";
    /// The recording ended.
    pub const INTERRUPTED: &'static str = "interrupted";
    /// The payload is longer than `--max-body`.
    pub const MAX_BODY: &'static str = "max-body";
    /// The server sent all of its response before it had read the request, and did not read the rest.
    pub const ANSWERED_EARLY: &'static str = "answered-early";
}

/// `timings` in milliseconds. `None` (−1 in the file) for a phase that did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// Waiting for a connection.
    pub blocked: Option<f64>,
    /// Name resolution.
    pub dns: Option<f64>,
    /// Connecting, including TLS (HAR 1.2).
    pub connect: Option<f64>,
    /// The TLS part of `connect`.
    pub ssl: Option<f64>,
    pub send: Option<f64>,
    /// From the end of the request to the first byte of the response.
    pub wait: Option<f64>,
    /// From the first byte of the response to its end.
    pub receive: Option<f64>,
}
