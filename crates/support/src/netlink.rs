//! The few messages to the kernel that set up a network (rtnetlink(7)).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const IFF_UP: u32 = 0x1;
const IFF_NOARP: u32 = 0x80;

/// The loopback interface always has this index.
pub const LOOPBACK: u32 = 1;

/// A socket to the kernel's routing tables.
#[derive(Debug)]
pub struct Netlink(OwnedFd);

impl Netlink {
    /// Opens a socket to the kernel.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open() -> io::Result<Self> {
        let protocol = SockProtocol::NetlinkRoute;
        Ok(Netlink(socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?))
    }

    /// Enables an interface. `is_silent`: it never asks for the hardware address of a neighbour.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn set_up(&self, index: u32, is_silent: bool) -> io::Result<()> {
        let flags = if is_silent { IFF_UP | IFF_NOARP } else { IFF_UP };
        self.send(RTM_NEWLINK, 0, &interface(index, flags))
    }

    /// Creates two interfaces that are connected to each other. Returns their indices.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn add_pair(&self, names: [&str; 2]) -> io::Result<[u32; 2]> {
        let name = |name: &str| attribute(3, &[name.as_bytes(), b"\0"].concat());
        let peer = attribute(1, &[interface(0, 0), name(names[1])].concat());
        let info = [attribute(1, b"veth"), attribute(2, &peer)].concat();
        let body = [interface(0, 0), name(names[0]), attribute(18, &info)].concat();
        self.send(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body)?;
        Ok([if_nametoindex(names[0])?, if_nametoindex(names[1])?])
    }

    /// Gives an interface an address of its own, without a network behind it.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn add_address(&self, index: u32, ip: IpAddr) -> io::Result<()> {
        const WITHOUT_DUPLICATE_DETECTION: u8 = 0x2;
        let bytes = octets(ip);
        let prefix = u8::try_from(bytes.len() * 8).unwrap_or(u8::MAX);
        let head = [&[family(ip), prefix, WITHOUT_DUPLICATE_DETECTION, 0][..], &index.to_ne_bytes()].concat();
        let body = [head, attribute(2, &bytes), attribute(1, &bytes)].concat();
        self.send(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body)
    }

    /// Sends all packets without another route to an interface, from the address `source`.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn add_default_route(&self, index: u32, source: IpAddr) -> io::Result<()> {
        const MAIN_TABLE: u8 = 254;
        const STATIC: u8 = 4;
        const LINK: u8 = 253;
        const UNICAST: u8 = 1;
        let scope = if source.is_ipv4() { LINK } else { 0 };
        let head = [family(source), 0, 0, 0, MAIN_TABLE, STATIC, scope, UNICAST, 0, 0, 0, 0];
        let body = [&head[..], &attribute(4, &index.to_ne_bytes()), &attribute(7, &octets(source))].concat();
        self.send(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body)
    }

    /// Sends a message and waits for its acknowledgement.
    fn send(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        const HEAD: usize = 16;
        let length = u32::try_from(HEAD + body.len()).map_err(io::Error::other)?;
        let flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let (sequence, port) = (1_u32.to_ne_bytes(), 0_u32.to_ne_bytes());
        let head = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &flags.to_ne_bytes(), &sequence, &port].concat();
        let kernel = NetlinkAddr::new(0, 0);
        sendto(self.0.as_raw_fd(), &[&head, body].concat(), &kernel, MsgFlags::empty())?;
        let mut answer = [0; 4096];
        let length = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        let code = answer[..length].get(HEAD..HEAD + 4).and_then(|code| code.try_into().ok());
        match code.map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(code) => Err(Errno::from_raw(-code).into()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The head of a message about an interface, with the flags to set.
fn interface(index: u32, flags: u32) -> Vec<u8> {
    let (family, flags) = (0_u32.to_ne_bytes(), flags.to_ne_bytes());
    [family, index.to_ne_bytes(), flags, flags].concat()
}

/// An attribute: its length, its number, its value, and padding to four bytes.
fn attribute(number: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [&length.to_ne_bytes()[..], &number.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn family(ip: IpAddr) -> u8 {
    const INET: u8 = 2;
    const INET6: u8 = 10;
    if ip.is_ipv4() { INET } else { INET6 }
}
