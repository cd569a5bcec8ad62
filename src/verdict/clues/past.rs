//! Connections of CMD that do not lead to harproxy: which of them look like HTTP that went past the proxy.
//!
//! Only addresses are known, no names, and none is looked up. So what is said is a suspicion: a connection to a port of the web
//! beyond this machine, or to a port of this machine that the scope names.

use std::net::{IpAddr, SocketAddr};

use super::{Clues, Connection, remedy};

/// Ports beyond this machine that are HTTP's.
const WEB: [u16; 4] = [80, 443, 8080, 8443];
/// Ports that are not: ssh, smtp, dns, databases, queues, caches.
const NOT_WEB: [u16; 19] =
    [22, 25, 53, 389, 465, 587, 636, 1433, 1521, 3306, 5432, 5433, 5672, 6379, 9042, 9092, 11211, 27017, 27018];
/// One that no URL names: a scope with this port in it is about every port.
const UNLIKELY: u16 = 1;
/// How many addresses of a program are named.
const NAMED: usize = 4;

/// What may go past the proxy, and what should not.
pub struct Bounds<'a> {
    /// Whether some URL of this origin could be in scope.
    pub may_match_origin: &'a dyn Fn(&str) -> bool,
    /// What CMD is told to reach without the proxy: the entries of its `NO_PROXY`.
    pub let_past: &'a [String],
}

/// What went past the proxy.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Most likely HTTP that should have come.
    suspects: Vec<Connection>,
    /// To this machine, where the scope names no port: an API, or a server of the test's own.
    possible: Vec<Connection>,
    /// What CMD is told to reach without the proxy, by name: it may be among the suspects.
    let_past: Vec<String>,
}

impl Past {
    /// Judges connections.
    #[must_use]
    pub fn of(connections: &[Connection], bounds: &Bounds<'_>) -> Self {
        let mut past = Past::default();
        for connection in connections {
            match bounds.judge(connection) {
                Some(Judgement::Suspect) => past.suspects.push(connection.clone()),
                Some(Judgement::Possible) => past.possible.push(connection.clone()),
                None => {}
            }
        }
        past.let_past = bounds.let_past.iter().filter(|entry| network(entry).is_none()).cloned().collect();
        past
    }

    /// The same where what is possible is suspect too, unless CMD itself listens there: nobody named a scope.
    #[must_use]
    pub fn all(mut self) -> Self {
        self.suspects.extend(self.possible.drain(..).filter(|connection| !connection.own));
        self
    }

    /// Whether nothing is suspect.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.suspects.is_empty()
    }

    /// What is suspect.
    #[must_use]
    pub fn suspects(&self) -> &[Connection] {
        &self.suspects
    }

    /// Each program that went past, and a sentence on it.
    pub(super) fn by_program(&self) -> Vec<(&str, String)> {
        let beyond = self.suspects.iter().any(|connection| !connection.to.ip().to_canonical().is_loopback());
        let doubt = match &self.let_past[..] {
            names if beyond && !names.is_empty() => {
                format!("; `{}`, which may go past it, can be among them", names.join("`, `"))
            }
            _ => String::new(),
        };
        let told = |program| (program, format!("{}{doubt}", sentence(program, &self.suspects)));
        programs(&self.suspects).into_iter().map(told).collect()
    }

    /// What makes those programs use the proxy.
    pub(super) fn advice(&self, clues: &Clues) -> Vec<String> {
        let mut advice: Vec<String> =
            programs(&self.suspects).iter().map(|program| remedy::of_program(program, clues)).collect();
        advice.dedup();
        advice
    }

    /// What was seen, the possible too: where nothing came, that is what CMD did instead.
    pub(super) fn told_with_possible(&self) -> Option<String> {
        let all = self.all_programs();
        let told: Vec<String> =
            all.iter().map(|program| sentence(program, self.suspects.iter().chain(&self.possible))).collect();
        (!told.is_empty()).then(|| told.join(", and "))
    }

    /// The programs of all of it.
    pub(super) fn all_programs(&self) -> Vec<&str> {
        programs(self.suspects.iter().chain(&self.possible))
    }

    /// The first address of this machine that was connected to.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        let all = self.suspects.iter().chain(&self.possible);
        all.map(|connection| connection.to).find(|to| to.ip().to_canonical().is_loopback())
    }
}

/// What a connection looks like.
enum Judgement {
    Suspect,
    Possible,
}

impl Bounds<'_> {
    fn judge(&self, connection: &Connection) -> Option<Judgement> {
        let Connection { to, udp, own, .. } = connection;
        let (ip, port) = (to.ip().to_canonical(), to.port());
        if self.let_past.iter().any(|entry| lets_past(entry, ip, port)) {
            return None;
        }
        if !ip.is_loopback() {
            let web = if *udp { port == 443 } else { WEB.contains(&port) };
            return (web && !ip.is_multicast() && !ip.is_unspecified()).then_some(Judgement::Suspect);
        }
        if *udp || NOT_WEB.contains(&port) || !self.is_in_scope(ip, port) {
            return None;
        }
        let named = !self.is_in_scope(ip, UNLIKELY);
        Some(if named && !own { Judgement::Suspect } else { Judgement::Possible })
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

/// Whether an entry of `NO_PROXY` that is an address or a network holds this one.
fn lets_past(entry: &str, ip: IpAddr, port: u16) -> bool {
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

/// `10.0.0.7`, `10.0.0.7:8080`, `[::1]:8080` or `10.0.0.0/8`: address, bits, port.
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

fn programs<'a>(connections: impl IntoIterator<Item = &'a Connection>) -> Vec<&'a str> {
    let mut programs: Vec<&str> = Vec::new();
    for connection in connections {
        if !programs.contains(&connection.program.as_str()) {
            programs.push(&connection.program);
        }
    }
    programs
}

/// `curl connected to 127.0.0.1:3000 and 3 more addresses without the proxy`.
fn sentence<'a>(program: &str, connections: impl IntoIterator<Item = &'a Connection>) -> String {
    let mut addresses: Vec<String> = Vec::new();
    for connection in connections.into_iter().filter(|connection| connection.program == program) {
        let over = if connection.udp { " (UDP: HTTP/3)" } else { "" };
        let address = format!("{}{over}", SocketAddr::new(connection.to.ip().to_canonical(), connection.to.port()));
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let more = addresses.len().saturating_sub(NAMED);
    addresses.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{program} connected to {}{more} without the proxy", addresses.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_glob::Globs;

    fn connection(to: &str) -> Connection {
        Connection { program: "curl".into(), to: to.parse().unwrap(), udp: false, own: false }
    }

    /// `suspect`, `possible` or nothing.
    fn judged(connection: Connection, globs: &[&str], let_past: &[&str]) -> &'static str {
        let globs = Globs::new(globs).unwrap();
        let let_past: Vec<String> = let_past.iter().map(ToString::to_string).collect();
        let bounds = Bounds { may_match_origin: &|origin| globs.may_match_origin(origin), let_past: &let_past };
        let past = Past::of(&[connection], &bounds);
        match (past.suspects.len(), past.possible.len()) {
            (1, 0) => "suspect",
            (0, 1) => "possible",
            (0, 0) => "",
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn beyond_this_machine_it_is_the_ports_of_the_web() {
        for (to, expected) in [
            ("93.184.216.34:443", "suspect"),
            ("10.0.0.7:8080", "suspect"),
            ("[2606:2800::1]:80", "suspect"),
            ("93.184.216.34:22", ""),
            ("93.184.216.34:5432", ""),
        ] {
            assert_eq!(judged(connection(to), &["**"], &[]), expected, "{to}");
        }
        let udp = |to| Connection { udp: true, ..connection(to) };
        assert_eq!(judged(udp("93.184.216.34:443"), &["**"], &[]), "suspect");
        assert_eq!(judged(udp("93.184.216.34:53"), &["**"], &[]), "");
    }

    #[test]
    fn on_this_machine_it_is_the_port_that_the_scope_names() {
        let at = |to: &str, globs: &[&str]| judged(connection(to), globs, &[]);
        for to in ["127.0.0.1:3000", "[::1]:3000", "[::ffff:127.0.0.1]:3000"] {
            assert_eq!(at(to, &["http://localhost:3000/**"]), "suspect", "{to}");
        }
        assert_eq!(at("127.0.0.1:3000", &["http://127.0.0.1:3000/api/**"]), "suspect");
        assert_eq!(at("127.0.0.1:3001", &["http://localhost:3000/**"]), "");
        assert_eq!(at("127.0.0.1:80", &["http://localhost/**"]), "suspect");
        assert_eq!(at("127.0.0.1:3000", &["**/api/**"]), "possible", "any port may be meant");
        assert_eq!(at("127.0.0.1:5432", &["**"]), "", "a database");
        assert_eq!(at("127.0.0.1:3000", &["https://api.test/**"]), "");
        let own = Connection { own: true, ..connection("127.0.0.1:3000") };
        assert_eq!(judged(own, &["http://localhost:3000/**"], &[]), "possible", "CMD's own server");
    }

    #[test]
    fn what_may_go_past_is_not_accused_and_names_are_a_doubt() {
        for entry in ["10.0.0.7", "10.0.0.0/8", "10.0.0.7:443"] {
            assert_eq!(judged(connection("10.0.0.7:443"), &["**"], &[entry]), "", "{entry}");
        }
        for entry in ["10.0.0.8", "10.1.0.0/16", "10.0.0.7:80", "0.0.0.0/x", "db.internal"] {
            assert_eq!(judged(connection("10.0.0.7:443"), &["**"], &[entry]), "suspect", "{entry}");
        }
        let let_past = ["db.internal".to_owned(), "10.1.0.0/16".to_owned()];
        let bounds = Bounds { may_match_origin: &|_| true, let_past: &let_past };
        let past = Past::of(&[connection("10.0.0.7:443"), connection("10.0.0.7:80")], &bounds);
        let [(program, told)] = &past.by_program()[..] else { panic!("one program") };
        assert_eq!(*program, "curl");
        assert_eq!(
            told,
            "curl connected to 10.0.0.7:443, 10.0.0.7:80 without the proxy; `db.internal`, which may go past it, can be among them"
        );
    }

    #[test]
    fn many_addresses_are_cut() {
        let many: Vec<Connection> = (0..9).map(|n| connection(&format!("10.0.0.{n}:443"))).collect();
        let past = Past::of(&many, &Bounds { may_match_origin: &|_| true, let_past: &[] });
        assert!(past.by_program()[0].1.contains("10.0.0.3:443 and 5 more without"), "{:?}", past.by_program());
    }
}
