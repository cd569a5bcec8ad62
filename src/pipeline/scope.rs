//! The scope stage: decides which sources may answer a request, and whether a tunnel is intercepted. Record, replay and
//! `doctor` differ in these decisions alone.

use std::sync::Arc;

use super::exchange::Exchange;
use crate::source::Source;
use crate::verdict::request::ResultKind;
use crate::verdict::{CheckId, Finding, Severity};
use harproxy_proxy::upstream::Upstream;
use harproxy_proxy::{ConnectionEvent, Origin};

/// Sources in the order in which they are asked. The last one never passes a request on.
pub type SourceList = Arc<[Arc<dyn Source>]>;

/// Decides where requests and tunnels go.
pub trait Router: Send + Sync + 'static {
    /// Chooses the sources of a request, and notes in its outcome whether it is in scope.
    fn route(&self, exchange: &mut Exchange<'_>) -> SourceList;

    /// Decides about a CONNECT.
    fn route_tunnel(&self, to: &Origin) -> TunnelRoute;

    /// Returns true if responses for this origin were received over HTTP/2, for connections that are not dialled.
    fn speaks_h2(&self, _to: &Origin) -> bool {
        false
    }

    /// Decides how a client that refused the certificate for this origin is reported.
    fn route_tls_refusal(&self, _to: &Origin) -> TlsRefusal {
        TlsRefusal::Report
    }

    /// Returns the severity of the findings of a check about connections.
    fn severity(&self, _check: &CheckId) -> Severity {
        Severity::Warning
    }

    /// A finding about a tunnel that closed.
    fn check_tunnel(&self, _event: &ConnectionEvent) -> Option<Finding> {
        None
    }

    /// The upstreams that requests may be sent to.
    fn upstreams(&self) -> Vec<&Upstream>;
}

/// The decision about a CONNECT.
pub enum TunnelRoute {
    /// Serve the requests inside without dialling.
    Serve,
    /// Dial, and serve the requests inside in a protocol that this source's upstream supports.
    Intercept(Arc<crate::source::UpstreamSource>),
    /// Dial, and copy bytes both ways.
    PassThrough(Arc<crate::source::UpstreamSource>),
}

/// The report of a client that refused the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsRefusal {
    /// A finding, unless another client accepts.
    Report,
    /// A refused request that counts as this result.
    Count(ResultKind),
    /// No report.
    Ignore,
}
