//! One exchange and its frames in the journal.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header};
use bytes::Bytes;
use hyper::ext::ReasonPhrase;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::duplex::DuplexDetector;
use super::response_end::{self, ResponseEnd};
use crate::pipeline::{Collector, Exchange};
use crate::record::journal::heads::{
    self, ConnectPhases, EndReason, ExchangeEnd, HeaderFields, HopFields, InformationalResponse, JournalledTest,
    RequestEnd, RequestHead, ResponseHead, UNCONNECTED_TIMEOUT, WireVersion,
};
use crate::record::journal::{Ack, Flush, Frame, FrameKind, Journal};
use crate::record::redaction::RecordingRedactor;
use crate::source::advice;
use crate::verdict::{CheckId, Finding, Severity};
use harproxy_http::headers::to_chars;
use harproxy_http::problem::in_words;
use harproxy_http::{DecodeLimit, NormalUrl};
use harproxy_proxy::Origin;
use harproxy_proxy::background;
use harproxy_proxy::upstream::{Answer, Step, UpstreamError, host_header};
use harproxy_support::sync::lock;

/// The parts of a recording that an exchange needs.
#[derive(Debug)]
pub struct TapContext {
    pub journal: Arc<Journal>,
    /// The counts and findings of the recording.
    pub collector: Arc<Collector>,
    /// Redacts everything before it is journalled.
    pub redactor: Arc<RecordingRedactor>,
    /// The number of the exchange in the journal.
    pub number: u64,
    /// `--max-body`.
    pub max_body: Option<u64>,
    /// `--max-decoded`.
    pub max_decoded: DecodeLimit,
}

/// Journals one exchange.
#[derive(Debug)]
pub struct ExchangeTap {
    pub context: TapContext,
    /// When the head of the request had been read. Times in the journal count from here.
    at: Instant,
    /// The origin that upstream's connection is to.
    connect_to: Origin,
    method: Method,
    /// Redacted.
    url: String,
    /// The number of the request in events and reports.
    request_id: u64,
    /// Set while the end of the request payload is still being redacted; true when it is journalled.
    upload: Mutex<Option<watch::Receiver<bool>>>,
    /// The end of the exchange is queued.
    has_ended: AtomicBool,
    /// The frames that were queued, without ends of the exchange.
    frames: AtomicU64,
    /// Whether client and server answer each other.
    pub(super) duplex: DuplexDetector,
}

impl ExchangeTap {
    /// Begins an exchange by journalling the head of its request.
    pub fn begin(context: TapContext, exchange: &Exchange<'_>, url: NormalUrl) -> Arc<Self> {
        let redactor = &context.redactor;
        let request = &exchange.request;
        let version = WireVersion::from(request.version());
        let headers = request_fields(request);
        let target = url.as_str().len() - url.parts().origin.len();
        let head_size = match version {
            WireVersion::Http2 => -1,
            _ => to_i64(request.method().as_str().len() + target + "  HTTP/1.1\r\n\r\n".len() + headers.wire_size()),
        };
        let headers = redactor.redact_fields(headers);
        let is_elsewhere = exchange.connect_to != exchange.origin;
        let authority = is_elsewhere.then(|| redactor.redact_text(&exchange.connect_to.host_and_port()));
        let tap = ExchangeTap {
            at: exchange.at,
            connect_to: exchange.connect_to.clone(),
            method: request.method().clone(),
            url: redactor.redact_url(url),
            request_id: exchange.id(),
            context,
            upload: Mutex::new(None),
            has_ended: AtomicBool::new(false),
            frames: AtomicU64::new(0),
            duplex: DuplexDetector::default(),
        };
        let head = RequestHead {
            started: micros_since_epoch(exchange.started),
            since: Some(micros(exchange.at.saturating_duration_since(tap.context.journal.opened()))),
            test: exchange
                .session
                .test()
                .map(|test| JournalledTest { name: test.to_owned(), attempt: exchange.session.attempt() }),
            method: tap.method.to_string(),
            url: tap.url.clone(),
            version,
            headers,
            head_size,
            authority,
        };
        tap.push(FrameKind::Request, encode(&head), Flush::Lazy);
        Arc::new(tap)
    }

    /// An exchange that began without a request, for tests.
    #[cfg(test)]
    pub fn unrequested(journal: Journal) -> Arc<Self> {
        use harproxy_redact::{RunId, SecretStore};
        let context = TapContext {
            journal: Arc::new(journal),
            collector: Arc::new(Collector::new(false)),
            redactor: Arc::new(RecordingRedactor::new(Arc::default(), SecretStore::new(RunId::random(), &[]))),
            number: 1,
            max_body: None,
            max_decoded: DecodeLimit::default(),
        };
        Arc::new(ExchangeTap {
            context,
            at: Instant::now(),
            connect_to: Origin { scheme: harproxy_proxy::Scheme::Https, host: "api.test".into(), port: 443 },
            method: Method::GET,
            url: String::new(),
            request_id: 1,
            upload: Mutex::new(None),
            has_ended: AtomicBool::new(false),
            frames: AtomicU64::new(0),
            duplex: DuplexDetector::default(),
        })
    }

    pub fn push_response_head(&self, answer: &Answer) {
        let response = &answer.response;
        let version = WireVersion::from(response.version());
        let reason = reason(response.status(), response.extensions().get());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.add_finding(response_end::websocket(self.line(), response.headers()));
        }
        let hop = match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => HopFields::KeepUpgrade,
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => HopFields::KeepChallenge,
            _ => HopFields::Drop,
        };
        let head_size = match version {
            WireVersion::Http2 => -1,
            _ => {
                let all = response.headers().iter();
                let fields = all.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
                to_i64("HTTP/1.1 200 \r\n\r\n".len() + reason.len() + fields.sum::<usize>())
            }
        };
        // Some servers explain errors in the reason phrase, with values of the request.
        let is_canonical = response.status().canonical_reason() == Some(&reason);
        let reason = if is_canonical { reason } else { self.context.redactor.redact_text(&reason) };
        let redacted = |headers, hop| self.context.redactor.redact_fields(HeaderFields::of(headers, hop));
        let others = answer.informational.iter().filter(|(status, _)| *status != StatusCode::CONTINUE);
        let informational = others.map(|(status, headers)| InformationalResponse {
            status: status.as_u16(),
            headers: redacted(headers, HopFields::Drop),
        });
        let head = ResponseHead {
            status: response.status().as_u16(),
            reason,
            version,
            informational: informational.collect(),
            headers: redacted(response.headers(), hop),
            head_size,
            connection: answer.connection,
            remote: answer.remote.map(|addr| addr.ip()),
            connect: answer.connect.map(|timings| ConnectPhases {
                dns: timings.dns.map(micros),
                tcp: timings.tcp.map(micros),
                tls: timings.tls.map(micros),
            }),
            blocked: micros(answer.blocked),
            sent: self.micros_at(answer.sent_at),
            answered: self.micros_at(answer.answered_at),
        };
        self.push(FrameKind::Response, encode(&head), Flush::Lazy);
    }

    /// Ends an exchange whose response has no body. Completes when the journal has the exchange.
    pub async fn complete(self: Arc<Self>) {
        self.end_after_upload(ResponseEnd::default()).await;
    }

    /// Ends an exchange that failed upstream. Completes when the journal has it.
    pub async fn fail(self: Arc<Self>, error: &UpstreamError) {
        let message = self.context.redactor.redact_text(&in_words(error));
        // Failures with the same message are one finding. The end of the recording adds whether they are stored.
        let finding = Finding::new(CheckId::UPSTREAM_FAILED, Severity::Warning, message.clone());
        self.add_finding(finding.with_hint(advice(&self.connect_to, error)));
        let kind = match error {
            UpstreamError::Timeout { step: Step::Connect | Step::Tls, .. } => UNCONNECTED_TIMEOUT,
            _ => error.kind(),
        };
        let reason = EndReason::Failed { kind: kind.to_owned(), message };
        self.end_after_upload(ResponseEnd { reason, ..ResponseEnd::default() }).await;
    }

    /// Ends an exchange that is not stored, because the client left before a response.
    pub fn discard(&self) {
        drop(self.end(ResponseEnd { reason: EndReason::Dropped, ..ResponseEnd::default() }));
    }

    /// Journals a frame of the exchange. The payload must be redacted.
    pub fn push(&self, kind: FrameKind, payload: Bytes, flush: Flush) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.context.journal.push(self.frame(kind, payload), flush);
    }

    pub fn push_request_end(&self, end: &RequestEnd) {
        self.push(FrameKind::RequestEnd, encode(end), Flush::Lazy);
    }

    /// Announces that the end of the request payload follows later. Set the sender to true when it is journalled; the
    /// exchange ends after it.
    pub fn delay_request_end(&self) -> watch::Sender<bool> {
        let (done, upload) = watch::channel(false);
        *lock(&self.upload) = Some(upload);
        done
    }

    /// Ready when payloads may be journalled.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.context.journal.poll_room(cx)
    }

    /// Blocks until payloads may be journalled. For blocking threads of a runtime.
    pub fn wait_for_room(&self) {
        if let Ok(runtime) = Handle::try_current() {
            runtime.block_on(std::future::poll_fn(|cx| self.poll_room(cx)));
        }
    }

    /// Microseconds from the head of the request to `when`.
    #[must_use]
    pub fn micros_at(&self, when: Instant) -> i64 {
        micros(when.saturating_duration_since(self.at))
    }

    /// Ends the exchange, at once or after the end of the request payload. The exchange ends even if the returned
    /// future is dropped; it completes when the journal has the exchange.
    pub fn end_after_upload(self: Arc<Self>, response: ResponseEnd) -> impl Future<Output = ()> + Send + 'static {
        let (done, ended) = oneshot::channel::<()>();
        let upload = lock(&self.upload).clone();
        let ack = match upload.filter(|upload| !*upload.borrow()) {
            None => Some(self.end(response)),
            Some(mut upload) => {
                background::spawn(async move {
                    // An error means that the upload task panicked: there is nothing to wait for.
                    let _ = upload.wait_for(|is_done| *is_done).await;
                    self.end(response).await;
                    drop(done);
                });
                None
            }
        };
        async move {
            match ack {
                Some(ack) => ack.await,
                None => drop(ended.await),
            }
        }
    }

    /// Journals the end of the exchange. Only the first end counts. The acknowledgement completes when the journal has
    /// all of the exchange.
    fn end(&self, response: ResponseEnd) -> Ack {
        let is_duplex = self.duplex.is_duplex();
        if !self.has_ended.swap(true, Ordering::AcqRel) {
            let finding = match is_duplex {
                true => Some(response_end::duplex(self.line())),
                false => response.truncation(self.line(), self.context.max_body),
            };
            finding.into_iter().for_each(|finding| self.add_finding(finding));
        }
        let ResponseEnd { reason, seen, trailers, decoded, chunks, .. } = response;
        if reason == EndReason::Complete && self.duplex.is_uploading() {
            // The server answered early and may never read the rest. If the upload ends, a later frame replaces this
            // one.
            let at = self.micros_at(Instant::now());
            self.push_request_end(&RequestEnd { seen: 0, at, complete: false, decoded: None });
        }
        let (at, trailers) = (self.micros_at(Instant::now()), self.context.redactor.redact_fields(trailers));
        let frames = self.frames.load(Ordering::Relaxed);
        let end = ExchangeEnd { reason, seen, at, trailers, decoded, chunks, is_duplex, frames };
        self.context.journal.commit(self.frame(FrameKind::End, encode(&end)))
    }

    /// `METHOD URL`, redacted.
    fn line(&self) -> String {
        format!("{} {}", self.method, self.url)
    }

    fn add_finding(&self, finding: Finding) {
        self.context.collector.add_finding(Finding { requests: vec![self.request_id], ..finding });
    }

    fn frame(&self, kind: FrameKind, payload: Bytes) -> Frame {
        Frame { kind, exchange: self.context.number, payload }
    }
}

/// Discards an exchange on drop, for a client that leaves before the response. Set it to `None` at the response.
#[derive(Debug)]
pub struct Unanswered(pub Option<Arc<ExchangeTap>>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(tap) = self.0.take() {
            tap.discard();
        }
    }
}

/// Whether a request asks for another protocol on this connection. `h2c` does not count: harproxy removes it.
#[must_use]
fn asks_upgrade(headers: &HeaderMap, version: Version) -> bool {
    version == Version::HTTP_11
        && headers.get(header::UPGRADE).is_some_and(|to| !to.as_bytes().to_ascii_lowercase().starts_with(b"h2c"))
}

/// The recorded fields of a request: `host` first, as it goes upstream, whether it came as `Host`, as `:authority` or
/// in the request target.
fn request_fields<B>(request: &Request<B>) -> HeaderFields {
    let (headers, version) = (request.headers(), request.version());
    let hop = if asks_upgrade(headers, version) { HopFields::KeepUpgrade } else { HopFields::Drop };
    let mut fields = match joined_cookies(headers, version) {
        Some(joined) => HeaderFields::of(&joined, hop),
        None => HeaderFields::of(headers, hop),
    };
    fields.0.retain(|field| field.name != header::HOST.as_str());
    // The engine's URIs are absolute.
    let host = host_header(version, request.uri(), headers, request.extensions());
    fields.0.push_front("host", host.map(|host| host.as_bytes().to_vec()).unwrap_or_default());
    fields
}

/// Joins the cookie fields of an HTTP/2 request, which are one header (RFC 9113 section 8.2.3). `None` if there is at
/// most one.
fn joined_cookies(headers: &HeaderMap, version: Version) -> Option<HeaderMap> {
    if version != Version::HTTP_2 {
        return None;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let cookie = (crumbs.len() > 1).then(|| crumbs.join(&b"; "[..]))?;
    let mut joined = headers.clone();
    // Valid values joined by printable characters are valid.
    joined.insert(header::COOKIE, HeaderValue::from_bytes(&cookie).ok()?);
    Some(joined)
}

/// The reason phrase. HTTP/2 has none: the canonical one stands for it, so that the fixture is the same.
fn reason(status: StatusCode, received: Option<&ReasonPhrase>) -> String {
    match received {
        Some(received) => to_chars(received.as_bytes()).into_owned(),
        None => status.canonical_reason().unwrap_or_default().to_owned(),
    }
}

fn encode(value: &impl Serialize) -> Bytes {
    // The types of `heads` can always be encoded.
    heads::encode(value).unwrap_or_default()
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn micros_since_epoch(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    }
}

fn to_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_cookie_fields_are_joined() {
        let mut map = HeaderMap::new();
        for crumb in ["a=1", "b=2"] {
            map.append(header::COOKIE, HeaderValue::from_static(crumb));
        }
        let joined = joined_cookies(&map, Version::HTTP_2).unwrap();
        assert_eq!(joined.get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
        assert_eq!(joined_cookies(&joined, Version::HTTP_2), None);
        assert_eq!(joined_cookies(&map, Version::HTTP_11), None);
    }

    #[test]
    fn upgrade_is_recognised_over_http1_but_not_for_h2c() {
        let ask = |to: &'static str, version| {
            asks_upgrade(&HeaderMap::from_iter([(header::UPGRADE, HeaderValue::from_static(to))]), version)
        };
        assert!(ask("websocket", Version::HTTP_11));
        assert!(!ask("websocket", Version::HTTP_10));
        assert!(!ask("h2c", Version::HTTP_11));
        assert!(!asks_upgrade(&HeaderMap::new(), Version::HTTP_11));
    }

    #[test]
    fn reason_phrase_is_upstreams_or_the_canonical_one() {
        assert_eq!(reason(StatusCode::OK, None), "OK");
        assert_eq!(reason(StatusCode::OK, Some(&ReasonPhrase::from_static(b"Fine Indeed"))), "Fine Indeed");
        assert_eq!(reason(StatusCode::from_u16(299).unwrap(), None), "");
    }
}
