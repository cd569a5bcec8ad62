//! Collects what a verdict needs: counts, findings, TLS handshakes and a table of hosts.

use std::sync::Mutex;
use std::time::Instant;

use indexmap::IndexMap;

use super::event::{RequestEvent, RunEvent, Subscriber};
use super::outcome::Outcome;
use crate::verdict::findings::LOG;
use crate::verdict::request::{ResultKind, SourceKind};
use crate::verdict::{CheckId, Counts, Finding, FindingListener, Findings, Handshakes, Severity};
use harproxy_http::problem::in_words;
use harproxy_proxy::{HandshakeRefusal, Origin};
use harproxy_support::sync::lock;

/// The requests of one origin.
#[derive(Clone, Debug, Default)]
pub struct HostCounts {
    /// Requests, without tunnels.
    pub requests: u64,
    pub tunnels: u64,
    pub recorded: u64,
    /// Forwarded and not recorded.
    pub passed: u64,
    /// Not answered by upstream.
    pub failed: u64,
    /// Why, of the first one.
    pub error: Option<String>,
}

/// Collects the counts and findings of one recording, replay or diagnosis.
#[derive(Debug)]
pub struct Collector {
    started: Instant,
    totals: Mutex<Totals>,
    findings: Mutex<Findings>,
}

#[derive(Debug, Default)]
struct Totals {
    counts: Counts,
    /// Requests in scope that were sent to the network.
    forwarded: u64,
    handshakes: Handshakes,
    /// `None` if no table of hosts is needed.
    hosts: Option<IndexMap<Origin, HostCounts>>,
}

impl Collector {
    /// A collector for a run that begins now. `with_hosts` also counts by origin.
    #[must_use]
    pub fn new(with_hosts: bool) -> Self {
        let totals = Totals { hosts: with_hosts.then(IndexMap::new), ..Totals::default() };
        Collector { started: Instant::now(), totals: Mutex::new(totals), findings: Mutex::default() }
    }

    /// The counts of a recording: every request is recorded, noise or passed.
    #[must_use]
    pub fn counts(&self) -> Counts {
        lock(&self.totals).counts.clone()
    }

    /// The counts of a replay: what it recorded was also passed to the network.
    #[must_use]
    pub fn replay_counts(&self) -> Counts {
        let counts = self.counts();
        Counts { passed: counts.passed + counts.recorded, ..counts }
    }

    /// The number of requests in scope that were sent to the network.
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        lock(&self.totals).forwarded
    }

    /// The findings in order of first appearance, then those about TLS.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        lock(&self.findings).list().chain(lock(&self.totals).handshakes.findings()).collect()
    }

    /// The counts by origin, in order of first appearance.
    #[must_use]
    pub fn hosts(&self) -> Vec<(Origin, HostCounts)> {
        lock(&self.totals).hosts.clone().into_iter().flatten().collect()
    }

    /// The wall time so far in milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Passes each new finding to a listener, and those that there are already.
    pub fn set_listener(&self, listener: FindingListener) {
        lock(&self.findings).set_listener(listener);
    }

    /// Adds a finding, or counts it with an equal one.
    pub fn add_finding(&self, finding: Finding) {
        log_finding(&finding);
        lock(&self.findings).add(finding);
    }

    /// Counts a refused request that reached no stage.
    pub fn count(&self, result: ResultKind) {
        lock(&self.totals).counts.count_request(result);
    }

    /// Counts a request that got 407.
    pub fn count_unauthorized(&self) {
        lock(&self.totals).counts.unauthorized += 1;
    }

    /// Notes that a client refused the certificate.
    pub fn add_refused(&self, to: &Origin, client: Option<&str>, started: Instant, refusal: &HandshakeRefusal) {
        let (kind, host) = (CheckId::TLS_REFUSED, to.authority());
        tracing::warn!(target: LOG, %kind, host, client, "a client refused our certificate: {}", refusal.reason);
        lock(&self.totals).handshakes.add_refused(host, client, started, refusal);
    }

    /// Notes that a client accepted the certificate, and has just closed the connection.
    pub fn add_accepted(&self, to: &Origin, client: Option<&str>) {
        lock(&self.totals).handshakes.add_accepted(to.authority(), client, Instant::now());
    }

    /// Counts a request by its outcome, as its row shows it.
    fn count_outcome(&self, origin: &Origin, outcome: &Outcome) {
        let result = outcome.result();
        let mut totals = lock(&self.totals);
        let Totals { counts, forwarded, hosts, .. } = &mut *totals;
        let is_tunnel = result == ResultKind::Tunnel;
        let is_local = is_tunnel && outcome.source == SourceKind::Local;
        counts.count_request(if is_local { ResultKind::Local } else { result });
        counts.tunnels += u64::from(is_tunnel);
        *forwarded +=
            u64::from(outcome.in_scope && matches!(outcome.source, SourceKind::Live | SourceKind::LivePatched));
        if result == ResultKind::Served {
            counts.followed += outcome.followed.len() as u64;
            counts.truncated += u64::from(outcome.has_finding(&CheckId::TRUNCATED));
            counts.failures += u64::from(outcome.has_finding(&CheckId::FAILED_SERVED));
        }
        let Some(hosts) = hosts else { return };
        let host = hosts.entry(origin.clone()).or_default();
        host.tunnels += u64::from(is_tunnel);
        host.requests += u64::from(!is_tunnel);
        let is_recorded = result == ResultKind::Recorded;
        host.recorded += u64::from(is_recorded);
        host.passed += u64::from(!is_recorded && result != ResultKind::Failed);
        if let Some(error) = &outcome.upstream_error {
            host.failed += 1;
            host.error.get_or_insert_with(|| in_words(error));
        }
    }
}

impl Subscriber for Collector {
    fn notify(&self, event: &RunEvent<'_>) {
        match event {
            RunEvent::Answered(RequestEvent { origin, outcome, .. }) => self.count_outcome(origin, outcome),
            RunEvent::Ended(RequestEvent { origin, outcome, was_answered, .. }, bytes) => {
                if !was_answered {
                    self.count_outcome(origin, outcome);
                }
                // Texts of harproxy's own are no payload of the API.
                if !matches!(outcome.source, SourceKind::None | SourceKind::MadeUp) {
                    lock(&self.totals).counts.bytes += bytes;
                }
            }
            RunEvent::Found(finding) => self.add_finding((*finding).clone()),
            // The pipeline counts them, since the router decides how.
            RunEvent::Connection(_) => {}
        }
    }
}

fn log_finding(finding: &Finding) {
    let (kind, request) = (&finding.check, finding.at.request.as_deref().unwrap_or_default());
    let (text, hint) = (&finding.text, finding.hint.as_deref().unwrap_or_default());
    match finding.severity {
        Severity::Error => tracing::warn!(target: LOG, %kind, request, remedy = hint, "{text}"),
        Severity::Warning => tracing::info!(target: LOG, %kind, request, remedy = hint, "{text}"),
    }
}
