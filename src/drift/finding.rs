//! Findings of drift, and the result of an endpoint.

use std::collections::BTreeMap;

use harproxy_compare::ShapePath;
use serde::Serialize;

use super::checks::{self, DriftSeverity};
use super::endpoint::EndpointKey;
use crate::verdict::CheckId;
use crate::verdict::explain::EntryPlace;

/// The place of a difference in an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriftPlace {
    Status,
    /// The header with this lower-case name.
    Header(String),
    Payload(ShapePath),
    /// The answer as a whole.
    Answer,
}

/// Writes `status`, `header.location`, a JSON path, or `answer`.
impl std::fmt::Display for DriftPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DriftPlace::Status => f.write_str("status"),
            DriftPlace::Header(name) => write!(f, "header.{name}"),
            DriftPlace::Payload(path) => path.fmt(f),
            DriftPlace::Answer => f.write_str("answer"),
        }
    }
}

/// The suppression of a finding, for reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suppressed {
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// `2027-03-31`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// A difference between the fixture and production.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftFinding {
    pub check: CheckId,
    pub severity: DriftSeverity,
    pub place: DriftPlace,
    /// One sentence.
    pub text: String,
    /// The probable reason, or the next step.
    pub suggestion: Option<String>,
    /// The suppression that applies.
    pub suppressed: Option<Suppressed>,
}

impl DriftFinding {
    #[must_use]
    pub fn new(check: CheckId, severity: DriftSeverity, place: DriftPlace, text: impl Into<String>) -> Self {
        DriftFinding { check, severity, place, text: text.into(), suggestion: None, suppressed: None }
    }

    #[must_use]
    pub fn with_suggestion(self, suggestion: impl Into<String>) -> Self {
        DriftFinding { suggestion: Some(suggestion.into()), ..self }
    }

    /// Returns true for a finding that says that nothing was compared. It has no severity of its own.
    #[must_use]
    pub fn is_about_the_run(&self) -> bool {
        [checks::NOT_COMPARED, checks::NOT_AUTHORIZED].contains(&self.check)
    }
}

/// The result of an endpoint.
#[derive(Clone, Debug)]
pub struct EndpointResult {
    pub key: EndpointKey,
    /// The entry that was asked.
    pub at: EntryPlace,
    /// The number of entries of the endpoint.
    pub entries: usize,
    /// The URL that was asked, without secrets. `None` if nothing was sent.
    pub url: Option<String>,
    /// The status of production, if it answered.
    pub status: Option<u16>,
    pub took_ms: u64,
    /// The shapes of the payloads, if both are JSON.
    pub shapes: Option<[String; 2]>,
    pub findings: Vec<DriftFinding>,
}

impl EndpointResult {
    /// Returns the findings that no suppression hides.
    pub fn open(&self) -> impl Iterator<Item = &DriftFinding> {
        self.findings.iter().filter(|finding| finding.suppressed.is_none())
    }

    /// Returns true if the answers were compared.
    #[must_use]
    pub fn is_compared(&self) -> bool {
        !self.findings.iter().any(DriftFinding::is_about_the_run)
    }

    /// Returns the score, 0 to 100: 25 points less for each critical finding, 10 for a warning, 3 for info. An endpoint
    /// that was not compared has none.
    #[must_use]
    pub fn score(&self) -> Option<usize> {
        let points: usize = self.open().map(|finding| finding.severity.points()).sum();
        self.is_compared().then(|| 100_usize.saturating_sub(points))
    }

    /// Returns the number of open findings of each severity.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<DriftSeverity, usize> {
        let mut counts = BTreeMap::new();
        self.open().for_each(|finding| *counts.entry(finding.severity).or_default() += 1);
        counts
    }
}
