//! The report as GitLab's code quality takes it: what a merge request shows beside the lines of a HAR.
//!
//! <https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format>

use std::collections::HashMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Report, text};
use crate::verdict::{CheckId, Finding, Severity};
use harproxy_compare::excerpt;

/// Characters of a description.
const LONGEST: usize = 1_000;
/// What findings stand at that are about no fixture, where there is none at all.
const NOWHERE: &str = "harproxy.toml";

/// Checks of the run as a whole: if one of them fails, no other result counts.
const BLOCKERS: [CheckId; 3] = [CheckId::NO_TRAFFIC, CheckId::NOTHING_RECORDED, CheckId::LOST];
/// Checks of the fixtures' upkeep.
const NOTES: [CheckId; 2] = [CheckId::UNUSED, CheckId::STALE];

#[derive(Serialize)]
struct Issue<'a> {
    description: String,
    check_name: &'a str,
    fingerprint: String,
    severity: &'static str,
    location: IssueLocation,
}

#[derive(Serialize)]
struct IssueLocation {
    path: String,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: usize,
}

/// The issues as a JSON array. `place` says where a fixture is in the repository.
#[must_use]
pub fn render<'a>(report: &'a Report, place: &dyn Fn(&str) -> String) -> String {
    let verdict = &report.verdict;
    let first = verdict.fixtures.first().map_or(NOWHERE, |fixture| &fixture.fixture);
    let unused = verdict.findings.iter().filter(|finding| finding.check == CheckId::UNUSED);
    let mut prints = Fingerprints::default();
    let issue = |finding: &'a Finding| {
        let path = place(finding.at.fixture.as_deref().unwrap_or(first));
        Issue {
            description: description(finding),
            check_name: finding.check.as_str(),
            fingerprint: prints.of(finding, &path),
            severity: severity(finding),
            location: IssueLocation { path, lines: Lines { begin: finding.at.line.unwrap_or(1) } },
        }
    };
    let issues: Vec<Issue<'_>> = text::in_order(verdict).into_iter().chain(unused).map(issue).collect();
    // Plain data: there is nothing in it that JSON can't say.
    let mut json = serde_json::to_string_pretty(&issues).unwrap_or_default();
    json.push('\n');
    json
}

fn description(finding: &Finding) -> String {
    let what = finding.text.lines().next().unwrap_or_default();
    let about = finding.at.request.as_ref().map_or_else(String::new, |request| format!("{request}: "));
    let remedy = finding.hint.as_deref();
    let remedy = remedy.map_or_else(String::new, |remedy| format!(" (what helps: {remedy})"));
    excerpt(&format!("{}: {about}{what}{remedy}", finding.check.as_str()), LONGEST)
}

/// What fails a run is worse than what does not; what nothing asked for is worth knowing.
fn severity(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Error if BLOCKERS.contains(&finding.check) => "blocker",
        Severity::Error if finding.check == CheckId::MISS => "critical",
        Severity::Error => "major",
        Severity::Warning if NOTES.contains(&finding.check) => "info",
        Severity::Warning => "minor",
    }
}

/// What GitLab tells by whether an issue is new: the same from run to run, whatever values differ and wherever the line
/// has moved.
#[derive(Default)]
struct Fingerprints(HashMap<String, usize>);

impl Fingerprints {
    fn of(&mut self, finding: &Finding, path: &str) -> String {
        let request = finding.at.request.as_deref().unwrap_or_default();
        let about = format!("{}\n{path}\n{request}", finding.check.as_str());
        let equal = self.0.entry(about.clone()).or_default();
        *equal += 1;
        let digest = Sha256::digest(format!("{about}\n{equal}"));
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
