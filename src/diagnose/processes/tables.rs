//! The kernel's tables of connections.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use procfs::process::{FDTarget, Process};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketKind {
    Tcp,
    Tcp6,
    Udp,
    Udp6,
}

impl SocketKind {
    pub fn is_udp(self) -> bool {
        matches!(self, SocketKind::Udp | SocketKind::Udp6)
    }

    fn path(self) -> &'static str {
        match self {
            SocketKind::Tcp => "net/tcp",
            SocketKind::Tcp6 => "net/tcp6",
            SocketKind::Udp => "net/udp",
            SocketKind::Udp6 => "net/udp6",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    /// 0 for a connection that no program has any more.
    pub inode: u64,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub listens: bool,
    /// The time since both sides closed the connection (`TIME_WAIT`).
    pub closed_for: Option<Duration>,
}

/// Reads a connection table in the network namespace of a process. Connections that a listener has not accepted yet are
/// left out.
pub fn read(process: &Process, kind: SocketKind) -> Vec<TableRow> {
    let mut table = String::new();
    let read = process.open_relative(kind.path()).map(|mut file| file.read_to_string(&mut table));
    if !matches!(read, Ok(Ok(_))) {
        return Vec::new();
    }
    table.lines().skip(1).filter_map(|line| parse_row(line, kind)).collect()
}

/// The kernel's `TIME_WAIT` timer.
const TIME_WAIT: Duration = Duration::from_secs(60);

/// Parses a line: number, local and remote address, state, queues, timer, retransmissions, user, probes, inode.
fn parse_row(line: &str, kind: SocketKind) -> Option<TableRow> {
    const ESTABLISHED: &str = "01";
    const SYN_RECEIVED: &str = "03";
    const CLOSED: &str = "06";
    const LISTENS: &str = "0A";
    let mut fields = line.split_whitespace().skip(1);
    let (local, remote) = (parse_address(fields.next()?)?, parse_address(fields.next()?)?);
    let state = fields.next()?;
    let (_, timer) = fields.nth(1)?.split_once(':')?;
    let inode = fields.nth(3)?.parse().ok()?;
    let is_tcp = !kind.is_udp();
    if is_tcp && (state == SYN_RECEIVED || (inode == 0 && state == ESTABLISHED)) {
        return None;
    }
    let closed_for = (is_tcp && state == CLOSED).then(|| {
        let ticks = u32::from_str_radix(timer, 16).unwrap_or_default();
        let rate = u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(1).max(1);
        TIME_WAIT.saturating_sub(Duration::from_secs(ticks.into()) / rate)
    });
    Some(TableRow { inode, local, remote, listens: is_tcp && state == LISTENS, closed_for })
}

/// Parses an address of a table: 32-bit words in the order of bytes of the processor, and the port.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(words.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = match words.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// Returns true if a server in the network of a process listens at an address.
pub fn has_listener(process: &Process, at: SocketAddr) -> bool {
    let rows = [SocketKind::Tcp, SocketKind::Tcp6].into_iter().flat_map(|kind| read(process, kind));
    let is_at = |local: SocketAddr| local.port() == at.port() && (local.ip() == at.ip() || local.ip().is_unspecified());
    rows.into_iter().any(|row| row.listens && is_at(row.local))
}

/// Returns the name of the program in the network of this process that has a socket with this local address.
pub fn program_with(local: SocketAddr, is_udp: bool) -> Option<String> {
    let own = Process::myself().ok()?;
    let kinds = if is_udp { [SocketKind::Udp, SocketKind::Udp6] } else { [SocketKind::Tcp, SocketKind::Tcp6] };
    let is_its = |at: SocketAddr| at.port() == local.port() && (at.ip() == local.ip() || at.ip().is_unspecified());
    let mut rows = kinds.into_iter().flat_map(|kind| read(&own, kind));
    let inode = rows.find(|row| is_its(row.local) && row.inode != 0)?.inode;
    let has_socket = |process: &Process| {
        let mut open = process.fd().into_iter().flatten().flatten();
        open.any(|open| matches!(open.target, FDTarget::Socket(its) if its == inode))
    };
    let program = procfs::process::all_processes().ok()?.flatten().find(has_socket)?;
    let file = program.exe().ok().and_then(|exe| Some(exe.file_name()?.to_string_lossy().into_owned()));
    file.or_else(|| Some(program.stat().ok()?.comm))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows as a little-endian machine shows them.
    #[cfg(target_endian = "little")]
    #[test]
    fn rows_have_addresses_state_and_the_time_since_the_close() {
        let row = |line| parse_row(line, SocketKind::Tcp6);
        let closed = "   3: 0100007F:9C40 0707007F:0BB8 06 00000000:00000000 03:00001518 00000000     0        0 0 3 0";
        let expected = TableRow {
            inode: 0,
            local: "127.0.0.1:40000".parse().unwrap(),
            remote: "127.0.7.7:3000".parse().unwrap(),
            listens: false,
            closed_for: Some(Duration::from_secs(6)),
        };
        assert_eq!(row(closed), Some(expected.clone()));
        let mapped =
            "0: 0000000000000000FFFF00000100007F:9C40 0000000000000000FFFF00000707007F:0BB8 01 0:0 00:0 0 0 0 77";
        assert_eq!(row(mapped), Some(TableRow { inode: 77, closed_for: None, ..expected }));
        let listener =
            "0: 00000000000000000000000001000000:0BB8 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 5";
        let listener = row(listener).unwrap();
        assert_eq!((listener.local, listener.listens), ("[::1]:3000".parse().unwrap(), true));
        for not_accepted in
            ["0: 0100007F:0BB8 0100007F:9C40 01 0:0 00:0 0 0 0 0", "0: 0100007F:0BB8 0100007F:9C40 03 0:0 00:0 0 0 0 0"]
        {
            assert_eq!(row(not_accepted), None);
        }
    }
}
