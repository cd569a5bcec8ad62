//! Observes one request from its head to the end of its response, and publishes its outcome.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use ::http::response::Parts;
use ::http::{Method, Request, Response, StatusCode, Version};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::event::{EventBus, RequestEvent, RunEvent, millis};
use super::outcome::Outcome;
use super::redaction::RunRedaction;
use super::sessions::ExchangeSession;
use crate::verdict::request::{RequestRow, ResultKind, SourceKind};
use crate::verdict::{Finding, PayloadExcerpt};
use harproxy_proxy::body::BoxError;
use harproxy_proxy::{Body, Close, Connection, ConnectionEvent, Origin};

/// The bus of a pipeline, and the redaction of what is published.
pub struct Observer {
    pub bus: EventBus,
    /// Redacts rows and the texts of findings.
    pub redaction: Arc<RunRedaction>,
}

/// One request under observation. If it is dropped before the response, the client left.
pub struct Observation {
    pub(super) observer: Arc<Observer>,
    /// The outcome so far.
    pub outcome: Outcome,
    /// Counts the requests of a run, from 1.
    pub(super) id: u64,
    at: Instant,
    origin: Origin,
    method: Method,
    /// The name of its test.
    test: Option<String>,
    row: Option<Box<RequestRow>>,
    was_answered: bool,
    has_ended: bool,
}

impl Observation {
    /// Begins to observe a request that was read at `at`.
    #[must_use]
    pub fn begin<B>(
        observer: Arc<Observer>,
        connection: &Connection,
        session: &ExchangeSession,
        origin: &Origin,
        request: &Request<B>,
        at: Instant,
    ) -> Box<Self> {
        let (id, started_ms) = observer.bus.count_request(at.elapsed());
        let headers = request.headers();
        let row = observer.bus.wants_rows().then(|| {
            Box::new(RequestRow {
                id,
                started_ms,
                connection: connection.id,
                session: session.name().map(str::to_owned),
                protocol: protocol(request.version()).into(),
                method: request.method().as_str().to_owned(),
                url: observer.redaction.redact_url(headers, &request.uri().to_string()).into_owned(),
                request_headers: observer.redaction.redact_headers(headers),
                ..RequestRow::default()
            })
        });
        Box::new(Observation {
            observer,
            outcome: Outcome::default(),
            id,
            at,
            origin: origin.clone(),
            method: request.method().clone(),
            test: session.test().map(str::to_owned),
            row,
            was_answered: false,
            has_ended: false,
        })
    }

    /// Remembers the secrets of the request. A row has learnt them, and so has the redaction of a recorded request.
    pub(super) fn learn_secrets<B>(&self, request: &Request<B>) {
        if self.row.is_none() && self.outcome.result != Some(ResultKind::Recorded) {
            self.observer.redaction.learn(request.headers(), request.uri());
        }
    }

    /// Publishes the outcome, and observes the body of the response to its end.
    ///
    /// # Errors
    /// [`Close`] as given.
    pub fn answer(mut self: Box<Self>, answer: Result<Response<Body>, Close>) -> Result<Response<Body>, Close> {
        if let Some(row) = &mut self.row {
            row.waited_ms = Some(millis(self.at.elapsed()));
            if let Ok(response) = &answer {
                row.status = Some(response.status().as_u16());
                row.response_headers = self.observer.redaction.redact_headers(response.headers());
                row.mime_type = row.response_headers.get_str("content-type").map(str::to_owned);
            }
        }
        self.close_outcome();
        let head = answer.as_ref().ok().map(|response| (response.status(), response.headers()));
        self.observer.bus.publish(&RunEvent::Answered(&self.event(head)));
        self.was_answered = true;
        match answer {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let body = self.observe(&head, body);
                Ok(Response::from_parts(head, body))
            }
            Err(close) => {
                self.end(0, false);
                Err(close)
            }
        }
    }

    /// Copies the outcome into the row, and publishes the findings.
    fn close_outcome(&mut self) {
        if let Some(row) = &mut self.row {
            fill(row, &mut self.outcome);
        }
        for finding in &mut self.outcome.findings {
            finding.requests = vec![self.id];
            finding.session.clone_from(&self.test);
            self.observer.publish_finding(finding);
        }
    }

    fn event<'a>(&'a self, head: Option<(StatusCode, &'a ::http::HeaderMap)>) -> RequestEvent<'a> {
        let Observation { origin, outcome, was_answered, row, .. } = self;
        RequestEvent { origin, outcome, was_answered: *was_answered, head, row: row.as_deref() }
    }

    /// Observes a body to its end. A response without one has ended already.
    fn observe(mut self: Box<Self>, head: &Parts, body: Body) -> Body {
        if ends_with_head(&self.method, head.status) || body.is_end_stream() {
            self.end(0, true);
            return body;
        }
        let missing = body.size_hint().exact();
        Body::boxed(ObservedBody { body, missing, bytes: 0, observation: Some(self) })
    }

    /// Publishes the end of the request. Only the first end counts.
    fn end(&mut self, bytes: u64, is_complete: bool) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        if let Some(row) = &mut self.row {
            row.took_ms = Some(millis(self.at.elapsed()));
            row.bytes = bytes;
            row.complete = is_complete;
        }
        self.observer.bus.publish(&RunEvent::Ended(&self.event(None), bytes));
    }
}

/// The client left before the response.
impl Drop for Observation {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        if !self.was_answered {
            self.close_outcome();
        }
        self.end(0, false);
    }
}

/// Copies an outcome into the row of its request.
fn fill(row: &mut RequestRow, outcome: &mut Outcome) {
    (row.outcome, row.source) = (outcome.result(), outcome.source);
    if let Some(entry) = &outcome.entry {
        (row.fixture, row.entry) = (Some(entry.fixture.clone()), Some(entry.entry));
    }
    row.followed.clone_from(&outcome.followed);
    row.fallback.clone_from(&outcome.fallback);
    row.rules.clone_from(&outcome.rules);
    (row.explanation, row.hint) = (outcome.explanation.take(), outcome.hint.take());
    row.exchange = outcome.exchange;
    let mime = row.request_headers.get_str("content-type").unwrap_or_default();
    row.payload = outcome.payload.take().map(|payload| PayloadExcerpt::of(mime, &payload));
}

impl Observer {
    /// Publishes a finding that belongs to no outcome.
    pub fn publish_finding(&self, finding: &Finding) {
        self.bus.publish(&RunEvent::Found(finding));
    }

    /// Publishes a CONNECT that was tunnelled to its end by this source.
    pub fn publish_tunnel(&self, event: &ConnectionEvent, source: SourceKind) {
        let ConnectionEvent::TunnelClosed { to, received, duration, .. } = event else { return };
        let (id, started_ms) = self.bus.count_request(*duration);
        let mut outcome = Outcome::default();
        outcome.decide(ResultKind::Tunnel, source);
        let row = self.bus.wants_rows().then(|| RequestRow {
            id,
            started_ms,
            method: "CONNECT".to_owned(),
            url: format!("{}:{}", to.host, to.port),
            outcome: ResultKind::Tunnel,
            source,
            took_ms: Some(millis(*duration)),
            bytes: *received,
            complete: true,
            ..RequestRow::default()
        });
        let event = RequestEvent { origin: to, outcome: &outcome, was_answered: false, head: None, row: row.as_ref() };
        self.bus.publish(&RunEvent::Ended(&event, *received));
    }

    /// Publishes a CONNECT that was refused because the source could not dial. It has no row.
    pub fn publish_refused_tunnel(&self, to: &Origin, outcome: &Outcome) {
        let event = RequestEvent { origin: to, outcome, was_answered: false, head: None, row: None };
        self.bus.publish(&RunEvent::Ended(&event, 0));
    }
}

/// Returns true if a response ends with its head, whatever length it declares (RFC 9110 section 6.4.1).
#[must_use]
pub fn ends_with_head(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 | Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// The body of a response under observation.
struct ObservedBody {
    body: Body,
    /// Declared bytes that were not sent yet.
    missing: Option<u64>,
    bytes: u64,
    observation: Option<Box<Observation>>,
}

impl ObservedBody {
    fn end(&mut self, is_complete: bool) {
        if let Some(mut observation) = self.observation.take() {
            observation.end(self.bytes, is_complete);
        }
    }
}

impl http_body::Body for ObservedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            None => self.end(true),
            Some(Err(_)) => self.end(false),
            Some(Ok(frame)) if frame.is_trailers() => self.end(true),
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.missing = self.missing.map(|missing| missing.saturating_sub(bytes));
                self.bytes += bytes;
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// hyper drops a body as soon as it has all of it.
impl Drop for ObservedBody {
    fn drop(&mut self) {
        let is_complete = self.missing == Some(0) || self.body.is_end_stream();
        self.end(is_complete);
    }
}
