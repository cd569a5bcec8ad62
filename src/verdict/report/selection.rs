//! Selects and orders the findings that reports show.

use crate::verdict::{CheckId, Finding, FixtureUse, Severity, Verdict};

/// Returns all findings except unused entries: misses, then other failures, then warnings.
pub(super) fn without_unused(verdict: &Verdict) -> Vec<&Finding> {
    let mut findings: Vec<&Finding> = verdict.findings.iter().filter(|f| f.check != CheckId::UNUSED).collect();
    // A stable sort: order of appearance within each group.
    findings.sort_by_key(|finding| (finding.check != CheckId::MISS, finding.severity != Severity::Error));
    findings
}

/// Returns all findings, unused entries last.
pub(super) fn unused_last(verdict: &Verdict) -> Vec<&Finding> {
    let unused = verdict.findings.iter().filter(|finding| finding.check == CheckId::UNUSED);
    without_unused(verdict).into_iter().chain(unused).collect()
}

pub(super) struct UnusedEntries<'v> {
    pub(super) fixture: &'v FixtureUse,
    pub(super) count: usize,
    /// The finding of each listed entry.
    pub(super) findings: Vec<&'v Finding>,
    pub(super) severity: Severity,
}

/// Returns the fixtures with unused entries. Pruned fixtures are skipped: the code that pruned them reports them.
pub(super) fn unused_entries(verdict: &Verdict) -> Vec<UnusedEntries<'_>> {
    let partly = verdict.fixtures.iter().filter(|fixture| fixture.used < fixture.entries && fixture.pruned.is_none());
    let unused = partly.map(|fixture| {
        let is_here = |finding: &&Finding| {
            let at = &finding.at;
            finding.check == CheckId::UNUSED && at.fixture.as_deref() == Some(&fixture.fixture) && at.entry.is_some()
        };
        let findings: Vec<&Finding> = verdict.findings.iter().filter(is_here).collect();
        let severity = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Warning);
        UnusedEntries { fixture, count: fixture.entries - fixture.used, findings, severity }
    });
    unused.collect()
}
