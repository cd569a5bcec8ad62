//! Listening, and the life of the whole engine: plan → bind → serve → drain.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::handler::{Handler, Origin};
use crate::tls::authority::Authority;

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
}

/// Ports opened, nothing served yet.
#[derive(Debug)]
pub struct Proxy {
    _private: (),
}

/// A running engine.
pub struct Running<H> {
    _handler: Arc<H>,
}

impl Proxy {
    /// Opens the ports.
    ///
    /// # Errors
    /// When an address is in use or not ours.
    pub async fn bind(plan: ProxyPlan) -> Result<Proxy, BindError> {
        let _ = plan;
        todo!("proxy")
    }

    /// The address of the proxy port.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        todo!("proxy")
    }

    /// The URL of each reverse origin, as a client on this machine reaches it: name → `http://127.0.0.1:port/prefix`.
    #[must_use]
    pub fn urls(&self) -> Vec<(String, String)> {
        todo!("proxy")
    }

    /// Serves in the background until drained.
    #[must_use]
    pub fn serve<H: Handler>(self, handler: Arc<H>) -> Running<H> {
        let _ = handler;
        todo!("proxy")
    }
}

impl<H: Handler> Running<H> {
    /// Stops accepting, gives requests in flight `grace` to end, then closes what is left. When it returns, every watched
    /// body has reported its end.
    pub async fn drain(self, grace: Duration) {
        let _ = grace;
        todo!("proxy")
    }
}

/// Where the file of `--ready-file` and other small files of a run go; kept here so that the plan has one type for it.
pub type RunFolder = PathBuf;
