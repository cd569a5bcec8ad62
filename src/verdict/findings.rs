//! The findings of a run as they come: equal ones counted together, and no more kept than a person or a report can use.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use indexmap::map::Entry;

use super::{Finding, Kind, Severity};

/// How many different findings are kept; of the rest only the number.
pub const KEPT: usize = 1000;

/// What makes two findings the same: kind, request and explanation.
type Same = (Kind, Option<String>, String);

/// What was found so far.
#[derive(Debug, Default)]
pub struct Findings {
    kept: IndexMap<Same, Finding>,
    more: BTreeMap<Kind, (Severity, u64)>,
}

impl Findings {
    /// Adds a finding, or counts it with its equal.
    pub fn add(&mut self, finding: Finding) {
        let Findings { kept, more } = self;
        let same = (finding.kind, finding.request.clone(), finding.explanation.clone());
        let full = kept.len() >= KEPT;
        match kept.entry(same) {
            Entry::Occupied(mut equal) => {
                let equal = equal.get_mut();
                equal.times += finding.times;
                equal.severity = graver(equal.severity, finding.severity);
            }
            Entry::Vacant(_) if full => {
                let (severity, times) = more.entry(finding.kind).or_insert((Severity::Warning, 0));
                *severity = graver(*severity, finding.severity);
                *times += finding.times;
            }
            Entry::Vacant(vacant) => {
                vacant.insert(finding);
            }
        }
    }

    /// All of them in order of first appearance, and after them the number of those that were not kept.
    pub fn list(&self) -> impl Iterator<Item = Finding> {
        let more = self.more.iter().map(|(kind, (severity, times))| Finding {
            times: *times,
            ..Finding::new(*kind, *severity, format!("more of these; only the first {KEPT} findings are listed"))
        });
        self.kept.values().cloned().chain(more)
    }
}

/// A finding fails the run if one of those that were counted together does.
fn graver(one: Severity, other: Severity) -> Severity {
    if other == Severity::Error { other } else { one }
}
