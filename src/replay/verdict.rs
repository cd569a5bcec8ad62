//! The verdict of a replay: what the collector counted and found, and what the fixtures say about their use.

use crate::pipeline::Collector;
use crate::source::fixture::FixtureSource;
use crate::verdict::explain::EntryPlace;
use crate::verdict::findings::MAX_FINDINGS;
use crate::verdict::{CheckId, Counts, FailOn, Finding, FixtureUse, Location, RunMode, Severity, Verdict, connections};
use harproxy_har::EntryHead;
use harproxy_matching::Matcher;
use harproxy_redact::{Policy, display};

/// The verdict so far.
pub(super) fn verdict(
    collector: &Collector,
    source: &FixtureSource,
    stale: &[Finding],
    upstream_connections: u64,
) -> Verdict {
    let (matcher, options) = (&source.matcher, &source.options);
    let counts = Counts { upstream_connections, ..collector.replay_counts() };
    let mut findings = collector.findings();
    let used = matcher.used();
    // A request that an entry was chosen for may still wait for its response.
    let has_traffic = has_traffic(&counts, collector.forwarded(), &findings) || used.iter().any(|used| *used > 0);
    if !has_traffic {
        findings.push(no_traffic(&counts, options.with_cmd, options.fail_on.severity(&CheckId::NO_TRAFFIC)));
    }
    findings.extend(stale.iter().cloned());
    let room = MAX_FINDINGS.saturating_sub(findings.len()).max(1);
    findings.extend(unused(matcher, &source.names, &options.policy, &options.fail_on, room));
    let fixtures = matcher.fixtures().iter().zip(&source.names).zip(used);
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
    Verdict { mode: RunMode::REPLAY, counts, findings, fixtures, duration_ms: collector.duration_ms() }
}

/// A finding for each unused entry, up to `room`, and one that counts the rest.
fn unused(matcher: &Matcher, names: &[String], policy: &Policy, fail_on: &FailOn, room: usize) -> Vec<Finding> {
    let severity = fail_on.severity(&CheckId::UNUSED);
    let mut unused = matcher.unused();
    let mut findings: Vec<Finding> = unused
        .by_ref()
        .take(room)
        .filter_map(|at| {
            let head = matcher.fixtures()[at.fixture].heads().get(at.entry)?;
            let fixture = names[at.fixture].clone();
            let place = EntryPlace { fixture, entry: at.entry, line: Some(head.line) };
            let finding = Finding::new(CheckId::UNUSED, severity, "nothing asked for it");
            let finding = finding.with_hint("`--prune` removes it after a run that passed");
            Some(Finding { at: Location::entry(place, request_line(&head, policy)), ..finding })
        })
        .collect();
    let more = unused.count() as u64;
    if more > 0 {
        let sum = Finding::new(CheckId::UNUSED, severity, "more entries that nothing asked for");
        findings.push(Finding { times: more, ..sum });
    }
    findings
}

/// The request of an entry without secrets.
pub(super) fn request_line(head: &EntryHead<'_>, policy: &Policy) -> String {
    let url = display::redactor(policy).redact_url(head.url);
    format!("{} {}", head.method, url.as_deref().unwrap_or(head.url))
}

/// Returns true if a request in scope was seen. WebSockets that were refused were in scope.
fn has_traffic(counts: &Counts, forwarded: u64, findings: &[Finding]) -> bool {
    counts.served + counts.misses + counts.preflights + forwarded > 0
        || findings.iter().any(|finding| finding.check == CheckId::WEBSOCKET)
}

/// The finding that no request in scope was seen, with what happened to the others.
fn no_traffic(counts: &Counts, with_cmd: bool, severity: Severity) -> Finding {
    if let Some(unauthorized) = connections::unauthorized(counts, CheckId::NO_TRAFFIC, severity) {
        return unauthorized;
    }
    let outside = counts.requests - counts.passed - counts.refused;
    let text = match counts.requests {
        0 => "nothing came through the proxy".to_owned(),
        1 => {
            let what = match (counts.passed, counts.refused) {
                (1.., _) => "went to the network, as `--passthrough` says",
                (_, 1..) => "was refused with 400: its URL or its payload is broken",
                _ => "was out of scope",
            };
            format!("the one request that came {what}")
        }
        n if outside == n => format!("none of the {n} requests that came was in scope"),
        n => {
            let groups = [
                (counts.passed, "passed on by `--passthrough`"),
                (counts.refused, "refused with 400, broken in URL or payload"),
                (outside, "out of scope"),
            ];
            let groups = groups.into_iter().filter(|(times, _)| *times > 0);
            let groups: Vec<String> = groups.map(|(times, what)| format!("{times} {what}")).collect();
            format!("none of the {n} requests that came asked a fixture: {}", groups.join(", "))
        }
    };
    let hint = match (counts.requests, with_cmd) {
        (n, _) if n > 0 && n == counts.passed => {
            "name less with `--passthrough`: what it names is never answered from a fixture"
        }
        (n, _) if n > 0 && n == counts.refused => "the answer that the client got says what is broken",
        (1.., _) => "say what is in scope with `-g GLOB`, or record what is asked for with `harproxy record`",
        (0, true) => {
            "`harproxy env` prints what CMD was told: see that it heeds the proxy variables, also for hosts on this machine, or \
             point it at a `--reverse` port"
        }
        (0, false) => "`harproxy env` prints what makes a client use the proxy",
    };
    Finding::new(CheckId::NO_TRAFFIC, severity, text).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_traffic_says_what_happened_to_the_requests() {
        for (counts, text, in_scope_hint) in [
            (Counts::default(), "nothing came", false),
            (
                Counts { requests: 1, out_of_scope: 1, ..Counts::default() },
                "the one request that came was out of scope",
                true,
            ),
            (
                Counts { requests: 2, local: 1, noise: 1, ..Counts::default() },
                "none of the 2 requests that came was in scope",
                true,
            ),
            (
                Counts { requests: 1, passed: 1, ..Counts::default() },
                "the one request that came went to the network, as `--passthrough` says",
                false,
            ),
            (
                Counts { requests: 1, refused: 1, ..Counts::default() },
                "the one request that came was refused with 400: its URL or its payload is broken",
                false,
            ),
            (
                Counts { requests: 3, passed: 2, local: 1, ..Counts::default() },
                "2 passed on by `--passthrough`, 1 out of scope",
                true,
            ),
        ] {
            assert!(!has_traffic(&counts, 0, &[]));
            let finding = no_traffic(&counts, true, Severity::Error);
            assert!(finding.text.contains(text), "{}", finding.text);
            let hint = finding.hint.unwrap();
            assert_eq!(hint.contains("`-g GLOB`"), in_scope_hint, "{hint}");
        }
    }

    #[test]
    fn requests_in_scope_are_traffic_and_others_are_not() {
        let served = Counts { requests: 1, served: 1, ..Counts::default() };
        let missed = Counts { requests: 1, misses: 1, ..Counts::default() };
        let preflight = Counts { requests: 1, preflights: 1, ..Counts::default() };
        for counts in [served, missed, preflight] {
            assert!(has_traffic(&counts, 0, &[]), "{counts:?}");
        }
        let local = Counts { requests: 1, local: 1, ..Counts::default() };
        assert!(!has_traffic(&local, 0, &[]));
        assert!(has_traffic(&local, 1, &[]), "a miss that was forwarded");
        let websocket = Finding::new(CheckId::WEBSOCKET, Severity::Warning, "");
        assert!(has_traffic(&local, 0, &[websocket]));
    }
}
