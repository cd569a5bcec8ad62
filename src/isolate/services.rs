//! Services of `--isolate-allow`: they are offered inside at their own addresses, and each connection leads outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::netlink::{LOOPBACK, Netlink};
use super::relay::{Reached, Relay};
use super::{IsolateError, Service};
use harproxy_http::url::is_localhost;

/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener inside for an address of a service.
#[derive(Debug)]
pub(super) struct Offer {
    listener: TcpListener,
    address: SocketAddr,
}

/// Returns the addresses of a service. Blocks.
///
/// # Errors
/// [`IsolateError::Unresolved`].
pub(super) fn addresses(service: &Service) -> Result<Vec<IpAddr>, IsolateError> {
    if is_localhost(&service.host) {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let found = (service.host.as_str(), service.port).to_socket_addrs();
    let found = found.map_err(|source| IsolateError::Unresolved { service: service.clone(), source })?;
    Ok(found.map(|address| address.ip()).collect())
}

/// Listens inside at each address of a service.
///
/// # Errors
/// [`IsolateError::Taken`], if no address can be listened at.
pub(super) async fn offer(
    service: &Service,
    addresses: &[IpAddr],
    netlink: &Netlink,
) -> Result<Vec<Offer>, IsolateError> {
    let (mut offers, mut failed) = (Vec::new(), None);
    for ip in addresses {
        let address = SocketAddr::new(*ip, service.port);
        // The address may be there from another service, or IPv6 may be off.
        if !ip.is_loopback() {
            let _ = netlink.add_address(LOOPBACK, *ip);
        }
        match TcpListener::bind(address).await {
            Ok(listener) => offers.push(Offer { listener, address }),
            Err(source) => failed = Some(IsolateError::Taken { service: service.clone(), address, source }),
        }
    }
    failed.filter(|_| offers.is_empty()).map_or(Ok(offers), Err)
}

impl Offer {
    /// Serves connections until the task is dropped. A service that refuses them outside closes them inside.
    pub(super) async fn serve(self, relay: &Arc<Relay>) {
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((inside, _)) => _ = connections.spawn(connect(inside, self.address, relay.clone())),
                // No descriptors are left.
                Err(error) => {
                    tracing::warn!(%error, address = %self.address, "a service of --isolate-allow");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Connects a client inside to a service outside.
async fn connect(mut inside: TcpStream, to: SocketAddr, relay: Arc<Relay>) {
    match relay.dial(&to.ip().to_string(), to.port()).await {
        Ok(Reached::Connected(mut outside)) => _ = copy_bidirectional(&mut inside, &mut outside.stream).await,
        Ok(Reached::ThisMachine(_)) => tracing::debug!("an address was looked up"),
        Err(error) => tracing::warn!(%error, address = %to, "a service of --isolate-allow"),
    }
}
