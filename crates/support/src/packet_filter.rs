//! A filter of packet sockets, which the kernel runs (BPF, packet(7)).

use std::io;
use std::os::fd::OwnedFd;

use socket2::{SockFilter, Socket};

/// Makes a packet socket receive all frames of an interface, and of other interfaces only the TCP segments with SYN or
/// RST. So a heavy transfer over the loopback interface delays no other frame.
///
/// # Errors
/// When the system refuses.
pub fn attach(packets: OwnedFd, interface: u32) -> io::Result<OwnedFd> {
    // The codes of linux/bpf_common.h, and the interface in the data that the kernel adds (linux/filter.h).
    const LOAD_WORD: u16 = 0x20;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_BYTE_BEHIND_X: u16 = 0x50;
    const LOAD_X_HEADER_LENGTH: u16 = 0xb1;
    const JUMP: u16 = 0x05;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const INTERFACE: u32 = 0xffff_f008;
    const IP: u32 = 14;
    const TCP: u32 = 6;
    const SYN_OR_RST: u32 = 0x06;
    // The numbers of instructions that are skipped if the condition holds, and if not.
    let program = [
        (LOAD_WORD, 0, 0, INTERFACE),
        (JUMP_IF_EQUAL, 12, 0, interface),
        (LOAD_HALF, 0, 0, 12),
        (JUMP_IF_EQUAL, 6, 0, 0x86dd),
        (JUMP_IF_EQUAL, 0, 10, 0x0800),
        (LOAD_BYTE, 0, 0, IP + 9),
        (JUMP_IF_EQUAL, 0, 8, TCP),
        (LOAD_X_HEADER_LENGTH, 0, 0, IP),
        (LOAD_BYTE_BEHIND_X, 0, 0, IP + 13),
        (JUMP, 0, 0, 3),
        (LOAD_BYTE, 0, 0, IP + 6),
        (JUMP_IF_EQUAL, 0, 3, TCP),
        (LOAD_BYTE, 0, 0, IP + 40 + 13),
        (JUMP_IF_SET, 0, 1, SYN_OR_RST),
        (RETURN, 0, 0, u32::MAX),
        (RETURN, 0, 0, 0),
    ]
    .map(|(code, jt, jf, k)| SockFilter::new(code, jt, jf, k));
    let packets = Socket::from(packets);
    packets.attach_filter(&program)?;
    Ok(packets.into())
}
