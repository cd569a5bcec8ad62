//! Suggests a rule with which the nearest entry matches, if the request differs from it only in volatile values. A rule
//! is tried before it is reported.

use std::cell::Cell;
use std::fmt::Write as _;

use harproxy_compare::path_diff::PathStep;
use harproxy_compare::{MatchBody, PathDiff, PayloadDiffKind, looks_volatile};
use harproxy_glob::Globs;
use harproxy_http::url::{Parts, normal};
use harproxy_http::{Headers, NormalUrl};
use harproxy_json::{JsonPath, Pointer, PointerStep};
use harproxy_support::printable;

use super::super::candidate::Candidate;
use super::super::choice;
use super::super::conditional::Condition;
use super::super::ignored::IgnoredParts;
use super::super::index::Ordinal;
use super::super::key::KeyForm;
use super::super::live_request::{LiveHeaders, LiveRequest};
use super::super::matcher::Matcher;
use super::super::redacted_places::{RedactedPlaces, UrlShape};
use super::super::{Difference, MatchRule, Options, PathPattern, Query, RequestPart};
use super::compare::{ComparedEntry, path_segments};
use super::same_origin;

/// Options that let an entry match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Remedy {
    /// The pattern of the request's origin, and the recorded origin.
    same_host: Option<(String, String)>,
    ignore_query: Vec<String>,
    path: Option<String>,
    body: Option<MatchBody>,
    ignore_body: Vec<String>,
    /// Names to leave out of `--match-header`.
    unmatched_headers: Vec<String>,
    /// The glob of a `[[match]]` rule: the endpoint of the request.
    glob: String,
}

/// A remedy with more JSON paths is not reported, because it is impractical.
const MAX_JSON_PATHS: usize = 5;
/// Members and parameters of a GraphQL request that name its operation. They are never ignored.
const OPERATION_NAMES: [&str; 5] = ["query", "operationName", "extensions", "documentId", "doc_id"];

impl Matcher {
    /// Returns the option or configuration lines that let an entry match, in addition to those of the run. `None` if
    /// the difference may matter: a value that does not look volatile, a part that tells entries apart, or a recorded
    /// failure. `shown_url` is the URL of the request without secrets, and `others` are similar entries.
    pub(super) fn remedy(
        &self,
        query: &Query<'_>,
        shown_url: &NormalUrl,
        compared: &ComparedEntry,
        others: &[(u32, Ordinal)],
        budget: &Cell<u64>,
    ) -> Option<String> {
        let ordinal = compared.rank.ordinal;
        let at = self.index.at(ordinal);
        let fixture = &self.fixtures[at.fixture];
        if fixture.entry(at.entry).is_ok_and(|entry| Condition::of(&entry) == Condition::Failure) {
            return None;
        }
        let recorded_at = fixture.recorded_at(at.entry).map(|at| at.unix_timestamp());
        let differences = &compared.near.differences;
        let is_spelling =
            matches!(compared.payload_kind, PayloadDiffKind::JsonSpelling | PayloadDiffKind::FormSpelling);
        let is_ignorable = |difference: &Difference| match difference.part {
            RequestPart::Host => differences.len() == 1,
            RequestPart::Body if is_spelling => true,
            _ => is_volatile(difference, recorded_at) && !names_operation(difference),
        };
        // Not every place of a payload is among the differences.
        let has_more = match &compared.payload_kind {
            PayloadDiffKind::JsonPlaces(places) => {
                places.len() > differences.iter().filter(|difference| difference.part == RequestPart::Body).count()
            }
            _ => false,
        };
        if has_more || !differences.iter().all(is_ignorable) {
            return None;
        }
        let recorded = self.url_of(ordinal)?;
        let remedy = self.remedy_of_url_and_headers(query, shown_url, &recorded, differences)?;
        let works = |remedy: &Remedy| {
            let options = remedy.applied_to(&self.options).filter(|options| self.would_match(query, ordinal, options));
            options.is_some_and(|options| !self.tells_apart(query, compared, &options, others, budget))
        };
        let remedies = body_remedies(&compared.payload_kind).into_iter();
        let mut remedies = remedies.map(|(body, ignore_body)| Remedy { body, ignore_body, ..remedy.clone() });
        remedies.find(works)?.text(&self.options)
    }

    /// Returns true if these options also let an entry of another request match: the part that they ignore tells
    /// entries apart.
    fn tells_apart(
        &self,
        query: &Query<'_>,
        compared: &ComparedEntry,
        options: &Options,
        others: &[(u32, Ordinal)],
        budget: &Cell<u64>,
    ) -> bool {
        let others = others.iter().map(|(_, ordinal)| *ordinal).filter(|ordinal| *ordinal != compared.rank.ordinal);
        others.filter(|ordinal| self.would_match(query, *ordinal, options)).any(|ordinal| {
            let other = self.compare(query, ordinal, budget);
            other.is_none_or(|other| other.near.differences != compared.near.differences)
        })
    }

    /// Returns the remedy for differences of URL and headers; `None` if there is none.
    fn remedy_of_url_and_headers(
        &self,
        query: &Query<'_>,
        shown_url: &NormalUrl,
        recorded: &str,
        differences: &[Difference],
    ) -> Option<Remedy> {
        let has = |part| differences.iter().any(|difference| difference.part == part);
        let (glob, path) = self.endpoint(query, shown_url, recorded)?;
        let mut remedy = Remedy { glob, ..Remedy::default() };
        if has(RequestPart::Header) {
            // One line has to be enough, so there must be no other difference.
            let names = differences.iter().map(|difference| difference.name.clone());
            let is_header = |difference: &Difference| difference.part == RequestPart::Header;
            return differences.iter().all(is_header).then(|| Remedy { unmatched_headers: names.collect(), ..remedy });
        }
        if has(RequestPart::Host) {
            remedy.same_host =
                Some(same_origin::pair(&Parts::of(shown_url.as_str()).site(), &Parts::of(recorded).site()));
        }
        let parameters = differences.iter().filter(|difference| difference.part == RequestPart::Query);
        remedy.ignore_query = parameters.map(|parameter| parameter.name.clone()).collect();
        remedy.path = has(RequestPart::Path).then_some(path);
        Some(remedy)
    }

    /// Returns the glob of the endpoint, and its path with variables for the segments that differ. `None` if the paths
    /// have different lengths.
    fn endpoint(&self, query: &Query<'_>, shown_url: &NormalUrl, recorded: &str) -> Option<(String, String)> {
        let shown = Parts::of(shown_url.as_str());
        let (sent, recorded) = (self.form.view(query.url.as_str()), self.form.view(recorded));
        let (sent, recorded) = (path_segments(&sent), path_segments(&recorded));
        let steps = PathDiff::new(&sent, &recorded).steps;
        let segments: Vec<&str> = shown.segments().collect();
        let is_aligned = steps.iter().all(|step| matches!(step, PathStep::Same | PathStep::Changed));
        if !is_aligned || segments.len() != steps.len() {
            return None;
        }
        let (mut glob, mut pattern) = (harproxy_glob::escaped(&shown.site()), String::new());
        let mut variables = 0;
        for (n, (sent, kept)) in sent.written.iter().zip(&recorded.written).enumerate() {
            pattern.push('/');
            glob.push('/');
            // A secret of the request becomes a variable, too.
            if sent == kept && *sent == segments[n] {
                pattern.push_str(sent);
                glob.push_str(&harproxy_glob::escaped(sent));
            } else {
                variables += 1;
                pattern.push_str(&if variables == 1 { "{id}".to_owned() } else { format!("{{id{variables}}}") });
                glob.push('*');
            }
        }
        if shown.query.is_some() {
            glob.push_str("?**");
        }
        Some((glob, pattern))
    }

    /// Returns true if an entry would be a candidate for a request under these options.
    fn would_match(&self, query: &Query<'_>, ordinal: Ordinal, options: &Options) -> bool {
        let Ok(form) = KeyForm::new(options) else { return false };
        let at = self.index.at(ordinal);
        let fixture = &self.fixtures[at.fixture];
        let Ok(entry) = fixture.entry(at.entry) else { return false };
        let Some(url) = normal(&entry.request.url) else { return false };
        let (asked, recorded) = (form.view(query.url.as_str()), form.view(&url));
        let same_url = match UrlShape::of(&RedactedPlaces::of(Some(&recorded), &Headers::default())) {
            Some(shape) => shape.of_url(&asked) == shape.of_url(&recorded),
            None => form.key(query.url.as_str()) == form.key(&url),
        };
        let rules = form.rules_for(&recorded);
        if self.method_for(ordinal, &entry.request.method, query.method) != query.method || !same_url {
            return false;
        }
        let candidate = Candidate::new(ordinal, at, fixture, &entry, &rules, &form, true);
        let headers = LiveHeaders::new(query.payload.headers(), self.redaction.policy());
        // Computed values depend on the rules of the run.
        let payload = query.payload.fresh();
        let request = LiveRequest { url: Some(&asked), headers: &headers, payload: &payload, test: None };
        choice::rank(&candidate, &request, &rules, &IgnoredParts::default()).is_some()
    }
}

/// Returns the options that may make payloads equal, the least permissive first.
fn body_remedies(kind: &PayloadDiffKind) -> Vec<(Option<MatchBody>, Vec<String>)> {
    let mut remedies = Vec::new();
    match kind {
        PayloadDiffKind::Equal => return vec![(None, Vec::new())],
        PayloadDiffKind::JsonSpelling => remedies.push((Some(MatchBody::Json), Vec::new())),
        PayloadDiffKind::FormSpelling => remedies.push((Some(MatchBody::Form), Vec::new())),
        PayloadDiffKind::JsonPlaces(places) => {
            let exact: Vec<String> = last_elements_first(places).iter().map(|place| place.to_path()).collect();
            let (each, arrays) = (merged_paths(places, Some("[*]")), merged_paths(places, None));
            // One path for all elements of an array is preferred to one for each.
            let first = if each.len() < exact.len() { [each, exact] } else { [exact, each] };
            for paths in first.into_iter().chain([arrays]) {
                if paths.len() <= MAX_JSON_PATHS && !paths.iter().any(|path| path == "$") {
                    remedies.push((None, paths.clone()));
                    remedies.push((Some(MatchBody::Json), paths));
                }
            }
        }
        PayloadDiffKind::Other | PayloadDiffKind::Long => {}
    }
    remedies
}

/// Reverses the order of the places that are elements of arrays: removing an element moves those behind it.
fn last_elements_first<'p>(places: &'p [Pointer<'static>]) -> Vec<&'p Pointer<'static>> {
    let is_element = |place: &&Pointer<'_>| matches!(place.steps().last(), Some(PointerStep::Index(_)));
    let mut elements = places.iter().filter(is_element).rev();
    places.iter().map(|place| if is_element(&place) { elements.next().unwrap_or(place) } else { place }).collect()
}

/// Returns the paths of places, each once, with `wildcard` for the first index of an array. Without a wildcard, or a
/// step behind the index, it is the path of the array.
fn merged_paths(places: &[Pointer<'static>], wildcard: Option<&str>) -> Vec<String> {
    let mut merged: Vec<String> = Vec::new();
    for place in places {
        let index = place.steps().iter().position(|step| matches!(step, PointerStep::Index(_)));
        let path = match index {
            Some(index) => {
                let (array, rest) = place.steps().split_at(index);
                let array = path_of(array);
                match wildcard.filter(|_| rest.len() > 1) {
                    Some(wildcard) => format!("{array}{wildcard}{}", &path_of(&rest[1..])[1..]),
                    None => array,
                }
            }
            None => place.to_path(),
        };
        if !merged.contains(&path) {
            merged.push(path);
        }
    }
    merged
}

fn path_of(steps: &[PointerStep<'_>]) -> String {
    let mut pointer = Pointer::default();
    steps.iter().cloned().for_each(|step| pointer.push(step));
    pointer.to_path()
}

/// Returns true if both values of a difference look volatile. `recorded_at` is the time of the recording in Unix
/// seconds.
fn is_volatile(difference: &Difference, recorded_at: Option<i64>) -> bool {
    let values = [&difference.request, &difference.recorded];
    !difference.name.is_empty()
        && values.iter().all(|value| value.as_deref().is_some_and(|value| looks_volatile(value, recorded_at)))
}

/// Returns true if a parameter or JSON value names the operation of a GraphQL request, such as the hash of a persisted
/// query.
fn names_operation(difference: &Difference) -> bool {
    let is_name = |name: &str| OPERATION_NAMES.contains(&name);
    match difference.part {
        RequestPart::Query => is_name(&difference.name),
        RequestPart::Body => {
            // `$.extensions.persistedQuery.sha256Hash`, and `$[0].query` of a batch.
            let path = difference.name.trim_start_matches('$').trim_start_matches(|c: char| "[]0123456789".contains(c));
            path.strip_prefix('.').and_then(|path| path.split(['.', '[']).next()).is_some_and(is_name)
        }
        _ => false,
    }
}

impl Remedy {
    /// Returns the options with this remedy; `None` if a value is not valid in a rule.
    fn applied_to(&self, options: &Options) -> Option<Options> {
        let mut options = options.clone();
        if let Some(pair) = &self.same_host {
            options.same_host.push(pair.clone());
            return Some(options);
        }
        if !self.unmatched_headers.is_empty() {
            let remove = |names: &mut Vec<String>| names.retain(|name| !self.unmatched_headers.contains(name));
            remove(&mut options.match_headers);
            options.rules.iter_mut().for_each(|rule| remove(&mut rule.match_headers));
            return Some(options);
        }
        let paths = self.ignore_body.iter().map(|path| JsonPath::parse(path));
        options.rules.push(MatchRule {
            glob: Globs::new([&self.glob]).ok()?,
            paths: self.path.iter().map(|path| PathPattern::new(path)).collect::<Result<_, _>>().ok()?,
            ignore_query: self.ignore_query.clone(),
            ignore_body: paths.collect::<Result<_, _>>().ok()?,
            body: self.body,
            ..MatchRule::default()
        });
        Some(options)
    }

    /// Returns the option as it is typed, or the lines for `harproxy.toml`.
    fn text(&self, options: &Options) -> Option<String> {
        if let Some(pair) = &self.same_host {
            return Some(same_origin::option(options, pair));
        }
        if !self.unmatched_headers.is_empty() {
            let names = self.unmatched_headers.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Some(format!("leave {names} out of `--match-header` (`match-header` in harproxy.toml)"));
        }
        let list = |name: &str, values: &[String]| {
            let values: Vec<_> = values.iter().map(|value| toml_string(value)).collect();
            (!values.is_empty()).then(|| format!("{name} = [{}]", values.join(", ")))
        };
        let lines = [
            self.path.as_ref().map(|path| format!("path = {}", toml_string(path))),
            list("ignore-query", &self.ignore_query),
            self.body.map(|mode| format!("body = {}", toml_string(mode_word(mode)))),
            list("ignore-body", &self.ignore_body),
        ];
        let lines: Vec<String> = lines.into_iter().flatten().collect();
        let rule = format!("in harproxy.toml:\n[[match]]\nglob = {}", toml_string(&self.glob));
        (!lines.is_empty()).then(|| format!("{rule}\n{}", lines.join("\n")))
    }
}

/// Returns a mode as options and rules spell it.
fn mode_word(mode: MatchBody) -> &'static str {
    match mode {
        MatchBody::Exact => "exact",
        MatchBody::Json => "json",
        MatchBody::Form => "form",
        MatchBody::Ignore => "ignore",
    }
}

/// Returns a TOML string on one line. Invisible characters become escapes.
fn toml_string(value: &str) -> String {
    if !value.contains(printable::is_invisible) {
        return toml::Value::from(value).to_string();
    }
    let mut quoted = String::from('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Writing into a string cannot fail.
            c if printable::is_invisible(c) => _ = write!(quoted, "\\U{:08x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_strings_stay_on_one_line_and_keep_their_value() {
        for value in ["plain", r"https://a.test/\*", "it's \"x\"", "a\nb\u{9b}\u{202e}\u{1b}\\\""] {
            let quoted = toml_string(value);
            assert!(!quoted.contains(printable::is_invisible), "{quoted}");
            let read: toml::Table = format!("a = {quoted}").parse().unwrap();
            assert_eq!(read["a"].as_str(), Some(value));
        }
    }
}
