//! Handler of `harproxy doctor`: forwards all requests and counts them, to diagnose clients that bypass or distrust the
//! proxy.

mod diagnosis;

pub use diagnosis::{Diagnosis, Host};

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::http::{HeaderMap, Response};
use indexmap::IndexMap;

use crate::verdict::{Findings, Handshakes, connections};
use harproxy_http::Headers;
use harproxy_http::problem::{Problem, in_words};
use harproxy_proxy::forward::forward;
use harproxy_proxy::upstream::{Dialled, PlanError, Upstream, UpstreamError, UpstreamPlan};
use harproxy_proxy::{Body, BoxFuture, Close, Connection, ConnectionEvent, Exchange, Handler, Origin, Tunnel, respond};
use harproxy_redact::{Policy, Telling};
use harproxy_tls::authority::Alpn;

/// Forwards all requests to their upstream and counts them.
#[derive(Debug)]
pub struct Doctor {
    upstream: Upstream,
    policy: Policy,
    seen: Mutex<Seen>,
}

/// Counters and findings of the run so far.
#[derive(Debug, Default)]
struct Seen {
    hosts: IndexMap<String, Host>,
    tunnels: u64,
    unauthorized: u64,
    handshakes: Handshakes,
    findings: Findings,
}

impl Doctor {
    /// Creates a handler that connects to upstreams according to the plan.
    ///
    /// # Errors
    /// Fails if the upstream plan is invalid or cannot be applied.
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
    fn tunnel<'a>(&'a self, connection: &'a Connection, to: &'a Origin) -> BoxFuture<'a, Tunnel> {
        Box::pin(async { Tunnel::Intercept(self.upstream.dial_for_intercept(&connection.pool, to).await) })
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
        Box::pin(async move {
            let Exchange { origin, mut request, .. } = exchange;
            self.seen().host(&origin).requests += 1;
            let client = hyper::upgrade::on(&mut request);
            let answer = forward(&self.upstream, &connection.pool, &origin, request, client, None).await?;
            Ok(answer.unwrap_or_else(|error| {
                let mut seen = self.seen();
                let host = seen.host(&origin);
                host.failed += 1;
                host.error.get_or_insert_with(|| in_words(&error));
                failed(&origin, &error)
            }))
        })
    }

    fn told<'u>(&self, headers: &HeaderMap, url: &'u str) -> Cow<'u, str> {
        Telling::url(&self.policy, headers, url)
    }

    fn told_headers(&self, headers: &HeaderMap) -> Headers {
        Telling::headers(&self.policy, headers)
    }

    fn event(&self, event: ConnectionEvent) {
        let mut seen = self.seen();
        match event {
            ConnectionEvent::TunnelClosed { .. } => seen.tunnels += 1,
            ConnectionEvent::UnknownProtocol { to } => {
                seen.findings.add(connections::unreadable_tunnel(&to.host_and_port()))
            }
            ConnectionEvent::MalformedHead { reason } => seen.findings.add(connections::malformed_head(&reason)),
            ConnectionEvent::Unauthorized => seen.unauthorized += 1,
            ConnectionEvent::TlsRefused { to, reason } => seen.handshakes.add_refused(to.authority(), reason),
            ConnectionEvent::TlsAccepted { to } => seen.handshakes.add_accepted(to.authority()),
        }
    }

    fn upstreams(&self) -> Vec<&Upstream> {
        vec![&self.upstream]
    }
}

fn failed(to: &Origin, error: &UpstreamError) -> Response<Body> {
    let detail = format!("{}; harproxy passed the request on to {to}", in_words(error));
    let problem = Problem::new(error.status(), "upstream request failed", detail).with("kind", error.kind());
    respond::problem(&problem, "live")
}
