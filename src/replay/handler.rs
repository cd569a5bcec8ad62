//! The seam to the engine: where a request goes, in the order that decides it.

use std::sync::Arc;

use super::Replayer;
use super::asked::Asked;
use super::intake;
use super::ledger::Count;
use super::local;
use crate::http::NormalUrl;
use crate::proxy::handler::Close;
use crate::proxy::upstream::{Dialled, OwnConnections};
use crate::proxy::{Body, Client, Connect, Exchange, Handler, Notice, Origin, Session};
use crate::tls::authority::Alpn;
use ::http::Response;

/// Where a request goes. What comes first wins; URLs named by `--passthrough` will come before all of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// In scope: an entry, or an explanation.
    Strict,
    /// Out of scope and on this machine: dialled.
    Local,
    /// Noise, or out of scope.
    Refused,
}

impl Replayer {
    fn way(&self, url: &NormalUrl) -> Way {
        if self.strict.in_scope(url) {
            Way::Strict
        } else if self.local.is_some() && local::is_local(url) {
            Way::Local
        } else {
            Way::Refused
        }
    }
}

impl Handler for Replayer {
    type Connection = OwnConnections;

    fn accept(&self, _: &Arc<Client>) -> OwnConnections {
        OwnConnections::default()
    }

    /// Nothing is dialled, but for a local server that no request in scope could be meant for: its own TLS goes through
    /// untouched.
    async fn connect(&self, _: &OwnConnections, _: &Session, to: &Origin) -> Connect {
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

    async fn secure(&self, _: &OwnConnections, _: &Session, to: &Origin, _: &[Vec<u8>], _: Option<Dialled>) -> Alpn {
        if self.strict.speaks_h2(to) { Alpn::Http2 } else { Alpn::Http1 }
    }

    fn plain(&self, _: &OwnConnections, _: &Session, _: &Origin, _: Option<Dialled>) {}

    async fn handle(&self, own: &OwnConnections, exchange: Exchange) -> Result<Response<Body>, Close> {
        let Exchange { session, origin, request, started, .. } = exchange;
        let url = match NormalUrl::parse(&request.uri().to_string()) {
            Ok(url) => url,
            Err(error) => {
                let line = format!("{} {}", request.method(), request.uri());
                return Ok(self.strict.malformed(line, &error));
            }
        };
        let way = self.way(&url);
        if let (Way::Local, Some(local)) = (way, &self.local) {
            self.strict.ledger().count(Count::Local);
            return local.pass(own, &session, &origin, request, self.strict.marks()).await;
        }
        let (head, body) = request.into_parts();
        let now = self.now.unwrap_or(started);
        let asked = Asked { method: &head.method, url: &url, headers: &head.headers, version: head.version, now };
        if way == Way::Strict {
            return self.strict.answer(&asked, &session, body).await;
        }
        intake::discard(body);
        Ok(self.strict.outside(&asked, local::is_local(&url)))
    }

    fn notice(&self, notice: Notice) {
        self.strict.notice(notice);
    }
}
