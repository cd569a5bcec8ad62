//! The result of a run as plain data: counts, findings, fixtures, and the exit status. Nothing here does I/O.
//! [`report`] renders the data, [`exit`] turns it into a status, [`FailOn`] decides which checks fail a run.

pub mod connections;
mod entry_view;
pub mod exit;
pub mod explain;
pub mod fail_on;
pub mod findings;
mod handshakes;
pub mod report;
pub mod request;

pub use connections::ConnectionObservation;
pub use entry_view::{EntryView, ExcerptBudget, PayloadExcerpt};
pub use exit::{StatusSource, exit_status};
pub use explain::NearEntry;
pub use fail_on::{CheckId, FailOn, FailOnError, Severity};
pub use findings::{Finding, FindingListener, Findings, Location};
pub use handshakes::{CHROMIUM_HINT, Handshakes};
pub use request::Counts;

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The harproxy command of a run, as named in reports. The set is open: a report of another mode can be read and
/// rendered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunMode(Cow<'static, str>);

impl RunMode {
    pub const RECORD: RunMode = RunMode::new("record");
    pub const REPLAY: RunMode = RunMode::new("replay");
    pub const DOCTOR: RunMode = RunMode::new("doctor");

    #[must_use]
    pub const fn new(command: &'static str) -> Self {
        RunMode(Cow::Borrowed(command))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the run with its article: `a replay`.
    #[must_use]
    pub fn noun(&self) -> Cow<'static, str> {
        match self.as_str() {
            "record" => "a recording".into(),
            "replay" => "a replay".into(),
            other => format!("a run of `harproxy {other}`").into(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixtureUse {
    /// The fixture, as it was given.
    pub fixture: String,
    pub entries: usize,
    /// The number of entries that were served at least once.
    pub used: usize,
    /// How often each of them was served, in order.
    #[serde(rename = "usedEntries", default, skip_serializing_if = "Vec::is_empty")]
    pub served: Vec<EntryUse>,
    /// The other entries, in order.
    #[serde(rename = "unusedEntries")]
    pub unused: Vec<usize>,
    /// The number of unused entries that `--prune` removed; `None` if the fixture was not changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pruned: Option<usize>,
    /// SHA-256 of the HAR or archive that was replayed, in hex; only in JSON reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// An entry, and the number of requests that it served. A followed redirect counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryUse {
    pub entry: usize,
    pub requests: u64,
}

/// A rule of `[[route]]`, and the number of requests that it applied to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleUse {
    /// Its name, or its number.
    pub rule: String,
    /// Its methods and glob.
    #[serde(rename = "match")]
    pub pattern: String,
    pub requests: u64,
}

#[derive(Clone, Debug)]
pub struct Verdict {
    pub mode: RunMode,
    pub counts: Counts,
    /// The findings in order of first appearance; equal ones are one with a count.
    pub findings: Vec<Finding>,
    pub fixtures: Vec<FixtureUse>,
    /// The rules of `[[route]]`, in order.
    pub rules: Vec<RuleUse>,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
    /// The observation of CMD's connections. `None` without CMD.
    pub observation: Option<ConnectionObservation>,
}

impl Verdict {
    /// Returns true if no finding fails the run.
    ///
    /// ```
    /// use harproxy::verdict::{CheckId, Counts, Finding, RunMode, Severity, Verdict};
    /// let mut verdict = Verdict {
    ///     mode: RunMode::REPLAY,
    ///     counts: Counts::default(),
    ///     findings: vec![],
    ///     fixtures: vec![],
    ///     rules: vec![],
    ///     duration_ms: 0,
    ///     observation: None,
    /// };
    /// assert!(verdict.passed());
    /// verdict.findings.push(Finding::new(CheckId::UNUSED, Severity::Warning, "no request used it"));
    /// assert!(verdict.passed());
    /// verdict.findings.push(Finding::new(CheckId::MISS, Severity::Error, "no entry answers it"));
    /// assert!(!verdict.passed());
    /// ```
    #[must_use]
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }

    /// Returns true if no finding of another check fails the run.
    #[must_use]
    pub fn passed_except(&self, check: &CheckId) -> bool {
        self.findings.iter().all(|finding| finding.check == *check || finding.severity != Severity::Error)
    }

    /// Records that unused entries were removed from the fixture at this index of [`Verdict::fixtures`]. They no longer
    /// fail the run.
    pub fn mark_pruned(&mut self, fixture: usize, removed: &BTreeSet<usize>) {
        let Some(pruned) = self.fixtures.get_mut(fixture) else { return };
        pruned.pruned = Some(removed.len());
        let has_no_unused = |used: &FixtureUse| used.pruned.unwrap_or_default() == used.unused.len();
        let name = pruned.fixture.clone();
        // A finding that only counts entries may be about any fixture.
        let all_removed = self.fixtures.iter().all(has_no_unused);
        for finding in self.findings.iter_mut().filter(|finding| finding.check == CheckId::UNUSED) {
            let is_removed = match finding.at.entry {
                Some(entry) => finding.at.fixture.as_deref() == Some(&name) && removed.contains(&entry),
                None => all_removed,
            };
            if is_removed {
                finding.severity = Severity::Warning;
            }
        }
    }
}

/// Returns the name that a variant without fields has in reports.
#[must_use]
pub fn name_in_reports(variant: impl Serialize) -> String {
    let name = serde_json::to_value(variant).unwrap_or_default();
    name.as_str().unwrap_or_default().to_owned()
}
