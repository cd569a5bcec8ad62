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
mod bare;
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
mod whole;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::ServerName;

pub use answer::{Answer, AnswerBody, ConnectTimings};
pub use bare::{Bare, Passed, Taken};
pub use connection::Dialled;
pub use error::{OwnProxy, PlanError, SendError, UpstreamError};
pub use pool::OwnConnections;
pub use timeouts::{Step, Timeouts};
pub use whole::Whole;
pub use wire::Io;

use super::handler::{Connect, Origin, Session};
use harproxy_glob::Globs;
use harproxy_tls::authority::Alpn;
pub(crate) use lane::{H2, HTTP1};
use pool::{Kept, SharedPool};
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

    /// Whether a live shared HTTP/2 connection to `to` exists for this session, so that a CONNECT needs no dial.
    #[must_use]
    pub fn has_shared(&self, session: &Session, to: &Origin) -> bool {
        self.shared.is_live(session, to)
    }

    /// What becomes of a CONNECT to an origin whose requests are read: it is dialled now, so that the client is offered what upstream
    /// speaks. An error is for the first request inside, when it is known what was asked for.
    pub async fn intercept(&self, own: &OwnConnections, session: &Session, to: &Origin) -> Connect {
        if self.has_shared(session, to) {
            return Connect::Intercept(None);
        }
        let dialled = self.dial(to).await.map_err(|error| self.keep_error(own, to, error));
        Connect::Intercept(dialled.ok())
    }

    /// Completes TLS on a dialled connection, offering what the client offered (of h2 and http/1.1), and keeps it for the
    /// client connection's (or, over h2, everybody's) next requests. Without one, it is dialled here. The answer is what
    /// the client should be offered. An error is kept too: it answers the first request.
    pub async fn secure(
        &self,
        own: &OwnConnections,
        session: &Session,
        to: &Origin,
        client_alpn: &[Vec<u8>],
        dialled: Option<Dialled>,
    ) -> Alpn {
        let offers = |protocol: &[u8]| client_alpn.iter().any(|offered| offered == protocol);
        let mut offer: Vec<Vec<u8>> = Vec::new();
        for offered in client_alpn.iter().filter(|offered| **offered == H2 || **offered == HTTP1) {
            // Each once: for every offer a TLS configuration is kept.
            if !offer.contains(offered) {
                offer.push(offered.clone());
            }
        }
        own.remember_offer(to, offer.clone());
        if offers(H2) && self.has_shared(session, to) {
            return Alpn::Http2;
        }
        if !own.has_failed(to) {
            match self.secured(own, session, to, &offer, dialled).await {
                Ok(alpn) => return alpn,
                Err(error) => own.fail(to, error),
            }
        }
        // Whatever the client can read the error in.
        if offers(H2) && !offers(HTTP1) { Alpn::Http2 } else { Alpn::Http1 }
    }

    async fn secured(
        &self,
        own: &OwnConnections,
        session: &Session,
        to: &Origin,
        offer: &[Vec<u8>],
        dialled: Option<Dialled>,
    ) -> Result<Alpn, UpstreamError> {
        let dialled = match dialled {
            Some(dialled) => dialled,
            None => self.open(to, Purpose::Bytes).await?,
        };
        let (dialled, http2) = self.agree(own, to, dialled, offer).await?;
        if http2 {
            self.start_http2(session, to, dialled).await?;
            return Ok(Alpn::Http2);
        }
        if let Err(bare) = own.pass(Box::new(Bare::new(dialled))) {
            own.put(to, Kept::Http1(self.start_http1(own, *bare).await?));
        }
        Ok(Alpn::Http1)
    }

    /// Keeps the error of a dial for a CONNECT that is answered 200 all the same: it is what the first request gets.
    pub fn keep_error(&self, own: &OwnConnections, to: &Origin, error: UpstreamError) {
        own.fail(to, error);
    }

    /// Keeps a dialled connection for plain HTTP, of the version that the first request has.
    pub fn keep_plain(&self, own: &OwnConnections, to: &Origin, dialled: Dialled) {
        own.put(to, Kept::Dialled(Box::new(dialled)));
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
