//! Renders a report for GitLab's code quality, which a merge request shows beside the lines of a HAR.
//!
//! <https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format>

use std::collections::HashMap;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Report, unused_last};
use crate::verdict::{CheckId, Finding, Severity};
use harproxy_compare::excerpt;
use harproxy_support::printable;

/// Maximum length of a description, characters.
const LONGEST: usize = 1_000;
/// Path of findings without a fixture, if the run loaded none.
const DEFAULT_PATH: &str = "harproxy.toml";

/// Checks of the run as a whole: if one of them fails, no other result counts.
const BLOCKERS: [CheckId; 4] =
    [CheckId::NO_TRAFFIC, CheckId::NOTHING_RECORDED, CheckId::LOST, CheckId::JOURNAL_DAMAGED];
/// The checks of `harproxy check`.
const NOTES: [CheckId; 2] = [CheckId::UNUSED, CheckId::STALE];

/// Renders the issues as a JSON array. `place` returns the path of a fixture in the repository.
#[must_use]
pub fn render(report: &Report, place: &dyn Fn(&str) -> String) -> String {
    let verdict = &report.verdict;
    let first = verdict.fixtures.first().map_or(DEFAULT_PATH, |fixture| &fixture.fixture);
    let mut seen = HashMap::new();
    let issue = |finding: &Finding| {
        let path = place(finding.at.fixture.as_deref().unwrap_or(first));
        json!({
            "description": description(finding),
            "check_name": finding.check,
            "fingerprint": fingerprint(finding, &path, &mut seen),
            "severity": severity(finding),
            "location": {"path": path, "lines": {"begin": finding.at.line.unwrap_or(1)}},
        })
    };
    let issues: Vec<Value> = unused_last(verdict).into_iter().map(issue).collect();
    // Serialising plain data never fails.
    let json = serde_json::to_string_pretty(&issues).unwrap_or_default() + "\n";
    printable::json(&json).into_owned()
}

fn description(finding: &Finding) -> String {
    let title = finding.text.lines().next().unwrap_or_default();
    let about = finding.at.request.as_ref().map_or_else(String::new, |request| format!("{request}: "));
    let remedy = finding.hint.as_deref();
    let remedy = remedy.map_or_else(String::new, |remedy| format!(" (hint: {remedy})"));
    excerpt(&format!("{}: {about}{title}{remedy}", finding.check.as_str()), LONGEST)
}

/// Returns GitLab's severity: failures rank above warnings, and unused entries rank lowest.
fn severity(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Error if BLOCKERS.contains(&finding.check) => "blocker",
        Severity::Error if finding.check == CheckId::MISS => "critical",
        Severity::Error => "major",
        Severity::Warning if NOTES.contains(&finding.check) => "info",
        Severity::Warning => "minor",
    }
}

/// Computes the fingerprint by which GitLab recognises a known issue. It does not depend on values and lines. `seen`
/// counts equal issues.
fn fingerprint(finding: &Finding, path: &str, seen: &mut HashMap<String, usize>) -> String {
    let request = finding.at.request.as_deref().unwrap_or_default();
    let about = format!("{}\n{path}\n{request}", finding.check.as_str());
    let equal = seen.entry(about.clone()).or_default();
    *equal += 1;
    let digest = Sha256::digest(format!("{about}\n{equal}"));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
