//! The running engine: state shared by all connections, and the state of one client connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::handler::{Connection, ConnectionEvent, Handler};
use crate::limits::ClientTimeouts;
use crate::origin::{Session, is_own_host};
use crate::serve::auth::Credentials;
use crate::serve::reverse::ReverseOrigins;
use crate::threads::Threads;
use crate::upstream::ClientPool;
use harproxy_tls::authority::Authority;

/// The state that all connections share.
pub(crate) struct Engine {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) auth: Option<Credentials>,
    pub(crate) timeouts: ClientTimeouts,
    /// Header names keep their case.
    pub(crate) keeps_header_case: bool,
    /// The address of the proxy port.
    pub(crate) proxy: SocketAddr,
    /// The `--reverse` ports.
    pub(crate) reverse: Vec<Arc<ReverseOrigins>>,
    /// Number of accepted connections.
    pub(crate) accepted: AtomicU64,
    pub(crate) tasks: TaskTracker,
    pub(crate) threads: Threads,
    pub(crate) stop: Stop,
}

/// A port of the engine itself.
pub(crate) enum OwnPort<'a> {
    Proxy,
    Reverse(&'a Arc<ReverseOrigins>),
}

impl Engine {
    /// Returns the engine's port at `host:port`, if it is one. `local` is the address that the client connected to.
    ///
    /// A client that uses the proxy for all requests also uses it for the `--reverse` ports.
    pub(crate) fn own_port(&self, local: SocketAddr, host: &str, port: u16) -> Option<OwnPort<'_>> {
        let is_at = |bound: SocketAddr| bound.port() == port && is_own_host(host, bound.ip(), local.ip());
        if is_at(self.proxy) {
            return Some(OwnPort::Proxy);
        }
        self.reverse.iter().find(|port| is_at(port.addr)).map(OwnPort::Reverse)
    }
}

/// Time for which a TLS handshake may continue after a drain began.
const HANDSHAKE_GRACE: Duration = Duration::from_millis(250);

/// The two steps of a shutdown. Each connection has tokens of its own below the engine's: waiting for a shared token
/// takes a lock that all connections would contend for.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    /// Accept no new requests; requests in progress end.
    pub(crate) drain: CancellationToken,
    /// Drop all connections.
    pub(crate) abort: CancellationToken,
}

impl Stop {
    fn child(&self) -> Self {
        Stop { drain: self.drain.child_token(), abort: self.abort.child_token() }
    }

    /// Runs a handshake, and a little longer when a drain begins.
    ///
    /// A program that does not trust the certificate may send its alert and exit. The alert has to be read after that.
    pub(crate) async fn run_handshake<F: Future>(&self, handshake: F) -> Option<F::Output> {
        let late = async {
            self.drain.cancelled().await;
            tokio::time::sleep(HANDSHAKE_GRACE).await;
        };
        tokio::select! {
            biased;
            output = handshake => Some(output),
            () = late => None,
            () = self.abort.cancelled() => None,
        }
    }
}

/// A client TCP connection, including any TLS or tunnel inside it.
pub(crate) struct ClientConnection {
    pub(crate) engine: Arc<Engine>,
    id: u64,
    peer: SocketAddr,
    /// The address that the client connected to.
    pub(crate) local: SocketAddr,
    pool: ClientPool,
    pub(crate) stop: Stop,
}

impl ClientConnection {
    pub(crate) fn new(engine: Arc<Engine>, peer: SocketAddr, local: SocketAddr) -> Self {
        let id = engine.accepted.fetch_add(1, Relaxed) + 1;
        let stop = engine.stop.child();
        ClientConnection { engine, id, peer, local, pool: ClientPool::default(), stop }
    }

    /// The connection for handlers, with the session of a request or tunnel.
    pub(crate) fn with_session(&self, session: Session) -> Connection {
        let (pool, draining) = (self.pool.with_session(session), self.stop.drain.clone());
        Connection { id: self.id, peer: self.peer, pool, draining }
    }

    /// Reports an event that belongs to no request.
    pub(crate) fn event(&self, event: ConnectionEvent) {
        self.engine.handler.event(event);
    }
}
