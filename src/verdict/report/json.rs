//! The verdict for machines. `docs/report.md` describes it; a change of meaning raises the number in [`SCHEMA`].

use serde::Serialize;

use crate::verdict::{Counts, Finding, FixtureUse, Mode, Source, Verdict};

/// The name and version of the schema.
pub const SCHEMA: &str = "harproxy.report/1";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    schema: &'static str,
    version: u32,
    harproxy: &'static str,
    mode: Mode,
    passed: bool,
    status: u8,
    source: Source,
    duration_ms: u64,
    counts: &'a Counts,
    fixtures: Vec<Used<'a>>,
    findings: &'a [Finding],
}

#[derive(Serialize)]
struct Used<'a> {
    #[serde(flatten)]
    fixture: &'a FixtureUse,
    unused: usize,
}

/// The report as indented JSON with a final newline. `status` and `source` are what
/// [`exit_status`](crate::verdict::exit_status) gave.
#[must_use]
pub fn render(verdict: &Verdict, status: u8, source: Source) -> String {
    let report = Report {
        schema: SCHEMA,
        version: 1,
        harproxy: env!("CARGO_PKG_VERSION"),
        mode: verdict.mode,
        passed: verdict.passed(),
        status,
        source,
        duration_ms: verdict.duration_ms,
        counts: &verdict.counts,
        fixtures: verdict
            .fixtures
            .iter()
            .map(|fixture| Used { fixture, unused: fixture.entries.saturating_sub(fixture.used) })
            .collect(),
        findings: &verdict.findings,
    };
    // Plain data with string keys: there is nothing in it that JSON can't say.
    let mut json = serde_json::to_string_pretty(&report).unwrap_or_default();
    json.push('\n');
    json
}
