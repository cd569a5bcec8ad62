//! Forwards requests to the network: URLs that `--passthrough` names, and misses with `--on-miss passthrough`.
//!
//! No other file of replay has a connector beyond this machine. It exists only if an option asks for it.

use ::http::{Request, Response};
use bytes::Bytes;
use hyper::upgrade::OnUpgrade;

use harproxy_glob::Globs;
use harproxy_http::NormalUrl;
use harproxy_http::problem::{Problem, in_words};
use harproxy_proxy::body::BoxError;
use harproxy_proxy::forward::forward;
use harproxy_proxy::respond;
use harproxy_proxy::upstream::{Dialled, PlanError, Upstream, UpstreamError, UpstreamPlan};
use harproxy_proxy::{Body, Close, Connection, Origin, Scheme, Tunnel};
use harproxy_tls::authority::Alpn;

/// The `x-harproxy` value of answers from the network.
pub(super) const LIVE: &str = "live";

/// The URLs that may go to the network, and the upstream settings.
#[derive(Clone, Debug)]
pub struct NetworkPlan {
    /// The URLs named by `--passthrough`.
    pub named: Option<Globs>,
    /// The upstream settings.
    pub upstream: UpstreamPlan,
}

/// The connector to the network.
pub(super) struct Passthrough {
    named: Option<Globs>,
    upstream: Upstream,
}

impl Passthrough {
    pub(super) fn new(plan: NetworkPlan) -> Result<Self, PlanError> {
        Ok(Passthrough { named: plan.named, upstream: Upstream::anywhere(plan.upstream)? })
    }

    /// Returns the connector.
    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Connections opened so far.
    pub(super) fn opened(&self) -> u64 {
        self.upstream.opened()
    }

    /// Whether `--passthrough` names this URL.
    pub(super) fn names(&self, url: &NormalUrl) -> bool {
        self.named.as_ref().is_some_and(|named| named.matches(url.as_str()))
    }

    /// Whether it may name a URL at this host and port, whatever is spoken there.
    pub(super) fn may_name(&self, to: &Origin) -> bool {
        let at = |scheme| Origin { scheme, ..to.clone() }.to_string();
        let schemes = [Scheme::Https, Scheme::Http];
        self.named.as_ref().is_some_and(|named| schemes.into_iter().any(|scheme| named.may_match_origin(&at(scheme))))
    }

    /// Whether it may name a URL of this host, or of one below it as a domain.
    pub(super) fn may_name_domain(&self, domain: &str) -> bool {
        self.named.as_ref().is_some_and(|named| named.may_match_domain(domain))
    }

    /// For a CONNECT: dialled now, so that the client is offered what upstream speaks.
    pub(super) async fn tunnel(&self, connection: &Connection, to: &Origin) -> Tunnel {
        Tunnel::Intercept(self.upstream.dial_for_intercept(&connection.pool, to).await)
    }

    pub(super) async fn alpn(
        &self,
        connection: &Connection,
        to: &Origin,
        offered: &[Vec<u8>],
        dialled: Option<Dialled>,
    ) -> Alpn {
        self.upstream.negotiate(&connection.pool, to, offered, dialled).await
    }

    /// Passes a request on, an Upgrade included: `client` is its side of one.
    pub(super) async fn pass<B>(
        &self,
        connection: &Connection,
        to: &Origin,
        request: Request<B>,
        client: OnUpgrade,
        mark: bool,
    ) -> Result<Response<Body>, Close>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let mark_as = mark.then_some(LIVE);
        let answer = forward(&self.upstream, &connection.pool, to, request, client, mark_as).await?;
        Ok(answer.unwrap_or_else(|error| failed(to, &error, mark)))
    }
}

/// Why upstream could not be asked, for the client.
fn failed(to: &Origin, error: &UpstreamError, mark: bool) -> Response<Body> {
    let advice = match error {
        UpstreamError::Timeout { step, .. } => format!("give {to} more time with `{}`", step.option()),
        _ => format!("can {to} be reached from here?"),
    };
    let detail = format!("{}\nthe request was to go to the network; {advice}", in_words(error));
    let problem = Problem::new(error.status(), "upstream request failed", detail).with("kind", error.kind());
    respond::problem(&problem, if mark { LIVE } else { "" })
}
