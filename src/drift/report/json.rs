//! The JSON report. `docs/reference/drift.schema.json` is its schema.

use serde::Serialize;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::{DriftReport, DriftResult};
use crate::drift::checks;
use crate::drift::finding::{DriftFinding, EndpointResult, Suppressed};
use crate::verdict::CheckId;
use harproxy_support::printable;

/// The version of the format. Members are only added to it.
const VERSION: u32 = 1;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonReport<'r> {
    version: u32,
    harproxy: &'static str,
    started: String,
    duration_ms: u64,
    source: &'r str,
    result: DriftResult,
    status: u8,
    min_severity: &'static str,
    score: Option<JsonScore>,
    counts: Value,
    endpoints: Vec<JsonEndpoint<'r>>,
    skipped: Vec<Value>,
    expired_suppressions: &'r [String],
    unused_suppressions: &'r [String],
}

#[derive(Serialize)]
struct JsonScore {
    minimum: usize,
    mean: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonEndpoint<'r> {
    endpoint: String,
    drift_score: Option<usize>,
    status: Option<u16>,
    url: Option<&'r str>,
    fixture: &'r str,
    entry: usize,
    line: Option<usize>,
    entries: usize,
    took_ms: u64,
    fields: Vec<JsonField<'r>>,
}

#[derive(Serialize)]
struct JsonField<'r> {
    path: String,
    issue: String,
    check: &'r CheckId,
    severity: &'static str,
    text: &'r str,
    suggestion: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressed: Option<&'r Suppressed>,
}

/// Renders the report on several lines.
#[must_use]
pub fn render(report: &DriftReport) -> String {
    let counts = report.counts();
    let count = |severity| counts.get(&severity).copied().unwrap_or_default();
    let object = JsonReport {
        version: VERSION,
        harproxy: env!("CARGO_PKG_VERSION"),
        started: report.started.format(&Rfc3339).unwrap_or_default(),
        duration_ms: report.duration_ms,
        source: &report.source,
        result: report.result(),
        status: report.status(),
        min_severity: report.min_severity.as_str(),
        score: report.scores().map(|(minimum, mean)| JsonScore { minimum, mean }),
        counts: json!({
            "critical": count(checks::DriftSeverity::Critical),
            "warning": count(checks::DriftSeverity::Warning),
            "info": count(checks::DriftSeverity::Info),
            "suppressed": report.suppressed(),
            "notCompared": report.endpoints.iter().filter(|endpoint| !endpoint.is_compared()).count(),
        }),
        endpoints: report.worst_first().into_iter().map(endpoint).collect(),
        skipped: report
            .skipped
            .iter()
            .map(|skipped| json!({ "endpoint": skipped.key.to_string(), "reason": skipped.reason }))
            .collect(),
        expired_suppressions: &report.suppressions.expired,
        unused_suppressions: &report.suppressions.unused,
    };
    // Serialising plain data never fails.
    let json = serde_json::to_string_pretty(&object).unwrap_or_default() + "\n";
    printable::json(&json).into_owned()
}

fn endpoint(result: &EndpointResult) -> JsonEndpoint<'_> {
    JsonEndpoint {
        endpoint: result.key.to_string(),
        drift_score: result.score(),
        status: result.status,
        url: result.url.as_deref(),
        fixture: &result.at.fixture,
        entry: result.at.entry,
        line: result.at.line,
        entries: result.entries,
        took_ms: result.took_ms,
        fields: result.findings.iter().map(field).collect(),
    }
}

fn field(finding: &DriftFinding) -> JsonField<'_> {
    JsonField {
        path: finding.place.to_string(),
        issue: checks::issue(&finding.check),
        check: &finding.check,
        severity: finding.severity.as_str(),
        text: &finding.text,
        suggestion: finding.suggestion.as_deref(),
        suppressed: finding.suppressed.as_ref(),
    }
}
