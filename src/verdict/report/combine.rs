//! One verdict of many: the reports of the shards of a CI run, as if one run had seen it all.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use indexmap::IndexMap;
use time::OffsetDateTime;

use super::{Report, Shard, plain};
use crate::verdict::exit::{FAILED, HELD};
use crate::verdict::fail_on::Recast;
use crate::verdict::findings::KEPT;
use crate::verdict::{Counts, Finding, Findings, FixtureUse, Kind, Mode, Severity, Source, Verdict};

/// Why reports have no verdict in common.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// There is none.
    #[error("there is no report to combine")]
    Nothing,
    /// A recording and a replay conclude different things.
    #[error("{recorded} is of a recording, and {replayed} of a replay")]
    Modes {
        /// One of the recordings.
        recorded: String,
        /// One of the replays.
        replayed: String,
    },
}

/// Combines the reports of these files. An entry is unused if it was in every shard that loaded its fixture, `no-traffic` is a
/// finding if it was in all shards, everything else is added up. Severities are those that the shards gave, unless `fail_on`
/// says otherwise. The status is 0 when the verdict holds and no shard ended with the status of its CMD or of harproxy, else 1.
///
/// # Errors
/// [`CombineError`].
pub fn combine(reports: Vec<(String, Report)>, fail_on: Option<&Recast>) -> Result<Report, CombineError> {
    let mode = common_mode(&reports)?;
    let began = reports.iter().map(|(_, report)| report.started).min().ok_or(CombineError::Nothing)?;
    let mut commands: Vec<&str> = reports.iter().map(|(_, report)| report.command.as_str()).collect();
    commands.dedup();
    let command = if let [one] = commands[..] { one.to_owned() } else { String::new() };
    let reports = in_a_row(reports, began);
    let shards: Vec<Shard> = reports.iter().flat_map(|(name, report)| shards(name, report)).collect();
    let mut verdict = Verdict {
        mode,
        counts: sum(reports.iter().map(|(_, report)| &report.verdict.counts)),
        findings: findings(&reports),
        fixtures: fixtures(&reports),
        duration_ms: reports.iter().map(|(_, report)| lasted(report, began)).max().unwrap_or_default(),
    };
    let unused = unused(&reports, &verdict);
    verdict.findings.extend(unused);
    if let Some(fail_on) = fail_on {
        for finding in verdict.findings.iter_mut().filter(|finding| finding.can_fail()) {
            finding.severity = fail_on.severity(finding.kind, finding.severity);
        }
    }
    let ended_so = |source| shards.iter().any(|shard| shard.source == source && shard.status != HELD);
    let source = [Source::Cmd, Source::Harproxy].into_iter().find(|source| ended_so(*source));
    let status = if source.is_some() || !verdict.passed() { FAILED } else { HELD };
    Ok(Report {
        verdict,
        status,
        source: source.unwrap_or(Source::Verdict),
        started: began,
        command,
        shards,
        more_seen: reports.iter().map(|(_, report)| report.more_seen).sum(),
        seen: reports.into_iter().flat_map(|(_, report)| report.seen).collect(),
        shown: IndexMap::new(),
    })
}

fn common_mode(reports: &[(String, Report)]) -> Result<Mode, CombineError> {
    let of = |mode| reports.iter().find(|(_, report)| report.verdict.mode == mode).map(|(name, _)| name);
    match (of(Mode::Record), of(Mode::Replay)) {
        (None, None) => Err(CombineError::Nothing),
        (Some(_), None) => Ok(Mode::Record),
        (None, Some(_)) => Ok(Mode::Replay),
        (Some(recorded), Some(replayed)) => {
            Err(CombineError::Modes { recorded: recorded.clone(), replayed: replayed.clone() })
        }
    }
}

/// Gives the requests of all shards numbers, times and connections of one run.
fn in_a_row(mut reports: Vec<(String, Report)>, began: OffsetDateTime) -> Vec<(String, Report)> {
    let (mut ids, mut connections) = (0, 0);
    for (name, report) in &mut reports {
        let later = (report.started - began).as_seconds_f64() * 1e3;
        let (mut last, mut last_connection) = (ids, connections);
        for seen in &mut report.seen {
            seen.id = seen.id.saturating_add(ids);
            seen.connection = seen.connection.saturating_add(connections);
            seen.started_ms += later;
            seen.shard.get_or_insert_with(|| name.clone());
            last = last.max(seen.id);
            last_connection = last_connection.max(seen.connection);
        }
        for finding in &mut report.verdict.findings {
            for id in &mut finding.requests {
                *id = id.saturating_add(ids);
                // Of requests that were not kept there is but this.
                last = last.max(*id);
            }
        }
        (ids, connections) = (last, last_connection);
    }
    reports
}

/// What a report was combined from, or it alone.
fn shards(name: &str, report: &Report) -> Vec<Shard> {
    if !report.shards.is_empty() {
        return report.shards.clone();
    }
    vec![Shard {
        shard: name.to_owned(),
        passed: report.verdict.passed(),
        status: report.status,
        source: report.source,
        requests: report.verdict.counts.requests,
        duration_ms: report.verdict.duration_ms,
    }]
}

/// From the first beginning to this end, milliseconds.
fn lasted(report: &Report, began: OffsetDateTime) -> u64 {
    let end = report.started - began + Duration::from_millis(report.verdict.duration_ms);
    u64::try_from(end.whole_milliseconds()).unwrap_or_default()
}

fn sum<'a>(counts: impl Iterator<Item = &'a Counts>) -> Counts {
    counts.fold(Counts::default(), |sum, counts| Counts {
        requests: sum.requests.saturating_add(counts.requests),
        served: sum.served.saturating_add(counts.served),
        misses: sum.misses.saturating_add(counts.misses),
        local: sum.local.saturating_add(counts.local),
        passed: sum.passed.saturating_add(counts.passed),
        noise: sum.noise.saturating_add(counts.noise),
        out_of_scope: sum.out_of_scope.saturating_add(counts.out_of_scope),
        preflights: sum.preflights.saturating_add(counts.preflights),
        refused: sum.refused.saturating_add(counts.refused),
        followed: sum.followed.saturating_add(counts.followed),
        truncated: sum.truncated.saturating_add(counts.truncated),
        failures: sum.failures.saturating_add(counts.failures),
        tunnels: sum.tunnels.saturating_add(counts.tunnels),
        unauthorized: sum.unauthorized.saturating_add(counts.unauthorized),
        upstream_connections: sum.upstream_connections.saturating_add(counts.upstream_connections),
        recorded: sum.recorded.saturating_add(counts.recorded),
        redacted: sum.redacted.saturating_add(counts.redacted),
        opaque: sum.opaque.saturating_add(counts.opaque),
        bytes: sum.bytes.saturating_add(counts.bytes),
    })
}

/// All findings but for what was not used.
fn findings(reports: &[(String, Report)]) -> Vec<Finding> {
    let of = |report: &'_ Report| report.verdict.findings.clone();
    let silent = |report: &Report| report.verdict.findings.iter().any(|finding| finding.kind == Kind::NoTraffic);
    let all_silent = reports.iter().all(|(_, report)| silent(report));
    let mut findings = Findings::default();
    let mut stale = BTreeSet::new();
    for finding in reports.iter().flat_map(|(_, report)| of(report)) {
        let is_told = match finding.kind {
            Kind::Unused => false,
            Kind::NoTraffic => all_silent,
            // An entry is no older for being looked at by many.
            Kind::Stale => stale.insert((finding.fixture.clone(), finding.entry, finding.request.clone())),
            _ => true,
        };
        if is_told {
            findings.add(finding);
        }
    }
    findings.list().collect()
}

/// Fixtures by their paths, in order of first appearance: unused is what no shard used.
fn fixtures(reports: &[(String, Report)]) -> Vec<FixtureUse> {
    let mut all: IndexMap<String, FixtureUse> = IndexMap::new();
    for fixture in reports.iter().flat_map(|(_, report)| &report.verdict.fixtures) {
        let name = plain(&fixture.fixture);
        let Some(known) = all.get_mut(&name) else {
            all.insert(name.clone(), FixtureUse { fixture: name, ..fixture.clone() });
            continue;
        };
        let here: BTreeSet<usize> = fixture.unused.iter().copied().collect();
        known.unused.retain(|entry| here.contains(entry));
        known.entries = known.entries.max(fixture.entries);
        known.used = known.entries.saturating_sub(known.unused.len());
    }
    all.into_values().collect()
}

/// What no shard used, as findings: as many as there is room for, and the number of the rest.
fn unused(reports: &[(String, Report)], combined: &Verdict) -> Vec<Finding> {
    let told = reports.iter().flat_map(|(_, report)| &report.verdict.findings);
    let told: Vec<&Finding> = told.filter(|finding| finding.kind == Kind::Unused).collect();
    let graver = told.iter().any(|finding| finding.severity == Severity::Error);
    let severity = if graver { Severity::Error } else { Severity::Warning };
    let known: HashMap<(String, usize), &Finding> = told
        .iter()
        .filter_map(|finding| Some(((plain(finding.fixture.as_deref()?), finding.entry?), *finding)))
        .collect();
    let (mut findings, mut more) = (Vec::new(), 0);
    for fixture in &combined.fixtures {
        for entry in &fixture.unused {
            match known.get(&(fixture.fixture.clone(), *entry)) {
                Some(finding) if combined.findings.len() + findings.len() < KEPT => {
                    let fixture = Some(fixture.fixture.clone());
                    findings.push(Finding { severity, fixture, ..(*finding).clone() });
                }
                _ => more += 1,
            }
        }
    }
    if more > 0 {
        let sum = Finding::new(Kind::Unused, severity, "more entries that nothing asked for");
        findings.push(Finding { times: more, ..sum });
    }
    findings
}

#[cfg(test)]
mod tests;
