//! The way to the origin: resolve, dial (through an upstream proxy, or where `--map` says), TLS, pools, sending.
//!
//! HTTP/1.1 connections belong to the client connection that opened them; HTTP/2 ones are shared by client connections
//! with equal credentials, and have no more streams than their window has room for, so that no client can hold up another. A request
//! is never sent twice.
//!
//! ```text
//! send ─ lane ─ pool        which connection, in which form, what if it dies
//!         └─ route ─ tcp    where it may lead: anywhere (map, proxies, roots), or loopback alone
//!              └─ via       an upstream proxy
//! ```

mod answer;
mod connection;
mod error;
mod head;
mod lane;
mod pool;
mod route;
mod send;
mod tcp;
mod timeouts;
mod upload;
mod via;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::ServerName;

pub use answer::{Answer, AnswerBody, ConnectTimings};
pub use connection::Dialled;
pub use error::{OwnProxy, PlanError, SendError, UpstreamError};
pub use pool::ClientPool;
pub use timeouts::{Step, Timeouts};
pub use wire::Io;

use super::origin::Origin;
use harproxy_glob::Globs;
use harproxy_tls::authority::Alpn;
pub(crate) use lane::{H2, HTTP1};
use pool::{IdleConnection, SharedPool};
use route::{Anywhere, Loopback, Purpose, Route};

/// Options of the way upstream, as settled by the command line.
#[derive(Clone, Debug, Default)]
pub struct UpstreamPlan {
    /// `--upstream-proxy`, or what harproxy's own environment says.
    pub proxy: UpstreamProxy,
    /// `--upstream-ca`: PEM files of extra roots.
    pub extra_roots: Vec<PathBuf>,
    /// `--client-cert HOST=FILE`: PEM files with certificate chain and key.
    pub client_certs: Vec<(String, PathBuf)>,
    /// `--insecure[=GLOB]`: URLs whose certificate need not verify; `None` means none.
    pub insecure: Option<Globs>,
    /// `--map HOST[:PORT]=ADDR[:PORT]`.
    pub map: Vec<Mapping>,
    /// How long it may take.
    pub timeouts: Timeouts,
}

/// Which proxy to go through. Prints without the URL, which may hold credentials.
#[derive(Clone, Default)]
pub enum UpstreamProxy {
    /// What `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` of harproxy itself say.
    #[default]
    Environment,
    /// This one (`http://`, `https://` or `socks5://`) for everything but what `NO_PROXY` says.
    Url(String),
    /// None.
    Direct,
}

impl std::fmt::Debug for UpstreamProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            UpstreamProxy::Environment => "Environment",
            UpstreamProxy::Url(_) => "Url((redacted))",
            UpstreamProxy::Direct => "Direct",
        })
    }
}

/// `--map HOST[:PORT]=ADDR[:PORT]`: dial elsewhere; the Host header and SNI stay.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The host asked for, in lower case.
    pub host: String,
    /// Only this port, or any.
    pub port: Option<u16>,
    /// The host or address to dial instead.
    pub to_host: String,
    /// The port to dial instead, or the one asked for.
    pub to_port: Option<u16>,
}

/// Where the bytes may go: anywhere the plan allows, or loopback alone. The strict replay handler holds none of these.
#[derive(Debug)]
pub struct Upstream {
    route: Route,
    shared: SharedPool,
    opened: AtomicU64,
    timeouts: Timeouts,
}

impl Upstream {
    /// A way that may lead anywhere.
    ///
    /// # Errors
    /// When a certificate file or the proxy URL is not usable.
    pub fn anywhere(plan: UpstreamPlan) -> Result<Self, PlanError> {
        let route = Route::Anywhere(Box::new(Anywhere::new(&plan)?));
        Ok(Upstream::new(route, plan.timeouts))
    }

    /// A way that ends on this machine: the only addresses it can hold are 127.0.0.0/8 and ::1; `localhost` and
    /// `*.localhost` are never looked up, 127.0.0.1 and ::1 are tried. Certificates are not verified: the bytes never
    /// leave the machine and a development server signs its own.
    #[must_use]
    pub fn loopback(timeouts: Timeouts) -> Self {
        Upstream::new(Route::Loopback(Loopback::new()), timeouts)
    }

    fn new(route: Route, timeouts: Timeouts) -> Self {
        let (shared, opened) = (SharedPool::default(), AtomicU64::new(0));
        Upstream { route, shared, opened, timeouts }
    }

    /// Says which ports are our own: an upstream proxy at one of them would have requests go round for ever. One that the
    /// environment names is left out from here on; its URL, without credentials, is the answer.
    ///
    /// # Errors
    /// When an option names it.
    pub fn avoid(&self, ours: &[SocketAddr]) -> Result<Option<String>, OwnProxy> {
        match &self.route {
            Route::Anywhere(anywhere) => anywhere.proxies.avoid(ours),
            Route::Loopback(_) => Ok(None),
        }
    }

    /// Opens a TCP connection (through the upstream proxy if there is one), for a CONNECT.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn dial(&self, to: &Origin) -> Result<Dialled, UpstreamError> {
        self.open(to, Purpose::Bytes).await
    }

    /// Returns true if the session has a live HTTP/2 connection to `to`, so that a CONNECT needs no dial.
    #[must_use]
    pub fn has_shared(&self, pool: &ClientPool, to: &Origin) -> bool {
        self.shared.is_live(pool.session(), to)
    }

    /// Dials for a CONNECT that is going to be intercepted, so that the client can be offered the protocols of upstream.
    ///
    /// Returns `None` if a shared connection exists, or if the dial fails: then the first request inside gets the error.
    pub async fn dial_for_intercept(&self, pool: &ClientPool, to: &Origin) -> Option<Dialled> {
        if self.has_shared(pool, to) {
            return None;
        }
        self.dial(to).await.map_err(|error| pool.put_failure(to, error)).ok()
    }

    /// Completes TLS on a dialled connection, or on a new one, and returns the protocol to offer to the client.
    ///
    /// Upstream is offered what the client offered, of h2 and http/1.1. The connection is kept for the next requests: of
    /// this client connection, over HTTP/2 of its session. An error is kept too, as the answer to the first request.
    pub async fn negotiate(
        &self,
        pool: &ClientPool,
        to: &Origin,
        client_alpn: &[Vec<u8>],
        dialled: Option<Dialled>,
    ) -> Alpn {
        let offers = |protocol: &[u8]| client_alpn.iter().any(|offered| offered == protocol);
        let mut offer: Vec<Vec<u8>> = Vec::new();
        for offered in client_alpn.iter().filter(|offered| **offered == H2 || **offered == HTTP1) {
            // Without duplicates: a TLS configuration is cached for every offer.
            if !offer.contains(offered) {
                offer.push(offered.clone());
            }
        }
        pool.set_offered(to, offer.clone());
        if offers(H2) && self.has_shared(pool, to) {
            return Alpn::Http2;
        }
        if !pool.has_failed(to) {
            match self.complete_tls(pool, to, &offer, dialled).await {
                Ok(alpn) => return alpn,
                Err(error) => pool.put_failure(to, error),
            }
        }
        // Any protocol in which the client can read the error.
        if offers(H2) && !offers(HTTP1) { Alpn::Http2 } else { Alpn::Http1 }
    }

    async fn complete_tls(
        &self,
        pool: &ClientPool,
        to: &Origin,
        offer: &[Vec<u8>],
        dialled: Option<Dialled>,
    ) -> Result<Alpn, UpstreamError> {
        let dialled = match dialled {
            Some(dialled) => dialled,
            None => self.open(to, Purpose::Bytes).await?,
        };
        let (dialled, http2) = self.agree(pool, to, dialled, offer).await?;
        if http2 {
            self.start_http2(pool, to, dialled).await?;
            return Ok(Alpn::Http2);
        }
        pool.put(to, IdleConnection::Http1(self.start_http1(pool, dialled).await?));
        Ok(Alpn::Http1)
    }

    /// Connections opened so far.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

/// The name that a certificate must have, and that SNI carries unless it is an address. The final dot of an absolute name
/// belongs to neither (RFC 6066 section 3).
fn server_name(host: &str) -> std::io::Result<ServerName<'static>> {
    ServerName::try_from(host.strip_suffix('.').unwrap_or(host).to_owned())
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))
}

#[cfg(test)]
mod tests;
