//! A request on its way through the pipeline.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use ::http::{HeaderMap, Method, Request};
use hyper::body::{Body as _, Incoming};

use super::observe::{Observation, Observer};
use super::outcome::Outcome;
use super::redaction::RunRedaction;
use super::sessions::ExchangeSession;
use harproxy_http::NormalUrl;
use harproxy_http::url::UrlError;
use harproxy_proxy::{Body, Connection, Exchange as Received, Origin};

/// A request on its way through the pipeline. Stages and sources read it, and write its outcome.
pub struct Exchange<'c> {
    pub connection: &'c Connection,
    pub session: ExchangeSession,
    /// The origin that the request is for.
    pub origin: Origin,
    /// The origin to connect to: the target of the CONNECT, else `origin`.
    pub connect_to: Origin,
    /// False if the router refuses to connect there: then no source may forward the request.
    pub may_forward: bool,
    /// The URL in normal form, or why there is none.
    pub url: Result<NormalUrl, UrlError>,
    /// The request. A source that needs the payload takes the body, and puts it back if the next source may need it.
    pub request: Request<Body>,
    /// When the head had been read, for dates.
    pub started: SystemTime,
    /// The same moment, for durations.
    pub at: Instant,
    pub(super) observation: Box<Observation>,
}

impl<'c> Exchange<'c> {
    /// Identifies a request: its client and session, its URL, and its id in events and reports.
    #[must_use]
    pub fn identify(observer: Arc<Observer>, connection: &'c Connection, received: Received) -> Self {
        let url = NormalUrl::of(received.url());
        let Received { origin, connect_to, request, started, at } = received;
        let session = observer.bus.sessions.of(connection.session().0.as_ref());
        let observation = Observation::begin(observer, connection, &session, &origin, &request, at);
        let body = |incoming: Incoming| if incoming.is_end_stream() { Body::default() } else { Body::boxed(incoming) };
        let (request, may_forward) = (request.map(body), true);
        Exchange { connection, session, origin, connect_to, may_forward, url, request, started, at, observation }
    }

    /// The parts of the exchange that a source reads while it writes the outcome.
    pub fn split(&mut self) -> (&Result<NormalUrl, UrlError>, &Request<Body>, &RunRedaction, &mut Outcome) {
        let Observation { observer, outcome, .. } = &mut *self.observation;
        (&self.url, &self.request, &observer.redaction, outcome)
    }

    /// The outcome so far.
    pub fn outcome(&mut self) -> &mut Outcome {
        &mut self.observation.outcome
    }

    /// The id in events and reports.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.observation.id
    }

    /// Publishes findings about the request after its end.
    #[must_use]
    pub fn observer(&self) -> Arc<Observer> {
        self.observation.observer.clone()
    }

    /// `METHOD URL` without secrets, for findings and the log. An invalid URL is reduced to its origin, since its
    /// secrets can't be found.
    #[must_use]
    pub fn line(&self) -> String {
        let method = self.method();
        match &self.url {
            Ok(url) => {
                let redaction = &self.observation.observer.redaction;
                format!("{method} {}", redaction.redact_url(self.headers(), url.as_str()))
            }
            Err(_) => format!("{method} {}", self.origin),
        }
    }

    #[must_use]
    pub fn method(&self) -> &Method {
        self.request.method()
    }

    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// Takes the body; the request has none afterwards.
    pub fn take_body(&mut self) -> Body {
        std::mem::take(self.request.body_mut())
    }
}
