//! The relay: a process outside the isolated network that opens connections for harproxy and passes the sockets in.
//!
//! A request is a message on a socket pair, of which CMD inherits no end. It brings a socket of its own for the reply.
//! The relay ends when harproxy closes its end, in whatever way harproxy ends.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as BlockingStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use procfs::process::Process;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::RELAY_COMMAND;
use crate::diagnose::processes::tables;
use harproxy_proxy::upstream::{DialError, DialledTcp, connect_tcp, resolve_tcp};
use harproxy_support::passed_socket::{receive, send};

/// Maximum length of a host name (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;
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
pub(super) enum RelayedDial {
    Connected(DialledTcp),
    /// The name is of this machine, which has its servers inside.
    ThisMachine(IpAddr),
}

/// harproxy's end.
#[derive(Debug)]
pub(super) struct Relay {
    socket: OwnedFd,
    /// The process, whose network is that outside.
    outside: Process,
}

impl Relay {
    /// Starts the relay process in the network of this process.
    pub(super) fn start() -> io::Result<Self> {
        let (socket, relays) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut relay = Command::new("/proc/self/exe");
        // In its own group, so that a Ctrl-C at the terminal does not end it before harproxy.
        relay.arg(RELAY_COMMAND).stdin(Stdio::from(relays)).stdout(Stdio::null()).process_group(0);
        let id = i32::try_from(relay.spawn()?.id()).map_err(io::Error::other)?;
        Ok(Relay { socket, outside: Process::new(id).map_err(io::Error::other)? })
    }

    /// Connects to a host outside.
    pub(super) async fn dial(&self, host: &str, port: u16) -> Result<RelayedDial, DialError> {
        if host.len() > MAX_HOST {
            return Err(DialError::Resolve(io::Error::new(io::ErrorKind::InvalidInput, "the host name is too long")));
        }
        match self.ask(host, port).await.map_err(DialError::Connect)? {
            (Reply::ThisMachine(ip), _) => Ok(RelayedDial::ThisMachine(ip)),
            (Reply::Failed { is_lookup, code, text }, _) => {
                let error = code.map_or_else(|| io::Error::other(text), io::Error::from_raw_os_error);
                Err(if is_lookup { DialError::Resolve(error) } else { DialError::Connect(error) })
            }
            (Reply::Connected { lookup }, socket) => {
                let stream = socket.map(std::net::TcpStream::from).ok_or(io::ErrorKind::InvalidData.into());
                let stream = stream.and_then(|stream| stream.set_nonblocking(true).map(|()| stream));
                let stream = stream.and_then(TcpStream::from_std).map_err(DialError::Connect)?;
                Ok(RelayedDial::Connected(DialledTcp { stream, lookup }))
            }
        }
    }

    async fn ask(&self, host: &str, port: u16) -> io::Result<(Reply, Option<OwnedFd>)> {
        let (own, relays) = BlockingStream::pair()?;
        own.set_nonblocking(true)?;
        let own = UnixStream::from_std(own)?;
        send(&self.socket, &encode(&(host, port))?, Some(&relays.into()))?;
        let reply = own.async_io(Interest::READABLE, || receive(&own)).await?;
        let (reply, socket) = reply.ok_or_else(|| {
            io::Error::other("the relay process of `--isolate` has ended, or has no file descriptor left")
        })?;
        Ok((postcard::from_bytes(&reply).map_err(io::Error::other)?, socket))
    }

    /// Returns true if a server outside listens at an address of this machine.
    pub(super) fn has_listener(&self, at: SocketAddr) -> bool {
        tables::has_listener(&self.outside, at)
    }
}

fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_extend(message, Vec::new()).map_err(io::Error::other)
}

/// Runs the relay process until harproxy closes its end, which is standard input.
pub(super) fn run() -> io::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let runtime = harproxy_support::runtime::Runtime::start("relay")?;
    while let Some((request, reply_to)) = receive(&socket)? {
        let (Ok((host, port)), Some(reply_to)) = (postcard::from_bytes::<(String, u16)>(&request), reply_to) else {
            continue;
        };
        runtime.handle().spawn(async move {
            let timed_out = |_| Err(DialError::Connect(io::ErrorKind::TimedOut.into()));
            let dialled = timeout(MAX_DIAL, dial(&host, port)).await.unwrap_or_else(timed_out);
            let (reply, passed) = dialled.unwrap_or_else(|error| {
                let (is_lookup, error) = match error {
                    DialError::Resolve(error) => (true, error),
                    DialError::Connect(error) => (false, error),
                };
                (Reply::Failed { is_lookup, code: error.raw_os_error(), text: error.to_string() }, None)
            });
            // harproxy has ended if this fails, and so does the relay.
            let _ = encode(&reply).and_then(|reply| send(&reply_to, &reply, passed.as_ref()));
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
