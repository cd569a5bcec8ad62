//! `--isolate`: a network in which CMD reaches nothing but harproxy, its own servers, and the services that
//! `--isolate-allow` names (Linux).
//!
//! harproxy moves into a new network namespace before it starts a thread, and CMD inherits it. A relay process stays
//! outside. It opens the connections that harproxy asks for, and passes the sockets in.
//!
//! ```text
//! outside   relay ─────── socket pair ──────┐         network_namespaces(7), user_namespaces(7)
//! inside    CMD ─► harproxy ─► Relay::dial ─┘         a connection that the plan allows
//!           CMD ─► veth ─► PacketRefuser                   any other address: refused and reported
//!           CMD ─► Resolver                           names that harproxy may reach
//! ```
//!
//! Files and unix sockets of the machine stay reachable.

mod findings;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
mod packets;
#[cfg(target_os = "linux")]
mod refusals;
#[cfg(target_os = "linux")]
mod relay;
#[cfg(target_os = "linux")]
mod resolver;
#[cfg(target_os = "linux")]
mod services;

use std::convert::Infallible;
#[cfg(not(target_os = "linux"))]
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use harproxy_proxy::upstream::Dial;

pub use findings::findings;
#[cfg(target_os = "linux")]
pub use linux::{can_isolate, enter, run_helper};

/// The network that this process and CMD are in.
pub trait Isolation: fmt::Debug + Send + Sync {
    /// Returns the dialler for connections of harproxy itself.
    fn dialler(self: Arc<Self>) -> Arc<dyn Dial>;

    /// Opens the servers inside: the resolver and the services. They work until the inner future is dropped.
    /// `is_reachable` returns true for hosts that harproxy may reach.
    ///
    /// Fails if a service of `--isolate-allow` cannot be offered, or an address of the resolver is taken.
    fn open<'a>(&'a self, is_reachable: &'a dyn Fn(&str) -> bool) -> Opening<'a>;

    /// Returns the refusals of CMD, which has ended.
    fn refusals(&self) -> Vec<RefusedAttempt>;
}

type Opening<'a> = LocalBoxFuture<'a, Result<LocalBoxFuture<'a, Infallible>, IsolateError>>;

/// Fails: this system has no network namespaces.
///
/// # Errors
/// Always [`IsolateError::Unsupported`].
#[cfg(not(target_os = "linux"))]
pub fn enter(_allow: Vec<Service>) -> Result<Arc<dyn Isolation>, IsolateError> {
    Err(IsolateError::Unsupported)
}

/// Returns why `--isolate` does not work.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn can_isolate() -> Result<(), String> {
    Err(IsolateError::Unsupported.to_string())
}

/// There are no helper processes on this system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn run_helper(_command: &OsStr) -> Option<Result<(), IsolateError>> {
    None
}

/// The first argument of the relay process.
#[cfg(target_os = "linux")]
const RELAY_COMMAND: &str = "__isolation-relay";
/// The first argument of a process that checks whether a network can be isolated.
#[cfg(target_os = "linux")]
const CHECK_COMMAND: &str = "__isolation-check";

/// `HOST:PORT` of `--isolate-allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A connection or a look-up of CMD that the isolated network refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefusedAttempt {
    /// The program; `None` if it closed its socket too soon.
    pub program: Option<String>,
    pub target: RefusedTarget,
}

impl RefusedAttempt {
    fn connection(program: Option<String>, address: String, is_udp: bool) -> Self {
        RefusedAttempt { program, target: RefusedTarget::Connection { address, is_udp } }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefusedTarget {
    /// `HOST:PORT` of a connection. The host is the name that CMD looked up, or an address.
    Connection { address: String, is_udp: bool },
    /// A name that was looked up.
    Name(String),
}

/// The isolated network could not be made. CMD was not started.
#[derive(Debug, thiserror::Error)]
pub enum IsolateError {
    #[error("this system has no network namespaces: `--isolate` works on Linux")]
    Unsupported,
    #[error("`--isolate` needs a program to run")]
    NoCommand,
    /// A namespace was denied.
    #[error("the system denies a network namespace: {reason}")]
    NamespaceDenied { reason: String, hint: String },
    #[error("the isolated network could not be set up: {doing}")]
    Setup { doing: &'static str, source: io::Error },
    #[error("the service `{service}` of `--isolate-allow` has no address")]
    ServiceNotFound { service: Service, source: io::Error },
    #[error("`{service}` of `--isolate-allow` cannot be offered inside, at {address}")]
    AddressInUse { service: Service, address: std::net::SocketAddr, source: io::Error },
}
