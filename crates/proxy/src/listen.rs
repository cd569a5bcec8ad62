//! Opens the ports, accepts connections and shuts the engine down.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::task::TaskTracker;

use crate::background;
use crate::engine::{ClientConnection, Engine, Stop};
use crate::handler::Handler;
use crate::intercept::converse;
use crate::limits::ClientTimeouts;
use crate::origin::Session;
use crate::serve::auth::Credentials;
use crate::serve::http_connection::ConnectionKind;
use crate::serve::reverse::{ReverseOrigins, ReversePlan};
use crate::stream::ByteStream;
use crate::threads::Threads;
use harproxy_support::runtime::Runtime;
use harproxy_tls::authority::Authority;

/// The number of connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Pause after an accept failed, usually because there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The configuration of the engine.
#[derive(Clone, Debug)]
pub struct ProxyPlan {
    /// The address of the proxy port; port 0 takes a free port.
    pub listen: SocketAddr,
    /// The origins to serve on `--reverse` ports.
    pub reverse: Vec<ReversePlan>,
    /// Serve the `--reverse` ports over TLS.
    pub reverse_tls: bool,
    /// The credentials that clients of the proxy port must send.
    pub auth: Option<Credentials>,
    /// The authority that signs leaf certificates.
    pub authority: Arc<Authority>,
    /// Time limit for a request head (`--head-timeout`).
    pub head_timeout: Duration,
    /// Time limit for an idle connection (`--idle-timeout`).
    pub idle_timeout: Duration,
}

/// The engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("listening on {addr}")]
    Listen { addr: SocketAddr, source: std::io::Error },
    /// A port that `--reverse` names.
    #[error("listening on {addr} for --reverse")]
    ListenReverse { addr: SocketAddr, source: std::io::Error },
    #[error("starting the threads that serve")]
    Threads { source: std::io::Error },
    /// A `--reverse` origin is not valid in a URL.
    #[error("--reverse: {reason}")]
    Reverse { reason: String },
}

/// An engine with open ports that does not serve yet.
#[derive(Debug)]
pub struct Proxy {
    plan: ProxyPlan,
    listener: TcpListener,
    addr: SocketAddr,
    reverse: Vec<(TcpListener, Arc<ReverseOrigins>)>,
    threads: Threads,
}

/// A running engine.
pub struct Running {
    engine: Arc<Engine>,
}

impl Proxy {
    /// Opens the ports and starts the threads.
    ///
    /// The `--reverse` ports are on the address of the proxy port. With `auth` they are on loopback, because their
    /// clients cannot send credentials.
    ///
    /// # Errors
    /// If an address is in use or not on this machine, or no thread can be started.
    pub async fn bind(plan: ProxyPlan) -> Result<Proxy, BindError> {
        let (listener, addr) = listen(plan.listen).await?;
        let ip = match (addr.ip(), &plan.auth) {
            (IpAddr::V4(ip), Some(_)) if !ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
            (IpAddr::V6(ip), Some(_)) if !ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
            (ip, _) => ip,
        };
        let mut reverse = Vec::new();
        let ports = ReverseOrigins::by_port(&plan.reverse)
            .map_err(|refusal| BindError::Reverse { reason: refusal.problem().detail })?;
        for (port, origins) in ports {
            let listening = listen(SocketAddr::new(ip, port)).await;
            let (listener, addr) = listening.map_err(|error| match error {
                BindError::Listen { addr, source } if port > 0 => BindError::ListenReverse { addr, source },
                error => error,
            })?;
            reverse.push((listener, Arc::new(ReverseOrigins { addr, tls: plan.reverse_tls, origins })));
        }
        let threads = Threads::start().map_err(|source| BindError::Threads { source })?;
        Ok(Proxy { plan, listener, addr, reverse, threads })
    }

    /// The address of the proxy port.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The addresses of all ports.
    #[must_use]
    pub fn addrs(&self) -> Vec<SocketAddr> {
        std::iter::once(self.addr).chain(self.reverse.iter().map(|(_, port)| port.addr)).collect()
    }

    /// Name and URL of each `--reverse` origin, as a client on this machine reaches it.
    #[must_use]
    pub fn urls(&self) -> Vec<(String, String)> {
        self.reverse.iter().flat_map(|(_, port)| port.urls()).collect()
    }

    /// Serves in the background until drained.
    #[must_use]
    pub fn serve(self, handler: Arc<dyn Handler>) -> Running {
        let engine = Arc::new(Engine {
            // It costs memory for every head, so it is on only if requests are forwarded.
            keeps_header_case: !handler.upstreams().is_empty(),
            handler,
            authority: self.plan.authority,
            auth: self.plan.auth,
            timeouts: ClientTimeouts { head: self.plan.head_timeout, idle: self.plan.idle_timeout },
            proxy: self.addr,
            reverse: self.reverse.iter().map(|(_, port)| port.clone()).collect(),
            accepted: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            threads: self.threads,
            stop: Stop::default(),
        });
        engine.tasks.spawn(accept(engine.clone(), self.listener, ConnectionKind::Proxy));
        for (listener, port) in self.reverse {
            engine.tasks.spawn(accept(engine.clone(), listener, ConnectionKind::Reverse(port)));
        }
        Running { engine }
    }
}

impl Running {
    /// Stops accepting, gives requests in progress `grace` to end, then closes all connections. When it returns, every
    /// observed body has reported its end.
    pub async fn drain(self, grace: Duration) {
        let Engine { tasks, stop, .. } = &*self.engine;
        stop.drain.cancel();
        tasks.close();
        if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
            tracing::debug!("{} tasks are still running after the grace period", tasks.len());
            stop.abort.cancel();
            background::within_limit(tasks.wait()).await;
        }
        background::wait().await;
    }
}

/// Opens a port. Hundreds of clients may connect at the same time.
fn open(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As `TcpListener::bind` does: another port of a program that has just ended can be taken again.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

async fn listen(addr: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let failed = |source| BindError::Listen { addr, source };
    let listener = open(addr).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Accepts connections until drained. The process's file descriptors limit their number: without a free one, new
/// clients wait until others have left. The first such failure is logged.
async fn accept(engine: Arc<Engine>, listener: TcpListener, kind: ConnectionKind) {
    let drain = engine.stop.drain.child_token();
    let mut is_logged = false;
    while let Some(accepted) = drain.run_until_cancelled(listener.accept()).await {
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            // The client has left already.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => continue,
            Err(error) => {
                if !is_logged {
                    tracing::warn!("accepting a connection: {error}; clients wait until it can be done again");
                }
                is_logged = true;
                drain.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
                continue;
            }
        };
        // Detached from this runtime, to be registered with that of its thread.
        match tcp.into_std() {
            Ok(tcp) => {
                let thread = engine.threads.assign();
                let runtime = thread.handle().clone();
                engine.tasks.spawn_on(serve_client(engine.clone(), kind.clone(), tcp, peer, thread), &runtime);
            }
            Err(error) => tracing::warn!("moving a connection to its thread: {error}; it is closed"),
        }
    }
}

/// Serves one client. A panic ends only this task.
async fn serve_client(
    engine: Arc<Engine>,
    kind: ConnectionKind,
    tcp: std::net::TcpStream,
    peer: SocketAddr,
    _assignment: Arc<Runtime>,
) {
    let tcp = match TcpStream::from_std(tcp) {
        Ok(tcp) => tcp,
        Err(error) => return tracing::warn!("registering a connection: {error}; it is closed"),
    };
    // Each answer is written at once: waiting for more data would only delay it.
    let _ = tcp.set_nodelay(true);
    let Ok(local) = tcp.local_addr() else { return };
    let client = Arc::new(ClientConnection::new(engine, peer, local));
    converse(client, kind, Session::default(), ByteStream::new(tcp)).await;
}
