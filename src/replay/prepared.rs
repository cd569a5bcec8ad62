//! Prepared responses: the part of a response that depends on the recorded entry alone. Each request gets a clone of its
//! headers, adapted to the request, and a reference to its payload.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, HeaderName,
    HeaderValue, LOCATION, ORIGIN, SET_COOKIE, TRAILER,
};
use ::http::{HeaderMap, Response, StatusCode, Version};
use bytes::Bytes;
use hyper::ext::ReasonPhrase;
use tokio::sync::OnceCell;

use super::asked::Asked;
use super::blocking::run_blocking;
use super::clock::Shift;
use super::response_payload::{HEAVIEST_ON_DISK, PayloadError, ResponsePayload};
use super::rewrite::Origins;
use super::stream::{BreakOff, WithTrailers};
use super::{Clock, Latency, cors};
use harproxy_har::model::{self, Truncated};
use harproxy_har::{Entry, Payload};
use harproxy_http::coding::{self, Coding};
use harproxy_http::headers::HOP_BY_HOP;
use harproxy_http::{Header, Headers, MediaType};
use harproxy_matching::{Chosen, Echoed, Spelt};
use harproxy_proxy::Body;
use harproxy_proxy::respond::MARK;

/// Headers with a digest of the encoded payload. Replay encodes anew, which changes the bytes.
const DIGESTS: [&str; 4] = ["content-md5", "content-digest", "digest", "repr-digest"];
/// The length in bytes up to which a text payload is rewritten: tokens move with the clock, request values are echoed.
const LONGEST_REWRITTEN: u64 = 16 << 20;
/// The memory that one header takes beside its name and value, in bytes, roughly.
const HEADER_OVERHEAD: usize = 200;

/// The fixture and options that a prepared response depends on beside its entry.
#[derive(Clone, Debug)]
pub(super) struct EntryContext {
    /// Whether harproxy wrote the fixture.
    pub own: bool,
    /// The value of `x-harproxy`; `None` with `--no-mark`.
    pub mark: Option<HeaderValue>,
    /// `--clock`.
    pub clock: Clock,
    /// `--latency`.
    pub latency: Latency,
}

/// A response that is ready to be adapted to a request and sent.
#[derive(Debug)]
pub(super) struct Prepared {
    status: u16,
    /// The reason phrase, if it is not the usual one of the status.
    reason: Option<ReasonPhrase>,
    /// The end-to-end headers, with Content-Encoding if `encoding` is set.
    headers: HeaderMap,
    payload: ResponsePayload,
    trailers: HeaderMap,
    /// The codings to apply again, if the fixture stores the payload decoded.
    encoding: Option<Encoding>,
    /// The recorded `Content-Length`, for responses to HEAD.
    length: Option<HeaderValue>,
    truncated: Option<Truncated>,
    /// The headers and tokens that move with the clock.
    shift: Option<Shift>,
    /// Whether the recorded CORS headers named the requesting origin; then they name the origin of each request.
    allows_requester: bool,
    /// How request values are written in the payload, if it is text.
    spelling: Option<Spelt>,
    /// The time until the response begins.
    wait: Duration,
}

/// The recorded Content-Encoding of a payload that is stored decoded.
#[derive(Debug)]
struct Encoding {
    codings: Vec<Coding>,
    /// Whether the recorded request had no `Accept-Encoding`.
    unasked: bool,
    /// The encoded payload, made for the first client that accepts it.
    encoded: OnceCell<ResponsePayload>,
}

/// A response as it goes to one client.
pub(super) struct Sent {
    pub(super) response: Response<Body>,
    /// The length of its payload.
    pub(super) bytes: u64,
    /// Set if the recorded payload is incomplete.
    pub(super) truncated: Option<Truncated>,
}

impl Prepared {
    /// Prepares the response of an entry. Blocking: it may read a payload file.
    pub(super) fn of(entry: &Entry, payload: Payload, context: &EntryContext) -> Result<Self, PayloadError> {
        let recorded = &entry.response;
        let mut headers = end_to_end(&recorded.headers);
        if let Some(mark) = &context.mark {
            headers.insert(HeaderName::from_static(MARK), mark.clone());
        }
        let payload = ResponsePayload::of(payload)?;
        let spelling = spelling(recorded);
        let shift = match context.clock {
            Clock::Shift => {
                let text = spelling.map(|_| payload.all(LONGEST_REWRITTEN)).transpose()?.flatten();
                Shift::of(&mut headers, text.as_deref(), &entry.started)
            }
            Clock::Recorded => None,
        };
        let mut length = recorded.headers.get("content-length").and_then(length);
        let mut encoding = None;
        if !recorded.content.encoded && recorded.headers.contains("content-encoding") {
            headers = without(&headers, &DIGESTS);
            match coding::codings(recorded.headers.get_all("content-encoding")) {
                Some(codings) if codings.is_empty() => {}
                Some(codings) => {
                    let unasked = context.own && !entry.request.headers.contains("accept-encoding");
                    encoding = Some(Encoding { codings, unasked, encoded: OnceCell::new() });
                }
                None => {
                    // An unknown coding cannot be applied again.
                    headers = without(&headers, &[CONTENT_ENCODING.as_str()]);
                    length = None;
                }
            }
        }
        Ok(Prepared {
            status: u16::try_from(recorded.status).unwrap_or_default(),
            reason: reason(recorded.status, &recorded.status_text, context.own),
            headers,
            payload,
            trailers: end_to_end(&recorded.trailers),
            encoding,
            length,
            truncated: recorded.content.truncated.clone(),
            shift,
            allows_requester: cors::allows_asker(entry),
            // A payload that is stored encoded is not text.
            spelling: spelling.filter(|_| !recorded.content.encoded),
            wait: context.latency.of(entry),
        })
    }

    /// The time to wait before the response begins.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// The memory that it takes, in bytes, roughly. An encoded payload is counted before it is made.
    pub(super) fn weight(&self) -> u64 {
        let headers = self.headers.iter().chain(&self.trailers);
        let headers: usize = headers.map(|(name, value)| name.as_str().len() + value.len() + HEADER_OVERHEAD).sum();
        let encoded = self.encoding.as_ref().map_or(0, |_| self.payload.len().min(HEAVIEST_ON_DISK));
        (size_of::<Self>() + headers) as u64 + self.payload.weight() + encoded
    }

    /// The response to this request.
    pub(super) async fn send(self: &Arc<Self>, chosen: &Chosen, asked: &Asked<'_>) -> Result<Sent, PayloadError> {
        let encoding = self.encoding.as_ref().filter(|encoding| encoding.is_accepted(asked.headers));
        let is_decoded = self.encoding.is_some() && encoding.is_none();
        let mut headers = match is_decoded {
            true => without(&self.headers, &[CONTENT_ENCODING.as_str()]),
            false => self.headers.clone(),
        };
        let mut sent = Sent { response: Response::new(Body::Empty), bytes: 0, truncated: None };
        self.adapt(&mut headers, chosen, asked);
        if !asked.is_head() && !matches!(chosen.status, 204 | 304) {
            let payload = match (self.rewritten(chosen, asked.now, &mut headers).await?, encoding) {
                (Some(rewritten), Some(encoding)) => encode(rewritten, encoding.codings.clone()).await?,
                (Some(rewritten), None) => rewritten,
                (None, Some(encoding)) => {
                    let encode = || encode(self.payload.clone(), encoding.codings.clone());
                    encoding.encoded.get_or_try_init(encode).await?.clone()
                }
                (None, None) => self.payload.clone(),
            };
            sent.bytes = payload.len();
            *sent.response.body_mut() = self.body(&payload, &mut headers, chosen, asked);
            sent.truncated = self.truncated.clone();
        } else if chosen.status != 204
            && !is_decoded
            && let Some(length) = &self.length
        {
            // RFC 9110 section 8.6: the length that GET would have got. The recorded one holds for the recorded coding.
            headers.insert(CONTENT_LENGTH, length.clone());
        }
        *sent.response.status_mut() = StatusCode::from_u16(chosen.status).unwrap_or(StatusCode::NOT_IMPLEMENTED);
        *sent.response.headers_mut() = headers;
        if let Some(reason) = self.reason.as_ref().filter(|_| chosen.status == self.status) {
            sent.response.extensions_mut().insert(reason.clone());
        }
        Ok(sent)
    }

    /// What depends on the moment, on followed hops, on the page and the origin that was asked: dates, cookies, Location,
    /// CORS.
    fn adapt(&self, headers: &mut HeaderMap, chosen: &Chosen, asked: &Asked<'_>) {
        self.name_asker(headers, asked.headers);
        if let Some(shift) = &self.shift {
            shift.apply(headers, asked.now);
        }
        if !chosen.cookies.is_empty() {
            let cookie = |value: &Bytes| {
                let moved = self.shift.as_ref().and_then(|shift| shift.cookie(value, asked.now));
                moved.or_else(|| HeaderValue::from_maybe_shared(value.clone()).ok())
            };
            let own: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
            // The hops' come first: where both set a cookie, the later answer wins.
            for (n, value) in chosen.cookies.iter().filter_map(cookie).chain(own).enumerate() {
                match n {
                    0 => drop(headers.insert(SET_COOKIE, value)),
                    _ => drop(headers.append(SET_COOKIE, value)),
                }
            }
        }
        if let Some(location) = chosen.location.as_deref().filter(|_| !chosen.followed.is_empty())
            && let Ok(location) = HeaderValue::from_str(location)
        {
            // The recorded one may be relative to a hop that the client never saw.
            headers.insert(LOCATION, location);
        }
        if let Some(same) = &chosen.same_host {
            Origins(same).rewrite(headers);
        }
        repeat(headers, &chosen.echoed);
    }

    /// Allows the requesting origin if the recorded response named the recorded one.
    fn name_asker(&self, headers: &mut HeaderMap, request: &HeaderMap) {
        if self.allows_requester
            && let Some(origin) = request.get(ORIGIN)
        {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
    }

    /// The body: the payload, and the recorded trailers or the recorded break-off after it.
    fn body(&self, payload: &ResponsePayload, headers: &mut HeaderMap, chosen: &Chosen, asked: &Asked<'_>) -> Body {
        let body = payload.body();
        match &self.truncated {
            Some(truncated) if truncated.reason != "max-body" => {
                let recorded = self.length.as_ref().filter(|_| self.encoding.is_none());
                let announced = recorded.and_then(|length| length.to_str().ok()?.parse().ok());
                return Body::boxed(BreakOff::new(body, announced.filter(|announced| *announced > payload.len())));
            }
            _ => {}
        }
        if self.trailers.is_empty() || !asked.takes_trailers() {
            return body;
        }
        if asked.version != Version::HTTP_2 {
            announce(headers, &self.trailers);
        }
        let mut trailers = self.trailers.clone();
        repeat(&mut trailers, &chosen.echoed);
        Body::boxed(WithTrailers::new(body, trailers))
    }

    /// The payload with its tokens moved to `now` and the request's values echoed; `None` if nothing changes in it.
    async fn rewritten(
        self: &Arc<Self>,
        chosen: &Chosen,
        now: SystemTime,
        headers: &mut HeaderMap,
    ) -> Result<Option<ResponsePayload>, PayloadError> {
        let spelling = self.spelling.filter(|_| !chosen.echoed.is_empty());
        if spelling.is_none() && !self.shift.as_ref().is_some_and(Shift::moves_body) {
            return Ok(None);
        }
        let (this, echoed) = (self.clone(), chosen.echoed.clone());
        let rewrite = move || {
            let Some(text) = this.payload.all(LONGEST_REWRITTEN)? else { return Ok((None, false)) };
            let moved: Option<Bytes> = this.shift.as_ref().and_then(|shift| shift.body(&text, now)).map(Bytes::from);
            let current = moved.as_ref().unwrap_or(&text);
            let echoes = spelling.and_then(|spelling| Echoed::repeat(&echoed, current, spelling));
            let is_echoed = echoes.is_some();
            Ok::<_, PayloadError>((echoes.map(Bytes::from).or(moved), is_echoed))
        };
        let (rewritten, is_echoed) = run_blocking(rewrite).await??;
        if is_echoed && DIGESTS.iter().any(|name| headers.contains_key(*name)) {
            *headers = without(headers, &DIGESTS);
        }
        Ok(rewritten.map(ResponsePayload::Memory))
    }
}

impl Encoding {
    /// Returns true if the client accepts every coding, or if neither this nor the recorded client states what it
    /// accepts.
    fn is_accepted(&self, request: &HeaderMap) -> bool {
        let values = || request.get_all(ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes);
        if values().next().is_none() {
            return self.unasked;
        }
        self.codings.iter().all(|coding| coding::accepts(values(), *coding))
    }
}

/// Applies the codings to a payload.
async fn encode(payload: ResponsePayload, codings: Vec<Coding>) -> Result<ResponsePayload, PayloadError> {
    run_blocking(move || payload.encode(&codings)).await?
}

/// `Trailer` names all of them: hyper sends no others over HTTP/1.1. HTTP/2 needs no announcement, and a gRPC client would
/// take it for metadata.
fn announce(headers: &mut HeaderMap, trailers: &HeaderMap) {
    let announced: Vec<&str> = headers
        .get_all(TRAILER)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(str::trim)
        .collect();
    if trailers.keys().all(|name| announced.iter().any(|a| a.eq_ignore_ascii_case(name.as_str()))) {
        return;
    }
    let names: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
    if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
        headers.insert(TRAILER, names);
    }
}

/// The fields that describe the message and not a hop or its framing (`Trailer` is of the message); those that can't be sent are left out.
fn end_to_end(recorded: &Headers) -> HeaderMap {
    let options = recorded.connection_options();
    let ours = |name: &str| {
        name.eq_ignore_ascii_case("content-length")
            || HOP_BY_HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop) && *hop != TRAILER)
            || options.iter().any(|option| name.eq_ignore_ascii_case(option))
    };
    let mut headers = HeaderMap::with_capacity(recorded.len());
    for Header { name, value } in recorded {
        if ours(name) {
            continue;
        }
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_maybe_shared(value.clone())) {
            (Ok(name), Ok(value)) => {
                headers.append(name, value);
            }
            _ => tracing::warn!(name, "a recorded header is not a valid one: it is left out"),
        }
    }
    headers
}

/// Puts what the answer repeats of the request into its fields, but for our own.
fn repeat(headers: &mut HeaderMap, echoed: &[Echoed]) {
    if echoed.is_empty() {
        return;
    }
    for (name, value) in headers.iter_mut().filter(|(name, _)| *name != MARK) {
        let spelt = if [LOCATION, CONTENT_LOCATION].contains(name) { Spelt::Url } else { Spelt::Plain };
        let repeated = Echoed::repeat(echoed, value.as_bytes(), spelt);
        match repeated.map(|repeated| HeaderValue::from_bytes(&repeated)) {
            Some(Ok(repeated)) => *value = repeated,
            Some(Err(_)) => tracing::warn!(%name, "what the request says there can't be sent in a header"),
            None => {}
        }
    }
}

/// The same fields in the same order without some. (`HeaderMap::remove` would move the last one into their place.)
fn without(headers: &HeaderMap, names: &[&str]) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| !names.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// How a payload is spelt, when it is text.
fn spelling(recorded: &model::Response) -> Option<Spelt> {
    let declared = recorded.headers.get("content-type").map(String::from_utf8_lossy);
    let media = MediaType::parse(declared.as_deref().unwrap_or(&recorded.content.mime_type));
    media.is_text().then(|| if media.is_json() { Spelt::Json } else { Spelt::Plain })
}

fn length(value: &[u8]) -> Option<HeaderValue> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| HeaderValue::from_bytes(value).ok()).flatten()
}

/// The reason phrase, when it is not the one that the status has anyway. None at all is one too: of a recording of our own,
/// and where a status has none.
fn reason(status: i32, text: &str, own: bool) -> Option<ReasonPhrase> {
    let canonical = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok()?.canonical_reason());
    match (text, canonical) {
        // Other tools leave it empty for HTTP/2, where none is sent.
        ("", Some(_)) if !own => None,
        (text, Some(canonical)) if text == canonical => None,
        (text, _) => ReasonPhrase::try_from(text.as_bytes()).ok(),
    }
}

#[cfg(test)]
mod tests;
