//! Refuses what leaves CMD for addresses outside, and remembers it with the program.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvfrom, sendto, socket};
use procfs::process::{FDTarget, Process};

use super::RefusedAttempt;
use super::netlink::LOOPBACK;
use super::packets::{Content, Packet};
use super::relay::Relay;
use super::resolver::Names;
use crate::diagnose::processes::tables::{self, SocketKind};
use harproxy_support::sync::lock;

/// A datagram to this address marks the end of the packets before it (RFC 7600 reserves the network).
const MARK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 0, 9)), 9);
/// Maximum number of refusals that are remembered.
const MAX_REMEMBERED: usize = 1000;
/// The time limit for the last packets. They are read at once, unless the reading thread has ended.
const MAX_FLUSH: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct PacketRefuser {
    state: Arc<Mutex<State>>,
    marks: Mutex<Receiver<()>>,
}

#[derive(Debug, Default)]
struct State {
    found: BTreeSet<RefusedAttempt>,
    /// Addresses of this machine at which a connection was refused, or accepted.
    refused_here: HashSet<SocketAddr>,
    accepted_here: HashSet<SocketAddr>,
}

impl PacketRefuser {
    /// Refuses the packets that arrive at the interface `outside`, on a thread.
    pub(super) fn start(outside: u32, names: Arc<Names>) -> io::Result<Self> {
        let packets = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
        let (mark, marks) = channel();
        let state = Arc::<Mutex<State>>::default();
        let watch = Watch { packets, outside, names, state: state.clone(), mark };
        thread::Builder::new().name("refusals".to_owned()).spawn(move || watch.run())?;
        Ok(PacketRefuser { state, marks: Mutex::new(marks) })
    }

    /// Returns all refusals of CMD, which has ended. A refusal at an address of this machine counts if a server outside
    /// listens there and none inside does.
    pub(super) fn finish(&self, relay: &Relay) -> BTreeSet<RefusedAttempt> {
        self.flush();
        let state = lock(&self.state);
        let here = state.refused_here.difference(&state.accepted_here).filter(|at| relay.has_listener(**at));
        let here = here.map(|at| RefusedAttempt::connection(None, at.to_string(), false));
        state.found.iter().cloned().chain(here).collect()
    }

    /// Waits until the packets that were sent before are handled.
    fn flush(&self) {
        let marks = lock(&self.marks);
        let sent = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| socket.send_to(&[0], MARK));
        if sent.is_ok() {
            let _ = marks.recv_timeout(MAX_FLUSH);
        }
    }
}

/// The thread that reads packets.
struct Watch {
    packets: OwnedFd,
    outside: u32,
    names: Arc<Names>,
    state: Arc<Mutex<State>>,
    mark: Sender<()>,
}

impl Watch {
    fn run(self) {
        let mut frame = vec![0; 1 << 16];
        loop {
            let (length, link) = match recvfrom::<LinkAddr>(self.packets.as_raw_fd(), &mut frame) {
                Ok((length, Some(link))) => (length, link),
                Ok(_) | Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => return tracing::warn!(%error, "packets of CMD are no longer read"),
            };
            let Some(packet) = Packet::parse(&frame[..length]) else { continue };
            match u32::try_from(link.ifindex()) {
                Ok(LOOPBACK) => self.note_local(packet),
                Ok(index) if index == self.outside && packet.to == MARK => _ = self.mark.send(()),
                Ok(index) if index == self.outside => self.refuse(packet, &frame[..length], link),
                _ => {}
            }
        }
    }

    fn note_local(&self, packet: Packet) {
        let mut state = lock(&self.state);
        let list = match packet.content {
            Content::Refuse => &mut state.refused_here,
            Content::Accept => &mut state.accepted_here,
            Content::Open(_) | Content::Datagram => return,
        };
        if list.len() < MAX_REMEMBERED {
            list.insert(packet.from);
        }
    }

    /// Remembers a packet before it is refused, so that it is known when CMD continues.
    fn refuse(&self, packet: Packet, frame: &[u8], link: LinkAddr) {
        let ip = packet.to.ip();
        let is_addressed = !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST);
        if !is_addressed || !matches!(packet.content, Content::Open(_) | Content::Datagram) {
            return;
        }
        let is_udp = packet.content == Content::Datagram;
        let host = self.names.name_of(ip).map(|name| format!("{name}:{}", packet.to.port()));
        let address = host.unwrap_or_else(|| packet.to.to_string());
        let program = program_with(packet.from, is_udp);
        {
            let mut state = lock(&self.state);
            if state.found.len() < MAX_REMEMBERED {
                state.found.insert(RefusedAttempt::connection(program, address, is_udp));
            }
        }
        if let Ok(answer) = packet.refusal(frame) {
            let _ = sendto(self.packets.as_raw_fd(), &answer, &link, MsgFlags::empty());
        }
    }
}

/// Returns the name of the program that has a socket with this local address.
fn program_with(local: SocketAddr, is_udp: bool) -> Option<String> {
    let own = Process::myself().ok()?;
    let kinds = if is_udp { [SocketKind::Udp, SocketKind::Udp6] } else { [SocketKind::Tcp, SocketKind::Tcp6] };
    let is_its = |at: SocketAddr| at.port() == local.port() && (at.ip() == local.ip() || at.ip().is_unspecified());
    let mut rows = kinds.into_iter().flat_map(|kind| tables::read(&own, kind));
    let inode = rows.find(|row| is_its(row.local) && row.inode != 0)?.inode;
    let has_socket = |process: &Process| {
        let mut open = process.fd().into_iter().flatten().flatten();
        open.any(|open| matches!(open.target, FDTarget::Socket(its) if its == inode))
    };
    let program = procfs::process::all_processes().ok()?.flatten().find(has_socket)?;
    let file = program.exe().ok().and_then(|exe| Some(exe.file_name()?.to_string_lossy().into_owned()));
    file.or_else(|| Some(program.stat().ok()?.comm))
}
