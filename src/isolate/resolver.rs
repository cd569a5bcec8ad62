//! Name resolution inside: a server at the addresses of /etc/resolv.conf that answers for names that harproxy may reach.
//!
//! The names of `--isolate-allow` have their real addresses. Names in scope have addresses of the network 198.18.0.0/15
//! (RFC 2544), at which nothing listens, so that a refused connection is reported with its name. Other names do not exist.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Name, Packet, QTYPE, RCODE, ResourceRecord, TYPE};
use tokio::net::UdpSocket;

use super::{Refusal, RefusedTarget};
use harproxy_support::sync::lock;

const PORT: u16 = 53;
const TIME_TO_LIVE: u32 = 60;
const FIRST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const MAX_NAMES: usize = 1 << 16;

/// `/etc/resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ResolverFile {
    pub(super) servers: Vec<IpAddr>,
    /// Domains that are appended to names that do not exist.
    search: Vec<String>,
}

impl ResolverFile {
    pub(super) fn read() -> Self {
        ResolverFile::parse(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut file = ResolverFile::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                // An address of a link (`fe80::1%eth0`) does not exist inside.
                Some("nameserver") => file.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok())),
                Some("search" | "domain") => file.search = words.map(str::to_ascii_lowercase).collect(),
                _ => {}
            }
        }
        if file.servers.is_empty() {
            file.servers.push(Ipv4Addr::LOCALHOST.into());
        }
        file
    }

    /// Opens a socket at each server.
    pub(super) async fn bind(&self) -> io::Result<Vec<UdpSocket>> {
        let mut sockets = Vec::new();
        for server in &self.servers {
            sockets.push(UdpSocket::bind(SocketAddr::new(*server, PORT)).await?);
        }
        Ok(sockets)
    }
}

/// The names that CMD looked up.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<KnownNames>);

#[derive(Debug, Default)]
struct KnownNames {
    /// Names without an address of their own, with the one that they got.
    made_up: HashMap<String, IpAddr>,
    by_address: HashMap<IpAddr, String>,
    refused: BTreeSet<String>,
}

impl Names {
    /// Returns the name that has this address inside.
    pub(super) fn name_of(&self, ip: IpAddr) -> Option<String> {
        lock(&self.0).by_address.get(&ip).cloned()
    }

    /// Returns the names that were refused.
    pub(super) fn refused(&self) -> impl Iterator<Item = Refusal> + use<> {
        let refused = lock(&self.0).refused.clone();
        refused.into_iter().map(|name| Refusal { program: None, target: RefusedTarget::Name(name) })
    }

    fn address_of(&self, name: &str) -> Option<IpAddr> {
        let mut names = lock(&self.0);
        if let Some(known) = names.made_up.get(name) {
            return Some(*known);
        }
        let number = u32::try_from(names.made_up.len()).ok().filter(|_| names.made_up.len() < MAX_NAMES)?;
        let ip = IpAddr::V4(Ipv4Addr::from(u32::from(FIRST) + number));
        names.made_up.insert(name.to_owned(), ip);
        names.by_address.insert(ip, name.to_owned());
        Some(ip)
    }

    fn refuse(&self, name: &str) {
        let mut names = lock(&self.0);
        if names.refused.len() < MAX_NAMES {
            names.refused.insert(name.to_owned());
        }
    }
}

/// Answers questions.
pub(super) struct Resolver<'a> {
    pub(super) file: &'a ResolverFile,
    /// The addresses of the names of `--isolate-allow`.
    pub(super) allowed: &'a HashMap<String, Vec<IpAddr>>,
    /// Returns true if harproxy may reach a host.
    pub(super) is_reachable: &'a dyn Fn(&str) -> bool,
    pub(super) names: &'a Names,
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
        match self.addresses(&name) {
            None => {
                if self.is_reported(&name, question.qtype) {
                    self.names.refuse(&name);
                }
                *reply.rcode_mut() = RCODE::NameError;
            }
            Some(addresses) => {
                let owner = Name::new(&name).ok()?;
                for ip in addresses {
                    let data = match (ip, question.qtype) {
                        (IpAddr::V4(ip), QTYPE::TYPE(TYPE::A)) => RData::A(A::from(ip)),
                        (IpAddr::V6(ip), QTYPE::TYPE(TYPE::AAAA)) => RData::AAAA(AAAA::from(ip)),
                        _ => continue,
                    };
                    reply.answers.push(ResourceRecord::new(owner.clone(), CLASS::IN, TIME_TO_LIVE, data));
                }
                return reply.build_bytes_vec().ok();
            }
        }
        reply.build_bytes_vec().ok()
    }

    /// Returns the addresses of a name; `None` if it does not exist inside.
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        if let Some(addresses) = self.allowed.get(name) {
            return Some(addresses.clone());
        }
        let is_known = name.contains('.') && !self.is_searched(name) && (self.is_reachable)(name);
        is_known.then(|| self.names.address_of(name).into_iter().collect())
    }

    /// Returns true if a look-up is worth a finding: of an address, and not of this machine's own name.
    fn is_reported(&self, name: &str, kind: QTYPE) -> bool {
        matches!(kind, QTYPE::TYPE(TYPE::A | TYPE::AAAA))
            && name.contains('.')
            && !self.is_searched(name)
            && ![".local", ".localdomain", ".localhost"].iter().any(|end| name.ends_with(end))
    }

    /// Returns true if a name ends with a domain that the resolver of CMD appends.
    fn is_searched(&self, name: &str) -> bool {
        let ends = |domain: &String| name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'));
        self.file.search.iter().any(ends)
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
        let file = ResolverFile::parse("# made\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nsearch corp.test lan\n");
        assert_eq!(file.servers, ["10.0.0.2".parse::<IpAddr>().unwrap()]);
        let names = Names::default();
        let allowed: HashMap<_, _> = [("db.test".to_owned(), vec!["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()])].into();
        let resolver =
            Resolver { file: &file, allowed: &allowed, is_reachable: &|host| host.starts_with("api."), names: &names };
        for (name, kind, code, addresses) in [
            ("DB.test", TYPE::A, RCODE::NoError, &["10.0.0.5"][..]),
            ("db.test", TYPE::AAAA, RCODE::NoError, &["fd00::5"]),
            ("api.test", TYPE::A, RCODE::NoError, &["198.18.0.1"]),
            ("api.test", TYPE::AAAA, RCODE::NoError, &[]),
            ("api.example", TYPE::A, RCODE::NoError, &["198.18.0.2"]),
            ("api.test", TYPE::A, RCODE::NoError, &["198.18.0.1"]),
            ("other.test", TYPE::A, RCODE::NameError, &[]),
            ("api.corp.test", TYPE::A, RCODE::NameError, &[]),
            ("machine", TYPE::A, RCODE::NameError, &[]),
            ("7.0.0.10.in-addr.arpa", TYPE::PTR, RCODE::NameError, &[]),
        ] {
            assert_eq!(ask(&resolver, name, kind), (code, addresses.iter().map(ToString::to_string).collect()), "{name}");
        }
        assert_eq!(names.name_of("198.18.0.2".parse().unwrap()).as_deref(), Some("api.example"));
        let refused: Vec<_> = names.refused().map(|refusal| refusal.target).collect();
        assert_eq!(refused, [RefusedTarget::Name("other.test".to_owned())]);
    }

    #[test]
    fn malformed_messages_get_no_answer() {
        let (file, allowed, names) = (ResolverFile::parse(""), HashMap::new(), Names::default());
        let resolver = Resolver { file: &file, allowed: &allowed, is_reachable: &|_| true, names: &names };
        for message in [&b""[..], &[0; 12], &[0xff; 40]] {
            assert_eq!(resolver.answer(message), None);
        }
    }
}
