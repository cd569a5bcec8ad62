//! The result of a drift run as a report of `record` and `replay`, for the formats that both have: JUnit, annotations
//! of GitHub, and code quality of GitLab.

use std::borrow::Cow;

use indexmap::IndexMap;

use super::DriftReport;
use crate::drift::checks;
use crate::drift::finding::{DriftFinding, EndpointResult};
use crate::verdict::report::Report;
use crate::verdict::request::{Counts, RequestRow, ResultKind, SourceKind};
use crate::verdict::{Finding, FixtureUse, Location, RunMode, Severity, StatusSource, Verdict};

/// Returns the report with one request for each endpoint, and the open findings.
#[must_use]
pub fn report(drift: &DriftReport) -> Report {
    let findings = drift.worst_first().into_iter().flat_map(|endpoint| {
        endpoint.open().map(move |finding| {
            let severity = if drift.fails(finding) { Severity::Error } else { Severity::Warning };
            self::finding(endpoint, finding, severity)
        })
    });
    // A run that compared nothing fails.
    let nothing = drift.endpoints.is_empty().then(|| {
        let text = "nothing was compared: no endpoint can be asked";
        Finding::new(checks::NOT_COMPARED, Severity::Error, text)
    });
    let mut fixtures: IndexMap<&str, usize> = IndexMap::new();
    for endpoint in &drift.endpoints {
        *fixtures.entry(&endpoint.at.fixture).or_default() += endpoint.entries;
    }
    let fixture = |(fixture, entries): (&str, usize)| FixtureUse {
        fixture: fixture.to_owned(),
        entries,
        used: entries,
        served: Default::default(),
        unused: Vec::new(),
        pruned: None,
        sha256: None,
    };
    let requests = drift.endpoints.len() as u64;
    Report {
        verdict: Verdict {
            mode: RunMode::new("drift"),
            counts: Counts { requests, ..Counts::default() },
            findings: findings.chain(nothing).collect(),
            fixtures: fixtures.into_iter().map(fixture).collect(),
            duration_ms: drift.duration_ms,
            rules: Vec::new(),
            observation: None,
        },
        status: drift.status(),
        source: StatusSource::Verdict,
        started: drift.started,
        command: String::new(),
        shards: Vec::new(),
        requests: drift.endpoints.iter().enumerate().map(|(n, endpoint)| row(n, endpoint)).collect(),
        more_requests: 0,
        entries: IndexMap::new(),
    }
}

/// Returns the finding with its place in the fixture.
fn finding(endpoint: &EndpointResult, drift: &DriftFinding, severity: Severity) -> Finding {
    let at = Location::entry(endpoint.at.clone(), Some(endpoint.key.name_without_query()));
    let text = format!("{}: {} ({})", drift.place, drift.text, drift.severity);
    Finding { at, hint: drift.suggestion.clone(), ..Finding::new(drift.check.clone(), severity, text) }
}

fn row(number: usize, endpoint: &EndpointResult) -> RequestRow {
    let name = endpoint.key.name_without_query();
    let (method, url) = name.split_once(' ').unwrap_or(("", &name));
    RequestRow {
        id: number as u64 + 1,
        took_ms: Some(endpoint.took_ms as f64),
        protocol: Cow::Borrowed("HTTP/1.1"),
        method: method.to_owned(),
        url: url.to_owned(),
        status: endpoint.status,
        outcome: ResultKind::Live,
        source: SourceKind::Live,
        fixture: Some(endpoint.at.fixture.clone()),
        entry: Some(endpoint.at.entry),
        complete: true,
        ..RequestRow::default()
    }
}
