//! The kernel's tables of connections.

use std::net::SocketAddr;

use procfs::net::{TcpNetEntry, TcpState, UdpNetEntry};
use procfs::process::Process;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SocketKind {
    Tcp,
    Tcp6,
    Udp,
    Udp6,
}

impl SocketKind {
    pub(super) fn is_udp(self) -> bool {
        matches!(self, SocketKind::Udp | SocketKind::Udp6)
    }
}

pub(super) struct TableRow {
    /// 0 for a connection that no program has any more.
    pub(super) inode: u64,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) listens: bool,
}

/// Reads a connection table in the network namespace of a process. Connections that a listener has not accepted yet are
/// left out.
pub(super) fn read(process: &Process, kind: SocketKind) -> Vec<TableRow> {
    let tcp = |entries: Vec<TcpNetEntry>| -> Vec<TableRow> {
        let row = |TcpNetEntry { inode, local_address: local, remote_address: remote, state, .. }| {
            let listens = state == TcpState::Listen;
            let is_accepted = state != TcpState::SynRecv && (inode != 0 || state != TcpState::Established);
            is_accepted.then(|| TableRow { inode, local: canonical(local), remote: canonical(remote), listens })
        };
        entries.into_iter().filter_map(row).collect()
    };
    let udp = |entries: Vec<UdpNetEntry>| -> Vec<TableRow> {
        let row = |UdpNetEntry { inode, local_address: local, remote_address: remote, .. }| TableRow {
            inode,
            local: canonical(local),
            remote: canonical(remote),
            listens: false,
        };
        entries.into_iter().map(row).collect()
    };
    match kind {
        SocketKind::Tcp => process.tcp().map(tcp),
        SocketKind::Tcp6 => process.tcp6().map(tcp),
        SocketKind::Udp => process.udp().map(udp),
        SocketKind::Udp6 => process.udp6().map(udp),
    }
    .unwrap_or_default()
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
