//! Opens connections. A [`Route::Loopback`] has no code that reaches beyond this machine.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::net::TcpStream;

use super::connection::{ConnectTimings, Dialled, TargetForm};
use super::error::{PlanError, UpstreamError};
use super::plan::{Mapping, UpstreamPlan};
use super::tcp::{self, Dial, DialError, DialledTcp, OwnNetwork};
use super::via::Proxies;
use crate::origin::Origin;
use crate::stream::ByteStream;
use harproxy_glob::Globs;
use harproxy_tls::upstream::Trust;

#[derive(Debug)]
pub(super) enum Route {
    Anywhere(Box<Anywhere>),
    /// To 127.0.0.0/8 and ::1, without name resolution, proxies, `--map` or verified certificates.
    Loopback(Trust),
}

/// The use of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Any bytes: TLS, an upgrade, a tunnel.
    Bytes,
    /// HTTP/1.1 requests without TLS, which an HTTP proxy accepts in absolute form.
    Requests,
}

impl Route {
    /// Opens a connection. The caller limits its time, and sets its number and the time for TCP.
    pub(super) async fn open(&self, to: &Origin, purpose: Purpose) -> Result<Dialled, UpstreamError> {
        match self {
            Route::Anywhere(anywhere) => anywhere.open(to, purpose).await,
            Route::Loopback(_) => {
                let addrs = tcp::loopback_addrs(&to.host, to.port);
                let addrs = addrs.ok_or_else(|| UpstreamError::NotLoopback { to: to.clone() })?;
                let stream = tcp::connect_tcp(addrs).await;
                let stream = stream.map_err(|source| UpstreamError::Connect { to: to.clone(), source })?;
                Ok(dialled(stream, None))
            }
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
            Route::Loopback(trust) => trust.config(&to.host, false, alpn),
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
    dialler: Arc<dyn Dial>,
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
            dialler: plan.dialler.clone().unwrap_or_else(|| Arc::new(OwnNetwork)),
        })
    }

    async fn open(&self, to: &Origin, purpose: Purpose) -> Result<Dialled, UpstreamError> {
        if let Some(mapping) = self.mapping(to) {
            return self.direct(to, &mapping.to_host, mapping.to_port.unwrap_or(to.port)).await;
        }
        let Some(proxy) = self.proxies.find(to) else {
            return self.direct(to, &to.host, to.port).await;
        };
        let io = proxy.connect(to, &*self.dialler, &self.trust, self.verifies(&proxy.url())).await?;
        let (stream, form) = if purpose == Purpose::Requests && proxy.forwards_requests() {
            (ByteStream::new(io), TargetForm::Absolute(proxy.authorization()))
        } else {
            (proxy.tunnel(to, io).await?, TargetForm::Origin)
        };
        Ok(Dialled { stream, id: 0, remote: None, timings: ConnectTimings::default(), form })
    }

    async fn direct(&self, to: &Origin, host: &str, port: u16) -> Result<Dialled, UpstreamError> {
        let DialledTcp { stream, lookup } = self.dialler.dial(host, port).await.map_err(|error| match error {
            DialError::Resolve(source) => UpstreamError::Resolve { host: host.to_owned(), source },
            DialError::Connect(source) => UpstreamError::Connect { to: to.clone(), source },
        })?;
        Ok(dialled(stream, lookup))
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

fn dialled(stream: TcpStream, dns: Option<Duration>) -> Dialled {
    let timings = ConnectTimings { dns, ..ConnectTimings::default() };
    let remote = stream.peer_addr().ok();
    Dialled { stream: ByteStream::new(stream), id: 0, remote, timings, form: TargetForm::Origin }
}
