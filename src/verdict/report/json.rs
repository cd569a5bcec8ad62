//! Renders and reads the JSON report. `docs/reference/report.md` and `docs/reference/report.schema.json` describe it. A
//! change of meaning increments the number in [`SCHEMA`].

use std::borrow::Cow;

use indexmap::IndexMap;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Report, Shard};
use crate::verdict::request::RequestRow;
use crate::verdict::{ConnectionObservation, Counts, Finding, FixtureUse, RuleUse, RunMode, StatusSource, Verdict};
use harproxy_support::printable;

/// The name and version of the schema.
pub const SCHEMA: &str = "harproxy.report/1";

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("invalid JSON")]
    Json(#[source] serde_json::Error),
    /// `schema` is missing or names something else.
    #[error("not a harproxy report: `\"schema\": \"{SCHEMA}\"` is missing")]
    NotAReport,
    #[error("a report of `{schema}`; harproxy {} reads `{SCHEMA}`", env!("CARGO_PKG_VERSION"))]
    Newer {
        /// The schema of the file.
        schema: String,
    },
    #[error("not a valid report of `{SCHEMA}`")]
    Malformed(#[source] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(borrow)]
    schema: Cow<'a, str>,
    version: u32,
    harproxy: Cow<'a, str>,
    mode: RunMode,
    #[serde(default)]
    command: Option<Cow<'a, str>>,
    passed: bool,
    status: u8,
    source: StatusSource,
    /// RFC 3339.
    started: Cow<'a, str>,
    duration_ms: u64,
    #[serde(default, skip_serializing_if = "<[Shard]>::is_empty")]
    shards: Cow<'a, [Shard]>,
    counts: Cow<'a, Counts>,
    fixtures: Vec<FixtureSummary>,
    #[serde(default, skip_serializing_if = "<[RuleUse]>::is_empty")]
    rules: Cow<'a, [RuleUse]>,
    findings: Cow<'a, [Finding]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    observation: Option<Cow<'a, ConnectionObservation>>,
    #[serde(default)]
    requests: Cow<'a, [RequestRow]>,
    #[serde(default)]
    more_requests: u64,
}

/// A fixture and the number of its unused entries.
#[derive(Serialize, Deserialize)]
struct FixtureSummary {
    #[serde(flatten)]
    fixture: FixtureUse,
    unused: usize,
}

/// Renders a report as indented JSON with a final newline.
#[must_use]
pub fn render(report: &Report) -> String {
    let Report { verdict, status, source, started, command, shards, requests, more_requests, .. } = report;
    let used = |fixture: &FixtureUse| FixtureSummary {
        unused: fixture.entries.saturating_sub(fixture.used),
        fixture: fixture.clone(),
    };
    let document = Document {
        schema: SCHEMA.into(),
        version: 1,
        harproxy: env!("CARGO_PKG_VERSION").into(),
        mode: verdict.mode.clone(),
        command: (!command.is_empty()).then(|| command.into()),
        passed: verdict.passed(),
        status: *status,
        source: *source,
        // Formatting fails only for years beyond 9999.
        started: started.format(&Rfc3339).unwrap_or_default().into(),
        duration_ms: verdict.duration_ms,
        shards: shards.into(),
        counts: Cow::Borrowed(&verdict.counts),
        fixtures: verdict.fixtures.iter().map(used).collect(),
        rules: (&verdict.rules).into(),
        findings: (&verdict.findings).into(),
        observation: verdict.observation.as_ref().map(Cow::Borrowed),
        requests: requests.into(),
        more_requests: *more_requests,
    };
    // Serialising plain data with string keys never fails.
    let json = serde_json::to_string_pretty(&document).unwrap_or_default() + "\n";
    printable::json(&json).into_owned()
}

/// Reads a report that [`render`] wrote. Unknown members are ignored, as the schema requires. [`Report::entries`] is
/// empty, because the format has none.
pub fn read(json: &[u8]) -> Result<Report, ReadError> {
    let value: serde_json::Value = serde_json::from_slice(json).map_err(ReadError::Json)?;
    match value["schema"].as_str() {
        Some(SCHEMA) => {}
        Some(schema) if schema.starts_with("harproxy.report/") => {
            return Err(ReadError::Newer { schema: schema.to_owned() });
        }
        _ => return Err(ReadError::NotAReport),
    }
    let document: Document<'_> = serde_json::from_slice(json).map_err(ReadError::Malformed)?;
    let started = OffsetDateTime::parse(&document.started, &Rfc3339);
    let started = started.map_err(|error| ReadError::Malformed(serde_json::Error::custom(error)))?;
    Ok(Report {
        verdict: Verdict {
            mode: document.mode,
            counts: document.counts.into_owned(),
            findings: document.findings.into_owned(),
            fixtures: document.fixtures.into_iter().map(|used| used.fixture).collect(),
            rules: document.rules.into_owned(),
            duration_ms: document.duration_ms,
            observation: document.observation.map(Cow::into_owned),
        },
        status: document.status,
        source: document.source,
        started,
        command: document.command.unwrap_or_default().into_owned(),
        shards: document.shards.into_owned(),
        requests: document.requests.into_owned(),
        more_requests: document.more_requests,
        entries: IndexMap::new(),
    })
}
