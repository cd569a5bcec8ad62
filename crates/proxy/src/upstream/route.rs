//! Opens connections. A [`Route::Loopback`] has no code that reaches beyond this machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;
use rustls::ClientConfig;

use super::error::{PlanError, UpstreamError};
use super::plan::{Mapping, UpstreamPlan};
use super::tcp::{self, LoopbackAddr};
use super::via::Proxies;
use crate::origin::Origin;
use crate::stream::ByteStream;
use harproxy_glob::Globs;
use harproxy_tls::upstream::Trust;

#[derive(Debug)]
pub(super) enum Route {
    Anywhere(Box<Anywhere>),
    Loopback(Loopback),
}

/// The use of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Any bytes: TLS, an upgrade, a tunnel.
    Bytes,
    /// HTTP/1.1 requests without TLS, which an HTTP proxy accepts in absolute form.
    Requests,
}

/// A connection before TLS.
pub(super) struct OpenedStream {
    pub(super) stream: ByteStream,
    /// The address of the origin; `None` through a proxy.
    pub(super) remote: Option<SocketAddr>,
    pub(super) dns: Option<Duration>,
    pub(super) form: TargetForm,
}

/// The form of request targets on an HTTP/1.1 connection (RFC 9112 section 3.2).
#[derive(Clone, Debug)]
pub(super) enum TargetForm {
    /// `/path?query`.
    Origin,
    /// `http://host/path?query`, for an upstream proxy, with the value of `Proxy-Authorization`.
    Absolute(Option<HeaderValue>),
}

impl TargetForm {
    /// Returns true if the connection leads to the origin itself, directly or through a tunnel.
    pub(super) fn is_origin(&self) -> bool {
        matches!(self, TargetForm::Origin)
    }
}

impl Route {
    /// Opens a connection. The caller limits its time.
    pub(super) async fn open(&self, to: &Origin, purpose: Purpose) -> Result<OpenedStream, UpstreamError> {
        match self {
            Route::Anywhere(anywhere) => anywhere.open(to, purpose).await,
            Route::Loopback(loopback) => loopback.open(to).await,
        }
    }

    /// The URL of the upstream proxy for `to`, without credentials.
    pub(super) fn proxy(&self, to: &Origin) -> Option<String> {
        match self {
            Route::Anywhere(anywhere) if anywhere.mapping(to).is_none() => {
                anywhere.proxies.find(to).map(|proxy| proxy.url())
            }
            Route::Anywhere(_) | Route::Loopback(_) => None,
        }
    }

    /// The TLS configuration for `to`.
    pub(super) fn tls(&self, to: &Origin, alpn: &[Vec<u8>]) -> Arc<ClientConfig> {
        match self {
            Route::Anywhere(anywhere) => anywhere.trust.config(&to.host, anywhere.verifies(&to.to_string()), alpn),
            Route::Loopback(loopback) => loopback.trust.config(&to.host, false, alpn),
        }
    }
}

/// Connections to any address, with name resolution, `--map`, upstream proxies and verified TLS.
#[derive(Debug)]
pub(super) struct Anywhere {
    pub(super) proxies: Proxies,
    map: Vec<Mapping>,
    trust: Trust,
    insecure: Option<Globs>,
}

impl Anywhere {
    pub(super) fn new(plan: &UpstreamPlan) -> Result<Self, PlanError> {
        let trust = Trust::new(&plan.extra_roots, &plan.client_certs).map_err(|error| {
            // A file without a certificate has no further reason.
            let reason = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            // The system's message, without `I/O error: ` and its number.
            let message = reason.trim_start_matches("I/O error: ").split(" (os error ").next().unwrap_or_default();
            PlanError { what: error.to_string(), reason: message.to_owned() }
        })?;
        Ok(Anywhere {
            proxies: Proxies::new(&plan.proxy)?,
            map: plan.map.clone(),
            trust,
            insecure: plan.insecure.clone(),
        })
    }

    async fn open(&self, to: &Origin, purpose: Purpose) -> Result<OpenedStream, UpstreamError> {
        if let Some(mapping) = self.mapping(to) {
            return self.direct(to, &mapping.to_host, mapping.to_port.unwrap_or(to.port)).await;
        }
        let Some(proxy) = self.proxies.find(to) else {
            return self.direct(to, &to.host, to.port).await;
        };
        let io = proxy.connect(to, &self.trust, self.verifies(&proxy.url())).await?;
        if purpose == Purpose::Requests && proxy.forwards_requests() {
            let form = TargetForm::Absolute(proxy.authorization());
            return Ok(OpenedStream { stream: ByteStream::new(io), remote: None, dns: None, form });
        }
        let stream = proxy.tunnel(to, io).await?;
        Ok(OpenedStream { stream, remote: None, dns: None, form: TargetForm::Origin })
    }

    async fn direct(&self, to: &Origin, host: &str, port: u16) -> Result<OpenedStream, UpstreamError> {
        let (addrs, dns) = tcp::resolve(host, port).await?;
        let opened = tcp::connect(addrs).await;
        let stream = opened.map_err(|source| UpstreamError::Connect { to: to.clone(), source })?;
        Ok(OpenedStream::direct(stream, dns))
    }

    /// The first mapping for `to`. A mapped host is not reached through a proxy.
    fn mapping(&self, to: &Origin) -> Option<&Mapping> {
        self.map.iter().find(|mapping| {
            mapping.host.eq_ignore_ascii_case(&to.host) && mapping.port.is_none_or(|port| port == to.port)
        })
    }

    /// Returns true if the certificate of a URL without a path must verify.
    fn verifies(&self, url: &str) -> bool {
        !self.insecure.as_ref().is_some_and(|globs| globs.matches(&format!("{url}/")))
    }
}

/// Connections to 127.0.0.0/8 and ::1, without name resolution, proxies, `--map` or verified certificates.
#[derive(Debug)]
pub(super) struct Loopback {
    trust: Trust,
}

impl Loopback {
    pub(super) fn new() -> Self {
        Loopback { trust: Trust::blind() }
    }

    async fn open(&self, to: &Origin) -> Result<OpenedStream, UpstreamError> {
        let addrs = LoopbackAddr::of(&to.host, to.port).ok_or_else(|| UpstreamError::NotLoopback { to: to.clone() })?;
        let opened = LoopbackAddr::connect(addrs).await;
        let stream = opened.map_err(|source| UpstreamError::Connect { to: to.clone(), source })?;
        Ok(OpenedStream::direct(stream, None))
    }
}

impl OpenedStream {
    fn direct(stream: tokio::net::TcpStream, dns: Option<Duration>) -> Self {
        let remote = stream.peer_addr().ok();
        OpenedStream { stream: ByteStream::new(stream), remote, dns, form: TargetForm::Origin }
    }
}
