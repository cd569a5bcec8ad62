//! Listening, and the life of the whole engine: plan → bind → serve → drain.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::engine::{ClientConnection, Engine, Stop};
use super::handler::Handler;
use super::http_connection::ConnectionKind;
use super::idle::Limits;
use super::origin::{Origin, Session};
use super::reverse::Routes;
use super::threads::{Place, Threads};
use super::wire::Wire;
use super::{connect, endings};
use harproxy_tls::authority::Authority;

/// How long no connection is accepted after accepting one failed, for want of file descriptors mostly.
const BACK_OFF: Duration = Duration::from_millis(50);

/// `--reverse [NAME=][/PREFIX=]URL`: also listen as that origin would.
#[derive(Clone, Debug)]
pub struct Reverse {
    /// What CMD's variable is named after: `HARPROXY_URL_<name>`.
    pub name: String,
    /// Requests whose path begins with it belong here (it is cut off); those with one share a port.
    pub prefix: Option<String>,
    /// The origin.
    pub origin: Origin,
    /// A path of the URL, put before each request's path; empty or without a final slash.
    pub base_path: String,
}

/// `--auth USER:PASS`. Prints as `(redacted)`.
#[derive(Clone)]
pub struct Credentials {
    /// The user name; `USER+SESSION` names a session.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(redacted)")
    }
}

/// All that is settled before a port is opened.
#[derive(Clone, Debug)]
pub struct ProxyPlan {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Origins to listen as.
    pub reverse: Vec<Reverse>,
    /// Serve the reverse ports over TLS.
    pub reverse_tls: bool,
    /// Who may use the proxy.
    pub auth: Option<Credentials>,
    /// The authority that signs leaf certificates.
    pub authority: Arc<Authority>,
    /// How long a request's head may take (`--head-timeout`).
    pub head_timeout: Duration,
    /// How long a connection may be idle (`--idle-timeout`).
    pub idle_timeout: Duration,
}

/// Why the engine can't start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port can't be opened.
    #[error("listening on {addr}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// The reason.
        source: std::io::Error,
    },
    /// There are no threads to serve with.
    #[error("starting the threads that serve")]
    Threads {
        /// The reason.
        source: std::io::Error,
    },
    /// An origin to listen as that can't stand in a URL.
    #[error("--reverse: {reason}")]
    Reverse {
        /// What is wrong with it.
        reason: String,
    },
}

/// Ports opened, nothing served yet.
#[derive(Debug)]
pub struct Proxy {
    plan: ProxyPlan,
    listener: TcpListener,
    addr: SocketAddr,
    reverse: Vec<ReversePort>,
    threads: Threads,
}

#[derive(Debug)]
struct ReversePort {
    listener: TcpListener,
    addr: SocketAddr,
    routes: Arc<Routes>,
}

/// A running engine.
pub struct Running {
    engine: Arc<Engine>,
}

impl Proxy {
    /// Opens the ports, and starts the threads. Those of `--reverse` are on the proxy port's address; with `auth` on loopback, because their clients
    /// can't give credentials.
    ///
    /// # Errors
    /// When an address is in use or not ours, or the system has no threads for us.
    pub async fn bind(plan: ProxyPlan) -> Result<Proxy, BindError> {
        let (listener, addr) = listen(plan.listen).await?;
        let ip = match (addr.ip(), &plan.auth) {
            (IpAddr::V4(ip), Some(_)) if !ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
            (IpAddr::V6(ip), Some(_)) if !ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
            (ip, _) => ip,
        };
        let mut reverse = Vec::new();
        let ports = Routes::by_port(&plan.reverse, plan.reverse_tls)
            .map_err(|trouble| BindError::Reverse { reason: trouble.problem().detail })?;
        for routes in ports {
            let (listener, addr) = listen(SocketAddr::new(ip, 0)).await?;
            reverse.push(ReversePort { listener, addr, routes: Arc::new(routes) });
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
        std::iter::once(self.addr).chain(self.reverse.iter().map(|port| port.addr)).collect()
    }

    /// The URL of each reverse origin, as a client on this machine reaches it: name → `http://127.0.0.1:port/prefix`.
    #[must_use]
    pub fn urls(&self) -> Vec<(String, String)> {
        self.reverse.iter().flat_map(|port| port.routes.urls(port.addr)).collect()
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
            limits: Limits { head: self.plan.head_timeout, idle: self.plan.idle_timeout },
            proxy: self.addr,
            reverse: self.reverse.iter().map(|port| (port.addr, port.routes.clone())).collect(),
            accepted: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            threads: self.threads,
            stop: Stop::new(),
        });
        engine.tasks.spawn(accept(engine.clone(), self.listener, ConnectionKind::Proxy));
        for port in self.reverse {
            engine.tasks.spawn(accept(engine.clone(), port.listener, ConnectionKind::Reverse(port.routes)));
        }
        Running { engine }
    }
}

impl Running {
    /// Stops accepting, gives requests in flight `grace` to end, then closes what is left. When it returns, every watched
    /// body has reported its end.
    pub async fn drain(self, grace: Duration) {
        let Engine { tasks, stop, .. } = &*self.engine;
        stop.drain.cancel();
        tasks.close();
        if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
            tracing::debug!("{} tasks outlast the grace", tasks.len());
            stop.abort.cancel();
            endings::within_limit(tasks.wait()).await;
        }
        endings::done().await;
    }
}

async fn listen(addr: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let failed = |source| BindError::Listen { addr, source };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Accepts until drained. The number of connections is bounded by the file descriptors that the process may have: when there
/// are none left, new clients wait until others have gone, which is told once.
async fn accept(engine: Arc<Engine>, listener: TcpListener, kind: ConnectionKind) {
    let drain = engine.stop.drain.child_token();
    let mut told = false;
    while let Some(accepted) = drain.run_until_cancelled(listener.accept()).await {
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            // The client's own doing.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => continue,
            Err(error) => {
                if !told {
                    tracing::warn!("accepting a connection: {error}; clients wait until it can be done again");
                }
                told = true;
                drain.run_until_cancelled(tokio::time::sleep(BACK_OFF)).await;
                continue;
            }
        };
        // Its thread waits for it from now on.
        match tcp.into_std() {
            Ok(tcp) => {
                let place = engine.threads.place();
                let runtime = place.runtime().clone();
                engine.tasks.spawn_on(visit(engine.clone(), kind.clone(), tcp, peer, place), &runtime);
            }
            Err(error) => tracing::warn!("handing a connection to its thread: {error}; it is closed"),
        }
    }
}

/// One client, from its first byte to its last. A panic in here is this client's alone.
async fn visit(engine: Arc<Engine>, kind: ConnectionKind, tcp: std::net::TcpStream, peer: SocketAddr, _place: Place) {
    let tcp = match TcpStream::from_std(tcp) {
        Ok(tcp) => tcp,
        Err(error) => return tracing::warn!("taking a connection over: {error}; it is closed"),
    };
    // Answers are small and whole: waiting for more to send only delays them.
    let _ = tcp.set_nodelay(true);
    let Ok(local) = tcp.local_addr() else { return };
    let client = Arc::new(ClientConnection::new(engine, peer, local));
    connect::converse(client, kind, Session::default(), Wire::from(tcp)).await;
}
