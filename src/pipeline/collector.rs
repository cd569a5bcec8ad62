//! Collects what a verdict needs: counts, findings, TLS handshakes and a table of hosts.

use std::array::from_fn;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use indexmap::IndexMap;

use super::event::{RequestEvent, RunEvent, Subscriber};
use super::outcome::Outcome;
use crate::verdict::findings::LOG;
use crate::verdict::request::{ResultKind, SourceKind};
use crate::verdict::{CheckId, Counts, Finding, FindingListener, Findings, Handshakes, Severity};
use harproxy_http::problem::in_words;
use harproxy_proxy::Origin;

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
    /// Requests by [`ResultKind`].
    results: [AtomicU64; ResultKind::ALL.len()],
    /// Requests in scope that were sent to the network.
    forwarded: AtomicU64,
    /// Requests to record whose client left before the response.
    unanswered: AtomicU64,
    followed: AtomicU64,
    truncated: AtomicU64,
    failures: AtomicU64,
    tunnels: AtomicU64,
    unauthorized: AtomicU64,
    bytes: AtomicU64,
    findings: Mutex<Findings>,
    handshakes: Mutex<Handshakes>,
    /// `None` if no table of hosts is needed.
    hosts: Option<Mutex<IndexMap<Origin, HostCounts>>>,
}

impl Collector {
    /// A collector for a run that begins now. `with_hosts` also counts by origin.
    #[must_use]
    pub fn new(with_hosts: bool) -> Self {
        Collector {
            started: Instant::now(),
            results: from_fn(|_| AtomicU64::new(0)),
            forwarded: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            followed: AtomicU64::new(0),
            truncated: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            tunnels: AtomicU64::new(0),
            unauthorized: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            findings: Mutex::default(),
            handshakes: Mutex::default(),
            hosts: with_hosts.then(Mutex::default),
        }
    }

    /// The counts of a recording: every request is recorded, noise, passed or unanswered.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let get = |result: ResultKind| self.results[result as usize].load(Relaxed);
        let mut counts = Counts {
            served: get(ResultKind::Served),
            misses: get(ResultKind::Miss),
            local: get(ResultKind::Local),
            passed: get(ResultKind::Live) + get(ResultKind::Passed),
            noise: get(ResultKind::Noise),
            out_of_scope: get(ResultKind::OutOfScope),
            preflights: get(ResultKind::Preflight),
            refused: get(ResultKind::Refused),
            recorded: get(ResultKind::Recorded),
            followed: self.followed.load(Relaxed),
            truncated: self.truncated.load(Relaxed),
            failures: self.failures.load(Relaxed),
            tunnels: self.tunnels.load(Relaxed),
            unauthorized: self.unauthorized.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            ..Counts::default()
        };
        let Counts { served, misses, local, passed, noise, out_of_scope, preflights, refused, recorded, .. } = counts;
        let answered = served + misses + local + passed + noise + out_of_scope + preflights + refused + recorded;
        counts.requests = answered + self.unanswered();
        counts
    }

    /// The counts of a replay: what it recorded was also passed to the network.
    #[must_use]
    pub fn replay_counts(&self) -> Counts {
        let counts = self.counts();
        Counts { passed: counts.passed + counts.recorded + self.unanswered(), ..counts }
    }

    /// The number of requests in scope that were sent to the network.
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        self.forwarded.load(Relaxed)
    }

    /// The number of requests to record whose client left before the response.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Relaxed)
    }

    /// The findings in order of first appearance, then those about TLS.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        lock(&self.findings).list().chain(lock(&self.handshakes).findings()).collect()
    }

    /// The counts by origin, in order of first appearance.
    #[must_use]
    pub fn hosts(&self) -> Vec<(Origin, HostCounts)> {
        let hosts = self.hosts.as_ref().map(lock);
        let all = hosts.iter().flat_map(|hosts| hosts.iter());
        all.map(|(origin, counts)| (origin.clone(), counts.clone())).collect()
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
        self.results[result as usize].fetch_add(1, Relaxed);
    }

    /// Counts a request that got 407.
    pub fn count_unauthorized(&self) {
        self.unauthorized.fetch_add(1, Relaxed);
    }

    /// Records that a client refused the certificate.
    pub fn add_refused(&self, to: &Origin, reason: &str) {
        let (kind, host) = (CheckId::TLS_REFUSED, to.authority());
        tracing::warn!(target: LOG, %kind, host, "a client refused our certificate: {reason}");
        lock(&self.handshakes).add_refused(host, reason.to_owned());
    }

    /// Records that a client accepted the certificate.
    pub fn add_accepted(&self, to: &Origin) {
        lock(&self.handshakes).add_accepted(to.authority());
    }

    /// Counts a request by its outcome. `has_response` is false if the connection was closed, or the client left.
    fn count_outcome(&self, origin: &Origin, outcome: &Outcome, has_response: bool) {
        let Some(result) = outcome.result else { return };
        let is_unanswered = result == ResultKind::Recorded && !has_response;
        match (result, outcome.source) {
            (ResultKind::Recorded, _) if is_unanswered => drop(self.unanswered.fetch_add(1, Relaxed)),
            (ResultKind::Tunnel, SourceKind::Local) => self.count(ResultKind::Local),
            (ResultKind::Tunnel, _) => self.count(ResultKind::Passed),
            _ => self.count(result),
        }
        if result == ResultKind::Tunnel {
            self.tunnels.fetch_add(1, Relaxed);
        }
        if outcome.in_scope && matches!(result, ResultKind::Live | ResultKind::Recorded) {
            self.forwarded.fetch_add(1, Relaxed);
        }
        if result == ResultKind::Served {
            self.count_served(outcome);
        }
        if let Some(hosts) = &self.hosts {
            let mut hosts = lock(hosts);
            let host = match hosts.get_mut(origin) {
                Some(host) => host,
                None => hosts.entry(origin.clone()).or_default(),
            };
            match result {
                ResultKind::Tunnel => host.tunnels += 1,
                _ => host.requests += 1,
            }
            match result {
                ResultKind::Recorded if is_unanswered => {}
                ResultKind::Recorded => host.recorded += 1,
                _ => host.passed += 1,
            }
            if let Some(error) = &outcome.upstream_error {
                host.failed += 1;
                host.error.get_or_insert_with(|| in_words(error));
            }
        }
    }

    fn count_served(&self, outcome: &Outcome) {
        let followed = outcome.followed.len() as u64;
        if followed > 0 {
            self.followed.fetch_add(followed, Relaxed);
        }
        if outcome.has_finding(&CheckId::TRUNCATED) {
            self.truncated.fetch_add(1, Relaxed);
        }
        if outcome.has_finding(&CheckId::FAILED_SERVED) {
            self.failures.fetch_add(1, Relaxed);
        }
    }
}

impl Subscriber for Collector {
    fn notify(&self, event: &RunEvent<'_>) {
        match event {
            RunEvent::Answered(RequestEvent { origin, outcome, head, .. }) => {
                self.count_outcome(origin, outcome, head.is_some());
            }
            RunEvent::Ended(RequestEvent { origin, outcome, was_answered, .. }, completion) => {
                if !was_answered {
                    self.count_outcome(origin, outcome, false);
                }
                // Texts of harproxy's own are no payload of the API.
                if !matches!(outcome.source, SourceKind::None | SourceKind::MadeUp) {
                    self.bytes.fetch_add(completion.bytes, Relaxed);
                }
            }
            RunEvent::Found(finding) => self.add_finding((*finding).clone()),
            // The pipeline counts them, since the router decides how.
            RunEvent::Connection(_) => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log_finding(finding: &Finding) {
    let (kind, request) = (&finding.check, finding.at.request.as_deref().unwrap_or_default());
    let (text, hint) = (&finding.text, finding.hint.as_deref().unwrap_or_default());
    match finding.severity {
        Severity::Error => tracing::warn!(target: LOG, %kind, request, remedy = hint, "{text}"),
        Severity::Warning => tracing::info!(target: LOG, %kind, request, remedy = hint, "{text}"),
    }
}
