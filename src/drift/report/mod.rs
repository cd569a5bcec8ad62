//! The result of a drift run, and its forms for people and programs.

pub mod html;
pub mod json;
pub mod markdown;
pub mod sarif;
pub mod shared;
pub mod text;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use time::OffsetDateTime;

use super::checks::{self, DriftSeverity};
use super::finding::{DriftFinding, EndpointResult};
use super::select::SkippedEndpoint;
use super::suppress::SuppressionNotes;
use crate::verdict::exit;

/// The exit status of a run that could not compare an endpoint.
pub const NOT_COMPARED: u8 = 4;
/// The exit status of a run to which production refused an answer without credentials.
pub const INCONCLUSIVE: u8 = 5;

/// The result of a drift run.
#[derive(Clone, Debug)]
pub struct DriftReport {
    /// The source of the live answers: `production`, the base URL, or the file of `--against`.
    pub source: String,
    /// The endpoints that were asked, in the order of the fixtures.
    pub endpoints: Vec<EndpointResult>,
    /// The endpoints that were not asked.
    pub skipped: Vec<SkippedEndpoint>,
    pub suppressions: SuppressionNotes,
    /// The severity from which a finding fails the run.
    pub min_severity: DriftSeverity,
    pub started: OffsetDateTime,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
}

/// The result in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriftResult {
    /// No finding fails the run.
    InSync,
    Drift,
    NotCompared,
    Inconclusive,
}

impl DriftReport {
    /// Returns the result. Findings come before endpoints that could not be compared.
    #[must_use]
    pub fn result(&self) -> DriftResult {
        let about_the_run = |check| self.findings().any(|finding| finding.check == check);
        let is_drift = |finding: &DriftFinding| !finding.is_about_the_run() && self.fails(finding);
        if self.findings().any(is_drift) {
            DriftResult::Drift
        } else if about_the_run(checks::NOT_COMPARED) || self.endpoints.is_empty() {
            DriftResult::NotCompared
        } else if about_the_run(checks::NOT_AUTHORIZED) {
            DriftResult::Inconclusive
        } else {
            DriftResult::InSync
        }
    }

    /// Returns the exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self.result() {
            DriftResult::InSync => exit::SUCCESS,
            DriftResult::Drift => exit::FAILED,
            DriftResult::NotCompared => NOT_COMPARED,
            DriftResult::Inconclusive => INCONCLUSIVE,
        }
    }

    /// Returns the findings that no suppression hides.
    pub fn findings(&self) -> impl Iterator<Item = &DriftFinding> {
        self.endpoints.iter().flat_map(EndpointResult::open)
    }

    /// Returns true if a finding fails the run.
    #[must_use]
    pub fn fails(&self, finding: &DriftFinding) -> bool {
        finding.suppressed.is_none() && (finding.is_about_the_run() || finding.severity >= self.min_severity)
    }

    /// Returns the least and the mean score of the endpoints that were compared.
    #[must_use]
    pub fn scores(&self) -> Option<(usize, usize)> {
        let scores: Vec<usize> = self.endpoints.iter().filter_map(EndpointResult::score).collect();
        let least = scores.iter().copied().min()?;
        Some((least, scores.iter().sum::<usize>() / scores.len()))
    }

    /// Returns the number of open findings of each severity, without those about the run.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<DriftSeverity, usize> {
        let mut counts = BTreeMap::new();
        let findings = self.findings().filter(|finding| !finding.is_about_the_run());
        findings.for_each(|finding| *counts.entry(finding.severity).or_default() += 1);
        counts
    }

    #[must_use]
    pub fn suppressed(&self) -> usize {
        self.endpoints.iter().flat_map(|endpoint| &endpoint.findings).filter(|f| f.suppressed.is_some()).count()
    }

    /// Returns the endpoints, the worst first.
    #[must_use]
    pub fn worst_first(&self) -> Vec<&EndpointResult> {
        let mut endpoints: Vec<&EndpointResult> = self.endpoints.iter().collect();
        endpoints.sort_by_key(|endpoint| (endpoint.is_compared(), endpoint.score().unwrap_or_default()));
        endpoints
    }
}

/// The format of a report file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftFormat {
    Json,
    Junit,
    Markdown,
    Html,
    Sarif,
}

impl DriftFormat {
    pub const ENDINGS: &[(&str, DriftFormat)] = &[
        ("json", DriftFormat::Json),
        ("xml", DriftFormat::Junit),
        ("md", DriftFormat::Markdown),
        ("html", DriftFormat::Html),
        ("sarif", DriftFormat::Sarif),
    ];

    /// Returns the format of a report file by its extension.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?;
        DriftFormat::ENDINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending)).map(|(_, format)| *format)
    }

    /// Renders the report. `place` returns the path of a fixture in the repository.
    #[must_use]
    pub fn render(self, report: &DriftReport, place: &dyn Fn(&str) -> String) -> String {
        match self {
            DriftFormat::Json => json::render(report),
            DriftFormat::Junit => crate::verdict::report::junit::render(&shared::report(report)),
            DriftFormat::Markdown => markdown::render(report),
            DriftFormat::Html => html::render(report),
            DriftFormat::Sarif => sarif::render(report, place),
        }
    }
}

#[cfg(test)]
mod tests;
