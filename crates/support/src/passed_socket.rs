//! Messages with a socket on a unix socket (unix(7), `SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

/// The length of the longest message, bytes.
const MAX_MESSAGE: usize = 4096;

/// Sends a message of at most 4,096 bytes, and a socket if there is one.
///
/// # Errors
/// When the other end is closed, or the system refuses.
pub fn send(to: impl AsFd, message: &[u8], passed: Option<&OwnedFd>) -> io::Result<()> {
    let fds: Vec<_> = passed.iter().map(|passed| passed.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&fds));
    }
    sendmsg(to, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives a message, and the socket that came with it. `None` when the other end is closed.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] on a non-blocking socket without a message, or when the system refuses.
pub fn receive(from: impl AsFd) -> io::Result<Option<(Vec<u8>, Option<OwnedFd>)>> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let from = from.as_fd();
    let received = loop {
        match recvmsg(from, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            received => break received?,
        }
    };
    bytes.truncate(received.bytes);
    let passed = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    Ok((!bytes.is_empty()).then_some((bytes, passed)))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn sockets_arrive_with_their_messages() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (kept, passed) = UnixStream::pair().unwrap();
        send(&ours, b"with", Some(&passed.into())).unwrap();
        let (message, socket) = receive(&theirs).unwrap().unwrap();
        assert_eq!(message, b"with");
        let mut socket = UnixStream::from(socket.unwrap());
        socket.write_all(b"through").unwrap();
        assert_eq!(receive(&kept).unwrap().unwrap().0, b"through");
        theirs.set_nonblocking(true).unwrap();
        assert_eq!(receive(&theirs).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(ours);
        assert!(receive(&theirs).unwrap().is_none());
    }
}
