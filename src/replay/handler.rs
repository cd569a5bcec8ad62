//! The seam to the engine: where a request goes, in the order that decides it.

use std::borrow::Cow;
use std::sync::Arc;
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
use harproxy_proxy::handler::Close;
use harproxy_proxy::respond::MARK;
use harproxy_proxy::upstream::{Dialled, OwnConnections, Upstream};
use harproxy_proxy::{Ask, Body, Client, Connect, Exchange, Handler, Note, Notice, Origin, Provenance, Session};
use harproxy_redact::Telling;
use harproxy_tls::authority::Alpn;

/// Where a request goes. What comes first wins.
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

    /// The way to the network, when nothing else than what `--passthrough` names may be asked for there. Where an entry could
    /// answer as well, nothing is dialled before a request asks for it.
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
        own: &OwnConnections,
        exchange: Exchange,
    ) -> Result<Response<Body>, Close> {
        let Exchange { session, origin, mut request, started, note, .. } = exchange;
        if let (Way::Local, Some(local)) = (way, &self.local) {
            self.ledger.count(Count::Local);
            note.say(|| Provenance::of(harproxy_proxy::Way::Local));
            return local.pass(own, &session, &origin, request, strict.marks()).await;
        }
        let client = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        let asked = self.asked(&head, url, started, &note);
        if let (Way::Live, Some(live)) = (way, &self.live) {
            strict.pass(&asked, Count::Passed, "it went to the network, as `--passthrough` says");
            note.say(|| Provenance::of(harproxy_proxy::Way::Live));
            let request = Request::from_parts(head, body);
            return live.pass(own, &session, &origin, request, client, strict.marks()).await;
        }
        intake::discard(body);
        Ok(strict.outside(&asked, local::is_local(url)))
    }

    /// A request that no entry answers, and that `--on-miss` lets go to the network.
    async fn missing(
        &self,
        strict: &Strict,
        own: &OwnConnections,
        mut exchange: Exchange<Bytes>,
    ) -> Result<Response<Body>, Close> {
        if let Some(recorder) = &self.recorder {
            let mut answer = recorder.ask(own, exchange).await?;
            if strict.marks() {
                answer.headers_mut().insert(MARK, HeaderValue::from_static(passthrough::LIVE));
            }
            return Ok(answer);
        }
        let Some(live) = &self.live else { return Err(Close) };
        exchange.note.say(|| Provenance::of(harproxy_proxy::Way::Live));
        let client = hyper::upgrade::on(&mut exchange.request);
        let Exchange { session, origin, request, .. } = exchange;
        live.pass(own, &session, &origin, request.map(Body::full), client, strict.marks()).await
    }
}

impl Handler for Replayer {
    type Connection = OwnConnections;

    /// What is compared has no case; only a far server may be particular.
    fn keeps_case(&self) -> bool {
        self.live.is_some() || self.recorder.is_some()
    }

    fn accept(&self, _: &Arc<Client>) -> OwnConnections {
        OwnConnections::default()
    }

    /// Nothing is dialled, but for what `--passthrough` names, and for a local server that no request in scope could be meant
    /// for: its own TLS goes through untouched.
    async fn connect(&self, own: &OwnConnections, session: &Session, to: &Origin) -> Connect {
        if let Some(live) = self.live_alone(to) {
            return live.connect(own, session, to).await;
        }
        let is_local = NormalUrl::parse(&format!("{to}/")).is_ok_and(|url| local::is_local(&url));
        let strict = self.strict.load();
        if !is_local || strict.may_match(to) {
            return Connect::Intercept(None);
        }
        // With `--no-local` the client is told inside its TLS, where it can read why.
        let Some(local) = &self.local else { return Connect::Intercept(None) };
        self.ledger.count(Count::Local);
        match local.dial(to).await {
            Ok(dialled) => {
                self.ledger.count(Count::Tunnels);
                Connect::Tunnel(dialled)
            }
            Err(error) => Connect::Refuse(local::failed(to, &error, strict.marks())),
        }
    }

    async fn secure(
        &self,
        own: &OwnConnections,
        session: &Session,
        to: &Origin,
        client_alpn: &[Vec<u8>],
        dialled: Option<Dialled>,
    ) -> Alpn {
        if let Some(live) = self.live_alone(to) {
            return live.secure(own, session, to, client_alpn, dialled).await;
        }
        if self.strict.load().speaks_h2(to) { Alpn::Http2 } else { Alpn::Http1 }
    }

    fn plain(&self, own: &OwnConnections, _: &Session, to: &Origin, dialled: Option<Dialled>) {
        if let (Some(live), Some(dialled)) = (&self.live, dialled) {
            live.plain(own, to, dialled);
        }
    }

    async fn handle(&self, own: &OwnConnections, exchange: Exchange) -> Result<Response<Body>, Close> {
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
            // In boxes, as all that dials: a request that an entry answers need not carry what takes.
            return Box::pin(self.aside(&strict, way, &url, own, exchange)).await;
        }
        let Exchange { client, session, origin, request, started, at, note } = exchange;
        let (head, body) = request.into_parts();
        let asked = self.asked(&head, &url, started, &note);
        let payload = match strict.answer(&asked, &session, body).await? {
            Given::Answer(answer) => return Ok(answer),
            Given::Missing(payload) => payload,
        };
        let request = Request::from_parts(head, payload);
        let exchange = Exchange { client, session, origin, request, started, at, note };
        Box::pin(self.missing(&strict, own, exchange)).await
    }

    fn told<'u>(&self, headers: &HeaderMap, url: &'u str) -> Cow<'u, str> {
        Telling::url(&self.policy, headers, url)
    }

    fn told_headers(&self, headers: &HeaderMap) -> Headers {
        Telling::headers(&self.policy, headers)
    }

    fn notice(&self, notice: Notice) {
        self.strict.load().notice(notice);
    }

    fn upstreams(&self) -> Vec<&Upstream> {
        let recorder = self.recorder.as_deref().map(Ask::upstream);
        self.live.as_ref().map(Passthrough::upstream).into_iter().chain(recorder).collect()
    }
}
