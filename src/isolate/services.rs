//! Services of `--isolate-allow`: they are offered inside at their own addresses, and each connection leads outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::relay::{Relay, RelayedDial};
use super::{IsolateError, Service};
use harproxy_http::url::is_localhost;
use harproxy_support::netlink::{LOOPBACK, Netlink};

/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener inside for an address of a service.
#[derive(Debug)]
pub(super) struct ServiceListener {
    listener: TcpListener,
    address: SocketAddr,
}

/// Returns the addresses of a service. Blocks.
///
/// # Errors
/// [`IsolateError::ServiceNotFound`].
pub(super) fn addresses(service: &Service) -> Result<Vec<IpAddr>, IsolateError> {
    if is_localhost(&service.host) {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let found = (service.host.as_str(), service.port).to_socket_addrs();
    let found = found.map_err(|source| IsolateError::ServiceNotFound { service: service.clone(), source })?;
    Ok(found.map(|address| address.ip()).collect())
}

/// Listens inside at each address of a service.
///
/// # Errors
/// [`IsolateError::AddressInUse`], if no address can be listened at.
pub(super) async fn listen(
    service: &Service,
    addresses: &[IpAddr],
    netlink: &Netlink,
) -> Result<Vec<ServiceListener>, IsolateError> {
    let (mut listeners, mut failed) = (Vec::new(), None);
    for ip in addresses {
        let address = SocketAddr::new(*ip, service.port);
        // The address may be there from another service, or IPv6 may be off.
        if !ip.is_loopback() {
            let _ = netlink.add_address(LOOPBACK, *ip);
        }
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(ServiceListener { listener, address }),
            Err(source) => failed = Some(IsolateError::AddressInUse { service: service.clone(), address, source }),
        }
    }
    failed.filter(|_| listeners.is_empty()).map_or(Ok(listeners), Err)
}

impl ServiceListener {
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
        Ok(RelayedDial::Connected(mut outside)) => _ = copy_bidirectional(&mut inside, &mut outside.stream).await,
        Ok(RelayedDial::ThisMachine(_)) => tracing::debug!("an address was looked up"),
        Err(error) => tracing::warn!(%error, address = %to, "a service of --isolate-allow"),
    }
}
