//! Finds connections of CMD that look like HTTP and bypass the proxy.
//!
//! Only addresses are known. A connection counts as a bypass if it goes to an HTTP port of another machine, or to an
//! address and port that the scope or `--map` names. The scope names it by an address, or by a host that resolves to
//! it.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use indexmap::IndexSet;

use super::processes::{ClosedWhile, DirectConnection, is_this_machine};
use crate::verdict::connections::{ObservedConnection, listed};
use harproxy_http::url::is_localhost;
use harproxy_proxy::upstream::Mapping;

/// HTTP ports of other machines.
const HTTP_PORTS: [u16; 4] = [80, 443, 8080, 8443];
/// Ports of other protocols: ssh, smtp, dns, databases, queues, caches.
const OTHER_PORTS: [u16; 19] =
    [22, 25, 53, 389, 465, 587, 636, 1433, 1521, 3306, 5432, 5433, 5672, 6379, 9042, 9092, 11211, 27017, 27018];
/// DNS looks up names, and never goes through a proxy.
const DNS: u16 = 53;
/// A port that no URL names: a scope that matches it matches every port.
const UNNAMED_PORT: u16 = 1;
/// Maximum number of addresses in a message about one program.
const MAX_ADDRESSES: usize = 4;

pub struct BypassRules<'a> {
    /// Returns true if a URL of this origin can be in scope.
    pub may_match_origin: &'a dyn Fn(&str) -> bool,
    /// The hosts that entries and globs name without wildcards.
    pub hosts: &'a ScopeHosts,
    /// Entries of CMD's `NO_PROXY`: these connections may bypass the proxy.
    pub no_proxy: &'a [String],
    /// The addresses of hosts by `--map`.
    pub map: &'a [Mapping],
}

/// Hosts of a scope, with those of their addresses that are known.
#[derive(Clone, Debug, Default)]
pub struct ScopeHosts(Vec<(String, Vec<IpAddr>)>);

impl ScopeHosts {
    /// Takes names and addresses, IPv6 ones without brackets. The names have no addresses yet.
    #[must_use]
    pub fn new(hosts: impl IntoIterator<Item = String>) -> Self {
        ScopeHosts(hosts.into_iter().map(|host| (host.clone(), host.parse().into_iter().collect())).collect())
    }

    /// Returns these hosts with the addresses of some names. Blocks.
    #[must_use]
    pub fn with_addresses_of(mut self, names: &[String]) -> Self {
        for (host, addresses) in self.0.iter_mut().filter(|(host, _)| names.contains(host)) {
            let found = (host.as_str(), 0).to_socket_addrs().into_iter().flatten();
            addresses.extend(found.map(|found| found.ip().to_canonical()));
        }
        self
    }

    /// Returns true if an address of a host is known without a look-up.
    #[must_use]
    pub fn has_known_address(&self) -> bool {
        self.0.iter().any(|(host, addresses)| !addresses.is_empty() || is_localhost(host))
    }

    /// Returns the hosts that have this address.
    fn at(&self, ip: IpAddr) -> impl Iterator<Item = &str> {
        let has =
            move |host: &str, addresses: &[IpAddr]| addresses.contains(&ip) || (ip.is_loopback() && is_localhost(host));
        self.0.iter().filter(move |(host, addresses)| has(host, addresses)).map(|(host, _)| host.as_str())
    }
}

/// The connections of a run past the proxy.
#[derive(Clone, Debug, Default)]
pub struct Bypasses {
    /// Traffic that belongs through the proxy.
    pub(super) likely: Vec<DirectConnection>,
    /// To this machine, and the scope names no port: an API, or a server of the test itself.
    possible: Vec<DirectConnection>,
    /// All others, such as those to a database.
    other: Vec<DirectConnection>,
    /// Domains in `NO_PROXY`. The addresses below them are unknown, so connections to them may be among the likely
    /// ones.
    domains: Vec<String>,
}

impl Bypasses {
    #[must_use]
    pub fn find(connections: &[DirectConnection], rules: &BypassRules<'_>) -> Self {
        let mut bypasses = Bypasses::default();
        for connection in connections {
            let list = match rules.classify(connection) {
                Some(Likelihood::Likely) => &mut bypasses.likely,
                Some(Likelihood::Possible) => &mut bypasses.possible,
                Some(Likelihood::Other) => &mut bypasses.other,
                None => continue,
            };
            // A connection that was seen open needs no other evidence. There is one closed one for each address.
            if !(connection.closed.is_some() && list.iter().any(|seen| seen.to == connection.to)) {
                list.push(connection.clone());
            }
        }
        bypasses.domains = rules.no_proxy.iter().filter(|entry| entry.starts_with(['.', '*'])).cloned().collect();
        bypasses
    }

    /// Returns true if a connection is a bypass, unless its address is that of a host in `NO_PROXY`.
    #[must_use]
    pub fn has_likely(&self) -> bool {
        !self.likely.is_empty()
    }

    /// Treats possible bypasses as likely ones, except for connections to CMD's own servers. For runs without a scope.
    #[must_use]
    pub fn with_possible(mut self) -> Self {
        self.likely.extend(self.possible.drain(..).filter(|connection| !connection.own));
        self
    }

    /// Returns the names in scope to look up before the other connections are known to be no bypass: those that may
    /// have a URL at the port of one.
    #[must_use]
    pub fn unresolved_names(&self, rules: &BypassRules<'_>) -> Vec<String> {
        let others = self.possible.iter().chain(&self.other).filter(|other| !other.udp && !other.own);
        let ports: IndexSet<u16> = others.map(|other| other.to.port()).collect();
        let unknown = rules.hosts.0.iter().filter(|(host, addresses)| addresses.is_empty() && !is_localhost(host));
        let wanted = unknown.filter(|(host, _)| ports.iter().any(|port| rules.names_port(host, *port)));
        wanted.map(|(host, _)| host.clone()).collect()
    }

    /// Returns true if a bypass is of no program of CMD.
    pub(super) fn is_foreign(&self, program: &str) -> bool {
        let mut own = self.likely.iter().filter(|connection| connection.program == program);
        own.all(|connection| connection.closed == Some(ClosedWhile::CmdWaited))
    }

    /// Returns each bypassing program with a sentence about its connections.
    pub(super) fn describe_by_program(&self) -> Vec<(&str, String)> {
        let beyond = self.likely.iter().any(|connection| !connection.to.ip().to_canonical().is_loopback());
        let doubt = match &self.domains[..] {
            names if beyond && !names.is_empty() => {
                format!("; `{}` may bypass it, and can be among them", names.join("`, `"))
            }
            _ => String::new(),
        };
        let describe = |program| (program, format!("{}{doubt}", sentence(program, &self.likely)));
        programs(&self.likely).into_iter().map(describe).collect()
    }

    /// Returns a sentence about each bypassing program, likely or possible.
    pub(super) fn describe_all(&self) -> Option<String> {
        let sentences: Vec<String> =
            programs(self.all()).into_iter().map(|program| sentence(program, self.all())).collect();
        (!sentences.is_empty()).then(|| sentences.join(", and "))
    }

    /// Returns the likely bypasses, then the possible ones.
    pub(super) fn all(&self) -> impl Iterator<Item = &DirectConnection> {
        self.likely.iter().chain(&self.possible)
    }

    /// Returns the connections that are no bypass, for reports.
    #[must_use]
    pub fn other_connections(&self) -> Vec<ObservedConnection> {
        let others = self.possible.iter().chain(&self.other).map(|DirectConnection { program, to, udp, .. }| {
            let protocol = if *udp { "udp" } else { "tcp" };
            ObservedConnection { program: program.clone(), address: to.to_string(), protocol: protocol.to_owned() }
        });
        others.collect::<IndexSet<_>>().into_iter().collect()
    }
}

enum Likelihood {
    Likely,
    Possible,
    Other,
}

impl BypassRules<'_> {
    /// Returns `None` for connections that are not reported.
    fn classify(&self, connection: &DirectConnection) -> Option<Likelihood> {
        let DirectConnection { to, udp, own, closed, .. } = connection;
        let (ip, port) = (to.ip().to_canonical(), to.port());
        let is_allowed = self.no_proxy.iter().any(|entry| excludes(entry, ip, port));
        let is_in_scope = !*udp && (self.is_in_scope(ip, port) || self.is_mapped(ip, port));
        let names_host = || closed.is_none() && self.hosts.at(ip).any(|host| self.names_port(host, port));
        let is_named = is_in_scope && (self.is_mapped(ip, port) || !self.is_in_scope(ip, UNNAMED_PORT) || names_host());
        let is_reported = !ip.is_multicast() && !ip.is_unspecified() && !(*udp && (ip.is_loopback() || port == DNS));
        if is_named && !own && !is_allowed {
            Some(Likelihood::Likely)
        } else if closed.is_some() || !is_reported {
            None
        } else if is_allowed {
            Some(Likelihood::Other)
        } else if !is_this_machine(ip) {
            let is_web = if *udp { port == 443 } else { HTTP_PORTS.contains(&port) };
            Some(if is_web { Likelihood::Likely } else { Likelihood::Other })
        } else if is_in_scope && !OTHER_PORTS.contains(&port) {
            Some(Likelihood::Possible)
        } else {
            Some(Likelihood::Other)
        }
    }

    fn is_in_scope(&self, ip: IpAddr, port: u16) -> bool {
        let address = ip.to_string();
        let localhost = ip.is_loopback().then_some("localhost");
        localhost.into_iter().chain([&*address]).chain(self.hosts.at(ip)).any(|host| self.may_match_host(host, port))
    }

    /// Returns true if a URL of this host in scope can have this port. A wildcard does not stand for the port of a
    /// database.
    fn names_port(&self, host: &str, port: u16) -> bool {
        self.may_match_host(host, port) && (!OTHER_PORTS.contains(&port) || !self.may_match_host(host, UNNAMED_PORT))
    }

    /// Returns true if `--map` leads a host in scope to this address.
    fn is_mapped(&self, ip: IpAddr, port: u16) -> bool {
        let is_target = |mapping: &&Mapping| {
            let host = mapping.to_host.trim_matches(['[', ']']);
            let is_ip = host.parse().map_or(ip.is_loopback() && is_localhost(host), |target: IpAddr| target == ip);
            is_ip && mapping.to_port.or(mapping.port).is_none_or(|target| target == port)
        };
        let mut targets = self.map.iter().filter(is_target);
        // Without a port, all ports of the host are mapped.
        targets.any(|mapping| match mapping.port {
            Some(port) => self.may_match_host(&mapping.host, port),
            None => [port, 80, 443].into_iter().any(|port| self.may_match_host(&mapping.host, port)),
        })
    }

    fn may_match_host(&self, host: &str, port: u16) -> bool {
        let host = if host.contains(':') { format!("[{}]", host.trim_matches(['[', ']'])) } else { host.to_owned() };
        [("http", 80), ("https", 443)].into_iter().any(|(scheme, usual)| {
            let port = if port == usual { String::new() } else { format!(":{port}") };
            (self.may_match_origin)(&format!("{scheme}://{host}{port}"))
        })
    }
}

/// Returns the entries of `NO_PROXY` with the addresses to which their hosts resolve. Blocks.
#[must_use]
pub fn resolve_no_proxy(entries: &[String]) -> Vec<String> {
    let mut all = entries.to_vec();
    for entry in entries.iter().filter(|entry| network(entry).is_none() && !entry.starts_with(['.', '*'])) {
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, port.parse::<u16>().ok()),
            None => (entry.as_str(), None),
        };
        for addr in (host, port.unwrap_or_default()).to_socket_addrs().into_iter().flatten() {
            all.push(if port.is_some() { addr.to_string() } else { addr.ip().to_string() });
        }
    }
    all
}

/// Returns true if an entry of `NO_PROXY` is an address or network that contains this address.
fn excludes(entry: &str, ip: IpAddr, port: u16) -> bool {
    network(entry).is_some_and(|(address, bits, only)| {
        let shift = |width: u32| u32::from(bits).min(width);
        let same = match (address, ip) {
            (IpAddr::V4(one), IpAddr::V4(other)) => (u32::from(one) ^ u32::from(other)).leading_zeros() >= shift(32),
            (IpAddr::V6(one), IpAddr::V6(other)) => (u128::from(one) ^ u128::from(other)).leading_zeros() >= shift(128),
            _ => false,
        };
        same && only.is_none_or(|only| only == port)
    })
}

/// Parses `10.0.0.7`, `10.0.0.7:8080`, `[::1]:8080` or `10.0.0.0/8` into address, prefix length and port.
fn network(entry: &str) -> Option<(IpAddr, u8, Option<u16>)> {
    if let Ok(address) = entry.parse::<SocketAddr>() {
        return Some((address.ip(), u8::MAX, Some(address.port())));
    }
    let (address, bits) = match entry.split_once('/') {
        Some((address, bits)) => (address, bits.parse().ok()?),
        None => (entry, u8::MAX),
    };
    Some((address.trim_matches(['[', ']']).parse().ok()?, bits, None))
}

/// Returns the program names of connections, without duplicates.
pub(super) fn programs<'a>(connections: impl IntoIterator<Item = &'a DirectConnection>) -> IndexSet<&'a str> {
    connections.into_iter().map(|connection| connection.program.as_str()).collect()
}

/// Formats `curl connected to 127.0.0.1:3000 and 3 more without the proxy`.
fn sentence<'a>(program: &str, connections: impl IntoIterator<Item = &'a DirectConnection>) -> String {
    let address = |DirectConnection { to, udp, .. }: &DirectConnection| {
        let over = if *udp { " (UDP: HTTP/3)" } else { "" };
        format!("{}{over}", SocketAddr::new(to.ip().to_canonical(), to.port()))
    };
    let own = connections.into_iter().filter(|connection| connection.program == program);
    let addresses: Vec<String> = own.map(address).collect::<IndexSet<_>>().into_iter().collect();
    format!("{program} connected to {} without the proxy", listed(&addresses, MAX_ADDRESSES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_glob::Globs;

    static NO_HOSTS: ScopeHosts = ScopeHosts(Vec::new());

    fn connection(to: &str) -> DirectConnection {
        DirectConnection { program: "curl".into(), to: to.parse().unwrap(), ..DirectConnection::default() }
    }

    /// Returns `likely`, `possible`, or nothing for other connections.
    fn classify(connection: DirectConnection, globs: &[&str], no_proxy: &[&str]) -> &'static str {
        let globs = Globs::new(globs).unwrap();
        let no_proxy: Vec<String> = no_proxy.iter().map(ToString::to_string).collect();
        let hosts = ScopeHosts::new(globs.named_hosts());
        let rules = BypassRules {
            may_match_origin: &|origin| globs.may_match_origin(origin),
            hosts: &hosts,
            no_proxy: &no_proxy,
            map: &[],
        };
        let bypasses = Bypasses::find(&[connection], &rules);
        match (bypasses.likely.len(), bypasses.possible.len()) {
            (1, 0) => "likely",
            (0, 1) => "possible",
            (0, 0) => "",
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn http_ports_of_other_machines_are_likely() {
        for (to, expected) in [
            ("93.184.216.34:443", "likely"),
            ("10.0.0.7:8080", "likely"),
            ("[2606:2800::1]:80", "likely"),
            ("93.184.216.34:22", ""),
            ("93.184.216.34:5432", ""),
        ] {
            assert_eq!(classify(connection(to), &["**"], &[]), expected, "{to}");
        }
        let udp = |to| DirectConnection { udp: true, ..connection(to) };
        assert_eq!(classify(udp("93.184.216.34:443"), &["**"], &[]), "likely");
        assert_eq!(classify(udp("93.184.216.34:53"), &["**"], &[]), "");
    }

    #[test]
    fn ports_of_this_machine_in_scope_are_likely() {
        let at = |to: &str, globs: &[&str]| classify(connection(to), globs, &[]);
        for to in ["127.0.0.1:3000", "[::1]:3000", "[::ffff:127.0.0.1]:3000"] {
            assert_eq!(at(to, &["http://localhost:3000/**"]), "likely", "{to}");
        }
        assert_eq!(at("127.0.0.1:3000", &["http://127.0.0.1:3000/api/**"]), "likely");
        assert_eq!(at("127.0.0.1:3001", &["http://localhost:3000/**"]), "");
        assert_eq!(at("127.0.0.1:80", &["http://localhost/**"]), "likely");
        assert_eq!(at("127.0.0.1:3000", &["**/api/**"]), "possible", "any port may be meant");
        assert_eq!(at("127.0.0.1:5432", &["**"]), "", "a database");
        for glob in ["http://localhost:*/**", "http://{127.0.0.1,[::1]}:*/**"] {
            assert_eq!(at("127.0.0.1:3000", &[glob]), "likely", "{glob}");
            assert_eq!(at("[::1]:3000", &[glob]), "likely", "{glob}");
            assert_eq!(at("127.0.0.1:5432", &[glob]), "", "{glob}: a database");
            let own = DirectConnection { own: true, ..connection("127.0.0.1:3000") };
            assert_eq!(classify(own, &[glob], &[]), "possible", "{glob}");
            let closed = DirectConnection { closed: Some(ClosedWhile::CmdRan), ..connection("127.0.0.1:3000") };
            assert_eq!(classify(closed, &[glob], &[]), "", "{glob}: any port may be meant");
        }
        assert_eq!(at("127.0.0.1:5432", &["http://localhost:5432/**"]), "likely", "the scope names the port");
        assert_eq!(at("127.0.0.1:3000", &["https://api.test/**"]), "");
        let own = DirectConnection { own: true, ..connection("127.0.0.1:3000") };
        assert_eq!(classify(own, &["http://localhost:3000/**"], &[]), "possible", "CMD's own server");
    }

    #[test]
    fn no_proxy_addresses_are_excluded_and_domains_are_mentioned() {
        for entry in ["10.0.0.7", "10.0.0.0/8", "10.0.0.7:443"] {
            assert_eq!(classify(connection("10.0.0.7:443"), &["**"], &[entry]), "", "{entry}");
        }
        for entry in ["10.0.0.8", "10.1.0.0/16", "10.0.0.7:80", "0.0.0.0/x", ".internal"] {
            assert_eq!(classify(connection("10.0.0.7:443"), &["**"], &[entry]), "likely", "{entry}");
        }
        let no_proxy = [".internal".to_owned(), "10.1.0.0/16".to_owned(), "db.test".to_owned()];
        let rules = BypassRules { may_match_origin: &|_| true, hosts: &NO_HOSTS, no_proxy: &no_proxy, map: &[] };
        let bypasses = Bypasses::find(&[connection("10.0.0.7:443"), connection("10.0.0.7:80")], &rules);
        let [(program, text)] = &bypasses.describe_by_program()[..] else { panic!("one program") };
        assert_eq!(*program, "curl");
        assert_eq!(
            text,
            "curl connected to 10.0.0.7:443, 10.0.0.7:80 without the proxy; `.internal` may bypass it, and can be among them"
        );
    }

    #[test]
    fn hosts_of_no_proxy_are_resolved() {
        let entries = ["localhost:8443", "localhost", "10.1.0.0/16", ".internal", "no-such-host.invalid"];
        let resolved = resolve_no_proxy(&entries.map(str::to_owned));
        assert_eq!(resolved[..5], entries);
        for entry in ["127.0.0.1:8443", "127.0.0.1"] {
            assert!(resolved.iter().any(|known| known == entry), "{resolved:?}");
        }
    }

    #[test]
    fn mapped_address_is_that_of_its_host() {
        let mapping = |host: &str, port, to: &str, to_port| Mapping {
            host: host.to_owned(),
            port,
            to_host: to.to_owned(),
            to_port,
        };
        for (mapping, to, expected) in [
            (mapping("api.test", Some(443), "127.0.0.1", Some(9000)), "127.0.0.1:9000", 1),
            (mapping("api.test", None, "localhost", Some(9000)), "127.0.0.1:9000", 1),
            (mapping("api.test", Some(443), "10.0.0.7", Some(9000)), "10.0.0.7:9000", 1),
            (mapping("api.test", Some(443), "127.0.0.1", None), "127.0.0.1:443", 1),
            (mapping("api.test", Some(443), "127.0.0.1", Some(9000)), "127.0.0.1:9001", 0),
            (mapping("other.test", Some(443), "127.0.0.1", Some(9000)), "127.0.0.1:9000", 0),
        ] {
            let globs = Globs::new(["https://api.test/**"]).unwrap();
            let may_match_origin = |origin: &str| globs.may_match_origin(origin);
            let map = [mapping];
            let rules = BypassRules { may_match_origin: &may_match_origin, hosts: &NO_HOSTS, no_proxy: &[], map: &map };
            let bypasses = Bypasses::find(&[connection(to)], &rules);
            assert_eq!(bypasses.likely.len(), expected, "{map:?} {to}");
        }
    }

    #[test]
    fn closed_connection_counts_only_to_an_address_in_scope() {
        let closed = |to| DirectConnection { closed: Some(ClosedWhile::CmdRan), ..connection(to) };
        let find = |connections: &[DirectConnection]| {
            let globs = Globs::new(["http://127.0.0.1:3000/**"]).unwrap();
            let rules = BypassRules {
                may_match_origin: &|origin| globs.may_match_origin(origin),
                hosts: &NO_HOSTS,
                no_proxy: &[],
                map: &[],
            };
            Bypasses::find(connections, &rules)
        };
        assert_eq!(find(&[closed("127.0.0.1:3000")]).likely.len(), 1);
        let others = find(&[closed("127.0.0.1:3001"), closed("93.184.216.34:443")]);
        assert!(others.likely.is_empty() && others.other_connections().is_empty(), "{others:?}");
        assert_eq!(find(&[connection("127.0.0.1:3000"), closed("127.0.0.1:3000")]).likely.len(), 1);
    }

    /// Classifies a connection before and after the names in scope were looked up. Both have this address.
    fn resolve(to: &str, globs: &[&str]) -> (Vec<String>, bool) {
        let globs = Globs::new(globs).unwrap();
        let may_match_origin = |origin: &str| globs.may_match_origin(origin);
        let hosts = ScopeHosts::new(globs.named_hosts());
        let rules = BypassRules { may_match_origin: &may_match_origin, hosts: &hosts, no_proxy: &[], map: &[] };
        let before = Bypasses::find(&[connection(to)], &rules);
        let names = before.unresolved_names(&rules);
        let to: SocketAddr = to.parse().unwrap();
        let addresses = |host: &String| if names.contains(host) { vec![to.ip()] } else { Vec::new() };
        let known = ScopeHosts(hosts.0.iter().map(|(host, _)| (host.clone(), addresses(host))).collect());
        let after = Bypasses::find(&[connection(&to.to_string())], &BypassRules { hosts: &known, ..rules });
        (names, after.has_likely())
    }

    #[test]
    fn names_in_scope_are_looked_up_if_a_connection_has_their_port() {
        for (to, globs, names, is_bypass) in [
            ("10.0.0.9:3456", &["http://vm:3456/**", "https://api.test/**"][..], &["vm"][..], true),
            ("127.0.1.1:3456", &["http://vm:3456/**"], &["vm"], true),
            ("10.0.0.9:3456", &["http://vm:*/**"], &["vm"], true),
            ("10.0.0.9:5432", &["http://vm:*/**", "https://api.test/**"], &[], false),
            ("10.0.0.9:5432", &["http://vm:5432/**"], &["vm"], true),
            ("10.0.0.9:3457", &["http://vm:3456/**"], &[], false),
            ("10.0.0.9:3456", &["http://*:3457/**", "http://10.0.0.8:3456/**"], &[], false),
            ("10.0.0.9:3456", &["http://10.0.0.9:3456/**"], &[], true),
        ] {
            assert_eq!(
                resolve(to, globs),
                (names.iter().map(ToString::to_string).collect(), is_bypass),
                "{to} {globs:?}"
            );
        }
    }

    #[test]
    fn names_are_resolved_and_addresses_are_known_at_once() {
        let hosts = |names: &[&str]| ScopeHosts::new(names.iter().map(ToString::to_string));
        let at = |hosts: &ScopeHosts, ip: &str| hosts.at(ip.parse().unwrap()).count();
        let resolved = hosts(&["localhost", "no-such-host.invalid"]).with_addresses_of(&["localhost".to_owned()]);
        assert!(resolved.0[0].1.iter().all(IpAddr::is_loopback) && !resolved.0[0].1.is_empty(), "{resolved:?}");
        assert!(resolved.0[1].1.is_empty());
        assert_eq!(at(&hosts(&["::1", "10.0.0.9", "vm"]), "10.0.0.9"), 1);
        for (names, known) in [(&["vm"][..], false), (&["vm", "::1"], true), (&["app.localhost"], true), (&[], false)] {
            assert_eq!(hosts(names).has_known_address(), known, "{names:?}");
        }
    }

    #[test]
    fn connections_that_are_no_bypass_are_listed_once() {
        let rules = BypassRules {
            may_match_origin: &|_| false,
            hosts: &NO_HOSTS,
            no_proxy: &["10.0.0.7".to_owned()],
            map: &[],
        };
        let to = ["127.0.0.1:5432", "10.0.0.7:443", "10.0.0.8:5432", "127.0.0.1:5432"];
        let bypasses = Bypasses::find(&to.map(connection), &rules);
        let addresses = bypasses.other_connections();
        assert_eq!(addresses.iter().map(|other| &*other.address).collect::<Vec<_>>(), to[..3]);
        assert!(bypasses.likely.is_empty());
    }

    #[test]
    fn long_address_lists_are_shortened() {
        let many: Vec<DirectConnection> = (0..9).map(|n| connection(&format!("10.0.0.{n}:443"))).collect();
        let bypasses = Bypasses::find(
            &many,
            &BypassRules { may_match_origin: &|_| true, hosts: &NO_HOSTS, no_proxy: &[], map: &[] },
        );
        assert!(
            bypasses.describe_by_program()[0].1.contains("10.0.0.3:443 and 5 more without"),
            "{:?}",
            bypasses.describe_by_program()
        );
    }
}
