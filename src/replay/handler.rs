//! The seam to the engine: where a request goes, in the order that decides it.

use std::borrow::Cow;
use std::sync::Arc;

use super::Replayer;
use super::answer::Given;
use super::asked::Asked;
use super::intake;
use super::ledger::Count;
use super::local;
use super::passthrough::{self, Passthrough};
use crate::http::NormalUrl;
use crate::proxy::handler::Close;
use crate::proxy::respond::MARK;
use crate::proxy::upstream::{Dialled, OwnConnections};
use crate::proxy::{Body, Client, Connect, Exchange, Handler, Notice, Origin, Session};
use crate::redact::Telling;
use crate::tls::authority::Alpn;
use ::http::header::HeaderValue;
use ::http::{HeaderMap, Request, Response};

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
    fn way(&self, url: &NormalUrl) -> Way {
        if self.live.as_ref().is_some_and(|live| live.names(url)) {
            Way::Live
        } else if self.strict.in_scope(url) {
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
        self.live.as_ref().filter(|live| live.may_name(to) && !self.strict.may_match(to))
    }
}

impl Handler for Replayer {
    type Connection = OwnConnections;

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
        if !is_local || self.strict.may_match(to) {
            return Connect::Intercept(None);
        }
        // With `--no-local` the client is told inside its TLS, where it can read why.
        let Some(local) = &self.local else { return Connect::Intercept(None) };
        let ledger = self.strict.ledger();
        ledger.count(Count::Local);
        match local.dial(to).await {
            Ok(dialled) => {
                ledger.count(Count::Tunnels);
                Connect::Tunnel(dialled)
            }
            Err(error) => Connect::Refuse(local::failed(to, &error, self.strict.marks())),
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
        if self.strict.speaks_h2(to) { Alpn::Http2 } else { Alpn::Http1 }
    }

    fn plain(&self, own: &OwnConnections, _: &Session, to: &Origin, dialled: Option<Dialled>) {
        if let (Some(live), Some(dialled)) = (&self.live, dialled) {
            live.plain(own, to, dialled);
        }
    }

    async fn handle(&self, own: &OwnConnections, exchange: Exchange) -> Result<Response<Body>, Close> {
        let Exchange { client: asker, session, origin, mut request, started, at } = exchange;
        let url = match NormalUrl::parse(&request.uri().to_string()) {
            Ok(url) => url,
            // Where its secrets are nobody can say.
            Err(error) => return Ok(self.strict.malformed(format!("{} {origin}", request.method()), error.reason())),
        };
        let way = self.way(&url);
        if let (Way::Local, Some(local)) = (way, &self.local) {
            self.strict.ledger().count(Count::Local);
            return local.pass(own, &session, &origin, request, self.strict.marks()).await;
        }
        let client = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        let now = self.now.unwrap_or(started);
        let (method, headers, version) = (&head.method, &head.headers, head.version);
        let asked = Asked { method, url: &url, headers, version, now, policy: self.strict.policy() };
        if let (Way::Live, Some(live)) = (way, &self.live) {
            self.strict.pass(&asked, Count::Passed, "it went to the network, as `--passthrough` says");
            let request = Request::from_parts(head, body);
            return live.pass(own, &session, &origin, request, client, self.strict.marks()).await;
        }
        if way == Way::Strict {
            let payload = match self.strict.answer(&asked, &session, body).await? {
                Given::Answer(answer) => return Ok(answer),
                Given::Missing(payload) => payload,
            };
            return match (&self.recorder, &self.live) {
                (Some(recorder), _) => {
                    let request = Request::from_parts(head, payload);
                    let exchange = Exchange { client: asker, session, origin, request, started, at };
                    let mut answer = recorder.ask(own, exchange).await?;
                    if self.strict.marks() {
                        answer.headers_mut().insert(MARK, HeaderValue::from_static(passthrough::LIVE));
                    }
                    Ok(answer)
                }
                (None, Some(live)) => {
                    let request = Request::from_parts(head, Body::full(payload));
                    live.pass(own, &session, &origin, request, client, self.strict.marks()).await
                }
                (None, None) => Err(Close),
            };
        }
        intake::discard(body);
        Ok(self.strict.outside(&asked, local::is_local(&url)))
    }

    fn told<'u>(&self, headers: &HeaderMap, url: &'u str) -> Cow<'u, str> {
        Telling::url(self.strict.policy(), headers, url)
    }

    fn notice(&self, notice: Notice) {
        self.strict.notice(notice);
    }
}
