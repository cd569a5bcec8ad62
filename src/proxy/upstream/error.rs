//! What goes wrong on the way upstream, in words and in the codes that answers and fixtures carry.

use std::io;
use std::time::Duration;

use crate::proxy::body::BoxError;
use crate::proxy::handler::Origin;

/// What went wrong upstream.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The name does not resolve.
    #[error("resolving {host}")]
    Resolve {
        /// The name.
        host: String,
        /// The reason.
        source: io::Error,
    },
    /// No TCP connection.
    #[error("connecting to {to}")]
    Connect {
        /// The origin.
        to: Origin,
        /// The reason.
        source: io::Error,
    },
    /// The upstream proxy would not.
    #[error("connecting to {to} through the upstream proxy {proxy}")]
    Proxy {
        /// The origin.
        to: Origin,
        /// The proxy, without its credentials.
        proxy: String,
        /// The reason.
        source: BoxError,
    },
    /// No TLS, or a certificate that does not verify.
    #[error("TLS with {to}")]
    Tls {
        /// The origin.
        to: Origin,
        /// The reason.
        source: io::Error,
    },
    /// The connection broke before an answer, or what came is none.
    #[error("no answer from {to}")]
    Broken {
        /// The origin.
        to: Origin,
        /// The reason.
        source: BoxError,
    },
    /// A time limit passed.
    #[error("{doing} {to} took longer than {limit:?}")]
    Timeout {
        /// "connecting to", "TLS with" …
        doing: &'static str,
        /// The origin.
        to: Origin,
        /// The limit.
        limit: Duration,
    },
    /// This way ends on this machine, and the origin is elsewhere.
    #[error("{to} is not on this machine, and nothing else may be reached")]
    Elsewhere {
        /// The origin.
        to: Origin,
    },
    /// The request can't be put into the form that its way needs.
    #[error("the request can't be sent to {to}")]
    Request {
        /// The origin.
        to: Origin,
        /// The reason.
        source: ::http::Error,
    },
}

impl UpstreamError {
    /// 504 for time limits, else 502.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            UpstreamError::Timeout { .. } => 504,
            _ => 502,
        }
    }

    /// One word for `_harproxy.error`: `dns`, `refused`, `connect`, `proxy`, `tls`, `reset`, `timeout`, `forbidden`,
    /// `request`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            UpstreamError::Resolve { .. } => "dns",
            UpstreamError::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => "refused",
            UpstreamError::Connect { .. } => "connect",
            UpstreamError::Proxy { .. } => "proxy",
            UpstreamError::Tls { .. } => "tls",
            UpstreamError::Broken { .. } => "reset",
            UpstreamError::Timeout { .. } => "timeout",
            UpstreamError::Elsewhere { .. } => "forbidden",
            UpstreamError::Request { .. } => "request",
        }
    }
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Tell the client, and record it.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// A reused connection died before a byte came back: close the client's connection, record nothing.
    #[error("a reused connection died before it answered")]
    Stale,
}

/// Why the plan can't be carried out: a file of certificates that is not one, a bad proxy URL …
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct PlanError {
    /// The option and its value.
    pub what: String,
    /// What is wrong with it.
    pub reason: String,
}
