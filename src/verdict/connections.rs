//! Findings about connections: TLS handshakes that clients refused, and requests that the engine could not read.
//! Record, replay and `doctor` use the same texts.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::fail_on::{CheckId, Severity};
use super::findings::Finding;
use super::request::Counts;

/// Returns the finding for a CONNECT to `authority` (`host:port`) that carried neither TLS nor HTTP, and was closed.
#[must_use]
pub fn unreadable_tunnel(authority: &str, severity: Severity) -> Finding {
    let text = format!("the CONNECT to {authority} carried neither TLS nor HTTP, and was closed");
    unreadable(severity, text, format!("`--bypass {authority}` lets CMD reach it without the proxy"))
}

/// Returns the finding for a tunnel to `authority` in scope that a recording forwarded and could not read.
#[must_use]
pub fn unrecorded_tunnel(authority: &str) -> Finding {
    let text = format!(
        "the tunnel to {authority} carried neither TLS nor HTTP: it was forwarded and not recorded, so a replay can't answer it"
    );
    unreadable(
        Severity::Warning,
        text,
        format!("`--bypass {authority}` lets CMD reach it without the proxy, in a replay too"),
    )
}

/// Returns the finding for a request whose head was not valid HTTP.
#[must_use]
pub fn malformed_head(reason: &str, severity: Severity) -> Finding {
    let text = format!("a request was not valid HTTP and was refused: {reason}");
    let hint = "fix the client: percent-encode the characters of URLs, and send one length per request";
    unreadable(severity, text, hint)
}

/// Returns the finding for a run in which every request got 407. It replaces `check`, the finding for no traffic.
#[must_use]
pub fn unauthorized(counts: &Counts, check: CheckId, severity: Severity) -> Option<Finding> {
    let requests = match counts.unauthorized {
        _ if counts.requests > 0 => return None,
        0 => return None,
        1 => "the one request that came".to_owned(),
        n => format!("each of the {n} requests that came"),
    };
    let text = format!("{requests} got 407: the user name and password of `--auth` were missing or wrong");
    let hint = "put them into the client's proxy URL, as CMD has it in HTTP_PROXY and HTTPS_PROXY: \
                `http://USER:PASS@HOST:PORT`; a program that does not read credentials from there, such as a JVM, \
                has settings of its own";
    Some(Finding::new(check, severity, text).with_hint(hint))
}

fn unreadable(severity: Severity, text: String, hint: impl Into<String>) -> Finding {
    Finding::new(CheckId::UNREADABLE, severity, text).with_hint(hint)
}

/// The TLS handshakes of a run by the authority of the host (`host`, `host:port`).
///
/// A client that refuses a certificate does not trust the CA, or pins the certificate of the host. Browsers connect
/// speculatively, refuse an unknown certificate, and connect again with the exception that a test runner made. A
/// refusal is therefore reported only for a host whose certificate no client accepted.
#[derive(Debug, Default)]
pub struct Handshakes {
    /// The first reason and the number of refusals.
    refused: IndexMap<String, (String, u64)>,
    accepted: HashSet<String>,
}

impl Handshakes {
    /// Counts a client that refused the certificate for `host`.
    pub fn add_refused(&mut self, host: String, reason: String) {
        self.refused.entry(host).or_insert((reason, 0)).1 += 1;
    }

    /// Records that a client sent a request over a connection with the certificate for `host`.
    pub fn add_accepted(&mut self, host: String) {
        self.accepted.insert(host);
    }

    /// Returns a finding for each host whose certificate was refused and never accepted, in order of first appearance.
    pub fn findings(&self) -> impl Iterator<Item = Finding> {
        let ca_is_trusted = !self.accepted.is_empty();
        let refused = self.refused.iter().filter(|(host, _)| !self.accepted.contains(*host));
        refused.map(move |(host, (reason, times))| refusal(host, reason, *times, ca_is_trusted))
    }
}

/// Describes the refusals of a host. A client that accepted certificates for other hosts trusts the CA.
fn refusal(host: &str, reason: &str, times: u64, ca_is_trusted: bool) -> Finding {
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
    Finding { times, ..finding.with_hint(hint) }
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
