//! Name resolution and TCP connections.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::BoxFuture;
use harproxy_http::url::is_localhost;

/// Head start of an address before the next one is tried too (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// The local ports of the connections that this process opened, as a set of bits.
static OWN_PORTS: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

fn port_bit(port: u16) -> u64 {
    1 << (port % 64)
}

/// Returns true if this process opened a connection upstream from this local port. The port may be another program's by
/// now.
#[must_use]
pub fn is_own_port(port: u16) -> bool {
    OWN_PORTS[usize::from(port / 64)].load(Ordering::Relaxed) & port_bit(port) != 0
}

/// A TCP connection, and the duration of the lookup before it if there was one.
#[derive(Debug)]
pub struct DialledTcp {
    pub stream: TcpStream,
    pub lookup: Option<Duration>,
}

/// The error of a dial.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("resolving the name")]
    Resolve(#[source] io::Error),
    #[error("connecting")]
    Connect(#[source] io::Error),
}

/// Opens TCP connections in place of this process, which may be in another network.
pub trait Dial: fmt::Debug + Send + Sync {
    /// Looks up a host and connects to it.
    ///
    /// # Errors
    /// [`DialError`].
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<DialledTcp, DialError>>;
}

/// Dials in the network of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnNetwork;

impl Dial for OwnNetwork {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<DialledTcp, DialError>> {
        Box::pin(dial_tcp(host, port))
    }
}

/// Looks up a host and connects to it.
///
/// # Errors
/// [`DialError`].
pub async fn dial_tcp(host: &str, port: u16) -> Result<DialledTcp, DialError> {
    let (addrs, lookup) = resolve_tcp(host, port).await.map_err(DialError::Resolve)?;
    let stream = connect_tcp(addrs).await.map_err(DialError::Connect)?;
    Ok(DialledTcp { stream, lookup })
}

/// The addresses of `host`, and the duration of the lookup if there was one.
///
/// # Errors
/// If the name has no address.
pub async fn resolve_tcp(host: &str, port: u16) -> io::Result<(Vec<SocketAddr>, Option<Duration>)> {
    if let Some(addrs) = loopback_addrs(host, port) {
        return Ok((addrs, None));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok((vec![SocketAddr::new(ip, port)], None));
    }
    let began = Instant::now();
    let addrs: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
    if addrs.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok((addrs, Some(began.elapsed())))
}

/// Connects to the first of `addrs` that accepts. They are tried in order, with a head start of [`STAGGER`].
///
/// # Errors
/// That of the preferred address.
pub async fn connect_tcp(addrs: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut untried = addrs.into_iter();
    let mut attempts = JoinSet::new();
    let mut failed = None;
    loop {
        match untried.next() {
            Some(addr) => drop(attempts.spawn(TcpStream::connect(addr))),
            None if attempts.is_empty() => break,
            None => {}
        }
        tokio::select! {
            Some(attempt) = attempts.join_next() => match attempt {
                Ok(Ok(stream)) => {
                    if let Ok(local) = stream.local_addr() {
                        OWN_PORTS[usize::from(local.port() / 64)].fetch_or(port_bit(local.port()), Ordering::Relaxed);
                    }
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                // The error of the preferred address is returned.
                Ok(Err(error)) => drop(failed.get_or_insert(error)),
                Err(panicked) => drop(failed.get_or_insert(panicked.into())),
            },
            () = sleep(STAGGER), if untried.len() > 0 => {}
        }
    }
    Err(failed.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

/// The addresses of a loopback host, all in 127.0.0.0/8 or ::1; `None` for other hosts.
///
/// A loopback host is a literal address, or `localhost` and names below it, which are not looked up (RFC 6761 section
/// 6.3). A trailing dot is allowed.
pub(super) fn loopback_addrs(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    let ips = match host.parse::<IpAddr>() {
        Ok(ip) => vec![ip],
        Err(_) if is_localhost(host) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        Err(_) => return None,
    };
    ips.iter().all(IpAddr::is_loopback).then(|| ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_hosts_are_recognised() {
        for (host, addrs) in [
            ("127.0.0.1", &["127.0.0.1:80"][..]),
            ("127.9.8.7", &["127.9.8.7:80"]),
            ("::1", &["[::1]:80"]),
            ("localhost", &["127.0.0.1:80", "[::1]:80"]),
            ("LocalHost.", &["127.0.0.1:80", "[::1]:80"]),
            ("api.localhost", &["127.0.0.1:80", "[::1]:80"]),
        ] {
            let found = loopback_addrs(host, 80).unwrap();
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), addrs, "{host}");
        }
        for host in [
            "10.0.0.1",
            "0.0.0.0",
            "128.0.0.1",
            "::",
            "::2",
            "::ffff:127.0.0.1",
            "fe80::1",
            "localhost.example.com",
            "notlocalhost",
            "127.0.0.1.nip.io",
            "127.1",
            "2130706433",
            "0x7f.1",
            "",
        ] {
            assert_eq!(loopback_addrs(host, 80), None, "{host}");
        }
    }

    #[tokio::test]
    async fn second_address_is_tried_when_the_first_refuses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refused = {
            let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            closed.local_addr().unwrap()
        };
        let stream = connect_tcp(vec![refused, listener.local_addr().unwrap()]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
        assert_eq!(connect_tcp(vec![refused]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
