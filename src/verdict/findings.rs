//! The findings of a run as they come: equal ones counted together, and no more kept than a person or a report can use.

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;
use indexmap::map::Entry;

use super::{Finding, Kind, Severity};

/// How many different findings are kept; of the rest only the number.
pub const KEPT: usize = 1000;
/// How many of the requests that a finding happened to are named.
const NAMED: usize = 1000;

/// Under which name findings stand in the log, where they are not told otherwise.
pub const LOG: &str = "harproxy::finding";

/// Who is told of findings at once. It is called while others wait to add theirs.
pub type Herald = Box<dyn Fn(&Finding) + Send + Sync>;

/// What makes two findings the same: kind, request and explanation.
type Same = (Kind, Option<String>, String);

/// What was found so far.
#[derive(Default)]
pub struct Findings {
    kept: IndexMap<Same, Finding>,
    more: BTreeMap<Kind, (Severity, u64)>,
    herald: Option<Herald>,
}

impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Findings").field("kept", &self.kept).field("more", &self.more).finish_non_exhaustive()
    }
}

impl Findings {
    /// Tells each finding at once from here on, those that are there already first. Equal ones are told once, and those that
    /// are no longer kept not at all.
    pub fn heard_by(&mut self, herald: Herald) {
        self.kept.values().for_each(&herald);
        self.herald = Some(herald);
    }

    /// Adds a finding, or counts it with its equal.
    pub fn add(&mut self, finding: Finding) {
        let Findings { kept, more, herald } = self;
        let same = (finding.kind, finding.request.clone(), finding.explanation.clone());
        let full = kept.len() >= KEPT;
        match kept.entry(same) {
            Entry::Occupied(mut equal) => {
                let equal = equal.get_mut();
                equal.times += finding.times;
                equal.severity = graver(equal.severity, finding.severity);
                let room = NAMED.saturating_sub(equal.requests.len());
                equal.requests.extend(finding.requests.into_iter().take(room));
            }
            Entry::Vacant(_) if full => {
                let (severity, times) = more.entry(finding.kind).or_insert((Severity::Warning, 0));
                *severity = graver(*severity, finding.severity);
                *times += finding.times;
            }
            Entry::Vacant(vacant) => {
                let finding = vacant.insert(finding);
                if let Some(herald) = herald {
                    herald(finding);
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_findings_name_the_requests_of_all_of_them_as_far_as_that_goes() {
        let mut findings = Findings::default();
        for id in 1..=NAMED as u64 + 5 {
            findings.add(Finding { requests: vec![id], ..Finding::new(Kind::Miss, Severity::Error, "no entry") });
        }
        let found: Vec<Finding> = findings.list().collect();
        assert_eq!((found.len(), found[0].times), (1, NAMED as u64 + 5));
        assert_eq!(found[0].requests, (1..=NAMED as u64).collect::<Vec<_>>());
    }
}
