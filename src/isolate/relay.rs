//! The relay: a process outside the isolated network that opens connections for harproxy and passes the sockets in.
//!
//! A request and its reply are messages on a socket pair, of which CMD inherits no end. The relay ends when harproxy
//! closes its end, in whatever way harproxy ends.

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use procfs::process::Process;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::RELAY_COMMAND;
use crate::diagnose::processes::tables::{self, SocketKind};
use harproxy_proxy::upstream::{DialError, DialledTcp, connect_tcp, resolve_tcp};
use harproxy_support::sync::lock;

/// Maximum length of a host name (RFC 1035 section 2.3.4), and of a message.
const MAX_HOST: usize = 253;
const MAX_MESSAGE: usize = 4096;
/// Time limit of the relay. harproxy has a shorter one of its own.
const MAX_DIAL: Duration = Duration::from_secs(60);

/// The reply to a host and a port. The socket comes with the message.
#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    Connected {
        lookup: Option<Duration>,
    },
    /// The name is of this machine, which has its servers inside: nothing was dialled.
    ThisMachine(IpAddr),
    Failed {
        is_lookup: bool,
        code: Option<i32>,
        text: String,
    },
}

/// The result of a dial outside.
pub(super) enum Reached {
    Connected(DialledTcp),
    /// The name is of this machine, which has its servers inside.
    ThisMachine(IpAddr),
}

type Waiting = Mutex<HashMap<u64, oneshot::Sender<(Reply, Option<OwnedFd>)>>>;

/// harproxy's end.
#[derive(Debug)]
pub(super) struct Relay {
    socket: Arc<OwnedFd>,
    /// The process, whose network is that outside.
    outside: Process,
    next: AtomicU64,
    waiting: Arc<Waiting>,
}

impl Relay {
    /// Starts the relay process in the network of this process. Returns its id, and harproxy's end.
    pub(super) fn start() -> io::Result<(u32, OwnedFd)> {
        let (own, relays) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut relay = Command::new("/proc/self/exe");
        // In its own group, so that a Ctrl-C at the terminal does not end it before harproxy.
        relay.arg(RELAY_COMMAND).stdin(Stdio::from(relays)).stdout(Stdio::null()).process_group(0);
        Ok((relay.spawn()?.id(), own))
    }

    /// Reads the replies on a thread.
    pub(super) fn new((id, socket): (u32, OwnedFd)) -> io::Result<Self> {
        let outside = i32::try_from(id).ok().and_then(|id| Process::new(id).ok()).ok_or(io::ErrorKind::NotFound)?;
        let (socket, waiting) = (Arc::new(socket), Arc::<Waiting>::default());
        let (replies, asked) = (socket.clone(), waiting.clone());
        thread::Builder::new().name("relay".to_owned()).spawn(move || {
            while let Ok(Some((number, reply, socket))) = receive::<Reply>(&replies) {
                let asker = lock(&asked).remove(&number);
                let _ = asker.map(|asker| asker.send((reply, socket)));
            }
            // Ends the dials in progress with an error.
            lock(&asked).clear();
        })?;
        Ok(Relay { socket, outside, next: AtomicU64::new(0), waiting })
    }

    /// Connects to a host outside.
    pub(super) async fn dial(&self, host: &str, port: u16) -> Result<Reached, DialError> {
        if host.len() > MAX_HOST {
            return Err(DialError::Resolve(io::Error::new(io::ErrorKind::InvalidInput, "the host name is too long")));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        lock(&self.waiting).insert(number, tell);
        if let Err(error) = send(&self.socket, number, &(host, port), None) {
            lock(&self.waiting).remove(&number);
            return Err(DialError::Connect(error));
        }
        let ended = |_| DialError::Connect(io::Error::other("the relay process of `--isolate` has ended"));
        match told.await.map_err(ended)? {
            (Reply::ThisMachine(ip), _) => Ok(Reached::ThisMachine(ip)),
            (Reply::Failed { is_lookup, code, text }, _) => {
                let error = code.map_or_else(|| io::Error::other(text), io::Error::from_raw_os_error);
                Err(if is_lookup { DialError::Resolve(error) } else { DialError::Connect(error) })
            }
            (Reply::Connected { lookup }, socket) => {
                let stream = socket.map(std::net::TcpStream::from).ok_or(io::ErrorKind::InvalidData.into());
                let stream = stream.and_then(|stream| stream.set_nonblocking(true).map(|()| stream));
                let stream = stream.and_then(TcpStream::from_std).map_err(DialError::Connect)?;
                Ok(Reached::Connected(DialledTcp { stream, lookup }))
            }
        }
    }

    /// Returns true if a server outside listens at an address of this machine.
    pub(super) fn has_listener(&self, at: SocketAddr) -> bool {
        has_listener(&self.outside, at)
    }
}

/// Returns true if a server in the network of a process listens at an address.
pub(super) fn has_listener(process: &Process, at: SocketAddr) -> bool {
    let rows = [SocketKind::Tcp, SocketKind::Tcp6].into_iter().flat_map(|kind| tables::read(process, kind));
    let is_at = |local: SocketAddr| local.port() == at.port() && (local.ip() == at.ip() || local.ip().is_unspecified());
    rows.into_iter().any(|row| row.listens && is_at(row.local))
}

/// Runs the relay process until harproxy closes its end, which is standard input.
pub(super) fn run() -> io::Result<()> {
    let socket = Arc::new(io::stdin().as_fd().try_clone_to_owned()?);
    let runtime = harproxy_support::runtime::Runtime::start("relay")?;
    while let Some((number, (host, port), _)) = receive::<(String, u16)>(&socket)? {
        let socket = socket.clone();
        runtime.handle().spawn(async move {
            let failed = |is_lookup, error: io::Error| {
                (Reply::Failed { is_lookup, code: error.raw_os_error(), text: error.to_string() }, None)
            };
            let timed_out = |_| Err(DialError::Connect(io::ErrorKind::TimedOut.into()));
            let dialled = timeout(MAX_DIAL, dial(&host, port)).await.unwrap_or_else(timed_out);
            let (reply, passed) = dialled.unwrap_or_else(|error| match error {
                DialError::Resolve(error) => failed(true, error),
                DialError::Connect(error) => failed(false, error),
            });
            // harproxy has ended if this fails, and so does the relay.
            let _ = send(&socket, number, &reply, passed);
        });
    }
    Ok(())
}

async fn dial(host: &str, port: u16) -> Result<(Reply, Option<OwnedFd>), DialError> {
    let (addresses, lookup) = resolve_tcp(host, port).await.map_err(DialError::Resolve)?;
    let is_this_machine = lookup.is_some() && addresses.iter().all(|address| address.ip().is_loopback());
    if let Some(first) = addresses.first().filter(|_| is_this_machine) {
        return Ok((Reply::ThisMachine(first.ip()), None));
    }
    let stream = connect_tcp(addresses).await.and_then(TcpStream::into_std).map_err(DialError::Connect)?;
    Ok((Reply::Connected { lookup }, Some(stream.into())))
}

/// Sends a numbered message, with a socket if there is one.
fn send(socket: &OwnedFd, number: u64, message: &impl Serialize, passed: Option<OwnedFd>) -> io::Result<()> {
    let bytes = postcard::to_extend(&(number, message), Vec::new()).map_err(io::Error::other)?;
    let fds: Vec<_> = passed.iter().map(|passed| passed.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&fds));
    }
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives a message. `None` at the end.
fn receive<T: for<'de> Deserialize<'de>>(socket: &OwnedFd) -> io::Result<Option<(u64, T, Option<OwnedFd>)>> {
    let mut bytes = [0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            received => break received?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let passed = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    let (number, message) = postcard::from_bytes(&bytes[..received.bytes]).map_err(io::Error::other)?;
    Ok(Some((number, message, passed)))
}
