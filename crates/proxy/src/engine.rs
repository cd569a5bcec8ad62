//! What all connections of a running engine share, and what those of one client do.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::handler::{Connection, ConnectionEvent, Handler};
use super::idle::Limits;
use super::origin::Session;
use super::reverse::Routes;
use super::server::Credentials;
use super::threads::Threads;
use super::upstream::ClientPool;
use harproxy_http::url::is_localhost;
use harproxy_tls::authority::Authority;

/// The engine while it serves.
pub(super) struct Engine {
    pub(super) handler: Arc<dyn Handler>,
    pub(super) authority: Arc<Authority>,
    pub(super) auth: Option<Credentials>,
    pub(super) limits: Limits,
    /// Header names keep their case.
    pub(super) keeps_header_case: bool,
    /// The proxy port.
    pub(super) proxy: SocketAddr,
    /// The `--reverse` ports.
    pub(super) reverse: Vec<(SocketAddr, Arc<Routes>)>,
    pub(super) accepted: AtomicU64,
    pub(super) tasks: TaskTracker,
    pub(super) threads: Threads,
    pub(super) stop: Stop,
}

/// How long a handshake may go on when the engine drains.
const MOMENT: Duration = Duration::from_millis(250);

/// The two steps of the end. Each connection has its own pair under the engine's: polling a shared one would have all
/// connections wait for one lock.
#[derive(Debug)]
pub(super) struct Stop {
    /// Begin nothing new, finish what has begun.
    pub(super) drain: CancellationToken,
    /// Drop everything.
    pub(super) abort: CancellationToken,
}

impl Stop {
    pub(super) fn new() -> Self {
        Stop { drain: CancellationToken::new(), abort: CancellationToken::new() }
    }

    fn child(&self) -> Self {
        Stop { drain: self.drain.child_token(), abort: self.abort.child_token() }
    }

    /// Runs what takes but a moment, and gets that moment when a drain comes meanwhile: a program that does not trust us ends
    /// when it has said so, and that has yet to be read.
    pub(super) async fn run_through<F: Future>(&self, work: F) -> Option<F::Output> {
        let late = async {
            self.drain.cancelled().await;
            tokio::time::sleep(MOMENT).await;
        };
        tokio::select! {
            biased;
            output = work => Some(output),
            () = late => None,
            () = self.abort.cancelled() => None,
        }
    }
}

/// A port of our own.
pub(super) enum OwnPort<'a> {
    /// The proxy port.
    Proxy,
    /// A `--reverse` port.
    Reverse(&'a Arc<Routes>),
}

impl Engine {
    /// Which of our own ports a client means by `host:port`, `local` being the address it is connected to: a client that uses
    /// the proxy for everything asks it for our `--reverse` ports, too.
    pub(super) fn own_port(&self, local: SocketAddr, host: &str, port: u16) -> Option<OwnPort<'_>> {
        let is = |bound: SocketAddr| bound.port() == port && names(host, bound.ip(), local.ip());
        if is(self.proxy) {
            return Some(OwnPort::Proxy);
        }
        self.reverse.iter().find(|(addr, _)| is(*addr)).map(|(_, routes)| OwnPort::Reverse(routes))
    }
}

/// Whether `host` is a name or address of what listens on `bound`.
pub(super) fn names(host: &str, bound: IpAddr, local: IpAddr) -> bool {
    let everywhere = bound.is_unspecified();
    match host.parse::<IpAddr>() {
        Ok(ip) => ip == bound || everywhere && (ip.is_loopback() || ip.is_unspecified() || ip == local),
        Err(_) => (everywhere || bound.is_loopback()) && is_localhost(host),
    }
}

/// A client TCP connection, including any TLS or tunnel inside it.
pub(super) struct ClientConnection {
    pub(super) engine: Arc<Engine>,
    id: u64,
    peer: SocketAddr,
    /// The address that the client connected to.
    pub(super) local: SocketAddr,
    pool: ClientPool,
    pub(super) stop: Stop,
}

impl ClientConnection {
    pub(super) fn new(engine: Arc<Engine>, peer: SocketAddr, local: SocketAddr) -> Self {
        let id = engine.accepted.fetch_add(1, Relaxed) + 1;
        let stop = engine.stop.child();
        ClientConnection { engine, id, peer, local, pool: ClientPool::default(), stop }
    }

    /// The connection for handlers, with the session of a request or tunnel.
    pub(super) fn with_session(&self, session: Session) -> Connection {
        Connection { id: self.id, peer: self.peer, pool: self.pool.with_session(session) }
    }

    /// Reports an event that belongs to no request.
    pub(super) fn event(&self, event: ConnectionEvent) {
        self.engine.handler.event(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_address_has_many_names() {
        let is = |host, bound: &str, local: &str| names(host, bound.parse().unwrap(), local.parse().unwrap());
        for host in ["localhost", "x.localhost", "localhost.", "127.0.0.1"] {
            assert!(is(host, "127.0.0.1", "127.0.0.1"), "{host}");
            assert!(is(host, "0.0.0.0", "192.0.2.1"), "{host}");
        }
        assert!(is("::1", "::", "::1"));
        assert!(is("192.0.2.1", "0.0.0.0", "192.0.2.1"));
        for host in ["127.0.0.2", "::1", "example.com", "notlocalhost", "192.0.2.2"] {
            assert!(!is(host, "127.0.0.1", "127.0.0.1"), "{host}");
        }
        assert!(!is("localhost", "192.0.2.1", "192.0.2.1"));
    }
}
