//! The isolated network of a run.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures_util::future::join_all;
use procfs::process::Process;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::netlink::{LOOPBACK, Netlink};
use super::refusals::Refusals;
use super::relay::{self, Reached, Relay};
use super::resolver::{self, Names, Resolver};
use super::{CHECK_COMMAND, IsolateError, RELAY_COMMAND, Refusal, Service, namespace, services};
use harproxy_http::url::is_localhost;
use harproxy_proxy::BoxFuture;
use harproxy_proxy::upstream::{Dial, DialError, DialledTcp, dial_tcp, resolve_tcp};

/// The addresses of this machine towards addresses that do not exist (RFC 7600, RFC 6666).
const OWN_IPV4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8));
const OWN_IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 8));

/// The network that this process and CMD are in.
#[derive(Debug)]
pub struct Isolation {
    relay: Arc<Relay>,
    /// The services of `--isolate-allow`, with their addresses outside.
    services: Vec<(Service, Vec<IpAddr>)>,
    netlink: Netlink,
    /// The addresses of name servers.
    servers: Vec<IpAddr>,
    names: Arc<Names>,
    refusals: Refusals,
}

impl Isolation {
    /// Moves this process into an isolated network. It must not have a second thread yet.
    ///
    /// # Errors
    /// [`IsolateError`]. The process may be in the new network then, and must end.
    pub fn enter(allow: Vec<Service>) -> Result<Arc<Self>, IsolateError> {
        let addresses = |service: Service| services::addresses(&service).map(|addresses| (service, addresses));
        let services = allow.into_iter().map(addresses).collect::<Result<_, _>>()?;
        let relay = Relay::start().map_err(setup("starting the relay process"))?;
        namespace::enter()?;
        let netlink = Netlink::open().map_err(setup("talking to the kernel"))?;
        let outside = connect_interfaces(&netlink)?;
        let servers = resolver::servers();
        for server in servers.iter().filter(|server| !server.is_loopback()) {
            netlink.add_address(LOOPBACK, *server).map_err(setup("adding the address of the name server"))?;
        }
        let names = Arc::<Names>::default();
        // From here on, there are threads.
        let refusals = Refusals::start(outside, names.clone()).map_err(setup("reading packets"))?;
        let relay = Arc::new(Relay::new(relay).map_err(setup("starting a thread"))?);
        Ok(Arc::new(Isolation { relay, services, netlink, servers, names, refusals }))
    }

    /// Returns the dialler for connections of harproxy itself.
    #[must_use]
    pub fn dialler(self: &Arc<Self>) -> Arc<dyn Dial> {
        self.clone()
    }

    /// Opens the servers inside: the resolver and the services.
    ///
    /// # Errors
    /// If a service of `--isolate-allow` cannot be offered, or an address of the resolver is taken.
    pub async fn open(&self) -> Result<Inside<'_>, IsolateError> {
        let mut allowed: HashMap<String, Vec<IpAddr>> = HashMap::new();
        let mut tasks = JoinSet::new();
        for (service, addresses) in &self.services {
            for offer in services::offer(service, addresses, &self.netlink).await? {
                let relay = self.relay.clone();
                tasks.spawn(async move { offer.serve(&relay).await });
            }
            allowed.entry(service.host.clone()).or_default().extend(addresses);
        }
        let sockets = resolver::bind(&self.servers).await.map_err(setup("opening the name server"))?;
        Ok(Inside { isolation: self, allowed, sockets, _tasks: tasks })
    }

    /// Returns the refusals of CMD, which has ended.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusal> {
        let mut refusals = self.refusals.finish(&self.relay);
        refusals.extend(self.names.refused());
        refusals.into_iter().collect()
    }
}

/// The servers inside, while CMD runs.
#[derive(Debug)]
pub struct Inside<'a> {
    isolation: &'a Isolation,
    allowed: HashMap<String, Vec<IpAddr>>,
    sockets: Vec<UdpSocket>,
    _tasks: JoinSet<()>,
}

impl Inside<'_> {
    /// Answers look-ups until the future is dropped. `is_reachable` returns true for hosts that harproxy may reach.
    pub async fn answer_names(self, is_reachable: &dyn Fn(&str) -> bool) -> Infallible {
        let Inside { isolation, allowed, sockets, .. } = &self;
        let resolver = Resolver { allowed, is_reachable, names: &isolation.names };
        join_all(sockets.iter().map(|socket| resolver.serve(socket))).await;
        std::future::pending().await
    }
}

impl Dial for Isolation {
    /// Connects inside to addresses of this machine, then outside: CMD's servers come first.
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<DialledTcp, DialError>> {
        Box::pin(async move {
            let is_local = host.parse::<IpAddr>().map_or_else(|_| is_localhost(host), |ip| ip.is_loopback());
            if !is_local {
                return match self.relay.dial(host, port).await? {
                    Reached::Connected(dialled) => Ok(dialled),
                    Reached::ThisMachine(ip) => self.dial(&ip.to_string(), port).await,
                };
            }
            let (addresses, _) = resolve_tcp(host, port).await.map_err(DialError::Resolve)?;
            // A refused attempt would count as one of CMD.
            let own = Process::myself().map_err(|error| DialError::Connect(io::Error::other(error)))?;
            if !addresses.into_iter().any(|at| relay::has_listener(&own, at))
                && let Reached::Connected(dialled) = self.relay.dial(host, port).await?
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

/// Leads all packets for other machines to an interface at which [`Refusals`] reads them. Returns its index.
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

/// Makes an isolated network in a process of its own, and says why that is not possible.
///
/// # Errors
/// [`IsolateError`].
pub fn can_isolate() -> Result<(), IsolateError> {
    let mut check = Command::new("/proc/self/exe");
    let output = check.arg(CHECK_COMMAND).stdin(Stdio::null()).output().map_err(setup("starting a process"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let text = String::from_utf8_lossy(&output.stdout);
            let (reason, hint) = text.trim_end().split_once('\n').unwrap_or((text.trim_end(), ""));
            Err(IsolateError::Denied { reason: reason.to_owned(), hint: hint.to_owned() })
        }
    }
}

/// Runs a process of [`can_isolate`] or the relay. Returns its exit status; `None` for another command.
#[must_use]
pub fn run_helper(command: &OsStr) -> Option<u8> {
    if command == RELAY_COMMAND {
        return Some(relay::run().is_err().into());
    }
    if command != CHECK_COMMAND {
        return None;
    }
    let entered = namespace::enter().and_then(|()| {
        let netlink = Netlink::open().map_err(setup("talking to the kernel"))?;
        connect_interfaces(&netlink)
    });
    Some(entered.is_err_and(|error| {
        let (reason, hint) = match error {
            IsolateError::Denied { reason, hint } => (reason, hint),
            IsolateError::Setup { doing, source } => (format!("{doing}: {source}"), String::new()),
            error => (error.to_string(), String::new()),
        };
        println!("{reason}\n{hint}");
        true
    }).into())
}
