//! Entries made ready to be sent. What does not depend on the request is worked out when an entry first answers and kept:
//! from then on an answer is a clone of its fields and a reference to bytes.

use std::borrow::Cow;
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
use super::by_key::Hint;
use super::clock::{self, Shift};
use super::fields::{Ahead, Common, Fields, Whole};
use super::rewrite::Origins;
use super::source::{Budget, Source, SourceError};
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

/// Fields that describe the coded bytes as the origin made them. Ours decode to the same payload, but are others.
const DIGESTS: [&str; 4] = ["content-md5", "content-digest", "digest", "repr-digest"];
/// The mark's name; as it is known from the beginning, it is no memory to be counted by who holds it.
const MARKED: HeaderName = HeaderName::from_static(MARK);
/// Longer payloads stay where they are, bytes: nobody waits for the beginning of what takes longer to send.
const LONGEST_COPIED: usize = 64 * 1024;
/// In longer payloads nothing is repeated of a request, bytes.
const LONGEST_ECHO: u64 = 16 << 20;

/// What is known of a fixture's entry beside the entry itself.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// Whether the fixture is one of harproxy's own.
    pub own: bool,
    /// What `x-harproxy` says; `None` with `--no-mark`.
    pub mark: Option<HeaderValue>,
    /// `--clock`.
    pub clock: Clock,
    /// `--latency`.
    pub latency: Latency,
    /// What its answers have in common.
    pub common: Arc<Common>,
}

/// An answer, ready. What every answer has comes first, what few have is behind a pointer: from a large fixture each request
/// needs another answer, and what has to be fetched from memory for it is most of what it costs.
#[derive(Debug)]
pub(super) struct Prepared {
    /// As it was stored: of what has codings the identity form.
    stored: Form,
    /// How long it lets wait.
    wait: Duration,
    coding: Stored,
    shift: Option<Box<Shift>>,
    rare: Option<Box<Rare>>,
    /// The recorded `Content-Length`, for answers whose head alone is sent.
    length: Option<Box<HeaderValue>>,
    status: u16,
    /// The origin allowed the page that asked by its own name, not by `*`: so does the answer to another page.
    allows_asker: bool,
    /// How its text is spelt, when it is text at all.
    text: Option<Spelt>,
}

/// What few answers have.
#[derive(Debug, Default, PartialEq)]
struct Rare {
    reason: Option<ReasonPhrase>,
    trailers: HeaderMap,
    truncated: Option<Truncated>,
}

/// How the payload is stored, seen from the wire.
#[derive(Debug)]
enum Stored {
    /// As it goes out.
    AsSent,
    /// Decoded: it goes out coded again to clients that accept the codings.
    Decoded(Box<Decoded>),
}

#[derive(Debug)]
struct Decoded {
    codings: Vec<Coding>,
    /// The fields of the coded form: with Content-Encoding.
    fields: Fields,
    /// The client that was recorded had not asked for a coding and got one all the same.
    unasked: bool,
    coded: OnceCell<Form>,
    common: Arc<Common>,
}

/// An answer's fields and its payload.
#[derive(Debug)]
struct Form {
    /// With the length at their end, where the payload is in memory: hyper would add it each time, and to a map that has no room for it.
    fields: Fields,
    body: Source,
}

impl Form {
    fn new(mut headers: HeaderMap, body: Source, common: &Common) -> Self {
        let payload = body.held_bytes();
        if let Some(payload) = payload {
            headers.insert(CONTENT_LENGTH, payload.len().into());
        }
        let copied = payload.filter(|payload| payload.len() <= LONGEST_COPIED);
        let fields = Fields::with_payload(&headers, copied.unwrap_or_default(), common);
        let body = if copied.is_some() { Source::Memory(fields.payload()) } else { body };
        Form { fields, body }
    }

    /// The fields, where the payload lies with them.
    fn together(&self) -> Option<&Fields> {
        self.body.held_bytes().filter(|payload| payload.len() <= LONGEST_COPIED).map(|_| &self.fields)
    }

    /// What it holds in memory, bytes, roughly.
    fn weight(&self) -> u64 {
        let apart = if self.together().is_some() { 0 } else { self.body.held() };
        self.fields.weight() as u64 + apart
    }

    /// The fields that say nothing of the payload's length.
    fn headers(&self) -> HeaderMap {
        let mut headers = self.fields.all();
        headers.remove(CONTENT_LENGTH);
        headers
    }
}

/// An answer that is the same for whoever asks: what of a [`Prepared`] one is needed then, so small that it has a place where it is
/// looked for.
#[derive(Debug)]
pub(super) struct Same {
    whole: Whole,
    status: StatusCode,
    /// Its `Date` moves.
    is_dated: bool,
}

impl Same {
    /// Where it lies.
    pub(super) fn hint(&self) -> Hint {
        self.whole.hint()
    }

    /// The answer; `now` is asked where something moves with the clock.
    pub(super) fn answer(&self, ahead: Option<Ahead<'_>>, now: impl FnOnce() -> SystemTime) -> Response<Body> {
        let (mut fields, payload) = self.whole.parts(ahead);
        if self.is_dated {
            clock::date(&mut fields, now());
        }
        response(self.status, fields, payload)
    }

    /// The same as HTTP/1.1 writes it: its head is appended, its payload returned. `None` where the date can't be told, or the status has no name.
    pub(super) fn write(&self, head: &mut Vec<u8>, now: impl FnOnce() -> SystemTime) -> Option<&'static [u8]> {
        let reason = self.status.canonical_reason()?;
        let date = if self.is_dated { Some(clock::present(now())?) } else { None };
        head.extend_from_slice(b"HTTP/1.1 ");
        head.extend_from_slice(self.status.as_str().as_bytes());
        head.push(b' ');
        head.extend_from_slice(reason.as_bytes());
        head.extend_from_slice(b"\r\n");
        let payload = self.whole.write(head, date.as_ref());
        head.extend_from_slice(b"\r\n");
        Some(payload)
    }
}

fn response(status: StatusCode, headers: HeaderMap, payload: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::full(payload));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// An answer as it goes out to one client.
pub(super) struct Sent {
    pub(super) response: Response<Body>,
    /// Payload bytes in it.
    pub(super) bytes: u64,
    /// Set when the payload breaks off where the recording did, or was cut by `--max-body`.
    pub(super) truncated: Option<Truncated>,
}

impl Prepared {
    /// Makes an entry ready. Blocking: it may read a payload file.
    pub(super) fn of(entry: &Entry, payload: Payload, about: &About) -> Result<Self, SourceError> {
        let recorded = &entry.response;
        let mut headers = end_to_end(&recorded.headers);
        if let Some(mark) = &about.mark {
            headers.insert(MARKED, mark.clone());
        }
        let body = Source::of(payload)?;
        let text = spelling(recorded);
        let shift = match about.clock {
            Clock::Shift => Shift::of(&mut headers, body.held_bytes().filter(|_| text.is_some()), &entry.started),
            Clock::Recorded => None,
        };
        let mut length = recorded.headers.get("content-length").and_then(length);
        let coding = if recorded.content.encoded || !recorded.headers.contains("content-encoding") {
            Stored::AsSent
        } else {
            headers = without(&headers, &DIGESTS);
            match coding::codings(recorded.headers.get_all("content-encoding")) {
                Some(codings) if codings.is_empty() => Stored::AsSent,
                Some(codings) => Stored::Decoded(Box::new(Decoded {
                    codings,
                    fields: Fields::new(&headers, &about.common),
                    common: about.common.clone(),
                    unasked: about.own && !entry.request.headers.contains("accept-encoding"),
                    coded: OnceCell::new(),
                })),
                None => {
                    // Stored decoded, and nobody here can code it again.
                    headers = without(&headers, &[CONTENT_ENCODING.as_str()]);
                    length = None;
                    Stored::AsSent
                }
            }
        };
        let rare = Rare {
            reason: reason(recorded.status, &recorded.status_text, about.own),
            trailers: end_to_end(&recorded.trailers),
            truncated: recorded.content.truncated.clone(),
        };
        if let Stored::Decoded(_) = &coding {
            headers = without(&headers, &[CONTENT_ENCODING.as_str()]);
        }
        Ok(Prepared {
            status: u16::try_from(recorded.status).unwrap_or_default(),
            stored: Form::new(headers, body, &about.common),
            coding,
            shift: shift.map(Box::new),
            rare: (rare != Rare::default()).then(|| Box::new(rare)),
            length: length.map(Box::new),
            allows_asker: cors::allows_asker(entry),
            // What stayed coded is no text.
            text: text.filter(|_| !recorded.content.encoded),
            wait: about.latency.of(entry),
        })
    }

    /// How long the answer lets wait before it begins.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// What it holds in memory, bytes, roughly.
    pub(super) fn weight(&self) -> u64 {
        let trailers = self.rare.iter().flat_map(|rare| &rare.trailers);
        let trailers: usize = trailers.map(|(name, value)| name.as_str().len() + value.len() + 64).sum();
        let coded = match &self.coding {
            Stored::Decoded(decoded) => decoded.fields.weight(),
            Stored::AsSent => 0,
        };
        self.stored.weight() + (coded + trailers + size_of::<Self>()) as u64
    }

    /// The answer to whoever asks, where it is the same for all, but for its `Date` perhaps.
    pub(super) fn same(&self) -> Option<Same> {
        let shift = self.shift.as_deref();
        let is_same =
            matches!(self.coding, Stored::AsSent) && shift.is_none_or(Shift::is_date_alone) && !self.allows_asker;
        let fields = self.stored.together().filter(|_| is_same && self.is_plain())?;
        // hyper makes one line of several, and nothing else does.
        let fields = (!fields.has_several(&TRAILER)).then_some(fields)?;
        let status = StatusCode::from_u16(self.status).ok()?;
        Some(Same { whole: fields.whole()?, status, is_dated: shift.is_some() })
    }

    /// Whether [`Prepared::at_once`] may give something.
    pub(super) fn may_be_at_once(&self) -> bool {
        let moves_body = self.shift.as_ref().is_some_and(|shift| shift.moves_body());
        self.is_plain() && !moves_body && self.stored.body.held_bytes().is_some()
    }

    /// Whether there is nothing to wait for and nothing to it but a head and a body.
    fn is_plain(&self) -> bool {
        self.rare.is_none() && self.wait.is_zero() && self.status >= 200 && !matches!(self.status, 204 | 304)
    }

    /// The answer for a request that nothing was followed for and that is no HEAD, where nothing has to be read, coded or waited
    /// for; `now` is asked where something moves with the clock.
    pub(super) fn at_once(&self, request: &HeaderMap, now: impl FnOnce() -> SystemTime) -> Option<Response<Body>> {
        if !self.is_plain() {
            return None;
        }
        let form = match &self.coding {
            Stored::Decoded(decoded) if decoded.goes_out_coded(request) => decoded.coded.get()?,
            _ => &self.stored,
        };
        let Source::Memory(bytes) = &form.body else { return None };
        let mut headers = form.fields.all();
        self.name_asker(&mut headers, request);
        if let Some(shift) = &self.shift {
            if shift.moves_body() {
                return None;
            }
            shift.apply(&mut headers, now());
        }
        Some(response(StatusCode::from_u16(self.status).ok()?, headers, bytes.clone()))
    }

    /// The answer for this request. `budget` says whether coded bytes may be kept.
    pub(super) async fn send(
        self: &Arc<Self>,
        chosen: &Chosen,
        asked: &Asked<'_>,
        budget: &Arc<Budget>,
    ) -> Result<Sent, SourceError> {
        let (mut headers, identity) = match &self.coding {
            Stored::Decoded(decoded) if decoded.goes_out_coded(asked.headers) => (decoded.fields.all(), false),
            Stored::Decoded(_) => (self.stored.headers(), true),
            Stored::AsSent => (self.stored.headers(), false),
        };
        let mut sent = Sent { response: Response::new(Body::Empty), bytes: 0, truncated: None };
        self.adapt(&mut headers, chosen, asked);
        if !asked.is_head() && !matches!(chosen.status, 204 | 304) {
            let source = match (self.changed(chosen, asked.now, &mut headers).await?, identity) {
                (Some(changed), true) => Cow::Owned(changed),
                (Some(changed), false) => Cow::Owned(self.code_anew(changed).await?),
                (None, true) => Cow::Borrowed(&self.stored.body),
                (None, false) => self.as_stated(budget).await?,
            };
            sent.bytes = source.len();
            *sent.response.body_mut() = self.ending(&source, &mut headers, chosen, asked);
            sent.truncated = self.rare.as_ref().and_then(|rare| rare.truncated.clone());
        } else if chosen.status != 204
            && !identity
            && let Some(length) = self.length.as_deref()
        {
            // RFC 9110 section 8.6: what a GET would have got; the recorded one is true of the recorded coding alone.
            headers.insert(CONTENT_LENGTH, length.clone());
        }
        *sent.response.status_mut() = StatusCode::from_u16(chosen.status).unwrap_or(StatusCode::NOT_IMPLEMENTED);
        *sent.response.headers_mut() = headers;
        let reason = self.rare.as_ref().and_then(|rare| rare.reason.as_ref());
        if let Some(reason) = reason.filter(|_| chosen.status == self.status) {
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

    /// Lets the page that asks read an answer that the recorded one was let read.
    fn name_asker(&self, headers: &mut HeaderMap, request: &HeaderMap) {
        if self.allows_asker
            && let Some(page) = request.get(ORIGIN)
        {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, page.clone());
        }
    }

    /// The body with what comes after it.
    fn ending(&self, source: &Source, headers: &mut HeaderMap, chosen: &Chosen, asked: &Asked<'_>) -> Body {
        let body = source.body();
        let Some(rare) = &self.rare else { return body };
        match &rare.truncated {
            Some(truncated) if truncated.reason != "max-body" => {
                let announced = match self.coding {
                    Stored::AsSent => self.length.as_ref().and_then(|length| length.to_str().ok()?.parse().ok()),
                    Stored::Decoded(_) => None,
                };
                return Body::boxed(BreakOff::new(body, announced.filter(|announced| *announced > source.len())));
            }
            _ => {}
        }
        if rare.trailers.is_empty() || !asked.takes_trailers() {
            return body;
        }
        if asked.version != Version::HTTP_2 {
            announce(headers, &rare.trailers);
        }
        let mut trailers = rare.trailers.clone();
        repeat(&mut trailers, &chosen.echoed);
        Body::boxed(WithTrailers::new(body, trailers))
    }

    /// The payload as it is for this request at this moment, when it is another each time.
    async fn changed(
        self: &Arc<Self>,
        chosen: &Chosen,
        now: SystemTime,
        headers: &mut HeaderMap,
    ) -> Result<Option<Source>, SourceError> {
        let moved = self.moved(now);
        let Some(spelt) = self.text.filter(|_| !chosen.echoed.is_empty()) else { return Ok(moved) };
        let body = moved.clone().unwrap_or_else(|| self.stored.body.clone());
        let echoed = chosen.echoed.clone();
        let repeated = tokio::task::spawn_blocking(move || {
            let text = body.all(LONGEST_ECHO)?;
            Ok::<_, SourceError>(text.and_then(|text| Echoed::repeat(&echoed, &text, spelt)))
        });
        let Some(repeated) = repeated.await?? else { return Ok(moved) };
        if DIGESTS.iter().any(|name| headers.contains_key(*name)) {
            *headers = without(headers, &DIGESTS);
        }
        Ok(Some(Source::Memory(repeated.into())))
    }

    /// The payload as it is at this moment, when it holds something that moves with the clock.
    fn moved(&self, now: SystemTime) -> Option<Source> {
        let (Some(shift), Source::Memory(body)) = (&self.shift, &self.stored.body) else { return None };
        Some(Source::Memory(shift.body(body, now)?.into()))
    }

    /// The bytes as the headers state them, of a payload that is another each time.
    async fn code_anew(&self, payload: Source) -> Result<Source, SourceError> {
        let Stored::Decoded(decoded) = &self.coding else { return Ok(payload) };
        let codings = decoded.codings.clone();
        tokio::task::spawn_blocking(move || payload.encode(&codings)).await?
    }

    /// The bytes as the headers state them, coded if need be: that is done once, and kept while there is room.
    async fn as_stated(self: &Arc<Self>, budget: &Arc<Budget>) -> Result<Cow<'_, Source>, SourceError> {
        enum Not {
            Kept(Source),
            Made(SourceError),
        }
        let Stored::Decoded(decoded) = &self.coding else { return Ok(Cow::Borrowed(&self.stored.body)) };
        let make = async || {
            let (this, codings, budget) = (self.clone(), decoded.codings.clone(), budget.clone());
            let (headers, common) = (decoded.fields.all(), decoded.common.clone());
            let made = tokio::task::spawn_blocking(move || {
                let source = this.stored.body.encode(&codings).map_err(Not::Made)?;
                if !budget.take(source.held()) {
                    return Err(Not::Kept(source));
                }
                Ok(Form::new(headers, source, &common))
            });
            made.await.unwrap_or_else(|panic| Err(Not::Made(SourceError::Task(panic))))
        };
        match decoded.coded.get_or_try_init(make).await {
            Ok(form) => Ok(Cow::Borrowed(&form.body)),
            Err(Not::Kept(source)) => Ok(Cow::Owned(source)),
            Err(Not::Made(error)) => Err(error),
        }
    }
}

impl Decoded {
    /// Whether the client gets the coded form: it accepts every coding, or it does not say and neither did the one that
    /// was recorded.
    fn goes_out_coded(&self, request: &HeaderMap) -> bool {
        let values = || request.get_all(ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes);
        if values().next().is_none() {
            return self.unasked;
        }
        self.codings.iter().all(|coding| coding::accepts(values(), *coding))
    }
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
