//! Connections to origins: name resolution, upstream proxies, `--map`, TLS, pools, sending.
//!
//! HTTP/1.1 connections belong to the client connection that opened them. HTTP/2 connections are shared by client
//! connections with equal credentials; each has only as many streams as its flow-control window can hold, so that one
//! slow client cannot stall the others. A request is never sent twice.
//!
//! ```text
//! send ─ reserve ─ pool       which connection, with which headers, retry
//!           └─ route ─ tcp    where it may lead: anywhere (map, proxies, roots), or loopback alone
//!                └─ via       an upstream proxy
//! ```

mod answer;
mod connection;
mod error;
mod head;
mod plan;
mod pool;
mod reserve;
mod route;
mod send;
mod tcp;
mod upload;
mod via;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

pub use answer::{Answer, AnswerBody};
pub use connection::{ConnectTimings, Dialled};
pub use error::{OwnProxy, PlanError, SendError, UpstreamError};
pub use head::{HostStays, host_header};
pub use plan::{Mapping, Step, Timeouts, UpstreamPlan, UpstreamProxy};
pub use pool::ClientPool;
pub(crate) use reserve::{H2, HTTP1};
pub use tcp::{Dial, DialError, DialledTcp, OwnNetwork, connect_tcp, dial_tcp, is_own_port, resolve_tcp};

use crate::origin::Origin;
use harproxy_tls::authority::Alpn;
use harproxy_tls::upstream::Trust;
use pool::SharedPool;
use route::{Anywhere, Purpose, Route};

/// Opens connections and sends requests: anywhere that the plan allows, or to loopback addresses only. A replay without
/// `--passthrough` has no upstream that leads anywhere.
#[derive(Debug)]
pub struct Upstream {
    route: Route,
    shared: SharedPool,
    /// Number of connections opened.
    opened: AtomicU64,
    /// Number of them to loopback addresses.
    opened_local: AtomicU64,
    timeouts: Timeouts,
}

impl Upstream {
    /// An upstream that may lead anywhere.
    ///
    /// # Errors
    /// If a certificate file or the proxy URL is not usable.
    pub fn anywhere(plan: UpstreamPlan) -> Result<Self, PlanError> {
        let route = Route::Anywhere(Box::new(Anywhere::new(&plan)?));
        Ok(Upstream::new(route, plan.timeouts))
    }

    /// An upstream on this machine: it dials no addresses but 127.0.0.0/8 and ::1.
    ///
    /// `localhost` and `*.localhost` are not looked up: 127.0.0.1 and ::1 are tried. Certificates are not verified: the
    /// bytes do not leave the machine, and development servers sign their own.
    #[must_use]
    pub fn loopback(timeouts: Timeouts) -> Self {
        Upstream::new(Route::Loopback(Trust::blind()), timeouts)
    }

    fn new(route: Route, timeouts: Timeouts) -> Self {
        let (opened, opened_local) = Default::default();
        Upstream { route, shared: SharedPool::default(), opened, opened_local, timeouts }
    }

    /// Excludes the engine's own ports as upstream proxies: requests would loop.
    ///
    /// A proxy from the environment at one of these ports is ignored. Its URL, without credentials, is returned.
    ///
    /// # Errors
    /// If an option names such a proxy.
    pub fn avoid(&self, own_ports: &[SocketAddr]) -> Result<Option<String>, OwnProxy> {
        match &self.route {
            Route::Anywhere(anywhere) => anywhere.proxies.avoid(own_ports),
            Route::Loopback(_) => Ok(None),
        }
    }

    /// Opens a TCP connection for a CONNECT, through the upstream proxy if there is one.
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

    /// Dials for a CONNECT that is going to be intercepted, so that the client can be offered the protocols of
    /// upstream.
    ///
    /// Returns `None` if a shared connection exists, or if the dial fails: then the first request inside gets the
    /// error.
    pub async fn dial_for_intercept(&self, pool: &ClientPool, to: &Origin) -> Option<Dialled> {
        if self.has_shared(pool, to) {
            return None;
        }
        self.dial(to).await.map_err(|error| pool.put_failure(to, error)).ok()
    }

    /// Completes TLS on a dialled connection, or on a new one, and returns the protocol to offer to the client.
    ///
    /// Upstream is offered what the client offered, of h2 and http/1.1. The connection is kept for the next requests:
    /// of this client connection, over HTTP/2 of its session. An error is kept too, as the answer to the first request.
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
        let connection = self.start(pool, to, dialled, http2).await?;
        pool.lock().release(to, connection);
        Ok(if http2 { Alpn::Http2 } else { Alpn::Http1 })
    }

    /// Number of connections opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Returns the number of connections opened to loopback addresses.
    #[must_use]
    pub fn opened_local(&self) -> u64 {
        self.opened_local.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
