//! Connections that closed between two polls, so that no process was seen with them.
//!
//! The kernel keeps a closed TCP connection for a minute (`TIME_WAIT`), without its program. A connection that is known
//! only after CMD's start is CMD's, unless CMD's programs waited when it closed.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Instant;

use procfs::process::Process;

use super::tables::{self, SocketKind, TableRow};
use harproxy_proxy::upstream::is_own_port;

/// Maximum number of connections that are reported.
const MAX_REPORTED: usize = 10_000;

pub(super) struct ClosedConnections {
    /// The process whose network namespace is read: harproxy.
    own: Process,
    /// The connections from before CMD began, in both directions.
    before: HashSet<(SocketAddr, SocketAddr)>,
}

/// A closed connection. If no end listens, the table does not tell which one opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClosedConnection {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    /// When it closed; `None` if one end has not closed it yet.
    pub(super) at: Option<Instant>,
}

impl ClosedConnections {
    /// Begins before CMD has opened a connection.
    pub(super) fn begin() -> Option<Self> {
        let own = Process::myself().ok()?;
        let rows = read_tcp(&own);
        let connections = rows.iter().filter(|row| !row.listens);
        let before = connections.flat_map(|row| [(row.local, row.remote), (row.remote, row.local)]).collect();
        Some(ClosedConnections { own, before })
    }

    /// Returns the connections of other programs than harproxy that began and closed since the beginning.
    pub(super) fn finish(&self) -> Vec<ClosedConnection> {
        let rows = read_tcp(&self.own);
        let closed = directions(&rows, Instant::now()).into_iter();
        let new = closed.filter(|closed| !self.before.contains(&(closed.client, closed.server)));
        new.filter(|closed| !is_own_port(closed.client.port())).take(MAX_REPORTED).collect()
    }
}

/// Returns the closed connections in the direction that the listeners tell, else in both directions.
fn directions(rows: &[TableRow], now: Instant) -> Vec<ClosedConnection> {
    let listeners: HashSet<SocketAddr> = rows.iter().filter(|row| row.listens).map(|row| row.local).collect();
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| !row.listens && row.inode == 0) {
        let ends = [(row.local, row.remote), (row.remote, row.local)];
        let is_known = ends.iter().any(|(_, server)| listeners.contains(server));
        let ends = ends.into_iter().filter(|(_, server)| !is_known || listeners.contains(server));
        let at = row.closed_for.and_then(|ago| now.checked_sub(ago));
        found.extend(ends.map(|(client, server)| ClosedConnection { client, server, at }));
    }
    found
}

fn read_tcp(process: &Process) -> Vec<TableRow> {
    [SocketKind::Tcp, SocketKind::Tcp6].into_iter().flat_map(|kind| tables::read(process, kind)).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    /// Opens a connection to a listener, lets the client close first or last, and waits for the other end.
    fn connect(listener: &TcpListener, is_client_first: bool) -> SocketAddr {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let from = client.local_addr().unwrap();
        let (first, mut last) = if is_client_first { (client, server) } else { (server, client) };
        drop(first);
        assert_eq!(last.read(&mut [0]).unwrap(), 0);
        from
    }

    #[test]
    fn new_closed_connections_are_known_by_their_ports() {
        for ip in ["127.0.0.1", "127.0.7.8", "::1"] {
            for is_client_first in [true, false] {
                let Ok(listener) = TcpListener::bind((ip, 0)) else { continue };
                let server = listener.local_addr().unwrap();
                connect(&listener, is_client_first);
                let open_before = TcpStream::connect(server).unwrap();
                let _accepted = listener.accept().unwrap();

                let closed = ClosedConnections::begin().unwrap();
                let started = Instant::now();
                drop(open_before);
                let open_after = TcpStream::connect(server).unwrap();
                let _accepted = listener.accept().unwrap();
                let new = connect(&listener, is_client_first);
                let found: Vec<_> = closed.finish().into_iter().filter(|closed| closed.server == server).collect();

                assert_eq!(found.iter().map(|closed| closed.client).collect::<Vec<_>>(), [new], "{ip}");
                let at = found[0].at.unwrap();
                let (before, after) =
                    (at.saturating_duration_since(Instant::now()), started.saturating_duration_since(at));
                assert!(before.is_zero() && after < Duration::from_millis(30), "{ip}: {before:?} {after:?}");
                assert!(open_after.peer_addr().is_ok());
            }
        }
    }

    #[test]
    fn ports_of_harproxy_are_left_out_and_unknown_directions_are_both_reported() {
        let at = |port: u16| SocketAddr::from(([127, 0, 7, 9], port));
        let row = |local, remote| TableRow { inode: 0, local, remote, listens: false, closed_for: None };
        let now = Instant::now();
        let ends =
            |rows: &[TableRow]| directions(rows, now).iter().map(|one| (one.client, one.server)).collect::<Vec<_>>();
        let closed = row(at(40_000), at(3000));
        assert_eq!(ends(std::slice::from_ref(&closed)), [(at(40_000), at(3000)), (at(3000), at(40_000))]);
        let listener = TableRow { listens: true, inode: 1, ..row(at(3000), at(0)) };
        assert_eq!(ends(&[closed.clone(), listener.clone()]), [(at(40_000), at(3000))]);
        let server_side = row(at(3000), at(40_000));
        assert_eq!(ends(&[server_side, listener.clone()]), [(at(40_000), at(3000))]);
        let open = TableRow { inode: 7, ..closed };
        assert_eq!(ends(&[open, listener]), []);
    }
}
