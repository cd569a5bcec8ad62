//! Counts and findings of a replay. Counters are atomic, so that connections share no lock; only findings take one.

use std::array::from_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::verdict::findings::MAX_FINDINGS;
use crate::verdict::{
    CheckId, Counts, FailOn, Finding, FindingListener, Findings, FixtureUse, Handshakes, Location, RunMode, Severity,
    Verdict, connections,
};
use harproxy_har::EntryHead;
use harproxy_matching::Matcher;
use harproxy_redact::{Policy, Telling};

/// The counters of the ledger; each variant is an index.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Served,
    Misses,
    Local,
    Noise,
    OutOfScope,
    Preflights,
    Refused,
    Followed,
    Truncated,
    Failures,
    Passed,
    Forwarded,
    Tunnels,
    Unauthorized,
    Bytes,
}

/// The counts and findings of a run so far.
#[derive(Debug)]
pub(super) struct Ledger {
    started: Instant,
    fail_on: FailOn,
    with_cmd: bool,
    counts: [AtomicU64; Count::Bytes as usize + 1],
    findings: Mutex<Findings>,
    handshakes: Mutex<Handshakes>,
}

impl Ledger {
    /// An empty one.
    pub(super) fn new(fail_on: FailOn, with_cmd: bool) -> Self {
        Ledger {
            started: Instant::now(),
            fail_on,
            with_cmd,
            counts: from_fn(|_| AtomicU64::new(0)),
            findings: Mutex::default(),
            handshakes: Mutex::default(),
        }
    }

    pub(super) fn count(&self, what: Count) {
        self.add(what, 1);
    }

    pub(super) fn add(&self, what: Count, number: u64) {
        self.counts[what as usize].fetch_add(number, Ordering::Relaxed);
    }

    /// A client refused our certificate for `host`.
    pub(super) fn refused(&self, host: String, reason: String) {
        self.handshakes.lock().unwrap_or_else(PoisonError::into_inner).add_refused(host, reason);
    }

    /// A client took our certificate for `host`.
    pub(super) fn trusted(&self, host: String) {
        self.handshakes.lock().unwrap_or_else(PoisonError::into_inner).add_accepted(host);
    }

    /// Whether findings of this kind fail the run.
    pub(super) fn severity(&self, check: &CheckId) -> Severity {
        self.fail_on.severity(check)
    }

    /// Whether the run runs CMD.
    pub(super) fn with_cmd(&self) -> bool {
        self.with_cmd
    }

    /// Returns this run's `--fail-on` without this kind of finding, for hints.
    /// Returns `None` if findings of this kind do not fail the run.
    pub(super) fn allowing(&self, check: &CheckId) -> Option<String> {
        (self.severity(check) == Severity::Error).then(|| self.fail_on.without(check, self.with_cmd))
    }

    /// Adds a finding, or counts it with an equal one.
    pub(super) fn find(&self, finding: Finding) {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).add(finding);
    }

    /// Sets the listener that is told of each finding at once.
    pub(super) fn set_listener(&self, herald: FindingListener) {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).set_listener(herald);
    }

    /// Returns the verdict so far. `names` are the fixtures' paths as given; `policy` redacts secrets.
    pub(super) fn verdict(
        &self,
        matcher: &Matcher,
        names: &[String],
        policy: &Policy,
        upstream_connections: u64,
    ) -> Verdict {
        let counts = self.counts(upstream_connections);
        let mut findings = self.findings();
        let used = matcher.used();
        findings.extend(self.no_traffic(&counts, &findings, &used));
        let room = MAX_FINDINGS.saturating_sub(findings.len()).max(1);
        findings.extend(self.unused(matcher, names, policy, room));
        let fixtures = matcher.fixtures().iter().zip(names).zip(used);
        let fixtures = fixtures.map(|((fixture, name), used)| FixtureUse {
            fixture: name.clone(),
            entries: fixture.heads().len(),
            used,
            unused: Vec::new(),
            pruned: None,
        });
        let mut fixtures: Vec<FixtureUse> = fixtures.collect();
        for at in matcher.unused() {
            fixtures[at.fixture].unused.push(at.entry);
        }
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Verdict { mode: RunMode::REPLAY, counts, findings, fixtures, duration_ms }
    }

    /// The entries that have not answered, as many as there is `room` for.
    fn unused(&self, matcher: &Matcher, names: &[String], policy: &Policy, room: usize) -> Vec<Finding> {
        let severity = self.severity(&CheckId::UNUSED);
        let mut unused = matcher.unused();
        let mut findings: Vec<Finding> = unused
            .by_ref()
            .take(room)
            .filter_map(|at| {
                let head = matcher.fixtures()[at.fixture].heads().get(at.entry)?;
                Some(Finding {
                    at: Location {
                        request: Some(told(&head, policy)),
                        fixture: Some(names[at.fixture].clone()),
                        entry: Some(at.entry),
                        line: Some(head.line),
                    },
                    hint: Some("`--prune` removes it after a run that passed".to_owned()),
                    ..Finding::new(CheckId::UNUSED, severity, "nothing asked for it")
                })
            })
            .collect();
        let more = unused.count() as u64;
        if more > 0 {
            let sum = Finding::new(CheckId::UNUSED, severity, "more entries that nothing asked for");
            findings.push(Finding { times: more, ..sum });
        }
        findings
    }

    fn counts(&self, upstream_connections: u64) -> Counts {
        let get = |what: Count| self.counts[what as usize].load(Ordering::Relaxed);
        let mut counts = Counts {
            served: get(Count::Served),
            misses: get(Count::Misses),
            local: get(Count::Local),
            passed: get(Count::Passed) + get(Count::Forwarded),
            noise: get(Count::Noise),
            out_of_scope: get(Count::OutOfScope),
            preflights: get(Count::Preflights),
            refused: get(Count::Refused),
            followed: get(Count::Followed),
            truncated: get(Count::Truncated),
            failures: get(Count::Failures),
            tunnels: get(Count::Tunnels),
            unauthorized: get(Count::Unauthorized),
            bytes: get(Count::Bytes),
            upstream_connections,
            ..Counts::default()
        };
        // The sum, not a count of its own: every request is in exactly one of them, at any moment.
        counts.requests = counts.served
            + counts.misses
            + counts.local
            + counts.passed
            + counts.noise
            + counts.out_of_scope
            + counts.preflights
            + counts.refused;
        counts
    }

    fn findings(&self) -> Vec<Finding> {
        let findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        let handshakes = self.handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        findings.list().chain(handshakes.findings()).collect()
    }

    /// Returns a finding if the run saw no request in scope.
    /// Refused WebSockets are in scope, and so are requests in progress, which are counted in `used`.
    fn no_traffic(&self, counts: &Counts, findings: &[Finding], used: &[usize]) -> Option<Finding> {
        let forwarded = self.counts[Count::Forwarded as usize].load(Ordering::Relaxed);
        let seen = counts.served + counts.misses + counts.preflights + forwarded > 0 || used.iter().any(|n| *n > 0);
        if seen || findings.iter().any(|finding| finding.check == CheckId::WEBSOCKET) {
            return None;
        }
        if let Some(keyless) =
            connections::unauthorized(counts, CheckId::NO_TRAFFIC, self.severity(&CheckId::NO_TRAFFIC))
        {
            return Some(keyless);
        }
        // In scope or not, these went another way before a fixture was asked.
        let beside = [
            (counts.passed, "went to the network, as `--passthrough` says"),
            (counts.refused, "was refused with 400: its URL or its payload is broken"),
            (counts.requests - counts.passed - counts.refused, "was out of scope"),
        ];
        let explanation = match (counts.requests, beside) {
            (0, _) => "nothing came through the proxy".to_owned(),
            (1, ways) => {
                let what = ways.iter().find(|(times, _)| *times > 0).map_or("was out of scope", |(_, what)| what);
                format!("the one request that came {what}")
            }
            (n, [(0, _), (0, _), _]) => format!("none of the {n} requests that came was in scope"),
            (n, [(passed, _), (refused, _), (outside, _)]) => {
                let ways = [
                    (passed, "passed on by `--passthrough`"),
                    (refused, "refused with 400, broken in URL or payload"),
                    (outside, "out of scope"),
                ];
                let ways = ways.into_iter().filter(|(times, _)| *times > 0);
                let ways: Vec<String> = ways.map(|(times, what)| format!("{times} {what}")).collect();
                format!("none of the {n} requests that came asked a fixture: {}", ways.join(", "))
            }
        };
        let remedy = match (counts.requests, self.with_cmd) {
            (n, _) if n > 0 && n == counts.passed => {
                "name less with `--passthrough`: what it names is never answered from a fixture"
            }
            (n, _) if n > 0 && n == counts.refused => "the answer that the client got says what is broken",
            (1.., _) => "say what is in scope with `-g GLOB`, or record what is asked for with `harproxy record`",
            (0, true) => {
                "`harproxy env` prints what CMD was told: see that it heeds the proxy variables, also for hosts on this \
                 machine, or point it at a `--reverse` port"
            }
            (0, false) => "`harproxy env` prints what makes a client use the proxy",
        };
        let finding = Finding::new(CheckId::NO_TRAFFIC, self.severity(&CheckId::NO_TRAFFIC), explanation);
        Some(Finding { hint: Some(remedy.to_owned()), ..finding })
    }
}

/// The request of an entry as it may be told.
pub(super) fn told(head: &EntryHead<'_>, policy: &Policy) -> String {
    let url = Telling::of(policy).url(head.url);
    format!("{} {}", head.method, url.as_deref().unwrap_or(head.url))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger::new(FailOn::standard(true), true)
    }

    /// No fixture at all.
    fn none() -> Matcher {
        Matcher::new(vec![], None, harproxy_matching::Options::default()).unwrap()
    }

    fn miss(url: &str) -> Finding {
        Finding {
            at: Location::request(format!("GET {url}")),
            ..Finding::new(CheckId::MISS, Severity::Error, "no entry")
        }
    }

    #[test]
    fn every_request_is_in_exactly_one_source_and_they_add_up() {
        let ledger = ledger();
        for what in [Count::Served, Count::Served, Count::Misses, Count::Local, Count::Noise, Count::OutOfScope] {
            ledger.count(what);
        }
        ledger.count(Count::Followed);
        ledger.add(Count::Bytes, 70);
        let counts = ledger.verdict(&none(), &[], &Policy::off(), 1).counts;
        assert_eq!((counts.requests, counts.served, counts.misses), (6, 2, 1));
        assert_eq!((counts.bytes, counts.followed, counts.upstream_connections), (70, 1, 1));
    }

    #[test]
    fn equal_findings_are_one_with_times_in_order_of_first_appearance() {
        let ledger = ledger();
        ledger.count(Count::Misses);
        for url in ["http://h/b", "http://h/a", "http://h/b"] {
            ledger.find(miss(url));
        }
        let found = ledger.verdict(&none(), &[], &Policy::off(), 0).findings;
        let found: Vec<_> = found.iter().map(|f| (f.at.request.as_deref().unwrap_or_default(), f.times)).collect();
        assert_eq!(found, [("GET http://h/b", 2), ("GET http://h/a", 1)]);
    }

    #[test]
    fn a_finding_that_fails_the_run_is_not_hidden_by_its_equal_that_was_only_listed() {
        let ledger = ledger();
        ledger.count(Count::OutOfScope);
        for severity in [Severity::Warning, Severity::Error, Severity::Warning] {
            ledger.find(Finding { severity, ..miss("http://h/") });
        }
        let finding = &ledger.verdict(&none(), &[], &Policy::off(), 0).findings[0];
        assert_eq!((finding.times, finding.severity), (3, Severity::Error));
    }

    #[test]
    fn findings_are_bounded_and_what_is_not_kept_still_fails_the_run() {
        let ledger = ledger();
        for n in 0..MAX_FINDINGS {
            ledger.find(Finding { severity: Severity::Warning, ..miss(&format!("http://h/{n}")) });
        }
        assert!(ledger.verdict(&none(), &[], &Policy::off(), 0).findings.len() <= MAX_FINDINGS + 1);
        ledger.find(miss("http://h/one-more"));
        ledger.find(miss("http://h/two-more"));
        let verdict = ledger.verdict(&none(), &[], &Policy::off(), 0);
        assert!(verdict.findings.iter().any(|f| f.check == CheckId::MISS && f.times == 2 && f.at.request.is_none()));
        assert!(!verdict.passed());
    }

    #[test]
    fn no_traffic_says_which_way_what_came_went_instead() {
        for (ways, said) in [
            (&[][..], "nothing came"),
            (&[Count::OutOfScope], "the one request that came was out of scope"),
            (&[Count::Local, Count::Noise], "none of the 2 requests that came was in scope"),
            (&[Count::Passed], "the one request that came went to the network, as `--passthrough` says"),
            (&[Count::Refused], "the one request that came was refused with 400: its URL or its payload is broken"),
            (&[Count::Passed, Count::Passed, Count::Local], "2 passed on by `--passthrough`, 1 out of scope"),
        ] {
            let ledger = ledger();
            ways.iter().for_each(|way| ledger.count(*way));
            let found = &ledger.verdict(&none(), &[], &Policy::off(), 0).findings[0];
            assert_eq!(found.check, CheckId::NO_TRAFFIC, "{ways:?}");
            assert!(found.text.contains(said), "{}", found.text);
            let remedy = found.hint.as_ref().unwrap();
            assert_eq!(remedy.contains("`-g GLOB`"), ways.len() == 2 || said.contains("out of scope"), "{remedy}");
        }
    }

    #[test]
    fn what_still_waits_for_its_answer_is_traffic() {
        let ledger = ledger();
        let counts = ledger.counts(0);
        assert!(ledger.no_traffic(&counts, &[], &[0, 0]).is_some());
        assert!(ledger.no_traffic(&counts, &[], &[0, 1]).is_none());
    }

    #[test]
    fn nothing_in_scope_is_a_finding_and_fails_with_cmd() {
        let verdict = ledger().verdict(&none(), &[], &Policy::off(), 0);
        assert_eq!(verdict.findings[0].check, CheckId::NO_TRAFFIC);
        assert!(!verdict.passed());
        let local = ledger();
        local.count(Count::Local);
        assert!(!local.verdict(&none(), &[], &Policy::off(), 1).passed(), "local requests are no traffic");
        let without_cmd = Ledger::new(FailOn::standard(false), false);
        assert!(without_cmd.verdict(&none(), &[], &Policy::off(), 0).passed());
        for what in [Count::Served, Count::Misses, Count::Preflights] {
            let ledger = ledger();
            ledger.count(what);
            assert!(ledger.verdict(&none(), &[], &Policy::off(), 0).findings.is_empty(), "{what:?}");
        }
    }
}
