//! Connections that closed between two polls, so that no process was seen with them.
//!
//! The kernel keeps a closed TCP connection for a minute (`TIME_WAIT`), without its program. So a connection that
//! closed during the run is CMD's if nothing else used its address, in the minute before the run too. It may be CMD's
//! if only connections from before the run are known: of the run before, or of a program that connects now and then.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use procfs::process::Process;

use super::ClosedEvidence;
use super::tables::{self, SocketKind, TableRow};
use harproxy_proxy::upstream::is_own_port;

/// Maximum number of connections that are remembered.
const MAX_REMEMBERED: usize = 10_000;

pub(super) struct ClosedConnections {
    /// The process whose network namespace is read: harproxy.
    own: Option<Process>,
    /// Addresses that had connections before CMD began.
    used_before: HashSet<SocketAddr>,
    /// The connections from before CMD began, in both directions.
    closed_before: HashSet<(SocketAddr, SocketAddr)>,
    /// Open sockets that no process of CMD was seen with, and their remote addresses.
    unowned: HashMap<u64, SocketAddr>,
    /// Remote addresses of sockets of other programs.
    foreign: HashSet<SocketAddr>,
}

/// A closed connection. If no end listens, the table does not tell which one opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClosedConnection {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    pub(super) evidence: ClosedEvidence,
}

impl ClosedConnections {
    /// Begins before CMD has opened a connection.
    pub(super) fn begin() -> Self {
        let own = Process::myself().ok();
        let rows = own.as_ref().map(read_tcp).unwrap_or_default();
        let closed_before: HashSet<_> = directions(&rows, |_| true).into_iter().collect();
        let used_before = closed_before.iter().map(|(_, server)| *server).collect();
        let (unowned, foreign) = Default::default();
        ClosedConnections { own, used_before, closed_before, unowned, foreign }
    }

    /// Looks for sockets of other programs in a table that was read after the sockets of CMD's processes. A socket that
    /// is unknown in two tables is no socket of CMD.
    pub(super) fn find_foreign(&mut self, rows: &[TableRow], sockets: &HashSet<u64>) {
        for row in rows.iter().filter(|row| row.inode != 0 && !row.listens && !sockets.contains(&row.inode)) {
            if self.unowned.contains_key(&row.inode) && !is_own_port(row.local.port()) {
                self.foreign.insert(row.remote);
            } else if self.unowned.len() < MAX_REMEMBERED {
                self.unowned.insert(row.inode, row.remote);
            }
        }
    }

    /// Returns the connections that closed during the run, without those to addresses that another program had open.
    pub(super) fn finish(&self) -> HashSet<ClosedConnection> {
        let rows = self.own.as_ref().map(read_tcp).unwrap_or_default();
        let closed = directions(&rows, |row| row.inode == 0);
        let new = closed.into_iter().filter(|ends| !self.closed_before.contains(ends));
        let known = new.filter(|(client, server)| !is_own_port(client.port()) && !self.foreign.contains(server));
        known
            .map(|(client, server)| {
                let is_shared = self.used_before.contains(&server);
                let evidence = if is_shared { ClosedEvidence::Shared } else { ClosedEvidence::Exclusive };
                ClosedConnection { client, server, evidence }
            })
            .take(MAX_REMEMBERED)
            .collect()
    }
}

/// Returns the ends of connections as client and server: as the listeners tell, else in both directions.
fn directions(rows: &[TableRow], is_wanted: impl Fn(&TableRow) -> bool) -> Vec<(SocketAddr, SocketAddr)> {
    let listeners: HashSet<SocketAddr> = rows.iter().filter(|row| row.listens).map(|row| row.local).collect();
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| !row.listens && is_wanted(row)) {
        let ends = [(row.local, row.remote), (row.remote, row.local)];
        let is_known = ends.iter().any(|(_, server)| listeners.contains(server));
        found.extend(ends.into_iter().filter(|(_, server)| !is_known || listeners.contains(server)));
    }
    found
}

fn read_tcp(process: &Process) -> Vec<TableRow> {
    [SocketKind::Tcp, SocketKind::Tcp6].into_iter().flat_map(|kind| tables::read(process, kind)).collect()
}
