//! Combines the reports of the shards of a CI run into one, as of a single run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use indexmap::IndexMap;
use time::OffsetDateTime;

use super::{Report, Shard, plain};
use crate::verdict::exit::{FAILED, SUCCESS};
use crate::verdict::fail_on::SeverityOverride;
use crate::verdict::findings::MAX_FINDINGS;
use crate::verdict::{
    CheckId, EntryUse, Finding, Findings, FixtureUse, Location, RuleUse, RunMode, StatusSource, Verdict,
};

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    #[error("no reports were given to combine")]
    Nothing,
    /// Runs of different commands cannot be combined. The text names two of them.
    #[error("{0}")]
    Modes(String),
}

/// Combines the reports of these files. An entry is unused if it was in every shard that loaded its fixture,
/// `no-traffic` is a finding if it was in all shards, everything else is added up. Severities are those that the shards
/// gave, unless `fail_on` says otherwise. The status is 0 when the verdict holds and no shard ended with the status of
/// its CMD or of harproxy, else 1.
pub fn combine(reports: Vec<(String, Report)>, fail_on: Option<&SeverityOverride>) -> Result<Report, CombineError> {
    let mode = common_mode(&reports)?;
    let began = reports.iter().map(|(_, report)| report.started).min().ok_or(CombineError::Nothing)?;
    let mut commands: Vec<&str> = reports.iter().map(|(_, report)| report.command.as_str()).collect();
    commands.dedup();
    let command = if let [one] = commands[..] { one.to_owned() } else { String::new() };
    let reports = renumber(reports, began);
    let shards: Vec<Shard> = reports.iter().flat_map(|(name, report)| shards(name, report)).collect();
    let mut verdict = Verdict {
        mode,
        counts: reports.iter().map(|(_, report)| &report.verdict.counts).sum(),
        findings: findings(&reports),
        fixtures: fixtures(&reports),
        rules: rules(&reports),
        observation: reports.iter().filter_map(|(_, report)| report.verdict.observation.clone()).reduce(
            |mut all, one| {
                all.extend(&one);
                all
            },
        ),
        duration_ms: reports.iter().map(|(_, report)| lasted(report, began)).max().unwrap_or_default(),
    };
    let unused = unused(&reports, &verdict);
    verdict.findings.extend(unused);
    if let Some(fail_on) = fail_on {
        for finding in verdict.findings.iter_mut().filter(|finding| finding.can_fail()) {
            finding.severity = fail_on.severity(&finding.check, finding.severity);
        }
    }
    let ended_so = |source| shards.iter().any(|shard| shard.source == source && shard.status != SUCCESS);
    let source = [StatusSource::Cmd, StatusSource::Harproxy].into_iter().find(|source| ended_so(*source));
    let status = if source.is_some() || !verdict.passed() { FAILED } else { SUCCESS };
    Ok(Report {
        verdict,
        status,
        source: source.unwrap_or(StatusSource::Verdict),
        started: began,
        command,
        shards,
        more_requests: reports.iter().map(|(_, report)| report.more_requests).sum(),
        requests: reports.into_iter().flat_map(|(_, report)| report.requests).collect(),
        entries: IndexMap::new(),
    })
}

fn common_mode(reports: &[(String, Report)]) -> Result<RunMode, CombineError> {
    let (first, report) = reports.first().ok_or(CombineError::Nothing)?;
    let mode = &report.verdict.mode;
    match reports.iter().find(|(_, other)| other.verdict.mode != *mode) {
        None => Ok(mode.clone()),
        Some((other, report)) => {
            // Sorted, so that the text does not depend on the order of the files.
            let mut named = [(report.verdict.mode.noun(), other), (mode.noun(), first)];
            named.sort();
            let [(one_noun, one), (other_noun, other)] = named;
            Err(CombineError::Modes(format!("{one} is of {one_noun}, and {other} of {other_noun}")))
        }
    }
}

/// Renumbers the requests and connections of all shards, and shifts their times, as of one run.
fn renumber(mut reports: Vec<(String, Report)>, began: OffsetDateTime) -> Vec<(String, Report)> {
    let (mut ids, mut connections) = (0, 0);
    for (name, report) in &mut reports {
        let later = (report.started - began).as_seconds_f64() * 1e3;
        let (mut last, mut last_connection) = (ids, connections);
        for seen in &mut report.requests {
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
                // Requests that were not stored have only this number.
                last = last.max(*id);
            }
        }
        (ids, connections) = (last, last_connection);
    }
    reports
}

/// Returns the shards of a combined report, or the report itself as the only shard.
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

/// Returns the time from the start of the first run to the end of this one, milliseconds.
fn lasted(report: &Report, began: OffsetDateTime) -> u64 {
    let end = report.started - began + Duration::from_millis(report.verdict.duration_ms);
    u64::try_from(end.whole_milliseconds()).unwrap_or_default()
}

/// Returns all findings except unused entries.
fn findings(reports: &[(String, Report)]) -> Vec<Finding> {
    let is_no_traffic = |finding: &Finding| finding.check == CheckId::NO_TRAFFIC;
    let all_silent = reports.iter().all(|(_, report)| report.verdict.findings.iter().any(is_no_traffic));
    let mut findings = Findings::default();
    let mut stale = BTreeSet::new();
    for finding in reports.iter().flat_map(|(_, report)| report.verdict.findings.clone()) {
        let is_listed = match finding.check.as_str() {
            "unused" => false,
            "no-traffic" => all_silent,
            // Several shards load the same entry.
            "stale" => stale.insert((finding.at.fixture.clone(), finding.at.entry, finding.at.request.clone())),
            _ => true,
        };
        if is_listed {
            findings.add(finding);
        }
    }
    findings.list().collect()
}

/// Merges fixtures by path, in order of first appearance. An entry is unused if no shard used it.
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
        known.served = entries(known.served.iter().chain(&fixture.served));
        known.entries = known.entries.max(fixture.entries);
        // Entry numbers mean nothing across versions.
        known.sha256 = known.sha256.take().filter(|version| fixture.sha256.as_ref() == Some(version));
        known.used = known.entries.saturating_sub(known.unused.len());
    }
    all.into_values().collect()
}

/// Sums the requests of each entry.
fn entries<'a>(all: impl Iterator<Item = &'a EntryUse>) -> Vec<EntryUse> {
    let mut sums: BTreeMap<usize, u64> = BTreeMap::new();
    all.for_each(|used| *sums.entry(used.entry).or_default() += used.requests);
    sums.into_iter().map(|(entry, requests)| EntryUse { entry, requests }).collect()
}

/// Sums the requests of each rule, in order of first appearance.
fn rules(reports: &[(String, Report)]) -> Vec<RuleUse> {
    let mut all: IndexMap<(&str, &str), u64> = IndexMap::new();
    for rule in reports.iter().flat_map(|(_, report)| &report.verdict.rules) {
        *all.entry((&rule.rule, &rule.pattern)).or_default() += rule.requests;
    }
    let sum = |((rule, pattern), requests): ((&str, &str), u64)| RuleUse {
        rule: rule.to_owned(),
        pattern: pattern.to_owned(),
        requests,
    };
    all.into_iter().map(sum).collect()
}

/// Returns findings for entries that no shard used, up to a limit, and the number of the rest.
fn unused(reports: &[(String, Report)], combined: &Verdict) -> Vec<Finding> {
    let unused_findings = reports.iter().flat_map(|(_, report)| &report.verdict.findings);
    let unused_findings: Vec<&Finding> = unused_findings.filter(|finding| finding.check == CheckId::UNUSED).collect();
    // Without such a finding, the fixtures were unused for another reason, which has its own.
    let Some(severity) = unused_findings.iter().map(|finding| finding.severity).max() else { return Vec::new() };
    let known: HashMap<(String, usize), &Finding> = unused_findings
        .iter()
        .filter_map(|finding| Some(((plain(finding.at.fixture.as_deref()?), finding.at.entry?), *finding)))
        .collect();
    let (mut findings, mut more) = (Vec::new(), 0);
    for fixture in &combined.fixtures {
        for entry in &fixture.unused {
            match known.get(&(fixture.fixture.clone(), *entry)) {
                Some(finding) if combined.findings.len() + findings.len() < MAX_FINDINGS => {
                    let at = Location { fixture: Some(fixture.fixture.clone()), ..finding.at.clone() };
                    findings.push(Finding { severity, at, ..(*finding).clone() });
                }
                _ => more += 1,
            }
        }
    }
    if more > 0 {
        let sum = Finding::new(CheckId::UNUSED, severity, "more entries that nothing asked for");
        findings.push(Finding { times: more, ..sum });
    }
    findings
}

#[cfg(test)]
mod tests;
