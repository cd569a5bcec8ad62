//! Findings: the results of checks, each with its location and a hint. Equal ones are counted together, and the
//! number of different ones is bounded.

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;
use indexmap::map::Entry;
use serde::{Deserialize, Serialize};

use super::explain::{EntryPlace, NearEntry};
use super::fail_on::{CheckId, Severity};

/// The number of different findings that are kept. Further ones are only counted.
pub const MAX_FINDINGS: usize = 1000;
/// The number of request ids that a finding keeps.
const MAX_REQUESTS: usize = 1000;

pub const LOG: &str = "harproxy::finding";

/// Receives each finding when it is first added. It is called while the findings are locked.
pub type FindingListener = Box<dyn Fn(&Finding) + Send + Sync>;

/// Findings with an equal key are one finding: check, request, text and session.
type Key = (CheckId, Option<String>, String, Option<String>);

#[derive(Default)]
pub struct Findings {
    kept: IndexMap<Key, Finding>,
    /// Findings beyond [`MAX_FINDINGS`]: the highest severity and the number.
    more: BTreeMap<CheckId, (Severity, u64)>,
    listener: Option<FindingListener>,
}

impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Findings").field("kept", &self.kept).field("more", &self.more).finish_non_exhaustive()
    }
}

impl Findings {
    /// Sets the listener, and passes it the findings that there are already.
    pub fn set_listener(&mut self, listener: FindingListener) {
        self.kept.values().for_each(&listener);
        self.listener = Some(listener);
    }

    /// Adds a finding, or counts it with an equal one.
    pub fn add(&mut self, finding: Finding) {
        let Findings { kept, more, listener } = self;
        let key = (finding.check.clone(), finding.at.request.clone(), finding.text.clone(), finding.session.clone());
        let is_full = kept.len() >= MAX_FINDINGS;
        match kept.entry(key) {
            Entry::Occupied(mut equal) => {
                let equal = equal.get_mut();
                equal.times += finding.times;
                equal.severity = equal.severity.max(finding.severity);
                let room = MAX_REQUESTS.saturating_sub(equal.requests.len());
                equal.requests.extend(finding.requests.into_iter().take(room));
            }
            Entry::Vacant(_) if is_full => {
                let (severity, times) = more.entry(finding.check).or_insert((Severity::Warning, 0));
                *severity = (*severity).max(finding.severity);
                *times += finding.times;
            }
            Entry::Vacant(vacant) => {
                let finding = vacant.insert(finding);
                if let Some(listener) = listener {
                    listener(finding);
                }
            }
        }
    }

    /// Returns the findings in order of first appearance, then one per check that counts those that were not kept.
    pub fn list(&self) -> impl Iterator<Item = Finding> {
        let more = self.more.iter().map(|(check, (severity, times))| {
            let text = format!("more of these; only the first {MAX_FINDINGS} findings are listed");
            Finding { times: *times, ..Finding::new(check.clone(), *severity, text) }
        });
        self.kept.values().cloned().chain(more)
    }
}

/// The request and the entry of a finding, if it has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// `METHOD URL` of the request.
    pub request: Option<String>,
    /// The fixture, as it was given.
    pub fixture: Option<String>,
    /// The entry, counted from 0.
    pub entry: Option<usize>,
    /// The entry's line in the HAR, counted from 1.
    pub line: Option<usize>,
}

impl Location {
    /// Returns the location of a finding about an entry, and about a request if there is one.
    #[must_use]
    pub fn entry(place: EntryPlace, request: impl Into<Option<String>>) -> Self {
        let EntryPlace { fixture, entry, line } = place;
        Location { request: request.into(), fixture: Some(fixture), entry: Some(entry), line }
    }

    #[must_use]
    pub fn request(request: impl Into<String>) -> Self {
        Location { request: Some(request.into()), ..Location::default() }
    }

    #[must_use]
    pub fn fixture(fixture: impl Into<String>) -> Self {
        Location { fixture: Some(fixture.into()), ..Location::default() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    #[serde(rename = "kind")]
    pub check: CheckId,
    pub severity: Severity,
    #[serde(flatten)]
    pub at: Location,
    /// The explanation: one sentence, or a few lines.
    #[serde(rename = "explanation")]
    pub text: String,
    /// The test whose request it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The option, configuration line or command that helps.
    #[serde(rename = "remedy")]
    pub hint: Option<String>,
    /// Of a miss: the most similar entries and their differences, most similar first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<NearEntry>,
    /// The number of occurrences.
    pub times: u64,
    /// The ids of the requests with this finding, up to 1,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<u64>,
    /// True for a refused certificate whose client has no name.
    #[serde(skip)]
    pub is_of_unnamed_client: bool,
}

impl Finding {
    /// Creates a finding that occurred once, without a location and a hint.
    pub fn new(check: CheckId, severity: Severity, text: impl Into<String>) -> Self {
        let (at, session, near, requests) = Default::default();
        Finding {
            check,
            severity,
            at,
            text: text.into(),
            session,
            hint: None,
            near,
            times: 1,
            requests,
            is_of_unnamed_client: false,
        }
    }

    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Finding { hint: Some(hint.into()), ..self }
    }

    /// Returns true if `--fail-on` can make this finding fail a run. A fixture without any date may be stale or not, so
    /// that it is listed as [`CheckId::STALE`] and never fails.
    #[must_use]
    pub fn can_fail(&self) -> bool {
        self.check != CheckId::STALE || self.at.entry.is_some() || self.at.fixture.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn miss(url: impl fmt::Display) -> Finding {
        let at = Location::request(format!("GET {url}"));
        Finding { at, ..Finding::new(CheckId::MISS, Severity::Error, "no entry") }
    }

    #[test]
    fn equal_findings_keep_the_ids_of_their_requests_up_to_the_limit() {
        let mut findings = Findings::default();
        for id in 1..=MAX_REQUESTS as u64 + 5 {
            findings.add(Finding { requests: vec![id], ..Finding::new(CheckId::MISS, Severity::Error, "no entry") });
        }
        let found: Vec<Finding> = findings.list().collect();
        assert_eq!((found.len(), found[0].times), (1, MAX_REQUESTS as u64 + 5));
        assert_eq!(found[0].requests, (1..=MAX_REQUESTS as u64).collect::<Vec<_>>());
    }

    #[test]
    fn equal_findings_are_one_in_order_of_first_appearance() {
        let mut findings = Findings::default();
        ["http://h/b", "http://h/a", "http://h/b"].into_iter().for_each(|url| findings.add(miss(url)));
        let found: Vec<_> = findings.list().map(|f| (f.at.request.unwrap_or_default(), f.times)).collect();
        assert_eq!(found, [("GET http://h/b".to_owned(), 2), ("GET http://h/a".to_owned(), 1)]);
    }

    #[test]
    fn failing_finding_is_not_hidden_by_an_equal_warning() {
        let mut findings = Findings::default();
        for severity in [Severity::Warning, Severity::Error, Severity::Warning] {
            findings.add(Finding { severity, ..miss("http://h/") });
        }
        let finding = findings.list().next().unwrap();
        assert_eq!((finding.times, finding.severity), (3, Severity::Error));
    }

    #[test]
    fn findings_beyond_the_limit_are_counted_and_still_fail() {
        let mut findings = Findings::default();
        for n in 0..MAX_FINDINGS {
            findings.add(Finding { severity: Severity::Warning, ..miss(n) });
        }
        assert_eq!(findings.list().count(), MAX_FINDINGS);
        findings.add(miss("one more"));
        findings.add(miss("two more"));
        let counted = findings.list().last().unwrap();
        assert_eq!((counted.check, counted.severity, counted.times), (CheckId::MISS, Severity::Error, 2));
        assert_eq!(counted.at.request, None);
    }
}
