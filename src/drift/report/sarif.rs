//! Renders a drift run as SARIF 2.1.0, for code scanning of GitHub, GitLab and Azure DevOps.
//!
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html>

use std::collections::HashMap;
use std::path::{Component, Path};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};
use url::Url;

use super::{DriftReport, DriftResult};
use crate::drift::checks::{self, CHECKS, Check, DriftSeverity};
use crate::drift::endpoint::EndpointKey;
use crate::drift::finding::{DriftFinding, EndpointResult};
use harproxy_compare::excerpt;
use harproxy_support::printable::{self, one_line};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// The base of relative paths, as GitHub and the SARIF SDK name it.
const ROOT: &str = "%SRCROOT%";
/// Maximum number of results. GitHub rejects a run with more.
const RESULTS: usize = 25_000;
/// Maximum length of a message, characters.
const MESSAGE: usize = 2_000;
/// All characters but those that RFC 3986 section 2.3 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Renders the log on several lines. `place` returns the path of a fixture in the repository.
#[must_use]
pub fn render(report: &DriftReport, place: &dyn Fn(&str) -> String) -> String {
    let mut fingerprints = Fingerprints::default();
    let endpoints = report.worst_first();
    let findings = endpoints.iter().flat_map(|endpoint| endpoint.findings.iter().map(move |found| (*endpoint, found)));
    let results: Vec<Value> = findings
        .take(RESULTS)
        .map(|(endpoint, finding)| result(endpoint, finding, &place(&endpoint.at.fixture), &mut fingerprints))
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "harproxy",
                "version": version,
                "semanticVersion": version,
                "rules": CHECKS.iter().map(rule).collect::<Vec<_>>(),
            } },
            "automationDetails": { "id": "harproxy/drift/" },
            "invocations": [invocation(report)],
            "originalUriBaseIds": { ROOT: { "description": { "text": "The root of the repository." } } },
            "results": results,
        }],
    });
    // Serialising plain data never fails.
    let json = serde_json::to_string_pretty(&log).unwrap_or_default() + "\n";
    printable::json(&json).into_owned()
}

fn invocation(report: &DriftReport) -> Value {
    let is_successful = !matches!(report.result(), DriftResult::NotCompared | DriftResult::Inconclusive);
    let took = Duration::milliseconds(i64::try_from(report.duration_ms).unwrap_or(i64::MAX));
    json!({
        "executionSuccessful": is_successful,
        "exitCode": report.status(),
        "startTimeUtc": timestamp(report.started),
        "endTimeUtc": timestamp(report.started.saturating_add(took)),
    })
}

fn timestamp(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC).format(&Rfc3339).unwrap_or_default()
}

/// Returns the declaration of a check.
fn rule(check: &Check) -> Value {
    let next = match [checks::NOT_COMPARED, checks::NOT_AUTHORIZED].contains(&check.id) {
        true => "This result can't be suppressed.",
        false => {
            "Record the fixture again and adapt the client, or suppress the difference with a reason: \
             `harproxy drift accept`."
        }
    };
    let help = format!("{} {next}", check.explanation);
    json!({
        "id": check.id,
        "name": pascal_case(checks::short_name(&check.id)),
        "shortDescription": { "text": format!("{}.", capitalised(check.title)) },
        "fullDescription": { "text": check.explanation },
        "help": { "text": help.replace('`', ""), "markdown": help },
        "defaultConfiguration": { "level": level(check.severity) },
    })
}

/// Returns the first character in upper case, and the rest.
fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Converts `type-changed` to `TypeChanged`.
fn pascal_case(name: &str) -> String {
    name.split('-').map(capitalised).collect()
}

fn level(severity: DriftSeverity) -> &'static str {
    match severity {
        DriftSeverity::Critical => "error",
        DriftSeverity::Warning => "warning",
        DriftSeverity::Info => "note",
    }
}

fn result(endpoint: &EndpointResult, finding: &DriftFinding, path: &str, fingerprints: &mut Fingerprints) -> Value {
    let name = endpoint.key.to_string();
    let suppression = finding
        .suppressed
        .as_ref()
        .map(|suppressed| json!({ "kind": "external", "status": "accepted", "justification": suppressed.reason }));
    let mut result = json!({
        "ruleId": finding.check,
        "level": level(finding.severity),
        "message": { "text": message(finding) },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": artifact(path),
                "region": { "startLine": endpoint.at.line.unwrap_or(1).max(1) },
            },
            "logicalLocations": [{ "name": name, "fullyQualifiedName": name, "kind": "resource" }],
        }],
        "partialFingerprints": { "harproxyDrift/v1": fingerprints.next(&endpoint.key, finding) },
        // An empty array says that nothing suppresses the result (SARIF section 3.27.23).
        "suppressions": suppression.into_iter().collect::<Vec<_>>(),
    });
    if let Some(index) = CHECKS.iter().position(|check| check.id == finding.check) {
        result["ruleIndex"] = index.into();
    }
    result
}

/// Returns the place, the text and the suggestion.
fn message(finding: &DriftFinding) -> String {
    let mut text = format!("{}: {}", finding.place, finding.text);
    if let Some(suggestion) = &finding.suggestion {
        text = format!("{text} ({suggestion})");
    }
    literal(&one_line(&excerpt(&text, MESSAGE)))
}

/// Escapes placeholders and embedded links of messages (SARIF sections 3.11.5 and 3.11.6).
fn literal(text: &str) -> String {
    let text = text.replace('{', "{{").replace('}', "}}");
    match text.contains("](") {
        true => text.replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]"),
        false => text,
    }
}

/// Returns a `file:` URI for an absolute path, and a URI relative to the root of the repository for another one.
fn artifact(path: &str) -> Value {
    if let Ok(url) = Url::from_file_path(path) {
        return json!({ "uri": url.as_str() });
    }
    let segments = Path::new(path).components().filter_map(|component| match component {
        Component::Normal(name) => Some(utf8_percent_encode(&name.to_string_lossy(), RESERVED).to_string()),
        Component::ParentDir => Some("..".to_owned()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    json!({ "uri": segments.collect::<Vec<_>>().join("/"), "uriBaseId": ROOT })
}

/// The fingerprints of the results of a run, by which code scanning recognises a known result. They do not depend on
/// values, lines and the location of the fixture.
#[derive(Default)]
struct Fingerprints {
    /// The number of results with the same endpoint, place and check.
    seen: HashMap<String, usize>,
}

impl Fingerprints {
    /// Returns the fingerprint of the next result. Equal results are counted, so that each has its own.
    fn next(&mut self, key: &EndpointKey, finding: &DriftFinding) -> String {
        let EndpointKey { origin, path, method, parameters, status_class } = key;
        let place = finding.place.to_string();
        let identity = json!([method, origin, path, parameters, status_class, place, finding.check]).to_string();
        let count = self.seen.entry(identity.clone()).or_default();
        *count += 1;
        let text = if *count == 1 { identity } else { format!("{identity}\n{count}") };
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
