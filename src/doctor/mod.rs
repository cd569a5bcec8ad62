//! A handler that lets everything through and records nothing: what came is counted, for the diagnosis of a client that goes
//! past the proxy or does not trust it.

mod diagnosis;

pub use diagnosis::{Diagnosis, Host};

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::http::{HeaderMap, Response};
use indexmap::IndexMap;

use crate::verdict::{Findings, Handshakes, connections};
use harproxy_http::Headers;
use harproxy_http::problem::{Problem, in_words};
use harproxy_proxy::forward::forward;
use harproxy_proxy::handler::Close;
use harproxy_proxy::upstream::{Dialled, OwnConnections, PlanError, Upstream, UpstreamError, UpstreamPlan};
use harproxy_proxy::{Body, Client, Connect, Exchange, Handler, Notice, Origin, Session, respond};
use harproxy_redact::{Policy, Telling};
use harproxy_tls::authority::Alpn;

/// Lets everything through, and counts.
#[derive(Debug)]
pub struct Doctor {
    upstream: Upstream,
    policy: Policy,
    seen: Mutex<Seen>,
}

/// What came.
#[derive(Debug, Default)]
struct Seen {
    hosts: IndexMap<String, Host>,
    tunnels: u64,
    unauthorized: u64,
    handshakes: Handshakes,
    findings: Findings,
}

impl Doctor {
    /// One that goes upstream this way.
    ///
    /// # Errors
    /// When the plan can't be carried out.
    pub fn new(upstream: UpstreamPlan) -> Result<Self, PlanError> {
        Ok(Doctor { upstream: Upstream::anywhere(upstream)?, policy: Policy::default(), seen: Mutex::default() })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn host(&mut self, origin: &Origin) -> &mut Host {
        let origin = origin.to_string();
        self.hosts.entry(origin.clone()).or_insert_with(|| Host { origin, requests: 0, failed: 0, error: None })
    }
}

impl Handler for Doctor {
    type Connection = OwnConnections;

    fn accept(&self, _: &Arc<Client>) -> OwnConnections {
        OwnConnections::default()
    }

    async fn connect(&self, own: &OwnConnections, session: &Session, to: &Origin) -> Connect {
        self.upstream.intercept(own, session, to).await
    }

    async fn secure(
        &self,
        own: &OwnConnections,
        session: &Session,
        to: &Origin,
        client_alpn: &[Vec<u8>],
        dialled: Option<Dialled>,
    ) -> Alpn {
        self.upstream.secure(own, session, to, client_alpn, dialled).await
    }

    fn plain(&self, own: &OwnConnections, _: &Session, to: &Origin, dialled: Option<Dialled>) {
        if let Some(dialled) = dialled {
            self.upstream.keep_plain(own, to, dialled);
        }
    }

    async fn handle(&self, own: &OwnConnections, exchange: Exchange) -> Result<Response<Body>, Close> {
        let Exchange { session, origin, mut request, .. } = exchange;
        self.seen().host(&origin).requests += 1;
        let client = hyper::upgrade::on(&mut request);
        let answer = forward(&self.upstream, own, &session, &origin, request, client, None).await?;
        Ok(answer.unwrap_or_else(|error| {
            let mut seen = self.seen();
            let host = seen.host(&origin);
            host.failed += 1;
            host.error.get_or_insert_with(|| in_words(&error));
            failed(&origin, &error)
        }))
    }

    fn told<'u>(&self, headers: &HeaderMap, url: &'u str) -> Cow<'u, str> {
        Telling::url(&self.policy, headers, url)
    }

    fn told_headers(&self, headers: &HeaderMap) -> Headers {
        Telling::headers(&self.policy, headers)
    }

    fn notice(&self, notice: Notice) {
        let mut seen = self.seen();
        match notice {
            Notice::Tunnelled { .. } => seen.tunnels += 1,
            Notice::Unreadable { to } => seen.findings.add(connections::unreadable_tunnel(&to.host_and_port())),
            Notice::BadHead { reason } => seen.findings.add(connections::malformed_head(&reason)),
            Notice::Unauthorized => seen.unauthorized += 1,
            Notice::TlsRefused { to, reason } => seen.handshakes.add_refused(to.authority(), reason),
            Notice::TlsTrusted { to } => seen.handshakes.add_accepted(to.authority()),
        }
    }

    fn upstreams(&self) -> Vec<&Upstream> {
        vec![&self.upstream]
    }
}

fn failed(to: &Origin, error: &UpstreamError) -> Response<Body> {
    let detail = format!("{}; harproxy passed the request on to {to}", in_words(error));
    let problem = Problem::new(error.status(), "upstream could not be asked", detail).with("kind", error.kind());
    respond::problem(&problem, "live")
}
