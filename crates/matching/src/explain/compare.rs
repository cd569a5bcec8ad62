//! Compares a request with one entry: the differences that keep it from matching, and their distance.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Reverse;
use std::io::Read;

use ::http::HeaderMap;
use harproxy_compare::excerpt::common_prefix;
use harproxy_compare::fields::{self, ListDifferences, NameDifference, Parameter};
use harproxy_compare::payload_diff::EXPLAINED_BYTES;
use harproxy_compare::{
    BodyLocation, Difference, Location, PathDiff, PathSegments, PathStep, PayloadDiff, PayloadDiffKind, SentPayload,
    diff_long_payloads, diff_payloads, distance, excerpt, excerpt_pair,
};
use harproxy_har::{Entry, Payload};
use harproxy_http::url::normal;

use super::super::candidate::{content_type, read_recorded};
use super::super::conditional::Condition;
use super::super::index::{self, Ordinal};
use super::super::key::{Rules, View};
use super::super::matcher::Matcher;
use super::super::required_value::RequiredValue;
use super::super::score::FieldHashes;
use super::super::{EntryRef, NearMiss, Query, RequestPart, choice};

/// An entry that was compared with a request.
#[derive(Debug)]
pub(super) struct ComparedEntry {
    pub(super) rank: NearRank,
    pub(super) near: NearMiss,
    pub(super) payload_kind: PayloadDiffKind,
}

/// The order of near entries: the least distance first, then the most repeated headers, then the order of entries.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NearRank {
    pub(super) distance: u32,
    score: Reverse<usize>,
    pub(super) ordinal: Ordinal,
}

/// The most bytes of long payloads that one explanation reads.
pub(super) const READ_BUDGET: u64 = 128 << 20;

/// The method and URL of a request, prepared for the comparison with many entries.
pub(super) struct RequestLine<'a> {
    method: &'a str,
    url: &'a View<'a, 'a>,
    path: PathSegments<'a>,
}

impl<'a> RequestLine<'a> {
    pub(super) fn new(method: &'a str, url: &'a View<'a, 'a>) -> Self {
        RequestLine { method, url, path: path_segments(url) }
    }

    /// Returns the distance of method and URL from those of an entry.
    pub(super) fn distance(&self, method: &str, recorded: &View<'_, '_>) -> u32 {
        let host = if self.url.host() == recorded.host() {
            0
        } else {
            distance::of_origins(&self.url.parts.site(), &recorded.parts.site())
        };
        let path = if self.url.parts.path == recorded.parts.path {
            0
        } else {
            PathDiff::new(&self.path, &path_segments(recorded)).distance
        };
        distance::of_methods(self.method, method) + host + path + QueryDiff::new(self.url, recorded).distance()
    }
}

/// Returns the segments of a path, as they are written and as the rules see them.
pub(super) fn path_segments<'u>(view: &View<'_, 'u>) -> PathSegments<'u> {
    let by_rules = match view.path() {
        Cow::Borrowed(_) => None,
        Cow::Owned(path) => Some(path.split('/').skip(1).map(str::to_owned).collect()),
    };
    PathSegments { written: view.parts.segments().collect(), by_rules }
}

impl Matcher {
    /// Returns the recorded method of an entry, in the spelling of the request if the entry answers it.
    pub(super) fn method_for<'m>(&self, ordinal: Ordinal, recorded: &'m str, sent: &'m str) -> &'m str {
        let fixture = &self.fixtures[self.index.at(ordinal).fixture];
        if index::spellings(fixture, recorded).any(|method| method == sent) { sent } else { recorded }
    }

    /// Compares a request with an entry; `None` if the entry can't be read.
    pub(super) fn compare(&self, query: &Query<'_>, ordinal: Ordinal, budget: &Cell<u64>) -> Option<ComparedEntry> {
        let at = self.index.at(ordinal);
        let (entry, payload) = (self.fixtures[at.fixture].entry(at.entry).ok()?, &query.payload);
        let recorded_url = normal(&entry.request.url)?;
        let (sent, recorded) = (self.form.view(query.url.as_str()), self.form.view(&recorded_url));
        let rules = self.rules_for(&recorded_url);
        let mut found = Vec::new();
        let method = self.method_for(ordinal, &entry.request.method, query.method);
        if query.method != method {
            found.push(Difference::new(Location::Method, Some(query.method.into()), Some(method.into())));
        }
        if sent.host() != recorded.host() {
            found.push(Difference::new(Location::Origin, Some(sent.parts.site()), Some(recorded.parts.site())));
        }
        let path = PathDiff::new(&path_segments(&sent), &path_segments(&recorded));
        found.extend(path_differences(&path, &sent, &recorded));
        found.extend(QueryDiff::new(&sent, &recorded).differences(&sent, &recorded));
        let headers = header_differences(payload.headers(), &entry, &rules);
        let headers_distance = u32::try_from(headers.len()).unwrap_or(u32::MAX).saturating_mul(distance::HEADER);
        found.extend(headers);
        let mut differences: Vec<_> = found.iter().map(report).collect();

        let stored = self.stored_payload(at, &entry);
        let len = stored.as_ref().map_or(0, Payload::len);
        let is_long = payload.digested().is_some() || len.max(payload.len()) > EXPLAINED_BYTES as u64;
        let bytes = stored.as_ref().filter(|_| !is_long).and_then(|stored| stored.bytes().ok());
        let body = match is_long {
            true => self.diff_long(payload, at, &entry, stored.as_ref(), &rules, budget),
            false => {
                let recorded = read_recorded(&self.fixtures[at.fixture], at.entry, &entry, &rules.body);
                let is_equal = recorded.score(payload, &rules.body, &rules.values).is_some();
                diff_payloads(payload, bytes.as_deref(), &content_type(&entry), &rules.body, is_equal)
            }
        };
        differences.extend(body.differences.iter().map(report));

        let line = RequestLine::new(query.method, &sent).distance(method, &recorded);
        let scored_headers = FieldHashes::of_entry(&entry.request.headers, rules.score_all_headers);
        let score = FieldHashes::of_request(payload.headers()).score(&scored_headers);
        let distance = line.saturating_add(headers_distance).saturating_add(body.distance);
        Some(ComparedEntry {
            rank: NearRank { distance, score: Reverse(score), ordinal },
            near: NearMiss { at, differences, operation: body.operation },
            payload_kind: body.kind,
        })
    }

    /// Returns the payload of an entry's request, if there is one and it was kept.
    fn stored_payload(&self, at: EntryRef, entry: &Entry) -> Option<Payload> {
        let fixture = &self.fixtures[at.fixture];
        let stored = entry.request.post_data.as_ref().and_then(|body| fixture.payload(at.entry, body).ok());
        stored.filter(|payload| matches!(payload, Payload::Bytes(_) | Payload::File(_)))
    }

    /// Compares payloads that are too long to be shown, if the budget allows reading the recorded one.
    fn diff_long(
        &self,
        sent: &SentPayload<'_>,
        at: EntryRef,
        entry: &Entry,
        stored: Option<&Payload>,
        rules: &Rules,
        budget: &Cell<u64>,
    ) -> PayloadDiff<'static> {
        let (content_type, len) = (content_type(entry), stored.map(Payload::len));
        let Some(left) = budget.get().checked_sub(len.unwrap_or_default()) else {
            return diff_long_payloads(sent, len, None, &content_type, None);
        };
        budget.set(left);
        let recorded = read_recorded(&self.fixtures[at.fixture], at.entry, entry, &rules.body);
        if recorded.score(sent, &rules.body, &rules.values).is_some() {
            return PayloadDiff::default();
        }
        let held = stored.filter(|_| !sent.is_empty() && sent.digested().is_none());
        let differs_from = held.and_then(|stored| first_difference(sent.decoded(), stored));
        diff_long_payloads(sent, len, Some(&recorded), &content_type, differs_from)
    }
}

/// Returns the first byte that differs between a sent payload and a stored one, which is read in chunks.
fn first_difference(sent: &[u8], stored: &Payload) -> Option<u64> {
    const CHUNK: u64 = 64 * 1024;
    let (mut reader, mut chunk, mut at) = (stored.reader().ok()?, Vec::new(), 0);
    loop {
        chunk.clear();
        reader.by_ref().take(CHUNK).read_to_end(&mut chunk).ok()?;
        let same = common_prefix(&sent[at..], &chunk);
        at += same;
        if same < chunk.len() || chunk.is_empty() {
            return Some(at as u64);
        }
    }
}

/// Returns the differences of two paths: the segments if few differ, else the paths.
fn path_differences<'a>(diff: &PathDiff, sent: &View<'_, 'a>, recorded: &View<'_, 'a>) -> Vec<Difference<'a>> {
    /// With more changed segments the paths are reported as a whole.
    const MAX_CHANGED: usize = 3;
    if diff.is_empty() {
        return Vec::new();
    }
    let count = |step: PathStep| diff.steps.iter().filter(|other| **other == step).count();
    let (same, changed) = (count(PathStep::Same), count(PathStep::Changed));
    let moved = diff.steps.len() - same - changed;
    let [mut left, mut right] = [sent, recorded].map(|view| view.parts.segments().enumerate());
    let mut found = Vec::new();
    for step in &diff.steps {
        let left = if *step == PathStep::OnlyRight { None } else { left.next() };
        let right = if *step == PathStep::OnlyLeft { None } else { right.next() };
        if *step != PathStep::Same
            && let Some((index, _)) = left.or(right)
        {
            let [left, right] = [left, right].map(|found| found.map(|(_, segment)| Cow::Borrowed(segment)));
            found.push(Difference::new(Location::Segment(index), left, right));
        }
    }
    let is_slash = |found: &Difference<'_>| found.left.as_deref().or(found.right.as_deref()) == Some("");
    let are_few = match (changed, moved) {
        (1, 0) => true,
        (_, 0) => changed <= MAX_CHANGED && same > 0,
        (0, 1) => same > 0 && !found.iter().any(is_slash),
        _ => false,
    };
    match are_few {
        true => found,
        false => {
            vec![Difference::new(Location::Path, Some(sent.parts.path.into()), Some(recorded.parts.path.into()))]
        }
    }
}

/// Returns the differences of the headers that must be equal, and of those that a conditional or range request is
/// about.
fn header_differences(sent: &HeaderMap, entry: &Entry, rules: &Rules) -> Vec<Difference<'static>> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let joined = |values: Vec<String>| (!values.is_empty()).then(|| Cow::Owned(values.join(", ")));
    let mut found = Vec::new();
    for name in &rules.match_headers {
        let recorded: Vec<_> = entry.request.headers.get_all(name).map(RequiredValue::new).collect();
        if !choice::same_values(sent, name, &recorded) {
            let sent = sent.get_all(name).iter().map(|value| text(value.as_bytes())).collect();
            let recorded = recorded.iter().map(|recorded| text(&recorded.value)).collect();
            found.push(Difference::new(Location::RequestHeader(name.clone()), joined(sent), joined(recorded)));
        }
    }
    let condition = Condition::of(entry);
    if condition.admits(sent).is_none() {
        found.extend(condition.differences(sent).into_iter().map(|(name, sent, recorded)| {
            let [sent, recorded] = [sent, recorded].map(|value| value.map(|value| Cow::Owned(text(&value))));
            Difference::new(Location::RequestHeader(name.to_owned()), sent, recorded)
        }));
    }
    found
}

enum QueryDiff<'a> {
    Same,
    /// The parameters are equal, but for their order, a `?` without parameters, or an empty parameter.
    Spelling,
    /// Parameters differ. The flag tells whether the equal ones come in the same order.
    Names(Vec<NameDifference<'a, &'a str>>, bool),
}

impl<'a> QueryDiff<'a> {
    fn new(sent: &View<'_, 'a>, recorded: &View<'_, 'a>) -> Self {
        if sent.parts.query == recorded.parts.query {
            return QueryDiff::Same;
        }
        let parameters = |view: &View<'_, 'a>| -> Vec<Parameter<'a>> {
            let all = fields::parameters(view.parts.query.unwrap_or_default());
            all.filter(|(_, raw)| !view.ignores(raw)).collect()
        };
        let (left, right) = (parameters(sent), parameters(recorded));
        let filled = fields::fill_placeholders(&left, &right);
        match fields::compare_lists(&left, &filled, |a, b| a == b) {
            ListDifferences::None if empty_parameters(sent) == empty_parameters(recorded) => QueryDiff::Same,
            ListDifferences::None | ListDifferences::Order => QueryDiff::Spelling,
            ListDifferences::Names(names) => QueryDiff::Names(names, fields::are_in_order(&left, &filled)),
        }
    }

    fn distance(&self) -> u32 {
        match self {
            QueryDiff::Same => 0,
            QueryDiff::Spelling => distance::SPELLING,
            QueryDiff::Names(names, is_in_order) => {
                let values: u32 = names.iter().map(fields::parameter_distance).sum();
                values + if *is_in_order { 0 } else { distance::SPELLING }
            }
        }
    }

    fn differences(&self, sent: &View<'_, 'a>, recorded: &View<'_, 'a>) -> Vec<Difference<'a>> {
        let whole = || {
            let [left, right] = [sent, recorded].map(|view| view.parts.query.map(Cow::Borrowed));
            Difference::new(Location::Query, left, right)
        };
        match self {
            QueryDiff::Same => Vec::new(),
            QueryDiff::Spelling => vec![whole()],
            QueryDiff::Names(names, is_in_order) => {
                let named = names.iter().map(|name| {
                    let [left, right] = fields::shown_values(name).map(|value| value.map(Cow::Owned));
                    Difference::new(Location::Parameter(name.name.clone().into_owned()), left, right)
                });
                let mut found: Vec<_> = named.collect();
                if !is_in_order {
                    found.push(whole());
                }
                found
            }
        }
    }
}

/// Returns which of the compared parameters are empty; `None` if there is no query.
fn empty_parameters(view: &View<'_, '_>) -> Option<Vec<bool>> {
    let query = view.query()?;
    Some(query.split('&').map(str::is_empty).collect())
}

/// The most characters of a value that are reported.
const MAX_VALUE_CHARS: usize = 400;

/// Returns a difference as it is reported. Long values are cut around the place where they begin to differ.
fn report(difference: &Difference<'_>) -> super::super::Difference {
    let (part, name) = match &difference.location {
        Location::Method => (RequestPart::Method, String::new()),
        Location::Origin => (RequestPart::Host, String::new()),
        Location::Segment(index) => (RequestPart::Path, (index + 1).to_string()),
        Location::Query => (RequestPart::Query, String::new()),
        Location::Parameter(name) => (RequestPart::Query, name.clone()),
        Location::RequestHeader(name) => (RequestPart::Header, name.clone()),
        Location::RequestBody(BodyLocation::Json(pointer)) => (RequestPart::Body, pointer.to_path()),
        Location::RequestBody(BodyLocation::Field(name)) => (RequestPart::Body, name.clone()),
        Location::RequestBody(BodyLocation::Whole) => (RequestPart::Body, String::new()),
        // Responses do not match requests.
        _ => (RequestPart::Path, String::new()),
    };
    let with_length =
        |whole: &str, cut: String| if cut == whole { cut } else { format!("{cut} ({} bytes)", whole.len()) };
    let (request, recorded) = match (&difference.left, &difference.right) {
        (Some(left), Some(right)) => {
            let [cut_left, cut_right] = excerpt_pair(left, right, MAX_VALUE_CHARS);
            (Some(with_length(left, cut_left)), Some(with_length(right, cut_right)))
        }
        (left, right) => {
            let cut = |value: &Cow<'_, str>| with_length(value, excerpt(value, MAX_VALUE_CHARS));
            (left.as_ref().map(cut), right.as_ref().map(cut))
        }
    };
    super::super::Difference { part, name, request, recorded }
}
