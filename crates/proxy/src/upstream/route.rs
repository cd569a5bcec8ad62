//! Where a connection may lead. The kinds of way are types: whoever holds a [`Route::Loopback`] has no code that reaches
//! further, whatever it is asked for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;
use bytes::Bytes;
use rustls::ClientConfig;

use super::error::{PlanError, UpstreamError};
use super::tcp::{self, LoopbackAddr};
use super::via::Proxies;
use super::wire::Io;
use super::{Mapping, UpstreamPlan};
use crate::origin::Origin;
use harproxy_glob::Globs;
use harproxy_tls::upstream::Trust;

/// The kinds of way.
#[derive(Debug)]
pub(super) enum Route {
    /// To wherever the plan allows.
    Anywhere(Box<Anywhere>),
    /// To this machine alone.
    Loopback(Loopback),
}

/// What a connection is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// For bytes as they are: TLS, an upgrade, anything inside a CONNECT.
    Bytes,
    /// For plain HTTP/1.1 requests, which an HTTP proxy can be given one by one.
    Requests,
}

/// A connection, TLS not begun.
pub(super) struct Opened {
    pub(super) io: Box<dyn Io>,
    /// What was read from it already.
    pub(super) back: Bytes,
    /// The other end, where that is the origin itself.
    pub(super) remote: Option<SocketAddr>,
    pub(super) dns: Option<Duration>,
    pub(super) form: Form,
}

/// What the target of an HTTP/1.1 request looks like (RFC 9112 section 3.2).
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// `/path?query`.
    Origin,
    /// `http://host/path?query`, for an upstream proxy, and what to show it.
    Absolute(Option<HeaderValue>),
}

impl Form {
    /// Whether whoever is at the other end is the origin itself, or as good as it.
    pub(super) fn is_origin(&self) -> bool {
        matches!(self, Form::Origin)
    }
}

impl Route {
    /// Opens a connection; the caller limits its time.
    pub(super) async fn open(&self, to: &Origin, purpose: Purpose) -> Result<Opened, UpstreamError> {
        match self {
            Route::Anywhere(anywhere) => anywhere.open(to, purpose).await,
            Route::Loopback(loopback) => loopback.open(to).await,
        }
    }

    /// The upstream proxy on the way to `to`, without its credentials.
    pub(super) fn proxy(&self, to: &Origin) -> Option<String> {
        match self {
            Route::Anywhere(anywhere) if anywhere.mapping(to).is_none() => {
                anywhere.proxies.find(to).map(|via| via.url())
            }
            Route::Anywhere(_) | Route::Loopback(_) => None,
        }
    }

    /// How to do TLS with `to`.
    pub(super) fn tls(&self, to: &Origin, alpn: &[Vec<u8>]) -> Arc<ClientConfig> {
        match self {
            Route::Anywhere(anywhere) => anywhere.trust.config(&to.host, anywhere.verifies(&to.to_string()), alpn),
            Route::Loopback(loopback) => loopback.trust.config(&to.host, false, alpn),
        }
    }
}

/// Name resolution, `--map`, upstream proxies, verified TLS.
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
            // A file that holds none says all there is to say.
            let reason = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            // The system's words, without `I/O error: ` before them and their number behind.
            let words = reason.trim_start_matches("I/O error: ").split(" (os error ").next().unwrap_or_default();
            PlanError { what: error.to_string(), reason: words.to_owned() }
        })?;
        Ok(Anywhere {
            proxies: Proxies::new(&plan.proxy)?,
            map: plan.map.clone(),
            trust,
            insecure: plan.insecure.clone(),
        })
    }

    async fn open(&self, to: &Origin, purpose: Purpose) -> Result<Opened, UpstreamError> {
        if let Some(mapping) = self.mapping(to) {
            return self.direct(to, &mapping.to_host, mapping.to_port.unwrap_or(to.port)).await;
        }
        let Some(via) = self.proxies.find(to) else {
            return self.direct(to, &to.host, to.port).await;
        };
        let io = via.connect(to, &self.trust, self.verifies(&via.url())).await?;
        if purpose == Purpose::Requests && via.forwards() {
            let form = Form::Absolute(via.authorization());
            return Ok(Opened { io, back: Bytes::new(), remote: None, dns: None, form });
        }
        let (io, back) = via.tunnel(to, io).await?;
        Ok(Opened { io, back, remote: None, dns: None, form: Form::Origin })
    }

    async fn direct(&self, to: &Origin, host: &str, port: u16) -> Result<Opened, UpstreamError> {
        let (addrs, dns) = tcp::resolve(host, port).await?;
        let opened = tcp::connect(addrs).await;
        let stream = opened.map_err(|source| UpstreamError::Connect { to: to.clone(), source })?;
        Ok(Opened::direct(stream, dns))
    }

    /// The first mapping that names `to`. A mapped host is reached directly: it was said where it is.
    fn mapping(&self, to: &Origin) -> Option<&Mapping> {
        self.map.iter().find(|mapping| {
            mapping.host.eq_ignore_ascii_case(&to.host) && mapping.port.is_none_or(|port| port == to.port)
        })
    }

    /// Whether the certificate behind this URL without a path must verify.
    fn verifies(&self, url: &str) -> bool {
        !self.insecure.as_ref().is_some_and(|globs| globs.matches(&format!("{url}/")))
    }
}

/// 127.0.0.0/8 and ::1: no resolver, no proxy, no map. Certificates are not verified, since the bytes never leave the
/// machine and a development server signs its own.
#[derive(Debug)]
pub(super) struct Loopback {
    trust: Trust,
}

impl Loopback {
    pub(super) fn new() -> Self {
        Loopback { trust: Trust::blind() }
    }

    async fn open(&self, to: &Origin) -> Result<Opened, UpstreamError> {
        let addrs = LoopbackAddr::of(&to.host, to.port).ok_or_else(|| UpstreamError::Elsewhere { to: to.clone() })?;
        let opened = LoopbackAddr::connect(addrs).await;
        let stream = opened.map_err(|source| UpstreamError::Connect { to: to.clone(), source })?;
        Ok(Opened::direct(stream, None))
    }
}

impl Opened {
    fn direct(stream: tokio::net::TcpStream, dns: Option<Duration>) -> Self {
        let remote = stream.peer_addr().ok();
        Opened { io: Box::new(stream), back: Bytes::new(), remote, dns, form: Form::Origin }
    }
}
