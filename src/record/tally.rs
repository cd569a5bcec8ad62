//! Counts and findings of a running recording.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

use super::HostLine;
use super::journal::heads::EndReason;
use crate::verdict::{Counts, Finding, FindingListener, Findings, Handshakes, connections};
use harproxy_matching::noise;
use harproxy_proxy::{ConnectionEvent, Origin};

/// Counts and findings so far.
#[derive(Debug, Default)]
pub struct Tally {
    inner: Mutex<Inner>,
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    counts: Counts,
    hosts: IndexMap<String, HostLine>,
    /// Cache of the last lookup: the next request most likely has the same origin.
    last: Option<(Origin, usize)>,
    findings: Findings,
    handshakes: Handshakes,
    unanswered: u64,
}

/// The classification of a request by the recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// In scope.
    Recorded,
    /// In scope, but a request that a browser, package manager or operating system makes by itself.
    Noise,
    /// Out of scope.
    Passed,
}

impl Tally {
    /// Counts a request.
    pub fn request(&self, origin: &Origin, fate: Fate) {
        let mut inner = self.lock();
        inner.counts.requests += 1;
        inner.host(origin).requests += 1;
        match fate {
            Fate::Recorded => return,
            Fate::Noise => inner.counts.noise += 1,
            Fate::Passed => inner.counts.passed += 1,
        }
        inner.host(origin).passed += 1;
    }

    /// Counts the end of an exchange in scope.
    pub fn ended(&self, origin: &Origin, reason: &EndReason) {
        let mut inner = self.lock();
        if *reason == EndReason::Dropped {
            inner.unanswered += 1;
        } else {
            inner.counts.recorded += 1;
            inner.host(origin).recorded += 1;
        }
    }

    /// Counts payload bytes sent to a client.
    pub fn bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Adds a finding, or counts it with an equal one.
    pub fn find(&self, finding: Finding) {
        self.lock().findings.add(finding);
    }

    /// Sets the listener that is told of each finding at once.
    pub fn set_listener(&self, herald: FindingListener) {
        self.lock().findings.set_listener(herald);
    }

    /// Counts a connection event of the engine, or adds its finding.
    pub fn notice(&self, notice: ConnectionEvent) {
        match notice {
            ConnectionEvent::TunnelClosed { to, received, .. } => {
                self.request(&to, Fate::Passed);
                self.bytes.fetch_add(received, Ordering::Relaxed);
                self.lock().counts.tunnels += 1;
            }
            ConnectionEvent::UnknownProtocol { to } => self.find(connections::unreadable_tunnel(&to.host_and_port())),
            ConnectionEvent::MalformedHead { reason } => self.find(connections::malformed_head(&reason)),
            ConnectionEvent::Unauthorized => self.lock().counts.unauthorized += 1,
            ConnectionEvent::TlsRefused { to, .. } if noise::knows(&to.host) => {}
            ConnectionEvent::TlsRefused { to, reason } => self.lock().handshakes.add_refused(to.authority(), reason),
            ConnectionEvent::TlsAccepted { to } => self.lock().handshakes.add_accepted(to.authority()),
        }
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { bytes: self.bytes.load(Ordering::Relaxed), ..self.lock().counts.clone() }
    }

    /// The table, by host in order of first appearance.
    #[must_use]
    pub fn hosts(&self) -> Vec<HostLine> {
        self.lock().hosts.values().cloned().collect()
    }

    /// The findings, in order of first appearance.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let inner = self.lock();
        inner.findings.list().chain(inner.handshakes.findings()).collect()
    }

    /// Requests in scope whose client went away before the answer.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.lock().unanswered
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn host(&mut self, origin: &Origin) -> &mut HostLine {
        let at = match &self.last {
            Some((last, at)) if last == origin => *at,
            _ => {
                let host = origin.authority();
                let entry = self.hosts.entry(host.clone());
                let at = entry.index();
                entry.or_insert_with(|| HostLine { host, ..HostLine::default() });
                self.last = Some((origin.clone(), at));
                at
            }
        };
        &mut self.hosts[at]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use harproxy_proxy::Scheme;

    fn origin(host: &str, port: u16) -> Origin {
        Origin { scheme: Scheme::Https, host: host.into(), port }
    }

    #[test]
    fn every_request_has_its_line() {
        let tally = Tally::default();
        let (api, other) = (origin("api.test", 443), origin("api.test", 8443));
        tally.request(&api, Fate::Recorded);
        tally.ended(&api, &EndReason::Complete);
        tally.request(&other, Fate::Passed);
        tally.request(&api, Fate::Noise);
        tally.request(&api, Fate::Recorded);
        tally.ended(&api, &EndReason::Dropped);
        tally.notice(ConnectionEvent::TunnelClosed { to: other, sent: 1, received: 7, duration: Duration::ZERO });
        let lines: Vec<_> =
            tally.hosts().into_iter().map(|line| (line.host, line.requests, line.recorded, line.passed)).collect();
        assert_eq!(lines, [("api.test".into(), 3, 1, 1), ("api.test:8443".into(), 2, 0, 2)]);
        let counts = tally.counts();
        assert_eq!((counts.requests, counts.recorded, counts.passed, counts.noise), (5, 1, 2, 1));
        assert_eq!((counts.tunnels, counts.bytes, tally.unanswered()), (1, 7, 1));
    }

    #[test]
    fn a_client_that_distrusts_us_is_told_of_once_with_the_glob_that_helps() {
        let tally = Tally::default();
        for _ in 0..3 {
            tally.notice(ConnectionEvent::TlsRefused { to: origin("pinned.test", 443), reason: "unknown CA".into() });
        }
        let [finding] = &tally.findings()[..] else { panic!("one finding") };
        assert_eq!(finding.times, 3);
        assert!(finding.text.contains("pinned.test"));
        assert!(finding.hint.as_ref().unwrap().contains("!https://pinned.test/**"));
    }
}
