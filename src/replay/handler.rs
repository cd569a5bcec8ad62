//! The seam to the engine: where a request goes, in the order that decides it.

use std::borrow::Cow;
use std::time::SystemTime;

use super::Replayer;
use super::answer::{Given, Strict};
use super::asked::Asked;
use super::intake;
use super::ledger::Count;
use super::local;
use super::passthrough::{self, Passthrough};
use ::http::header::HeaderValue;
use ::http::request::Parts;
use ::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use harproxy_http::{Headers, NormalUrl};
use harproxy_proxy::respond::MARK;
use harproxy_proxy::upstream::{Dialled, Upstream};
use harproxy_proxy::{
    Ask, Body, BoxFuture, Close, Connection, ConnectionEvent, Exchange, Handler, Note, Origin, Provenance, Tunnel,
};
use harproxy_redact::Telling;
use harproxy_tls::authority::Alpn;

/// The route of a request. An earlier variant takes precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Named by `--passthrough`: to the network.
    Live,
    /// In scope: an entry, or an explanation.
    Strict,
    /// Out of scope and on this machine: dialled.
    Local,
    /// Noise, or out of scope.
    Refused,
}

impl Replayer {
    fn way(&self, strict: &Strict, url: &NormalUrl) -> Way {
        if self.live.as_ref().is_some_and(|live| live.names(url)) {
            Way::Live
        } else if strict.in_scope(url) {
            Way::Strict
        } else if self.local.is_some() && local::is_local(url) {
            Way::Local
        } else {
            Way::Refused
        }
    }

    /// Returns the connector to the network if `--passthrough` may name this origin and no entry may match it.
    /// If an entry could answer as well, a connection is dialled only when a request needs it.
    fn live_alone(&self, to: &Origin) -> Option<&Passthrough> {
        self.live.as_ref().filter(|live| live.may_name(to) && !self.strict.load().may_match(to))
    }

    /// A request's head as the strict part sees it.
    fn asked<'a>(&'a self, head: &'a Parts, url: &'a NormalUrl, came: SystemTime, note: &'a Note) -> Asked<'a> {
        let now = self.now.unwrap_or(came);
        let (method, headers, version) = (&head.method, &head.headers, head.version);
        Asked { method, url, headers, version, now, policy: &self.policy, note }
    }

    /// A request that is not the strict part's.
    async fn aside(
        &self,
        strict: &Strict,
        way: Way,
        url: &NormalUrl,
        connection: &Connection,
        exchange: Exchange,
    ) -> Result<Response<Body>, Close> {
        let Exchange { origin, mut request, started, note, .. } = exchange;
        if let (Way::Local, Some(local)) = (way, &self.local) {
            self.ledger.count(Count::Local);
            note.say(|| Provenance::of(harproxy_proxy::Way::Local));
            return local.pass(connection, &origin, request, strict.marks()).await;
        }
        let client = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        let asked = self.asked(&head, url, started, &note);
        if let (Way::Live, Some(live)) = (way, &self.live) {
            strict.pass(&asked, Count::Passed, "it went to the network, as `--passthrough` says");
            note.say(|| Provenance::of(harproxy_proxy::Way::Live));
            let request = Request::from_parts(head, body);
            return live.pass(connection, &origin, request, client, strict.marks()).await;
        }
        intake::discard(body);
        Ok(strict.outside(&asked, local::is_local(url)))
    }

    /// A request that no entry answers, and that `--on-miss` lets go to the network.
    async fn missing(
        &self,
        strict: &Strict,
        connection: &Connection,
        mut exchange: Exchange<Bytes>,
    ) -> Result<Response<Body>, Close> {
        if let Some(recorder) = &self.recorder {
            let mut answer = recorder.ask(connection, exchange).await?;
            if strict.marks() {
                answer.headers_mut().insert(MARK, HeaderValue::from_static(passthrough::LIVE));
            }
            return Ok(answer);
        }
        let Some(live) = &self.live else { return Err(Close) };
        exchange.note.say(|| Provenance::of(harproxy_proxy::Way::Live));
        let client = hyper::upgrade::on(&mut exchange.request);
        let Exchange { origin, request, .. } = exchange;
        live.pass(connection, &origin, request.map(Body::full), client, strict.marks()).await
    }

    /// Decides how to handle a CONNECT tunnel. Without `--no-local`, one to a local server out of scope passes through.
    /// All others are intercepted; upstream is dialled only for origins that `--passthrough` alone may name.
    async fn decide_tunnel(&self, connection: &Connection, to: &Origin) -> Tunnel {
        if let Some(live) = self.live_alone(to) {
            return live.tunnel(connection, to).await;
        }
        let is_local = NormalUrl::parse(&format!("{to}/")).is_ok_and(|url| local::is_local(&url));
        let strict = self.strict.load();
        if !is_local || strict.may_match(to) {
            return Tunnel::Intercept(None);
        }
        // With `--no-local` the client is told inside its TLS, where it can read why.
        let Some(local) = &self.local else { return Tunnel::Intercept(None) };
        self.ledger.count(Count::Local);
        match local.dial(to).await {
            Ok(dialled) => {
                self.ledger.count(Count::Tunnels);
                Tunnel::PassThrough(dialled)
            }
            Err(error) => Tunnel::Refuse(local::failed(to, &error, strict.marks())),
        }
    }

    async fn answer(&self, connection: &Connection, exchange: Exchange) -> Result<Response<Body>, Close> {
        let strict = self.strict.load();
        let url = match NormalUrl::of(exchange.url()) {
            Ok(url) => url,
            // Where its secrets are nobody can say.
            Err(error) => {
                exchange.note.say(|| Provenance::of(harproxy_proxy::Way::Refused));
                let request = format!("{} {}", exchange.request.method(), exchange.origin);
                return Ok(strict.malformed(request, error.reason()));
            }
        };
        let way = self.way(&strict, &url);
        if way != Way::Strict {
            return self.aside(&strict, way, &url, connection, exchange).await;
        }
        let Exchange { origin, request, started, at, note } = exchange;
        let (head, body) = request.into_parts();
        let asked = self.asked(&head, &url, started, &note);
        let payload = match strict.answer(&asked, connection.session(), body).await? {
            Given::Answer(answer) => return Ok(answer),
            Given::Missing(payload) => payload,
        };
        let request = Request::from_parts(head, payload);
        self.missing(&strict, connection, Exchange { origin, request, started, at, note }).await
    }
}

impl Handler for Replayer {
    fn tunnel<'a>(&'a self, connection: &'a Connection, to: &'a Origin) -> BoxFuture<'a, Tunnel> {
        Box::pin(self.decide_tunnel(connection, to))
    }

    fn alpn<'a>(
        &'a self,
        connection: &'a Connection,
        to: &'a Origin,
        offered: &'a [Vec<u8>],
        dialled: Option<Dialled>,
    ) -> BoxFuture<'a, Alpn> {
        Box::pin(async move {
            if let Some(live) = self.live_alone(to) {
                return live.alpn(connection, to, offered, dialled).await;
            }
            if self.strict.load().speaks_h2(to) { Alpn::Http2 } else { Alpn::Http1 }
        })
    }

    fn handle<'a>(
        &'a self,
        connection: &'a Connection,
        exchange: Exchange,
    ) -> BoxFuture<'a, Result<Response<Body>, Close>> {
        Box::pin(self.answer(connection, exchange))
    }

    fn told<'u>(&self, headers: &HeaderMap, url: &'u str) -> Cow<'u, str> {
        Telling::url(&self.policy, headers, url)
    }

    fn told_headers(&self, headers: &HeaderMap) -> Headers {
        Telling::headers(&self.policy, headers)
    }

    fn event(&self, event: ConnectionEvent) {
        self.strict.load().notice(event);
    }

    fn upstreams(&self) -> Vec<&Upstream> {
        let recorder = self.recorder.as_deref().map(Ask::upstream);
        self.live.as_ref().map(Passthrough::upstream).into_iter().chain(recorder).collect()
    }
}
