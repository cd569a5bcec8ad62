//! What goes wrong on the way upstream, in words and in the codes that answers and fixtures carry.

use std::io;
use std::time::Duration;

use rustls::AlertDescription;

use super::timeouts::Step;
use crate::body::BoxError;
use crate::origin::Origin;

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
    #[error("{step} {to}{} took longer than {limit:?}", through(proxy.as_deref()))]
    Timeout {
        /// What it was for.
        step: Step,
        /// The origin.
        to: Origin,
        /// The upstream proxy that may have been what took so long, without its credentials.
        proxy: Option<String>,
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

    /// Whether upstream's TLS asked for a client certificate and got none, or none that it takes. In TLS 1.3 it says so after
    /// the handshake.
    #[must_use]
    pub fn wants_certificate(&self) -> bool {
        self.alerts(AlertDescription::CertificateRequired)
    }

    /// Whether upstream speaks none of the protocols that it was offered (ALPN, RFC 7301 section 3.2).
    #[must_use]
    pub fn shares_no_protocol(&self) -> bool {
        self.alerts(AlertDescription::NoApplicationProtocol)
    }

    fn alerts(&self, what: AlertDescription) -> bool {
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            if matches!(alert(error), Some(rustls::Error::AlertReceived(said)) if *said == what) {
                return true;
            }
            cause = error.source();
        }
        false
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
            UpstreamError::Broken { .. } if self.wants_certificate() => "tls",
            UpstreamError::Broken { .. } => "reset",
            UpstreamError::Timeout { .. } => "timeout",
            UpstreamError::Elsewhere { .. } => "forbidden",
            UpstreamError::Request { .. } => "request",
        }
    }
}

fn through(proxy: Option<&str>) -> String {
    proxy.map(|proxy| format!(" through the upstream proxy {proxy}")).unwrap_or_default()
}

/// What rustls said, where an I/O error carries it: that is no `source` of it.
fn alert<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    inner.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref())
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

/// An option names ourselves as the proxy to go through.
#[derive(Debug, thiserror::Error)]
#[error("--upstream-proxy: {url} is where harproxy itself listens")]
pub struct OwnProxy {
    /// The proxy, without its credentials.
    pub url: String,
}

/// Why the plan can't be carried out: a file of certificates that is not one, a bad proxy URL …
#[derive(Debug, thiserror::Error)]
#[error("{what}{}{reason}", if reason.is_empty() { "" } else { ": " })]
pub struct PlanError {
    /// The option and its value.
    pub what: String,
    /// What is wrong with it, where that is not said yet.
    pub reason: String,
}
