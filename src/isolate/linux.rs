//! The isolated network of a run.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures_util::future::{LocalBoxFuture, join_all};
use procfs::process::Process;
use tokio::task::JoinSet;

use super::refusals::PacketRefuser;
use super::relay::{self, Relay, RelayedDial};
use super::resolver::{self, LookedUpNames, Resolver};
use super::{
    CHECK_COMMAND, IsolateError, Isolation, Opening, RELAY_COMMAND, RefusedAttempt, Service, namespace, services,
};
use crate::diagnose::processes::tables;
use harproxy_http::url::is_localhost;
use harproxy_proxy::BoxFuture;
use harproxy_proxy::upstream::{Dial, DialError, DialledTcp, dial_tcp, resolve_tcp};
use harproxy_support::netlink::{LOOPBACK, Netlink};

/// The addresses of this machine towards addresses that do not exist (RFC 7600, RFC 6666).
const OWN_IPV4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8));
const OWN_IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 8));

#[derive(Debug)]
struct Network {
    relay: Arc<Relay>,
    /// The services of `--isolate-allow`, with their addresses outside.
    services: Vec<(Service, Vec<IpAddr>)>,
    netlink: Netlink,
    /// The addresses of name servers.
    servers: Vec<IpAddr>,
    names: Arc<LookedUpNames>,
    refusals: PacketRefuser,
}

/// Moves this process into an isolated network. It must not have a second thread yet.
///
/// # Errors
/// [`IsolateError`]. The process may be in the new network then, and must end.
pub fn enter(allow: Vec<Service>) -> Result<Arc<dyn Isolation>, IsolateError> {
    let addresses = |service: Service| services::addresses(&service).map(|addresses| (service, addresses));
    let services = allow.into_iter().map(addresses).collect::<Result<_, _>>()?;
    let relay = Relay::start().map_err(setup("starting the relay process"))?;
    namespace::enter()?;
    let netlink = Netlink::open().map_err(setup("talking to the kernel"))?;
    let outside = connect_interfaces(&netlink)?;
    let servers = resolver::servers();
    for server in servers.iter().filter(|server| !server.is_loopback()) {
        // An address that can't be added can't be bound later, which fails if there is no other.
        let _ = netlink.add_address(LOOPBACK, *server);
    }
    let names = Arc::<LookedUpNames>::default();
    // From here on, there are threads.
    let refusals = PacketRefuser::start(outside, names.clone()).map_err(setup("reading packets"))?;
    Ok(Arc::new(Network { relay: Arc::new(relay), services, netlink, servers, names, refusals }))
}

impl Isolation for Network {
    fn dialler(self: Arc<Self>) -> Arc<dyn Dial> {
        self
    }

    fn open<'a>(&'a self, is_reachable: &'a dyn Fn(&str) -> bool) -> Opening<'a> {
        Box::pin(async move {
            let mut allowed: HashMap<String, Vec<IpAddr>> = HashMap::new();
            let mut tasks = JoinSet::new();
            for (service, addresses) in &self.services {
                for listener in services::listen(service, addresses, &self.netlink).await? {
                    let relay = self.relay.clone();
                    tasks.spawn(async move { listener.serve(&relay).await });
                }
                allowed.entry(service.host.clone()).or_default().extend(addresses);
            }
            let sockets = resolver::bind(&self.servers).await.map_err(setup("opening the name server"))?;
            let serving = async move {
                let _tasks = tasks;
                let resolver = Resolver { allowed: &allowed, is_reachable, names: &self.names };
                join_all(sockets.iter().map(|socket| resolver.serve(socket))).await;
                std::future::pending().await
            };
            Ok(Box::pin(serving) as LocalBoxFuture<'a, Infallible>)
        })
    }

    fn refusals(&self) -> Vec<RefusedAttempt> {
        let mut refusals = self.refusals.finish(&self.relay);
        refusals.extend(self.names.refused());
        refusals.into_iter().collect()
    }
}

impl Dial for Network {
    /// Connects inside to addresses of this machine, then outside: CMD's servers come first.
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<DialledTcp, DialError>> {
        Box::pin(async move {
            let is_local = host.parse::<IpAddr>().map_or_else(|_| is_localhost(host), |ip| ip.is_loopback());
            if !is_local {
                return match self.relay.dial(host, port).await? {
                    RelayedDial::Connected(dialled) => Ok(dialled),
                    RelayedDial::ThisMachine(ip) => self.dial(&ip.to_string(), port).await,
                };
            }
            let (addresses, _) = resolve_tcp(host, port).await.map_err(DialError::Resolve)?;
            // A refused attempt would count as one of CMD.
            let own = Process::myself().map_err(|error| DialError::Connect(io::Error::other(error)))?;
            if !addresses.into_iter().any(|at| tables::has_listener(&own, at))
                && let RelayedDial::Connected(dialled) = self.relay.dial(host, port).await?
            {
                return Ok(dialled);
            }
            dial_tcp(host, port).await
        })
    }
}

fn setup(doing: &'static str) -> impl Fn(io::Error) -> IsolateError {
    move |source| IsolateError::Setup { doing, source }
}

/// Leads all packets for other machines to an interface at which [`PacketRefuser`] reads them. Returns its index.
fn connect_interfaces(netlink: &Netlink) -> Result<u32, IsolateError> {
    netlink.set_up(LOOPBACK, false).map_err(setup("enabling the loopback interface"))?;
    let [inside, outside] =
        netlink.add_pair(["harproxy0", "harproxy1"]).map_err(setup("creating a pair of interfaces (veth)"))?;
    for index in [inside, outside] {
        netlink.set_up(index, true).map_err(setup("enabling an interface"))?;
    }
    let route = |ip| netlink.add_address(inside, ip).and_then(|()| netlink.add_default_route(inside, ip));
    route(OWN_IPV4).map_err(setup("adding the default route"))?;
    // Without IPv6 there is nothing to refuse.
    let _ = route(OWN_IPV6);
    Ok(outside)
}

/// Makes an isolated network in a process of its own. Returns the message of harproxy if that is not possible.
///
/// # Errors
/// The message.
pub fn can_isolate() -> Result<(), String> {
    let mut check = Command::new("/proc/self/exe");
    let output = check.arg(CHECK_COMMAND).env("NO_COLOR", "1").stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    let message = String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("error: ").to_owned();
    if output.status.success() { Ok(()) } else { Err(message) }
}

/// Runs the relay, or a process of [`can_isolate`]. `None` for another command.
#[must_use]
pub fn run_helper(command: &OsStr) -> Option<Result<(), IsolateError>> {
    if command == RELAY_COMMAND {
        return Some(relay::run().map_err(setup("opening connections outside")));
    }
    let enter = || {
        namespace::enter()?;
        connect_interfaces(&Netlink::open().map_err(setup("talking to the kernel"))?)
    };
    (command == CHECK_COMMAND).then(|| enter().map(drop))
}
