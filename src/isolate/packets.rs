//! The packets that leave CMD for addresses that do not exist inside, and the answers that refuse them.

use std::net::{IpAddr, SocketAddr};

use etherparse::err::packet::BuildWriteError;
use etherparse::{
    Ethernet2Slice, Icmpv4Type, Icmpv6Type, NetSlice, PacketBuilder, SlicedPacket, TransportSlice, icmpv4, icmpv6,
};

/// A packet with which a connection begins or is answered, or a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) kind: PacketKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PacketKind {
    /// TCP: the client opens a connection, with this sequence number.
    Open(u32),
    /// TCP: the server accepts it.
    Accept,
    /// TCP: the server refuses it.
    Refuse,
    Datagram,
}

impl Packet {
    /// Parses an Ethernet frame. `None` for other packets.
    pub(super) fn parse(frame: &[u8]) -> Option<Self> {
        let sliced = SlicedPacket::from_ethernet(frame).ok()?;
        let (from, to): (IpAddr, IpAddr) = match sliced.net? {
            NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            NetSlice::Arp(_) => return None,
        };
        let (ports, kind) = match sliced.transport? {
            TransportSlice::Udp(udp) => ((udp.source_port(), udp.destination_port()), PacketKind::Datagram),
            TransportSlice::Tcp(tcp) => {
                let kind = match (tcp.syn(), tcp.ack(), tcp.rst()) {
                    (true, false, false) => PacketKind::Open(tcp.sequence_number()),
                    (true, true, false) => PacketKind::Accept,
                    // An answer to a packet that opens a connection has no sequence number (RFC 9293 section 3.5.2).
                    (false, true, true) if tcp.sequence_number() == 0 => PacketKind::Refuse,
                    _ => return None,
                };
                ((tcp.source_port(), tcp.destination_port()), kind)
            }
            _ => return None,
        };
        Some(Packet { from: SocketAddr::new(from, ports.0), to: SocketAddr::new(to, ports.1), kind })
    }

    /// Builds the frame that refuses a packet: a reset for a connection, "port unreachable" for a datagram.
    pub(super) fn refusal(&self, frame: &[u8]) -> Result<Vec<u8>, BuildWriteError> {
        const HOPS: u8 = 64;
        const MAX_QUOTED: usize = 512;
        let head = Ethernet2Slice::from_slice_without_fcs(frame).ok();
        let (from, to) = head.map_or(([0; 6], [0; 6]), |head| (head.destination(), head.source()));
        let packet = frame.get(14..).unwrap_or_default();
        let quoted = &packet[..packet.len().min(MAX_QUOTED)];
        let ethernet = PacketBuilder::ethernet2(from, to);
        let mut answer = Vec::new();
        let (ports, number) = ((self.to.port(), self.from.port()), self.sequence_number());
        match (self.to.ip(), self.from.ip(), number) {
            (IpAddr::V4(from), IpAddr::V4(to), Some(number)) => ethernet
                .ipv4(from.octets(), to.octets(), HOPS)
                .tcp(ports.0, ports.1, 0, 0)
                .rst()
                .ack(number.wrapping_add(1))
                .write(&mut answer, &[])?,
            (IpAddr::V6(from), IpAddr::V6(to), Some(number)) => ethernet
                .ipv6(from.octets(), to.octets(), HOPS)
                .tcp(ports.0, ports.1, 0, 0)
                .rst()
                .ack(number.wrapping_add(1))
                .write(&mut answer, &[])?,
            (IpAddr::V4(from), IpAddr::V4(to), None) => ethernet
                .ipv4(from.octets(), to.octets(), HOPS)
                .icmpv4(Icmpv4Type::DestinationUnreachable(icmpv4::DestUnreachableHeader::Port))
                .write(&mut answer, quoted)?,
            (IpAddr::V6(from), IpAddr::V6(to), None) => ethernet
                .ipv6(from.octets(), to.octets(), HOPS)
                .icmpv6(Icmpv6Type::DestinationUnreachable(icmpv6::DestUnreachableCode::Port))
                .write(&mut answer, quoted)?,
            _ => {}
        }
        Ok(answer)
    }

    fn sequence_number(&self) -> Option<u32> {
        if let PacketKind::Open(number) = self.kind { Some(number) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_reset_and_datagrams_are_unreachable() {
        let (client, server) = ([192, 0, 0, 8], [203, 0, 113, 7]);
        let ethernet = || PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(client, server, 64);
        let (mut open, mut datagram) = (Vec::new(), Vec::new());
        ethernet().tcp(40_000, 443, 77, 1000).syn().write(&mut open, &[]).unwrap();
        ethernet().udp(40_001, 53).write(&mut datagram, b"question").unwrap();

        let packet = Packet::parse(&open).unwrap();
        assert_eq!((packet.to, packet.kind), ("203.0.113.7:443".parse().unwrap(), PacketKind::Open(77)));
        let reset = Packet::parse(&packet.refusal(&open).unwrap()).unwrap();
        assert_eq!((reset.from, reset.to, reset.kind), (packet.to, packet.from, PacketKind::Refuse));

        let packet = Packet::parse(&datagram).unwrap();
        assert_eq!((packet.from.port(), packet.kind), (40_001, PacketKind::Datagram));
        let answer = packet.refusal(&datagram).unwrap();
        let answer = SlicedPacket::from_ethernet(&answer).unwrap();
        let Some(TransportSlice::Icmpv4(icmp)) = answer.transport else { panic!("{answer:?}") };
        assert!(icmp.payload().starts_with(&datagram[14..]), "{icmp:?}");
    }

    #[test]
    fn other_frames_are_ignored() {
        let mut data = Vec::new();
        let tcp = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv6([1; 16], [2; 16], 64).tcp(1, 2, 3, 4);
        tcp.ack(5).write(&mut data, b"data").unwrap();
        for frame in [&data[..], b"", &[0; 13], &data[..30]] {
            assert_eq!(Packet::parse(frame), None);
        }
    }
}
