//! Programs of CMD and their connections.

use std::net::SocketAddr;

/// A program that ran as CMD or below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// File name without folder and arguments.
    pub name: String,
    /// Version, if the path of the program contains it.
    pub version: Option<String>,
    /// Whether it was started without the proxy variables; `None` if its environment can't be read.
    pub cleared: Option<bool>,
}

/// A connection of a program of CMD to an address other than harproxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectConnection {
    pub program: String,
    pub to: SocketAddr,
    pub udp: bool,
    /// Whether a program of CMD listens at the remote address.
    pub own: bool,
}
