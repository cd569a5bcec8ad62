//! Groups findings that have one cause: misses of one endpoint, and requests out of scope to one origin. JSON, JUnit
//! and code quality list every finding; the other formats show the first of a group and count the others.

use indexmap::{IndexMap, IndexSet};

use crate::verdict::{CheckId, Finding, Severity};
use harproxy_compare::{excerpt, looks_volatile};
use harproxy_http::url::Parts;
use harproxy_support::printable::one_line;

/// Maximum number of further requests of a group that are named.
const NAMED: usize = 3;
/// Maximum length of a named request, characters.
const LONGEST: usize = 80;

/// A finding that is shown, and others with the same cause.
#[derive(Debug)]
pub(super) struct FindingGroup<'v> {
    pub(super) first: &'v Finding,
    others: Vec<&'v Finding>,
}

impl FindingGroup<'_> {
    /// Returns the number of findings.
    pub(super) fn len(&self) -> usize {
        1 + self.others.len()
    }

    /// Counts and names the others, in one line; `None` without others.
    pub(super) fn others(&self) -> Option<String> {
        let count: u64 = self.others.iter().map(|finding| finding.times).sum();
        let is_miss = self.first.check == CheckId::MISS;
        let noun = match (is_miss, count) {
            (true, 1) => "miss of this endpoint",
            (true, _) => "misses of this endpoint",
            (false, 1) => "request to this origin",
            (false, _) => "requests to this origin",
        };
        let first = request_target(self.first, is_miss);
        let mut named: Vec<String> = Vec::new();
        for other in &self.others {
            let other = request_target(other, is_miss);
            if other != first && !named.contains(&other) {
                named.push(other);
            }
        }
        let more = if named.len() > NAMED { ", …" } else { "" };
        named.truncate(NAMED);
        let named = if named.is_empty() { String::new() } else { format!(": {}{more}", named.join(", ")) };
        (count > 0).then(|| format!("and {count} more {noun}{named}"))
    }
}

/// Groups findings. Each group stands where its first finding was. The groups of each test follow those without one.
pub(super) fn group_findings<'v>(findings: &[&'v Finding]) -> Vec<FindingGroup<'v>> {
    let mut groups: IndexMap<(&CheckId, bool, Option<&str>, String), FindingGroup<'v>> = IndexMap::new();
    for (n, finding) in findings.iter().copied().enumerate() {
        let request = finding.at.request.as_deref().and_then(|request| request.split_once(' '));
        let cause = match request {
            Some((method, url)) if finding.check == CheckId::MISS => format!("{method} {}", path_shape(url)),
            // Requests for which the hint names a recorded origin have another cause.
            Some((_, url)) if finding.check == CheckId::OUT_OF_SCOPE => {
                format!("{} {}", Parts::of(url).site(), finding.hint.as_deref().unwrap_or_default())
            }
            _ => n.to_string(),
        };
        let key = (&finding.check, finding.severity == Severity::Error, finding.session.as_deref(), cause);
        match groups.get_mut(&key) {
            Some(group) => group.others.push(finding),
            None => drop(groups.insert(key, FindingGroup { first: finding, others: Vec::new() })),
        }
    }
    let mut groups: Vec<FindingGroup<'v>> = groups.into_values().collect();
    let mut tests: IndexSet<&str> = IndexSet::new();
    groups.sort_by_cached_key(|group| group.first.session.as_deref().map(|test| tests.insert_full(test).0));
    groups
}

/// Returns origin and path of a URL, with `*` for segments that are numbers or look volatile.
fn path_shape(url: &str) -> String {
    let parts = Parts::of(url);
    let mut shape = parts.site().into_owned();
    for segment in parts.segments() {
        let is_number = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
        shape.push('/');
        shape.push_str(if is_number || looks_volatile(segment, None) { "*" } else { segment });
    }
    shape
}

/// Returns path and query of the request of a finding, or its method and these.
fn request_target(finding: &Finding, target_alone: bool) -> String {
    let request = finding.at.request.as_deref().unwrap_or_default();
    let (method, url) = request.split_once(' ').unwrap_or(("", request));
    let target = &url[Parts::of(url).origin.len().min(url.len())..];
    let text = if target_alone { target.to_owned() } else { format!("{method} {target}") };
    excerpt(&one_line(&text), LONGEST)
}
