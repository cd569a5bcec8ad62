//! The members of a HAR that harproxy knows, typed; the rest kept as it came.
//!
//! Field meanings are those of HAR 1.2. Sizes are bytes, times milliseconds; `-1` or `None` is "unknown".

use serde_json::{Map, Value};

use harproxy_http::Headers;

/// Members that harproxy does not know, in order, as the tool wrote them.
pub type Extras = Map<String, Value>;

/// `log.entries[i]`: one exchange as stored.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// `startedDateTime`, verbatim (RFC 3339 when harproxy wrote it).
    pub started: String,
    /// `time`, the whole duration in milliseconds.
    pub time: f64,
    /// `request`.
    pub request: Request,
    /// `response`.
    pub response: Response,
    /// `timings`.
    pub timings: Timings,
    /// `serverIPAddress`.
    pub server_ip: Option<String>,
    /// `connection`: which upstream connection carried it.
    pub connection: Option<String>,
    /// `_harproxy`: what HAR cannot say (`error`, `informational`), only when there is something to say.
    pub harproxy: Option<Map<String, Value>>,
    /// Everything else, `cache` and `pageref` included.
    pub extras: Extras,
}

/// `request`.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `method`, in the case it was written.
    pub method: String,
    /// `url`, absolute, as written.
    pub url: String,
    /// `httpVersion`.
    pub http_version: String,
    /// `headers`: pseudo headers dropped, newline-joined values split, in order.
    pub headers: Headers,
    /// `postData`, if the request had a payload.
    pub post_data: Option<Body>,
    /// `headersSize`, -1 when unknown.
    pub headers_size: i64,
    /// `bodySize` as sent (encoded), -1 when unknown.
    pub body_size: i64,
    /// Everything else (`cookies` and `queryString` of another tool included, when headers and URL say otherwise).
    pub extras: Extras,
}

/// `response`.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// `status`; 0 or -1 for a request that was never answered.
    pub status: i32,
    /// `statusText`, the reason phrase.
    pub status_text: String,
    /// `httpVersion`.
    pub http_version: String,
    /// `headers`, as for the request.
    pub headers: Headers,
    /// `content`.
    pub content: Body,
    /// `redirectURL`, verbatim.
    pub redirect_url: String,
    /// `headersSize`, -1 when unknown.
    pub headers_size: i64,
    /// `bodySize` as received (encoded), -1 when unknown.
    pub body_size: i64,
    /// `_trailers`.
    pub trailers: Headers,
    /// Everything else (`cookies` included, when the headers say otherwise).
    pub extras: Extras,
}

/// `content` or `postData`: where a payload is and how it is stored.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// `mimeType`.
    pub mime_type: String,
    /// `size`, bytes after decoding; `None` when the member is missing. `postData` has no such member: there it stands in
    /// for `bodySize` when a payload was sent and not kept.
    pub size: Option<i64>,
    /// `text`, with what its `encoding` says, or `_file`.
    pub stored: Stored,
    /// `_compact`: compact JSON stored indented; it goes out compact again.
    pub compact: bool,
    /// `_encoded`: stored as received because it does not decode as its coding says.
    pub encoded: bool,
    /// `_truncated`: it was cut.
    pub truncated: Option<Truncated>,
    /// The charset that the payload had on the wire, where its tool may have written the file as UTF-8 all the same (UTF-8
    /// itself: it may have been misread before it was written); never in harproxy's own fixtures.
    pub kept_as_utf8: Option<&'static encoding_rs::Encoding>,
    /// Everything else (`compression`, `params`, `comment` …).
    pub extras: Extras,
}

/// Where the bytes of a payload are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stored {
    /// Neither `text` nor `_file`.
    #[default]
    Nowhere,
    /// `text`.
    Text(String),
    /// `text` with `"encoding": "base64"`.
    Base64(String),
    /// `_file`, relative to the HAR or a member of the archive.
    File(String),
}

/// `_truncated`: why a payload was cut, and its sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// `client-left`, `upstream-died` or `max-body`.
    pub reason: String,
    /// Bytes kept.
    pub kept: u64,
    /// Bytes seen, or announced, in all; `None` when nobody knows.
    pub total: Option<u64>,
}

/// `timings`, in milliseconds; `None` (−1 in the file) where a phase did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// Waiting for a connection.
    pub blocked: Option<f64>,
    /// Name resolution.
    pub dns: Option<f64>,
    /// Making the connection, TLS included (HAR 1.2).
    pub connect: Option<f64>,
    /// The TLS part of `connect`.
    pub ssl: Option<f64>,
    /// Sending the request.
    pub send: Option<f64>,
    /// From the end of the request to the first byte of the answer.
    pub wait: Option<f64>,
    /// From the first byte of the answer to its end.
    pub receive: Option<f64>,
}
