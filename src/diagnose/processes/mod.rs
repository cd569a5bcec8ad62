//! Watches CMD's processes: the programs that run, whether they have harproxy's variables, and their connections to
//! addresses other than harproxy.
//!
//! A thread polls `/proc`, so short-lived processes may be missed. Only Linux shows this without privileges; on other
//! platforms [`ProcessReport::programs`] is `None`. Arguments of programs and values of variables are never stored.

#[cfg(target_os = "linux")]
mod activity;
#[cfg(target_os = "linux")]
mod closed;
#[cfg(target_os = "linux")]
mod environment;
#[cfg(target_os = "linux")]
mod pause;
#[cfg(target_os = "linux")]
pub mod tables;
#[cfg(target_os = "linux")]
mod tree;
#[cfg(target_os = "linux")]
mod version;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use serde::Serialize;

#[cfg(target_os = "linux")]
use tree::{begin, watch};

#[derive(Clone, Debug, Default)]
pub struct WatchPlan {
    /// The proxy's URL in CMD's variables.
    pub proxy: String,
    /// Addresses on which harproxy listens.
    pub own_addresses: Vec<SocketAddr>,
}

/// A program that ran as CMD or below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Program {
    /// File name without folder and arguments.
    pub name: String,
    /// Version, if the path of the program contains it.
    pub version: Option<String>,
    /// True if it was started without the proxy variables; `None` if its environment can't be read.
    pub cleared: Option<bool>,
}

/// A connection of a program of CMD to an address other than harproxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DirectConnection {
    pub program: String,
    pub to: SocketAddr,
    pub udp: bool,
    /// True if a program of CMD listens at the remote address.
    pub own: bool,
    /// How a connection closed that is known only because the kernel remembers it.
    pub closed: Option<ClosedWhile>,
}

/// The state of CMD's programs when a connection closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClosedWhile {
    /// They waited, so the connection is most likely of another program.
    CmdWaited,
    /// At least one may have run, so the connection may be its.
    CmdRan,
}

impl Default for DirectConnection {
    fn default() -> Self {
        let to = (Ipv4Addr::UNSPECIFIED, 0).into();
        DirectConnection { program: String::new(), to, udp: false, own: false, closed: None }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessReport {
    /// Programs in order of first appearance; `None` on platforms without `/proc`.
    pub programs: Option<Vec<Program>>,
    /// Connections to addresses other than harproxy, without duplicates.
    pub connections: Vec<DirectConnection>,
    /// Programs with connections that closed before their address was read. Most of these lead to harproxy.
    pub short_lived: Vec<String>,
}

/// A running watch. It ends when it is dropped.
#[derive(Debug)]
pub struct ProcessWatch {
    cmd: Sender<(u32, WatchPlan)>,
    ready: Receiver<()>,
    thread: Option<JoinHandle<ProcessReport>>,
}

impl ProcessWatch {
    /// Begins to watch before CMD is started. With `remembers_closed`, connections that close unseen are reported too,
    /// which costs two reads of the kernel's tables. The report stays empty if no thread can be started.
    #[must_use]
    pub fn begin(remembers_closed: bool) -> Self {
        let ((cmd, started), (tell, ready)) = (channel(), channel());
        let thread = thread::Builder::new().name("processes".into()).spawn(move || {
            let tree = begin(remembers_closed);
            drop(tell);
            started.recv().map_or_else(|_| ProcessReport::default(), |(pid, plan)| watch(tree, pid, plan, &started))
        });
        ProcessWatch { cmd, ready, thread: thread.ok() }
    }

    /// Waits until CMD may be started. Blocks for at most the rest of a read of the kernel's tables.
    pub fn wait_until_ready(&self) {
        let _ = self.ready.recv();
    }

    /// Follows the process `pid` and its descendants.
    pub fn follow(&self, pid: u32, plan: WatchPlan) {
        let _ = self.cmd.send((pid, plan));
    }

    /// Ends the watch. Blocks for the duration of one poll.
    #[must_use]
    pub fn finish(self) -> ProcessReport {
        drop(self.cmd);
        self.thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

#[cfg(not(target_os = "linux"))]
fn begin(_: bool) {}

#[cfg(not(target_os = "linux"))]
fn watch((): (), _: u32, _: WatchPlan, _: &Receiver<(u32, WatchPlan)>) -> ProcessReport {
    ProcessReport::default()
}

/// Returns true if an address belongs to this machine.
pub(super) fn is_this_machine(ip: IpAddr) -> bool {
    // The kernel binds sockets only to addresses of its own.
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}
