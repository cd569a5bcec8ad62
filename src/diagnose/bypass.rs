//! Finds connections of CMD that look like HTTP and bypass the proxy.
//!
//! Only addresses are known. A connection counts as a bypass if it goes to an HTTP port of another machine, or to a
//! port of this machine that the scope names.

use std::net::{IpAddr, SocketAddr};

use indexmap::IndexSet;

use super::processes::DirectConnection;

/// HTTP ports of other machines.
const HTTP_PORTS: [u16; 4] = [80, 443, 8080, 8443];
/// Ports of other protocols: ssh, smtp, dns, databases, queues, caches.
const OTHER_PORTS: [u16; 19] =
    [22, 25, 53, 389, 465, 587, 636, 1433, 1521, 3306, 5432, 5433, 5672, 6379, 9042, 9092, 11211, 27017, 27018];
/// A port that no URL names: a scope that matches it matches every port.
const UNNAMED_PORT: u16 = 1;
/// Maximum number of addresses in a message about one program.
const MAX_ADDRESSES: usize = 4;

pub struct BypassRules<'a> {
    /// Returns true if a URL of this origin can be in scope.
    pub may_match_origin: &'a dyn Fn(&str) -> bool,
    /// Entries of CMD's `NO_PROXY`: these connections may bypass the proxy.
    pub no_proxy: &'a [String],
}

#[derive(Clone, Debug, Default)]
pub struct Bypasses {
    /// Most likely HTTP in scope.
    pub(super) likely: Vec<DirectConnection>,
    /// To this machine, and the scope names no port: an API, or a server of the test itself.
    possible: Vec<DirectConnection>,
    /// Host names in `NO_PROXY`. Addresses can't be compared with names, so connections to these hosts may be among the
    /// likely ones.
    no_proxy: Vec<String>,
}

impl Bypasses {
    #[must_use]
    pub fn find(connections: &[DirectConnection], rules: &BypassRules<'_>) -> Self {
        let mut bypasses = Bypasses::default();
        for connection in connections {
            match rules.classify(connection) {
                Some(Likelihood::Likely) => bypasses.likely.push(connection.clone()),
                Some(Likelihood::Possible) => bypasses.possible.push(connection.clone()),
                None => {}
            }
        }
        bypasses.no_proxy = rules.no_proxy.iter().filter(|entry| network(entry).is_none()).cloned().collect();
        bypasses
    }

    /// Treats possible bypasses as likely ones, except for connections to CMD's own servers. For runs without a scope.
    #[must_use]
    pub fn with_possible(mut self) -> Self {
        self.likely.extend(self.possible.drain(..).filter(|connection| !connection.own));
        self
    }

    /// Returns each bypassing program with a sentence about its connections.
    pub(super) fn describe_by_program(&self) -> Vec<(&str, String)> {
        let beyond = self.likely.iter().any(|connection| !connection.to.ip().to_canonical().is_loopback());
        let doubt = match &self.no_proxy[..] {
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
}

enum Likelihood {
    Likely,
    Possible,
}

impl BypassRules<'_> {
    fn classify(&self, connection: &DirectConnection) -> Option<Likelihood> {
        let DirectConnection { to, udp, own, .. } = connection;
        let (ip, port) = (to.ip().to_canonical(), to.port());
        if self.no_proxy.iter().any(|entry| excludes(entry, ip, port)) {
            return None;
        }
        if !ip.is_loopback() {
            let web = if *udp { port == 443 } else { HTTP_PORTS.contains(&port) };
            return (web && !ip.is_multicast() && !ip.is_unspecified()).then_some(Likelihood::Likely);
        }
        if *udp || OTHER_PORTS.contains(&port) || !self.is_in_scope(ip, port) {
            return None;
        }
        let named = !self.is_in_scope(ip, UNNAMED_PORT);
        Some(if named && !own { Likelihood::Likely } else { Likelihood::Possible })
    }

    fn is_in_scope(&self, ip: IpAddr, port: u16) -> bool {
        let hosts = ["localhost".to_owned(), SocketAddr::new(ip, 0).to_string().trim_end_matches(":0").to_owned()];
        let origins = hosts.iter().flat_map(|host| [("http", 80), ("https", 443)].map(|scheme| (host, scheme)));
        origins.into_iter().any(|(host, (scheme, usual))| {
            let port = if port == usual { String::new() } else { format!(":{port}") };
            (self.may_match_origin)(&format!("{scheme}://{host}{port}"))
        })
    }
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
    let (listed, more) = addresses.split_at(addresses.len().min(MAX_ADDRESSES));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{program} connected to {}{more} without the proxy", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_glob::Globs;

    fn connection(to: &str) -> DirectConnection {
        DirectConnection { program: "curl".into(), to: to.parse().unwrap(), udp: false, own: false }
    }

    /// Returns `likely`, `possible` or nothing.
    fn classify(connection: DirectConnection, globs: &[&str], no_proxy: &[&str]) -> &'static str {
        let globs = Globs::new(globs).unwrap();
        let no_proxy: Vec<String> = no_proxy.iter().map(ToString::to_string).collect();
        let rules = BypassRules { may_match_origin: &|origin| globs.may_match_origin(origin), no_proxy: &no_proxy };
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
        assert_eq!(at("127.0.0.1:3000", &["https://api.test/**"]), "");
        let own = DirectConnection { own: true, ..connection("127.0.0.1:3000") };
        assert_eq!(classify(own, &["http://localhost:3000/**"], &[]), "possible", "CMD's own server");
    }

    #[test]
    fn no_proxy_addresses_are_excluded_and_names_are_mentioned() {
        for entry in ["10.0.0.7", "10.0.0.0/8", "10.0.0.7:443"] {
            assert_eq!(classify(connection("10.0.0.7:443"), &["**"], &[entry]), "", "{entry}");
        }
        for entry in ["10.0.0.8", "10.1.0.0/16", "10.0.0.7:80", "0.0.0.0/x", "db.internal"] {
            assert_eq!(classify(connection("10.0.0.7:443"), &["**"], &[entry]), "likely", "{entry}");
        }
        let no_proxy = ["db.internal".to_owned(), "10.1.0.0/16".to_owned()];
        let rules = BypassRules { may_match_origin: &|_| true, no_proxy: &no_proxy };
        let bypasses = Bypasses::find(&[connection("10.0.0.7:443"), connection("10.0.0.7:80")], &rules);
        let [(program, text)] = &bypasses.describe_by_program()[..] else { panic!("one program") };
        assert_eq!(*program, "curl");
        assert_eq!(
            text,
            "curl connected to 10.0.0.7:443, 10.0.0.7:80 without the proxy; `db.internal` may bypass it, and can be among them"
        );
    }

    #[test]
    fn long_address_lists_are_shortened() {
        let many: Vec<DirectConnection> = (0..9).map(|n| connection(&format!("10.0.0.{n}:443"))).collect();
        let bypasses = Bypasses::find(&many, &BypassRules { may_match_origin: &|_| true, no_proxy: &[] });
        assert!(
            bypasses.describe_by_program()[0].1.contains("10.0.0.3:443 and 5 more without"),
            "{:?}",
            bypasses.describe_by_program()
        );
    }
}
