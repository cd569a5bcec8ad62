//! The recorder as the engine sees it: everything goes upstream; what is in scope is watched on its way.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::Full;

use super::Recorder;
use super::problem;
use super::tally::Fate;
use super::tap::{
    ContentHeaders, ExchangeTap, PassedBytes, RequestTap, ResponseTap, TapContext, Unanswered, asks_upgrade,
};
use crate::verdict::connections;
use harproxy_http::{Header, Headers, NormalUrl};
use harproxy_matching::noise;
use harproxy_proxy::body::{BodyObserver, BoxError, ObservedBody};
use harproxy_proxy::upstream::{Dialled, SendError, Upstream};
use harproxy_proxy::{
    Ask, Body, BoxFuture, Close, Connection, ConnectionEvent, Exchange, Handler, Origin, Provenance, Scheme, Tunnel,
    Way,
};
use harproxy_redact::Telling;
use harproxy_tls::authority::Alpn;

impl Handler for Recorder {
    fn tunnel<'a>(&'a self, connection: &'a Connection, to: &'a Origin) -> BoxFuture<'a, Tunnel> {
        Box::pin(async move {
            if self.may_record(to) {
                return Tunnel::Intercept(self.upstream.dial_for_intercept(&connection.pool, to).await);
            }
            match self.upstream.dial(to).await {
                Ok(dialled) => Tunnel::PassThrough(dialled),
                Err(error) => {
                    self.tally.request(to, Fate::Passed);
                    Tunnel::Refuse(problem::answer(to, &error))
                }
            }
        })
    }

    fn alpn<'a>(
        &'a self,
        connection: &'a Connection,
        to: &'a Origin,
        offered: &'a [Vec<u8>],
        dialled: Option<Dialled>,
    ) -> BoxFuture<'a, Alpn> {
        Box::pin(self.upstream.negotiate(&connection.pool, to, offered, dialled))
    }

    fn handle<'a>(
        &'a self,
        connection: &'a Connection,
        exchange: Exchange,
    ) -> BoxFuture<'a, Result<Response<Body>, Close>> {
        Box::pin(self.take(connection, exchange))
    }

    fn told<'u>(&self, headers: &HeaderMap, url: &'u str) -> Cow<'u, str> {
        match Telling::url(&self.plan.policy, headers, url) {
            Cow::Borrowed(url) => self.redactor.vault().told(url),
            Cow::Owned(told) => Cow::Owned(self.redactor.vault().told(&told).into_owned()),
        }
    }

    fn told_headers(&self, headers: &HeaderMap) -> Headers {
        let told = Telling::headers(&self.plan.policy, headers);
        let known =
            |field: &Header| match std::str::from_utf8(&field.value).map(|value| self.redactor.vault().told(value)) {
                Ok(Cow::Owned(value)) => Header { name: field.name.clone(), value: value.into() },
                _ => field.clone(),
            };
        told.iter().map(known).collect()
    }

    fn event(&self, event: ConnectionEvent) {
        // Out of scope nobody wanted to read it.
        if let ConnectionEvent::TunnelClosed { to, sent, received, .. } = &event
            && sent + received > 0
            && self.may_record(to)
        {
            self.tally.find(connections::unrecorded_tunnel(&to.host_and_port()));
        }
        self.tally.notice(event);
    }

    fn upstreams(&self) -> Vec<&Upstream> {
        vec![&self.upstream]
    }
}

/// As the recorder of what a replay misses.
impl Ask for Recorder {
    fn ask<'a>(
        &'a self,
        connection: &'a Connection,
        exchange: Exchange<Bytes>,
    ) -> BoxFuture<'a, Result<Response<Body>, Close>> {
        let Exchange { origin, request, started, at, note } = exchange;
        let exchange = Exchange { origin, request: request.map(Full::new), started, at, note };
        Box::pin(self.take(connection, exchange))
    }

    fn upstream(&self) -> &Upstream {
        &self.upstream
    }
}

impl Recorder {
    /// Passes a request on; what is in scope is recorded.
    async fn take<B>(&self, connection: &Connection, exchange: Exchange<B>) -> Result<Response<Body>, Close>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (fate, tap) = self.begin(&exchange);
        exchange.note.say(|| {
            let way = match fate {
                Fate::Recorded => Way::Recorded,
                Fate::Noise => Way::PassedNoise,
                Fate::Passed => Way::Passed,
            };
            Provenance { exchange: tap.as_ref().map(|tap| tap.number()), ..Provenance::of(way) }
        });
        let Exchange { origin, mut request, .. } = exchange;
        let asks_head = request.method() == Method::HEAD;
        let client = asks_upgrade(request.headers(), request.version()).then(|| hyper::upgrade::on(&mut request));
        let mut unanswered = Unanswered(tap);
        let request = watched(request, unanswered.0.as_ref());
        let mut answer = match self.upstream.send(&connection.pool, &origin, request).await {
            Ok(answer) => answer,
            Err(SendError::Stale) => return Err(Close),
            Err(SendError::Upstream(error)) => {
                if let Some(tap) = unanswered.0.take() {
                    tap.fail(&error).await;
                }
                return Ok(problem::answer(&origin, &error));
            }
        };
        let tap = unanswered.0.take();
        if let Some(tap) = &tap {
            tap.push_response_head(&answer);
        }
        if answer.response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(client) = client
        {
            tokio::spawn(harproxy_proxy::splice(client, hyper::upgrade::on(&mut answer.response)));
        }
        if asks_head || has_no_content(answer.response.status()) {
            // Whatever its headers say of a length, its head is all of it.
            if let Some(tap) = tap {
                tap.complete().await;
            }
            return Ok(answer.response.map(Body::boxed));
        }
        let observer: Box<dyn BodyObserver> = match tap {
            Some(tap) => {
                let length = answer.response.body().size_hint().exact();
                Box::new(ResponseTap::new(tap, ContentHeaders::of(answer.response.headers()), length))
            }
            None => Box::new(PassedBytes(self.tally.clone())),
        };
        let (head, body) = answer.response.into_parts();
        let body = ObservedBody::new(body, observer).buffer().await;
        Ok(Response::from_parts(head, body.into_body()))
    }

    /// Counts a request; one that is in scope has a tap from here on.
    fn begin<B>(&self, exchange: &Exchange<B>) -> (Fate, Option<Arc<ExchangeTap>>) {
        // What is no URL to the URL Standard can be in nobody's scope.
        let url = NormalUrl::of(exchange.url()).ok();
        let fate = url.as_ref().map_or(Fate::Passed, |url| self.fate(url));
        self.tally.request(&exchange.origin, fate);
        let url = url.filter(|_| fate == Fate::Recorded);
        (fate, url.map(|url| ExchangeTap::begin(self.tap_context(), exchange, url)))
    }

    /// Whether some URL of this host could be recorded; the scheme inside a CONNECT is not known yet.
    fn may_record(&self, to: &Origin) -> bool {
        [Scheme::Https, Scheme::Http]
            .into_iter()
            .any(|scheme| self.plan.scope.may_match_origin(&Origin { scheme, ..to.clone() }.to_string()))
    }

    fn fate(&self, url: &NormalUrl) -> Fate {
        if !self.plan.scope.matches(url.as_str()) {
            return Fate::Passed;
        }
        if !self.plan.noise {
            return Fate::Recorded;
        }
        // Browsers ask for the icon by themselves; only a glob that names it wants it.
        let parts = url.parts();
        let icon =
            parts.path == "/favicon.ico" && !self.plan.scope.sources().iter().any(|glob| glob.contains("favicon.ico"));
        if icon || noise::is_noise_at(&parts, url) { Fate::Noise } else { Fate::Recorded }
    }

    /// Returns the context in which the next exchange is recorded, with a new exchange number.
    fn tap_context(&self) -> TapContext<'_> {
        TapContext {
            journal: &self.journal,
            tally: &self.tally,
            redactor: &self.redactor,
            number: self.exchanges.fetch_add(1, Ordering::Relaxed) + 1,
            max_body: self.plan.max_body,
        }
    }
}

/// A request whose payload is watched on its way, if it has one and is recorded.
fn watched<B>(request: Request<B>, tap: Option<&Arc<ExchangeTap>>) -> Request<Body>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let length = request.body().size_hint().exact();
    // Over HTTP/2 one that says that it is empty may still end behind its head.
    if request.body().is_end_stream() || length == Some(0) {
        return request.map(|_| Body::Empty);
    }
    match tap.map(|tap| RequestTap::new(tap.clone(), ContentHeaders::of(request.headers()), length)) {
        Some(tee) => request.map(|body| Body::boxed(ObservedBody::new(body, Box::new(tee)))),
        None => request.map(Body::boxed),
    }
}

/// Statuses whose responses end with their head (RFC 9110 section 6.4.1).
fn has_no_content(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}
