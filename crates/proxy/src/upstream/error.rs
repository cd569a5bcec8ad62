//! Errors of the upstream side, with the codes that answers and fixtures contain.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::AlertDescription;

use super::plan::Step;
use crate::body::BoxError;
use crate::origin::Origin;

/// A request could not be sent upstream, or got no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("resolving {host}")]
    Resolve { host: String, source: io::Error },
    /// No TCP connection.
    #[error("connecting to {to}")]
    Connect { to: Origin, source: io::Error },
    /// The upstream proxy gave no connection.
    #[error("connecting to {to} through the upstream proxy {proxy}")]
    Proxy {
        to: Origin,
        /// The proxy, without its credentials.
        proxy: String,
        source: BoxError,
    },
    /// No TLS, or a certificate that does not verify.
    #[error("TLS with {to}")]
    Tls { to: Origin, source: io::Error },
    /// The connection broke before an answer, or the answer is not valid.
    #[error("no answer from {to}")]
    Broken { to: Origin, source: BoxError },
    #[error("{step} {to}{} took longer than {limit:?}", through(proxy.as_deref()))]
    Timeout {
        step: Step,
        to: Origin,
        /// The upstream proxy on the way, without its credentials.
        proxy: Option<String>,
        limit: Duration,
    },
    /// The upstream leads to loopback addresses only, and the origin is not one.
    #[error("{to} is not on this machine, and nothing else may be reached")]
    NotLoopback { to: Origin },
    /// The head of the request is not valid in the form that the connection needs.
    #[error("the request can't be sent to {to}")]
    Request { to: Origin, source: ::http::Error },
}

impl UpstreamError {
    /// The status of the answer to the client: 504 for time limits, else 502.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            UpstreamError::Timeout { .. } => 504,
            _ => 502,
        }
    }

    /// Returns true if upstream requires a client certificate. With TLS 1.3 its alert comes after the handshake.
    #[must_use]
    pub fn wants_certificate(&self) -> bool {
        self.has_alert(AlertDescription::CertificateRequired)
    }

    /// Returns true if upstream supports none of the offered protocols (ALPN, RFC 7301 section 3.2).
    #[must_use]
    pub fn shares_no_protocol(&self) -> bool {
        self.has_alert(AlertDescription::NoApplicationProtocol)
    }

    /// Returns true if there was a connection to upstream, so that upstream may have seen the request.
    #[must_use]
    pub fn has_connected(&self) -> bool {
        match self {
            UpstreamError::Broken { .. } => !self.wants_certificate(),
            UpstreamError::Timeout { step, .. } => *step == Step::Answer,
            _ => false,
        }
    }

    fn has_alert(&self, alert: AlertDescription) -> bool {
        let is_alert =
            |error: &rustls::Error| matches!(error, rustls::Error::AlertReceived(received) if *received == alert);
        causes(self).filter_map(rustls_error).any(is_alert)
    }

    /// The code in `_harproxy.error`: `dns`, `refused`, `connect`, `proxy`, `tls`, `reset`, `timeout`, `forbidden`,
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
            UpstreamError::NotLoopback { .. } => "forbidden",
            UpstreamError::Request { .. } => "request",
        }
    }
}

fn through(proxy: Option<&str>) -> String {
    proxy.map(|proxy| format!(" through the upstream proxy {proxy}")).unwrap_or_default()
}

/// The chain of sources of an error, without the error itself.
pub(super) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}

/// The rustls error inside an I/O error, which is not its `source`.
fn rustls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    inner.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref())
}

/// A request without an answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The client gets an error response.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// A reused connection closed without a byte of an answer. The client's connection is closed too, so that the
    /// client repeats the request if it is safe.
    #[error("a reused connection died before it answered")]
    Stale,
}

/// An option names the engine itself as the upstream proxy.
#[derive(Debug, thiserror::Error)]
#[error("--upstream-proxy: {url} is where harproxy itself listens")]
pub struct OwnProxy {
    /// The proxy, without its credentials.
    pub url: String,
}

/// An upstream option with an unusable value: an invalid certificate file, an invalid proxy URL.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}{reason}", if reason.is_empty() { "" } else { ": " })]
pub struct PlanError {
    /// The option and its value.
    pub what: String,
    /// The reason; empty if `what` includes it.
    pub reason: String,
}
