//! Refuses what leaves CMD for addresses outside, and remembers it with the program.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvfrom, sendto, socket};

use super::RefusedAttempt;
use super::packets::{Packet, PacketKind};
use super::relay::Relay;
use super::resolver::LookedUpNames;
use crate::diagnose::processes::tables::program_with;
use harproxy_support::netlink::LOOPBACK;
use harproxy_support::packet_filter;
use harproxy_support::sync::lock;

/// A datagram to this address marks the end of the packets before it (RFC 7600 reserves the network).
const FLUSH_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 0, 9)), 9);
/// Maximum number of refusals that are remembered.
const MAX_REMEMBERED: usize = 1000;
/// Maximum number of attempts at one address whose programs are looked up. Each takes some milliseconds.
const MAX_LOOKUPS: usize = 500;
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
    /// The number of attempts by address, and whether they are datagrams.
    times: HashMap<(String, bool), usize>,
    /// Addresses of this machine at which a connection was refused, or accepted.
    refused_here: HashSet<SocketAddr>,
    accepted_here: HashSet<SocketAddr>,
}

impl PacketRefuser {
    /// Refuses the packets that arrive at the interface `outside`, on a thread.
    pub(super) fn start(outside: u32, names: Arc<LookedUpNames>) -> io::Result<Self> {
        let packets = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
        let packets = packet_filter::attach(packets, outside)?;
        let (mark, marks) = channel();
        let state = Arc::<Mutex<State>>::default();
        let reader = PacketReader { packets, outside, names, state: state.clone(), mark };
        thread::Builder::new().name("refusals".to_owned()).spawn(move || reader.run())?;
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
        let sent = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| socket.send_to(&[0], FLUSH_ADDRESS));
        if sent.is_ok() {
            let _ = marks.recv_timeout(MAX_FLUSH);
        }
    }
}

/// The thread that reads packets.
struct PacketReader {
    packets: OwnedFd,
    outside: u32,
    names: Arc<LookedUpNames>,
    state: Arc<Mutex<State>>,
    mark: Sender<()>,
}

impl PacketReader {
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
                Ok(index) if index == self.outside && packet.to == FLUSH_ADDRESS => _ = self.mark.send(()),
                Ok(index) if index == self.outside => self.refuse(packet, &frame[..length], link),
                _ => {}
            }
        }
    }

    fn note_local(&self, packet: Packet) {
        let mut state = lock(&self.state);
        let list = match packet.kind {
            PacketKind::Refuse => &mut state.refused_here,
            PacketKind::Accept => &mut state.accepted_here,
            PacketKind::Open(_) | PacketKind::Datagram => return,
        };
        if list.len() < MAX_REMEMBERED {
            list.insert(packet.from);
        }
    }

    /// Remembers a packet before it is refused, so that it is known when CMD continues.
    fn refuse(&self, packet: Packet, frame: &[u8], link: LinkAddr) {
        let ip = packet.to.ip();
        let is_addressed = !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST);
        if !is_addressed || !matches!(packet.kind, PacketKind::Open(_) | PacketKind::Datagram) {
            return;
        }
        let is_udp = packet.kind == PacketKind::Datagram;
        let host = self.names.name_of(ip).map(|name| format!("{name}:{}", packet.to.port()));
        let address = host.unwrap_or_else(|| packet.to.to_string());
        let is_looked_up = {
            let mut state = lock(&self.state);
            let has_room = state.found.len() < MAX_REMEMBERED;
            let key = (address.clone(), is_udp);
            let times = state.times.get(&key).copied().unwrap_or_default();
            if has_room {
                state.times.insert(key, times + 1);
            }
            has_room && times < MAX_LOOKUPS
        };
        // A client that repeats its attempts must not slow down everything.
        if is_looked_up {
            let program = program_with(packet.from, is_udp);
            lock(&self.state).found.insert(RefusedAttempt::connection(program, address, is_udp));
        }
        if let Ok(answer) = packet.refusal(frame) {
            let _ = sendto(self.packets.as_raw_fd(), &answer, &link, MsgFlags::empty());
        }
    }
}
