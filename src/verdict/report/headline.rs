//! The one-line result of a run, with the same words in every report format.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Report, Shard};
use crate::verdict::explain::many;
use crate::verdict::{CheckId, ConnectionObservation, FixtureUse, RunMode, Severity, StatusSource, Verdict};
use harproxy_support::printable::Shown as _;

/// Returns the first line of a report in two parts: the result, and its reasons or numbers.
#[must_use]
pub fn of(verdict: &Verdict) -> (Cow<'static, str>, String) {
    let counts = &verdict.counts;
    match (verdict.mode.as_str(), verdict.passed()) {
        ("record", false) => ("recording failed".into(), format!(": {}", reasons(verdict))),
        (mode, false) => (format!("{} failed", mode.shown()).into(), format!(": {}", reasons(verdict))),
        ("record", true) => ("recorded".into(), format!(" {}", many(counts.recorded, "exchange", "exchanges"))),
        (mode, true) => {
            // A mock server has no result.
            let end = if mode == "serve" { "ended" } else { "passed" };
            let of: Vec<&str> = verdict.fixtures.iter().map(|fixture| fixture.fixture.as_str()).collect();
            let of = match of[..] {
                [] => String::new(),
                [one] => format!(" from {}", one.shown()),
                _ => format!(" from {} fixtures", of.len()),
            };
            (
                format!("{} {end}", mode.shown()).into(),
                format!(": {} served{of}", many(counts.served, "request", "requests")),
            )
        }
    }
}

/// Describes the exit status if it came from CMD or harproxy; `None` if it is 0 or follows from the verdict.
#[must_use]
pub fn ending(status: u8, source: StatusSource) -> Option<String> {
    match (source, status) {
        (_, 0) | (StatusSource::Verdict, _) => None,
        (StatusSource::Cmd, 129..=192) => Some(format!("CMD ended with status {status} (signal {})", status - 128)),
        (StatusSource::Cmd, _) => Some(format!("CMD ended with status {status}")),
        (StatusSource::Harproxy, 126 | 127) => Some(format!("CMD could not be started: status {status}")),
        (StatusSource::Harproxy, _) => Some(format!("harproxy could not finish its work: status {status}")),
    }
}

/// Describes the exit statuses of a report: of its run, or of each run that it was combined from.
#[must_use]
pub fn endings(report: &Report) -> Vec<String> {
    if report.shards.is_empty() {
        return ending(report.status, report.source).into_iter().collect();
    }
    let of = |shard: &Shard| Some(format!("{}: {}", shard.shard.shown(), ending(shard.status, shard.source)?));
    report.shards.iter().filter_map(of).collect()
}

/// Lists the checks that failed the run, each once with its number of occurrences.
fn reasons(verdict: &Verdict) -> String {
    let mut checks: BTreeMap<&CheckId, u64> = BTreeMap::new();
    for finding in verdict.findings.iter().filter(|finding| finding.severity == Severity::Error) {
        *checks.entry(&finding.check).or_default() += finding.times;
    }
    checks.into_iter().map(|(check, times)| counted(check, times)).collect::<Vec<_>>().join(", ")
}

/// `2 misses`. A check without words of its own is counted by its id: `2 × drift/field-missing`.
fn counted(check: &CheckId, times: u64) -> String {
    match check.words() {
        Some((sentence, "")) => sentence.to_owned(),
        Some((one, more)) => many(times, one, more),
        None => format!("{times} × {}", check.as_str().shown()),
    }
}

/// Returns the number of requests for each outcome, without zeros.
pub(super) fn ways(verdict: &Verdict) -> impl Iterator<Item = (u64, &'static str)> {
    let counts = &verdict.counts;
    let ways = [
        (counts.recorded, "recorded"),
        (counts.failed, "failed"),
        (counts.served, "served"),
        (counts.misses, "missed"),
        (counts.out_of_scope, "out of scope"),
        (counts.refused, "refused"),
        (counts.local, "local"),
        (counts.passed, "passed through"),
        (counts.preflights, if counts.preflights == 1 { "made-up preflight" } else { "made-up preflights" }),
        (counts.noise, "noise"),
    ];
    ways.into_iter().filter(|(count, _)| *count > 0)
}

/// Returns the numbers of used entries and of all entries, summed over the fixtures.
pub(super) fn used(verdict: &Verdict) -> (usize, usize) {
    verdict.fixtures.iter().fold((0, 0), |(used, entries), fixture| (used + fixture.used, entries + fixture.entries))
}

/// Counts the requests of each rule, in one line: `rules: slow ×12, broken ×0`. `None` without rules.
pub(super) fn rules(verdict: &Verdict) -> Option<String> {
    let rules: Vec<String> =
        verdict.rules.iter().map(|rule| format!("{} ×{}", rule.rule.shown(), rule.requests)).collect();
    (!rules.is_empty()).then(|| format!("rules: {}", rules.join(", ")))
}

/// The greatest number of entries with their counts in one line.
const COUNTED_ENTRIES: usize = 100;

/// Counts the requests of each used entry of a fixture, in one line: `#0 ×12, #4 ×1`. Empty without used entries.
pub(super) fn entry_uses(fixture: &FixtureUse) -> String {
    let uses = fixture.served.iter().take(COUNTED_ENTRIES).map(|entry| format!("#{} ×{}", entry.entry, entry.requests));
    let mut uses = uses.collect::<Vec<_>>().join(", ");
    if fixture.served.len() > COUNTED_ENTRIES {
        let _ = write!(uses, ", and {} more", fixture.served.len() - COUNTED_ENTRIES);
    }
    uses
}

/// Counts requests by outcome, in one line. Zeros are omitted, except for upstream connections of a replay.
pub(super) fn tally(verdict: &Verdict) -> String {
    let counts = &verdict.counts;
    let mut tally = many(counts.requests, "request", "requests");
    for (n, (count, result)) in ways(verdict).enumerate() {
        let _ = write!(tally, "{}{count} {result}", if n == 0 { ": " } else { ", " });
    }
    if counts.tunnels > 0 {
        let _ = write!(tally, "; {}", many(counts.tunnels, "tunnel", "tunnels"));
    }
    if verdict.mode != RunMode::RECORD {
        let (used, entries) = used(verdict);
        let upstream = many(counts.upstream_connections, "upstream connection", "upstream connections");
        let _ = write!(tally, "; {used} of {} used; {upstream}", many(entries as u64, "entry", "entries"));
        if counts.local_connections > 0 {
            let _ = write!(tally, ", {} local", counts.local_connections);
        }
    }
    let has_bypass = verdict.findings.iter().any(|finding| finding.check == CheckId::BYPASS);
    match &verdict.observation {
        Some(observation) if !has_bypass => {
            tally += match observation {
                ConnectionObservation { is_isolated: true, .. } => "; isolated: nothing else could be reached",
                ConnectionObservation { sampled: true, .. } => "; no connection past the proxy was seen (sampled)",
                ConnectionObservation { ended_too_soon: true, .. } => {
                    "; connections past the proxy: not observed (CMD ended too soon)"
                }
                _ => "; connections past the proxy: not observed on this system",
            }
        }
        _ => {}
    }
    tally
}
