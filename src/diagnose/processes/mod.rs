//! Watches CMD's processes: the programs that run, whether they have harproxy's variables, and their connections to
//! addresses other than harproxy.
//!
//! A thread polls `/proc`, so short-lived processes may be missed. Only Linux shows this without privileges; on other
//! platforms [`ProcessReport::programs`] is `None`. Arguments of programs and values of variables are never stored.

#[cfg(target_os = "linux")]
mod closed;
#[cfg(target_os = "linux")]
mod environment;
#[cfg(target_os = "linux")]
mod tables;
#[cfg(target_os = "linux")]
mod tree;
#[cfg(target_os = "linux")]
mod version;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
#[cfg(not(target_os = "linux"))]
use std::sync::mpsc::Receiver;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
#[cfg(target_os = "linux")]
use std::time::Duration;

use serde::Serialize;

#[cfg(target_os = "linux")]
use tree::watch;

#[derive(Clone, Debug)]
pub struct WatchPlan {
    /// The proxy's URL in CMD's variables.
    pub proxy: String,
    /// Addresses on which harproxy listens.
    pub own_addresses: Vec<SocketAddr>,
}

/// Polling rate. The interval grows while nothing changes.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug)]
struct PollRate {
    /// Interval at the start and after a change.
    first: Duration,
    longest: Duration,
    /// Minimum ratio of the interval to the duration of a poll. It limits the share of a processor that polling takes.
    cost_ratio: u32,
}

/// The rate catches connections of a few milliseconds, and takes at most a fifth of a processor.
#[cfg(target_os = "linux")]
const POLL_RATE: PollRate =
    PollRate { first: Duration::from_millis(1), longest: Duration::from_millis(4), cost_ratio: 4 };

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
    /// The evidence of a connection that is known only because the kernel remembers that it closed.
    pub closed: Option<ClosedEvidence>,
}

/// The evidence that a closed connection was CMD's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClosedEvidence {
    /// Nothing else used the address.
    Exclusive,
    /// There were connections to the address before CMD began.
    Shared,
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
    stop: Sender<()>,
    thread: Option<JoinHandle<ProcessReport>>,
}

impl ProcessWatch {
    /// Starts to watch the process `pid` and its descendants. The report stays empty if no thread can be started.
    #[must_use]
    pub fn start(pid: u32, plan: WatchPlan) -> Self {
        let (stop, stopped) = channel();
        let thread = thread::Builder::new().name("processes".into());
        ProcessWatch { stop, thread: thread.spawn(move || watch(pid, &plan, &stopped)).ok() }
    }

    /// Ends the watch. Blocks for the duration of one poll.
    #[must_use]
    pub fn finish(self) -> ProcessReport {
        drop(self.stop);
        self.thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

#[cfg(not(target_os = "linux"))]
fn watch(_: u32, _: &WatchPlan, _: &Receiver<()>) -> ProcessReport {
    ProcessReport::default()
}

/// Returns true if an address belongs to this machine.
pub(super) fn is_this_machine(ip: IpAddr) -> bool {
    // The kernel binds sockets only to addresses of its own.
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}
