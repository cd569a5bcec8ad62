//! The relay: a process outside the isolated network that opens connections for harproxy and passes the sockets in.
//!
//! Both ends of a socket pair exchange a message for each connection. CMD inherits no end of it. The relay ends when
//! harproxy closes its end, in whatever way harproxy ends.

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use procfs::net::TcpState;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::RELAY_COMMAND;
use harproxy_proxy::upstream::{DialError, DialledTcp, connect_tcp, resolve_tcp};
use harproxy_support::sync::lock;

/// Maximum length of a message: a host name has at most 253 characters.
const MAX_MESSAGE: usize = 8192;

#[derive(Debug, Serialize, Deserialize)]
enum Request {
    /// Connect to a host.
    Dial { host: String, port: u16 },
    /// Look up the addresses of a host.
    Resolve { host: String },
    /// Tell whether a server of this machine listens at an address.
    IsListening { at: SocketAddr },
}

#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    /// The socket comes with the message.
    Dialled { lookup: Option<Duration> },
    /// The name is of this machine.
    ThisMachine(IpAddr),
    Addresses(Vec<IpAddr>),
    Listening(bool),
    Failed { is_lookup: bool, error: PassedError },
}

/// An I/O error in another process.
#[derive(Debug, Serialize, Deserialize)]
struct PassedError {
    code: Option<i32>,
    text: String,
}

impl From<io::Error> for PassedError {
    fn from(error: io::Error) -> Self {
        PassedError { code: error.raw_os_error(), text: error.to_string() }
    }
}

impl From<PassedError> for io::Error {
    fn from(PassedError { code, text }: PassedError) -> Self {
        code.map_or_else(|| io::Error::other(text), io::Error::from_raw_os_error)
    }
}

/// The result of a dial outside.
pub(super) enum Reached {
    Connected(DialledTcp),
    /// The name is of this machine, which has its servers inside: nothing was dialled.
    ThisMachine(IpAddr),
}

type Waiting = Mutex<HashMap<u64, oneshot::Sender<(Reply, Option<OwnedFd>)>>>;

/// harproxy's end.
#[derive(Debug)]
pub(super) struct Relay {
    socket: Arc<OwnedFd>,
    next: AtomicU64,
    waiting: Arc<Waiting>,
}

impl Relay {
    /// Starts the relay process in the network of this process, which must not have a second thread yet.
    pub(super) fn start() -> io::Result<OwnedFd> {
        let (own, relays) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut relay = Command::new("/proc/self/exe");
        // In its own group, so that a Ctrl-C at the terminal does not end it before harproxy.
        relay.arg(RELAY_COMMAND).stdin(Stdio::from(relays)).stdout(Stdio::null()).process_group(0);
        relay.spawn()?;
        Ok(own)
    }

    /// Reads the replies on a thread.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        let (socket, waiting) = (Arc::new(socket), Arc::<Waiting>::default());
        let (replies, asked) = (socket.clone(), waiting.clone());
        thread::Builder::new().name("relay".to_owned()).spawn(move || {
            while let Ok(Some((number, reply, socket))) = receive::<Reply>(&replies) {
                let asker = lock(&asked).remove(&number);
                let _ = asker.map(|asker| asker.send((reply, socket)));
            }
            // Wakes all who still wait.
            lock(&asked).clear();
        })?;
        Ok(Relay { socket, next: AtomicU64::new(0), waiting })
    }

    async fn ask(&self, request: Request) -> io::Result<(Reply, Option<OwnedFd>)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        lock(&self.waiting).insert(number, tell);
        send(&self.socket, number, &request, None)?;
        told.await.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the relay process of `--isolate` has ended"))
    }

    /// Connects to a host outside.
    pub(super) async fn dial(&self, host: &str, port: u16) -> Result<Reached, DialError> {
        let request = Request::Dial { host: host.to_owned(), port };
        match self.ask(request).await.map_err(DialError::Connect)? {
            (Reply::Dialled { lookup }, Some(socket)) => {
                let stream = std::net::TcpStream::from(socket);
                stream.set_nonblocking(true).map_err(DialError::Connect)?;
                let stream = TcpStream::from_std(stream).map_err(DialError::Connect)?;
                Ok(Reached::Connected(DialledTcp { stream, lookup }))
            }
            (Reply::ThisMachine(ip), _) => Ok(Reached::ThisMachine(ip)),
            (Reply::Failed { is_lookup: true, error }, _) => Err(DialError::Resolve(error.into())),
            (Reply::Failed { error, .. }, _) => Err(DialError::Connect(error.into())),
            _ => Err(DialError::Connect(io::ErrorKind::InvalidData.into())),
        }
    }

    /// Looks up a host outside.
    pub(super) async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match self.ask(Request::Resolve { host: host.to_owned() }).await? {
            (Reply::Addresses(addresses), _) => Ok(addresses),
            (Reply::Failed { error, .. }, _) => Err(error.into()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Returns true if a server outside listens at an address of this machine.
    pub(super) async fn is_listening(&self, at: SocketAddr) -> bool {
        matches!(self.ask(Request::IsListening { at }).await, Ok((Reply::Listening(true), _)))
    }
}

/// Runs the relay process until harproxy closes its end, which is standard input.
pub(super) fn run() -> io::Result<()> {
    let socket = Arc::new(io::stdin().as_fd().try_clone_to_owned()?);
    let runtime = harproxy_support::runtime::Runtime::start("relay")?;
    while let Some((number, request, _)) = receive::<Request>(&socket)? {
        let socket = socket.clone();
        runtime.handle().spawn(async move {
            let (reply, passed) = answer(request).await;
            // harproxy has ended if this fails, and so does the relay.
            let _ = send(&socket, number, &reply, passed);
        });
    }
    Ok(())
}

async fn answer(request: Request) -> (Reply, Option<OwnedFd>) {
    let failed = |is_lookup, error: io::Error| (Reply::Failed { is_lookup, error: error.into() }, None);
    match request {
        Request::Dial { host, port } => match dial(&host, port).await {
            Ok((reply, socket)) => (reply, socket),
            Err(DialError::Resolve(error)) => failed(true, error),
            Err(DialError::Connect(error)) => failed(false, error),
        },
        Request::Resolve { host } => {
            let found = tokio::task::spawn_blocking(move || (host.as_str(), 0).to_socket_addrs()).await;
            match found.map_err(io::Error::from).flatten() {
                Ok(found) => (Reply::Addresses(found.map(|address| address.ip()).collect()), None),
                Err(error) => failed(true, error),
            }
        }
        Request::IsListening { at } => (Reply::Listening(is_listening(at)), None),
    }
}

async fn dial(host: &str, port: u16) -> Result<(Reply, Option<OwnedFd>), DialError> {
    let (addresses, lookup) = resolve_tcp(host, port).await.map_err(DialError::Resolve)?;
    if let [first, ..] = addresses[..]
        && lookup.is_some()
        && addresses.iter().all(|address| address.ip().is_loopback())
    {
        return Ok((Reply::ThisMachine(first.ip()), None));
    }
    let stream = connect_tcp(addresses).await.and_then(TcpStream::into_std).map_err(DialError::Connect)?;
    Ok((Reply::Dialled { lookup }, Some(stream.into())))
}

/// Returns true if a server in the network of this process listens at an address.
pub(super) fn is_listening(at: SocketAddr) -> bool {
    let tables = [procfs::net::tcp(), procfs::net::tcp6()].into_iter().flatten().flatten();
    let accepts = |local: SocketAddr| {
        let ip = local.ip().to_canonical();
        local.port() == at.port() && (ip == at.ip() || ip.is_unspecified())
    };
    tables.into_iter().any(|row| row.state == TcpState::Listen && accepts(row.local_address))
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
