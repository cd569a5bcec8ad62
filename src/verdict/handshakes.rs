//! TLS handshakes with clients, and the findings that follow from refused ones: the client does not trust the CA, or it
//! pins the certificate of a host.
//!
//! Browsers connect speculatively, refuse an unknown certificate, and connect again with the exception that a test
//! runner made. A refusal is therefore reported only for a host whose certificate no client accepted.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::check_id::CheckId;
use super::finding::{Finding, Severity};

/// The handshakes of a run by the authority of the host (`host`, `host:port`).
#[derive(Debug, Default)]
pub struct Handshakes {
    refused: IndexMap<String, Refusals>,
    accepted: HashSet<String>,
}

#[derive(Debug)]
struct Refusals {
    reason: String,
    times: u64,
}

impl Handshakes {
    /// Counts a client that refused the certificate for `host`.
    pub fn add_refused(&mut self, host: String, reason: String) {
        self.refused.entry(host).or_insert(Refusals { reason, times: 0 }).times += 1;
    }

    /// Records that a client sent a request over a connection with the certificate for `host`.
    pub fn add_accepted(&mut self, host: String) {
        self.accepted.insert(host);
    }

    /// A finding for each host whose certificate was refused and never accepted, in order of first appearance.
    pub fn findings(&self) -> impl Iterator<Item = Finding> {
        let ca_is_trusted = !self.accepted.is_empty();
        let refused = self.refused.iter().filter(|(host, _)| !self.accepted.contains(*host));
        refused.map(move |(host, refusals)| finding(host, refusals, ca_is_trusted))
    }
}

/// If the client accepted certificates for other hosts, it trusts the CA, and the refusal is about this host.
fn finding(host: &str, Refusals { reason, times }: &Refusals, ca_is_trusted: bool) -> Finding {
    let refused = format!("a client refused the certificate that harproxy made for {host}: {reason}");
    // `doctor` reports this too, and has no globs.
    let exclude =
        format!("in `record` and `replay`, exclude the host with `-g '!https://{host}/**'` beside the globs in use");
    let (why, hint) = if ca_is_trusted {
        (
            "certificates for other hosts were accepted, so the client most likely pins the certificate of this host, or has its \
             own roots for it",
            format!(
                "{exclude}; or switch the pinning off in tests; for a program that does not trust the CA at all, use the file that \
                 `harproxy ca path` names"
            ),
        )
    } else {
        (
            "no client accepted any certificate, so the CA is not trusted: harproxy's variables did not reach the client, or it \
             ignores them",
            format!(
                "point the client at the CA (`harproxy env` prints the variables that most clients read, `harproxy ca path` its \
                 file); or {exclude}"
            ),
        )
    };
    let finding = Finding::new(CheckId::TLS_REFUSED, Severity::Warning, format!("{refused}\n{why}"));
    Finding { times: *times, ..finding.with_hint(hint) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(refused: &[&str], accepted: &[&str]) -> Vec<Finding> {
        let mut handshakes = Handshakes::default();
        refused.iter().for_each(|host| handshakes.add_refused((*host).to_owned(), "UnknownCA".to_owned()));
        accepted.iter().for_each(|host| handshakes.add_accepted((*host).to_owned()));
        handshakes.findings().collect()
    }

    #[test]
    fn refusal_is_reported_only_if_no_client_accepted() {
        let found = findings(&["pinned.test", "api.test", "pinned.test"], &["api.test"]);
        assert_eq!(found.iter().map(|finding| finding.times).collect::<Vec<_>>(), [2]);
        assert!(found[0].text.contains("for pinned.test: UnknownCA"), "{}", found[0].text);
    }

    #[test]
    fn refusal_is_about_the_host_if_others_are_accepted_and_about_the_ca_if_not() {
        let text = |accepted: &[&str]| {
            let [finding] = &findings(&["pinned.test:8443"], accepted)[..] else { panic!("one finding") };
            assert!(finding.hint.as_ref().unwrap().contains("-g '!https://pinned.test:8443/**'"), "{finding:?}");
            finding.text.clone()
        };
        assert!(text(&["api.test"]).contains("pins the certificate"), "{}", text(&["api.test"]));
        assert!(text(&[]).contains("the CA is not trusted"), "{}", text(&[]));
    }
}
