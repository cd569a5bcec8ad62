//! Who took our certificates and who refused them, and what that says: a client that does not know the CA, or one that pins
//! the certificate of a host.
//!
//! Browsers open a connection ahead of need, find a certificate they don't know, and come again with the exception that a
//! test runner made for them. A refusal is worth telling only of a host of which nobody ever took our certificate.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::{Finding, Kind, Severity};

/// The handshakes of a run, by the authority of the host (`host`, `host:port`).
#[derive(Debug, Default)]
pub struct Trust {
    refused: IndexMap<String, Refusals>,
    trusted: HashSet<String>,
}

/// The refusals of one host.
#[derive(Debug)]
struct Refusals {
    /// Why, in the words of the first.
    reason: String,
    times: u64,
}

impl Trust {
    /// A client refused the certificate for `host`; the same again is counted.
    pub fn refused(&mut self, host: String, reason: String) {
        self.refused.entry(host).or_insert(Refusals { reason, times: 0 }).times += 1;
    }

    /// A client asked for something over a connection with the certificate for `host`.
    pub fn trusted(&mut self, host: String) {
        self.trusted.insert(host);
    }

    /// A finding for each host whose certificate was refused and that no client trusted, in order of first appearance.
    pub fn findings(&self) -> impl Iterator<Item = Finding> {
        let some_are_trusted = !self.trusted.is_empty();
        let untrusted = self.refused.iter().filter(|(host, _)| !self.trusted.contains(*host));
        untrusted.map(move |(host, refusals)| finding(host, refusals, some_are_trusted))
    }
}

/// Where certificates for other hosts were taken, the CA is known: then it is about this host.
fn finding(host: &str, Refusals { reason, times }: &Refusals, some_are_trusted: bool) -> Finding {
    let refused = format!("a client refused the certificate that harproxy made for {host}: {reason}");
    // `doctor` says it, too, and has no globs.
    let alone =
        format!("`record` and `replay` leave the host alone with `-g '!https://{host}/**'` beside the globs in use");
    let (why, remedy) = if some_are_trusted {
        (
            "those for other hosts were taken, so it most likely pins the certificate of this one, or has roots of its own for it",
            format!(
                "{alone}; or switch the pinning off in tests; a program that \
                 does not know the CA at all finds it in the file that `harproxy ca path` names"
            ),
        )
    } else {
        (
            "no client took any, so the CA is not trusted: harproxy's variables did not reach the client, or it does not heed them",
            format!(
                "point the client at the CA (`harproxy env` prints the variables that most read, `harproxy ca path` its file), \
                 or go without it: {alone}"
            ),
        )
    };
    Finding {
        remedy: Some(remedy),
        times: *times,
        ..Finding::new(Kind::TlsRefused, Severity::Warning, format!("{refused}\n{why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(hosts: &[&str], trusted: &[&str]) -> Vec<Finding> {
        let mut trust = Trust::default();
        hosts.iter().for_each(|host| trust.refused((*host).to_owned(), "UnknownCA".to_owned()));
        trusted.iter().for_each(|host| trust.trusted((*host).to_owned()));
        trust.findings().collect()
    }

    #[test]
    fn a_refusal_counts_only_where_nobody_trusted() {
        let told = refused(&["pinned.test", "api.test", "pinned.test"], &["api.test"]);
        assert_eq!(told.iter().map(|finding| finding.times).collect::<Vec<_>>(), [2]);
        assert!(told[0].explanation.contains("for pinned.test: UnknownCA"), "{}", told[0].explanation);
    }

    #[test]
    fn it_is_the_host_where_others_are_trusted_and_the_ca_where_nobody_is() {
        let told = |trusted: &[&str]| {
            let [finding] = &refused(&["pinned.test:8443"], trusted)[..] else { panic!("one finding") };
            assert!(finding.remedy.as_ref().unwrap().contains("-g '!https://pinned.test:8443/**'"), "{finding:?}");
            finding.explanation.clone()
        };
        assert!(told(&["api.test"]).contains("pins the certificate"), "{}", told(&["api.test"]));
        assert!(told(&[]).contains("the CA is not trusted"), "{}", told(&[]));
    }
}
