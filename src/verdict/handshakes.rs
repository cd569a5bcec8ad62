//! TLS handshakes that clients refused. Record, replay and `doctor` use the same texts.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use indexmap::IndexMap;

use super::connections::listed;
use super::fail_on::{CheckId, Severity};
use super::findings::Finding;
use harproxy_proxy::HandshakeRefusal;

/// Maximum number of hosts named in one finding.
const MAX_HOSTS: usize = 4;
/// Maximum length of a client's name, bytes.
const MAX_NAME: usize = 40;

/// The exception for Chromium under Puppeteer, Selenium or another driver.
pub const CHROMIUM_HINT: &str = "Chromium does not read the variables for the CA: start it with the arguments in \
     HARPROXY_RUN_CHROMIUM_ARGS, which have `--ignore-certificate-errors-spki-list=PIN` (`harproxy env` prints them \
     too)";

/// The TLS handshakes of a run by the authority of the host (`host`, `host:port`).
///
/// A client whose alert says that it does not trust the certificate is always reported, even if another client of the
/// host does. Two kinds of refusals are no problem of a client:
/// * Browsers connect speculatively. A close without an alert is reported only if no client accepted the certificate
///   during that connection or after it.
/// * A test runner can make an exception in its browser, which then refuses the certificate and connects again. A
///   browser's alert is reported only if the browser did not accept the certificate after it.
#[derive(Debug, Default)]
pub struct Handshakes {
    refused: IndexMap<HostClient, Refusals>,
    /// The end of the last connection that each client used.
    accepted: HashMap<HostClient, Instant>,
}

/// A host and the `User-Agent` of the CONNECT to it.
type HostClient = (String, Option<String>);

#[derive(Debug, Default)]
struct Refusals {
    alerts: Option<RefusalCount>,
    others: Option<RefusalCount>,
}

/// Refusals of one kind.
#[derive(Debug)]
struct RefusalCount {
    /// The reason of the first one.
    reason: String,
    times: u64,
    last_started: Instant,
}

impl Handshakes {
    /// Counts a client that refused the certificate for `host` in a handshake that began at `started`.
    pub fn add_refused(&mut self, host: String, client: Option<&str>, started: Instant, refusal: &HandshakeRefusal) {
        let refusals = self.refused.entry((host, client.map(str::to_owned))).or_default();
        let count = if refusal.is_distrust { &mut refusals.alerts } else { &mut refusals.others };
        let new = || RefusalCount { reason: refusal.reason.clone(), times: 0, last_started: started };
        let count = count.get_or_insert_with(new);
        count.times += 1;
        count.last_started = started.max(count.last_started);
    }

    /// Records that a client sent a request over a connection with the certificate for `host`, which ended at `ended`.
    pub fn add_accepted(&mut self, host: String, client: Option<&str>, ended: Instant) {
        self.accepted.insert((host, client.map(str::to_owned)), ended);
    }

    /// Returns a finding for each client and cause, in order of first appearance.
    pub fn findings(&self) -> impl Iterator<Item = Finding> {
        let mut causes: IndexMap<RefusalCause<'_>, (Vec<&str>, u64)> = IndexMap::new();
        for (host_client @ (host, client), refusals) in &self.refused {
            for count in [&refusals.alerts, &refusals.others].into_iter().flatten() {
                let is_alert = refusals.alerts.as_ref().is_some_and(|alerts| std::ptr::eq(alerts, count));
                if self.is_harmless(host_client, is_alert, count.last_started) {
                    continue;
                }
                let cause = RefusalCause {
                    client: client.as_deref().and_then(product),
                    reason: &count.reason,
                    trust: self.trust(host_client),
                };
                let (hosts, times) = causes.entry(cause).or_default();
                hosts.extend((hosts.last() != Some(&host.as_str())).then_some(host.as_str()));
                *times += count.times;
            }
        }
        causes.into_iter().map(|(cause, (hosts, times))| Finding { times, ..cause.finding(&hosts) })
    }

    fn is_harmless(&self, (host, client): &HostClient, is_alert: bool, started: Instant) -> bool {
        let is_browser = client.as_ref().is_some_and(|client| client.starts_with("Mozilla/5.0"));
        self.accepted.iter().any(|((other, accepting), ended)| {
            let is_exception = is_browser && accepting == client;
            other == host && *ended >= started && (!is_alert || is_exception)
        })
    }

    /// Returns the trust that other connections show.
    fn trust(&self, (host, client): &HostClient) -> Trust {
        let clients: HashSet<_> = self.accepted.keys().map(|(_, client)| client).collect();
        match self.accepted.keys().any(|(other, _)| other == host) {
            true => Trust::OfOthers,
            false if clients.contains(client) => Trust::OfOtherHosts,
            false if !clients.is_empty() => Trust::OfOthers,
            false => Trust::Nowhere,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Trust {
    /// No client accepted any certificate.
    Nowhere,
    /// Other clients accepted certificates.
    OfOthers,
    /// The client, or one with the same name, accepted certificates for other hosts.
    OfOtherHosts,
}

/// The cause of refusals. Those with the same cause are one finding.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RefusalCause<'a> {
    client: Option<&'a str>,
    reason: &'a str,
    trust: Trust,
}

const CHROMIUM: &str = "Chromium";

/// Returns the name of a client: the first product of its `User-Agent`.
fn product(user_agent: &str) -> Option<&str> {
    if user_agent.contains("Chrome/") {
        return Some(CHROMIUM);
    }
    let name = user_agent.split_whitespace().next()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    (name.len() <= MAX_NAME && name.chars().all(is_plain)).then_some(name)
}

impl RefusalCause<'_> {
    fn finding(&self, hosts: &[&str]) -> Finding {
        let (client, certificates) =
            (self.client.unwrap_or("a client"), if hosts.len() == 1 { "certificate" } else { "certificates" });
        let refused = format!(
            "{client} refused the {certificates} that harproxy made for {}: {}",
            listed(hosts, MAX_HOSTS),
            self.reason
        );
        // `doctor` reports this too, and has no globs.
        let globs: Vec<String> = hosts.iter().take(MAX_HOSTS).map(|host| format!("-g '!https://{host}/**'")).collect();
        let (the_hosts, globs) = (if hosts.len() == 1 { "the host" } else { "the hosts" }, globs.join(" "));
        let exclude = format!("in `record` and `replay`, exclude {the_hosts} with `{globs}` beside the globs in use");
        let point = format!(
            "point the client at the CA (`harproxy env` prints the variables that most clients read, `harproxy ca path` its \
             file); or {exclude}"
        );
        let (why, hint) = match (self.client, self.trust) {
            (Some(CHROMIUM), _) => ("the browser does not know the CA", format!("{CHROMIUM_HINT}; or {exclude}")),
            (_, Trust::OfOtherHosts) => (
                "certificates for other hosts were accepted, so the client most likely pins the certificate of this host, \
                 or has its own roots for it",
                format!(
                    "{exclude}; or switch the pinning off in tests; for a program that does not trust the CA at all, use \
                     the file that `harproxy ca path` names"
                ),
            ),
            (_, Trust::OfOthers) => (
                "other clients accepted certificates, so this one has its own roots, or harproxy's variables did not \
                 reach it",
                point,
            ),
            (_, Trust::Nowhere) => (
                "no client accepted any certificate, so the CA is not trusted: harproxy's variables did not reach the \
                 client, or it ignores them",
                point,
            ),
        };
        let finding =
            Finding::new(CheckId::TLS_REFUSED, Severity::Warning, format!("{refused}\n{why}")).with_hint(hint);
        Finding { is_of_unnamed_client: self.client.is_none(), ..finding }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CURL: Option<&str> = Some("curl/8.5.0");
    const CHROME: Option<&str> =
        Some("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0");

    /// Handshakes at one second after another.
    struct Timeline {
        handshakes: Handshakes,
        now: Instant,
    }

    impl Timeline {
        fn new() -> Self {
            Timeline { handshakes: Handshakes::default(), now: Instant::now() }
        }

        fn tick(&mut self) -> Instant {
            self.now += Duration::from_secs(1);
            self.now
        }

        fn alert(mut self, host: &str, client: Option<&str>) -> Self {
            let refusal = HandshakeRefusal { reason: "UnknownCA".to_owned(), is_distrust: true };
            let now = self.tick();
            self.handshakes.add_refused(host.to_owned(), client, now, &refusal);
            self
        }

        fn close(mut self, host: &str, client: Option<&str>) -> Self {
            let refusal = HandshakeRefusal { reason: "closed".to_owned(), is_distrust: false };
            let now = self.tick();
            self.handshakes.add_refused(host.to_owned(), client, now, &refusal);
            self
        }

        fn accept(mut self, host: &str, client: Option<&str>) -> Self {
            let now = self.tick();
            self.handshakes.add_accepted(host.to_owned(), client, now);
            self
        }

        fn findings(&self) -> Vec<Finding> {
            self.handshakes.findings().collect()
        }

        fn only(&self) -> Finding {
            let [finding] = &self.findings()[..] else { panic!("{:?}", self.findings()) };
            finding.clone()
        }
    }

    #[test]
    fn alert_is_reported_if_another_client_accepted() {
        for timeline in [
            Timeline::new().accept("api.test", CURL).alert("api.test", CURL),
            Timeline::new().alert("api.test", CURL).accept("api.test", CURL),
            Timeline::new().alert("api.test", CURL).accept("api.test", CHROME),
        ] {
            let finding = timeline.only();
            assert!(finding.text.starts_with("curl/8.5.0 refused the certificate that"), "{}", finding.text);
            assert!(finding.text.contains("other clients accepted certificates"), "{}", finding.text);
        }
    }

    #[test]
    fn close_is_reported_if_no_later_handshake_succeeded() {
        assert_eq!(Timeline::new().close("a.test", None).accept("a.test", CURL).findings(), []);
        assert_eq!(Timeline::new().accept("a.test", CURL).close("a.test", None).findings().len(), 1);
        assert_eq!(Timeline::new().close("a.test", None).accept("b.test", CURL).findings().len(), 1);
    }

    #[test]
    fn alert_of_a_browser_is_harmless_if_the_browser_accepted_later() {
        assert_eq!(Timeline::new().alert("a.test", CHROME).accept("a.test", CHROME).findings(), []);
        assert_eq!(Timeline::new().accept("a.test", CHROME).alert("a.test", CHROME).findings().len(), 1);
    }

    #[test]
    fn hosts_with_one_cause_are_one_finding() {
        let timeline = Timeline::new().alert("a.test", CURL).alert("b.test:8443", CURL).alert("a.test", CURL);
        let finding = timeline.only();
        assert_eq!(finding.times, 3);
        assert!(finding.text.contains("certificates that harproxy made for a.test, b.test:8443: UnknownCA"));
        assert!(finding.text.contains("the CA is not trusted"), "{}", finding.text);
        let hint = finding.hint.unwrap();
        assert!(hint.contains("-g '!https://a.test/**' -g '!https://b.test:8443/**'"), "{hint}");
    }

    #[test]
    fn refusal_is_about_the_host_if_the_client_accepted_others() {
        let finding = Timeline::new().accept("api.test", CURL).alert("pinned.test", CURL).only();
        assert!(finding.text.contains("pins the certificate"), "{}", finding.text);
    }

    #[test]
    fn chromium_gets_its_arguments() {
        let finding = Timeline::new().alert("a.test", CHROME).alert("b.test", CHROME).accept("c.test", CURL).only();
        assert!(finding.text.starts_with("Chromium refused the certificates"), "{}", finding.text);
        assert!(finding.hint.unwrap().starts_with(CHROMIUM_HINT));
    }

    #[test]
    fn client_without_a_name_is_marked() {
        assert!(Timeline::new().alert("a.test", None).only().is_of_unnamed_client);
        assert!(!Timeline::new().alert("a.test", CURL).only().is_of_unnamed_client);
    }

    #[test]
    fn name_of_a_client_is_its_first_product() {
        assert_eq!(product("Java-http-client/17.0.1 x"), Some("Java-http-client/17.0.1"));
        assert_eq!(product("<script> "), None);
        assert_eq!(product(""), None);
    }
}
