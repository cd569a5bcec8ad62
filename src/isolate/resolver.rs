//! Name resolution inside: a server at the addresses of /etc/resolv.conf that answers for names that harproxy may
//! reach.
//!
//! The names of `--isolate-allow` have their real addresses. Names in scope have addresses of the network
//! 198.18.0.0/15 (RFC 2544), at which nothing listens, so that a refused connection is reported with its name. Other
//! names do not exist.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use indexmap::IndexSet;
use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Name, Packet, QTYPE, RCODE, ResourceRecord, TYPE};
use tokio::net::UdpSocket;

use super::{RefusedAttempt, RefusedTarget};
use harproxy_support::sync::lock;

const PORT: u16 = 53;
const TIME_TO_LIVE: u32 = 60;
const FIRST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const MAX_NAMES: usize = 1 << 16;

/// Returns the name servers of /etc/resolv.conf.
pub(super) fn servers() -> Vec<IpAddr> {
    parse_servers(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
}

/// Parses the addresses of servers. Those of a link (`fe80::1%eth0`) do not exist inside.
fn parse_servers(file: &str) -> Vec<IpAddr> {
    let words = file.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found: IndexSet<IpAddr> = words
        .filter(|words| words.first() == Some(&"nameserver"))
        .filter_map(|words| words.get(1)?.parse().ok())
        .collect();
    if found.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { found.into_iter().collect() }
}

/// Opens a socket at each server whose address exists inside. IPv6 may be off, for example.
///
/// # Errors
/// If there is none.
pub(super) async fn bind(servers: &[IpAddr]) -> io::Result<Vec<UdpSocket>> {
    let (mut sockets, mut failed) = (Vec::new(), None);
    for server in servers {
        match UdpSocket::bind(SocketAddr::new(*server, PORT)).await {
            Ok(socket) => sockets.push(socket),
            Err(error) => failed = Some(error),
        }
    }
    failed.filter(|_| sockets.is_empty()).map_or(Ok(sockets), Err)
}

/// The names that CMD looked up: those that got an address, in the order of the addresses, and the refused ones.
#[derive(Debug, Default)]
pub(super) struct LookedUpNames {
    known: Mutex<IndexSet<String>>,
    refused: Mutex<BTreeSet<String>>,
}

impl LookedUpNames {
    /// Returns the name that got this address.
    pub(super) fn name_of(&self, ip: IpAddr) -> Option<String> {
        let IpAddr::V4(ip) = ip else { return None };
        let number = u32::from(ip).checked_sub(u32::from(FIRST))?;
        lock(&self.known).get_index(usize::try_from(number).ok()?).cloned()
    }

    /// Returns the names that were refused.
    pub(super) fn refused(&self) -> Vec<RefusedAttempt> {
        let refusal = |name: &String| RefusedAttempt { program: None, target: RefusedTarget::Name(name.clone()) };
        lock(&self.refused).iter().map(refusal).collect()
    }

    fn address_of(&self, name: &str) -> Option<IpAddr> {
        let mut known = lock(&self.known);
        if known.len() >= MAX_NAMES && !known.contains(name) {
            return None;
        }
        let number = u32::try_from(known.insert_full(name.to_owned()).0).ok()?;
        Some(Ipv4Addr::from(u32::from(FIRST) + number).into())
    }

    /// Remembers a refused name. Resolvers append domains to a refused name and ask again.
    fn refuse(&self, name: &str) {
        let mut refused = lock(&self.refused);
        let is_again =
            refused.iter().any(|known| name.strip_prefix(known.as_str()).is_some_and(|end| end.starts_with('.')));
        if refused.len() < MAX_NAMES && !is_again {
            refused.insert(name.to_owned());
        }
    }
}

/// Answers questions.
pub(super) struct Resolver<'a> {
    /// The addresses of the names of `--isolate-allow`.
    pub(super) allowed: &'a HashMap<String, Vec<IpAddr>>,
    /// Returns true if harproxy may reach a host.
    pub(super) is_reachable: &'a dyn Fn(&str) -> bool,
    pub(super) names: &'a LookedUpNames,
}

impl Resolver<'_> {
    /// Answers until the task is dropped.
    pub(super) async fn serve(&self, socket: &UdpSocket) {
        let mut message = [0; 4096];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut message).await else { continue };
            if let Some(answer) = self.answer(&message[..length]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    }

    fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
        let asked = Packet::parse(message).ok()?;
        let question = asked.questions.first()?;
        let name = question.qname.to_string().trim_end_matches('.').to_ascii_lowercase();
        let mut reply = Packet::new_reply(asked.id());
        reply.questions.push(question.clone());
        let owner = Name::new(&name).ok()?;
        match self.addresses(&name) {
            Some(addresses) => {
                let data = addresses.into_iter().filter_map(|ip| match (ip, question.qtype) {
                    (IpAddr::V4(ip), QTYPE::TYPE(TYPE::A)) => Some(RData::A(A::from(ip))),
                    (IpAddr::V6(ip), QTYPE::TYPE(TYPE::AAAA)) => Some(RData::AAAA(AAAA::from(ip))),
                    _ => None,
                });
                let record = |data| ResourceRecord::new(owner.clone(), CLASS::IN, TIME_TO_LIVE, data);
                reply.answers = data.map(record).collect();
            }
            None => {
                // The machine's own name, and that of its network, are not services.
                let is_own = !name.contains('.') || [".local", ".localdomain"].iter().any(|end| name.ends_with(end));
                if !is_own && matches!(question.qtype, QTYPE::TYPE(TYPE::A | TYPE::AAAA)) {
                    self.names.refuse(&name);
                }
                *reply.rcode_mut() = RCODE::NameError;
            }
        }
        reply.build_bytes_vec().ok()
    }

    /// Returns the addresses of a name; `None` if it does not exist inside.
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let is_known = name.contains('.') && (self.is_reachable)(name);
        let allowed = self.allowed.get(name).cloned();
        allowed.or_else(|| is_known.then(|| self.names.address_of(name).into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use simple_dns::{QCLASS, Question};

    use super::*;

    fn ask(resolver: &Resolver<'_>, name: &str, kind: TYPE) -> (RCODE, Vec<String>) {
        let mut question = Packet::new_query(7);
        let name = Name::new(name).unwrap();
        question.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
        let answer = resolver.answer(&question.build_bytes_vec().unwrap()).unwrap();
        let answer = Packet::parse(&answer).unwrap();
        assert_eq!(answer.id(), 7);
        let addresses = answer.answers.iter().map(|record| match &record.rdata {
            RData::A(a) => Ipv4Addr::from(a.address).to_string(),
            RData::AAAA(a) => std::net::Ipv6Addr::from(a.address).to_string(),
            other => panic!("{other:?}"),
        });
        (answer.rcode(), addresses.collect())
    }

    #[test]
    fn names_in_scope_and_allowed_names_are_answered() {
        let servers = parse_servers(
            "# made\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nnameserver 10.0.0.2\nsearch corp.test lan\n",
        );
        assert_eq!(servers, ["10.0.0.2".parse::<IpAddr>().unwrap()]);
        let names = LookedUpNames::default();
        let allowed: HashMap<_, _> =
            [("db.test".to_owned(), vec!["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()])].into();
        let resolver = Resolver { allowed: &allowed, is_reachable: &|host| host.starts_with("api."), names: &names };
        for (name, kind, code, addresses) in [
            ("DB.test", TYPE::A, RCODE::NoError, &["10.0.0.5"][..]),
            ("db.test", TYPE::AAAA, RCODE::NoError, &["fd00::5"]),
            ("api.test", TYPE::A, RCODE::NoError, &["198.18.0.1"]),
            ("api.test", TYPE::AAAA, RCODE::NoError, &[]),
            ("api.example", TYPE::A, RCODE::NoError, &["198.18.0.2"]),
            ("api.test", TYPE::A, RCODE::NoError, &["198.18.0.1"]),
            ("other.test", TYPE::A, RCODE::NameError, &[]),
            ("other.test.corp.test", TYPE::A, RCODE::NameError, &[]),
            ("machine", TYPE::A, RCODE::NameError, &[]),
            ("7.0.0.10.in-addr.arpa", TYPE::PTR, RCODE::NameError, &[]),
        ] {
            assert_eq!(
                ask(&resolver, name, kind),
                (code, addresses.iter().map(ToString::to_string).collect()),
                "{name}"
            );
        }
        assert_eq!(names.name_of("198.18.0.2".parse().unwrap()).as_deref(), Some("api.example"));
        let refused: Vec<_> = names.refused().into_iter().map(|refusal| refusal.target).collect();
        assert_eq!(refused, [RefusedTarget::Name("other.test".to_owned())]);
    }

    #[test]
    fn malformed_messages_get_no_answer() {
        let (allowed, names) = (HashMap::new(), LookedUpNames::default());
        let resolver = Resolver { allowed: &allowed, is_reachable: &|_| true, names: &names };
        for message in [&b""[..], &[0; 12], &[0xff; 40]] {
            assert_eq!(resolver.answer(message), None);
        }
    }
}
