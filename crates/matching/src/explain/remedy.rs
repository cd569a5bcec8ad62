//! Suggests what to write so that the nearest entry matches: options, or a `[[match]]` rule of `harproxy.toml`. A
//! suggestion is tried before it is reported.

use harproxy_compare::path_diff::PathStep;
use harproxy_compare::{MatchBody, PathDiff, PayloadDiffKind};
use harproxy_glob::Globs;
use harproxy_http::url::{Parts, normal};
use harproxy_http::{Headers, NormalUrl};
use harproxy_json::{JsonPath, Pointer, PointerStep};
use harproxy_support::shell_quote;

use super::super::candidate::Candidate;
use super::super::choice;
use super::super::ignored::IgnoredParts;
use super::super::index::Ordinal;
use super::super::key::KeyForm;
use super::super::live_request::{LiveHeaders, LiveRequest};
use super::super::matcher::Matcher;
use super::super::redacted_places::{RedactedPlaces, UrlShape};
use super::super::{Difference, MatchRule, Options, OriginPattern, PathPattern, Query, RequestPart};
use super::compare::{ComparedEntry, path_segments};

/// Options that let an entry match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Remedy {
    /// The request's origin and the recorded one.
    same_host: Option<(String, String)>,
    ignore_query: Vec<String>,
    path: Option<String>,
    body: Option<MatchBody>,
    ignore_body: Vec<String>,
    /// Names to leave out of `--match-header`.
    unmatched_headers: Vec<String>,
    /// The glob of a `[[match]]` rule, if options alone are not enough.
    glob: Option<String>,
}

/// A remedy with more JSON paths is not reported, because it is impractical.
const MAX_JSON_PATHS: usize = 5;

impl Matcher {
    /// Returns the options or configuration lines that let an entry match, in addition to those of the run. `shown_url`
    /// is the URL of the request without secrets.
    pub(super) fn remedy(&self, query: &Query<'_>, shown_url: &NormalUrl, compared: &ComparedEntry) -> Option<String> {
        let ordinal = compared.rank.ordinal;
        let recorded = self.url_of(ordinal)?;
        let differences = &compared.near.differences;
        let remedy = self.remedy_of_url_and_headers(query, shown_url, &recorded, differences)?;
        let mode_is_of_a_rule = self.rules_for(&recorded).body.mode != self.options.match_body;
        let mut remedies = body_remedies(&compared.payload_kind).into_iter().map(|(body, ignore_body)| {
            let mut remedy = Remedy { body, ignore_body, ..remedy.clone() };
            let unfit_for_option = remedy.ignore_query.iter().any(|name| name.is_empty() || name.contains(','));
            // Only a further rule can override the mode that a rule sets.
            if remedy.path.is_some() || unfit_for_option || (mode_is_of_a_rule && remedy.body.is_some()) {
                let origin = remedy.same_host.as_ref().map_or_else(
                    || Parts::of(shown_url.as_str()).site().into_owned(),
                    |(_, recorded)| recorded.clone(),
                );
                remedy.glob = Some(format!("{origin}/**"));
            }
            remedy
        });
        let works = |remedy: &Remedy| {
            let options = remedy.applied_to(&self.options);
            options.is_some_and(|options| self.would_match(query, ordinal, &options))
        };
        remedies.find(works)?.text(&self.options)
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
        if has(RequestPart::Method) {
            return None;
        }
        let mut remedy = Remedy::default();
        if has(RequestPart::Header) {
            // One line has to be enough, so there must be no other difference.
            let names = differences.iter().map(|difference| difference.name.clone());
            let is_header = |difference: &Difference| difference.part == RequestPart::Header;
            return differences.iter().all(is_header).then(|| Remedy { unmatched_headers: names.collect(), ..remedy });
        }
        let (shown, kept) = (Parts::of(shown_url.as_str()), Parts::of(recorded));
        if has(RequestPart::Host) {
            remedy.same_host = Some((shown.site().into_owned(), kept.site().into_owned()));
        }
        // A difference in order has no name. Ignoring that has no effect, so the remedy will be found not to work.
        let parameters = differences.iter().filter(|difference| difference.part == RequestPart::Query);
        remedy.ignore_query = parameters.map(|parameter| parameter.name.clone()).collect();
        if has(RequestPart::Path) {
            remedy.path = Some(self.path_pattern(query, &shown, recorded)?);
        }
        Some(remedy)
    }

    /// Returns the path with variables for the segments that differ; `None` if the paths have different lengths.
    fn path_pattern(&self, query: &Query<'_>, shown: &Parts<'_>, recorded: &str) -> Option<String> {
        let (sent, recorded) = (self.form.view(query.url.as_str()), self.form.view(recorded));
        let (sent, recorded) = (path_segments(&sent), path_segments(&recorded));
        let steps = PathDiff::new(&sent, &recorded).steps;
        let shown: Vec<&str> = shown.segments().collect();
        let is_aligned = steps.iter().all(|step| matches!(step, PathStep::Same | PathStep::Changed));
        if !is_aligned || shown.len() != steps.len() {
            return None;
        }
        let mut pattern = String::new();
        let mut variables = 0;
        for (n, (sent, kept)) in sent.written.iter().zip(&recorded.written).enumerate() {
            pattern.push('/');
            // A secret of the request becomes a variable, too.
            if sent == kept && *sent == shown[n] {
                pattern.push_str(sent);
            } else {
                variables += 1;
                pattern.push_str(&if variables == 1 { "{id}".to_owned() } else { format!("{{id{variables}}}") });
            }
        }
        Some(pattern)
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
        if query.method != entry.request.method || !same_url {
            return false;
        }
        let candidate = Candidate::new(ordinal, at, fixture, &entry, &rules, &form, true);
        let headers = LiveHeaders::new(query.payload.headers(), &self.redaction);
        // Computed values depend on the rules of the run.
        let payload = query.payload.fresh();
        let request = LiveRequest { url: Some(&asked), headers: &headers, payload: &payload };
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
    remedies.push((Some(MatchBody::Ignore), Vec::new()));
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

impl Remedy {
    /// Returns the options with this remedy; `None` if a value is not valid in a rule.
    fn applied_to(&self, options: &Options) -> Option<Options> {
        let mut options = options.clone();
        if let Some(glob) = &self.glob {
            let same_host = self.same_host.iter().map(|(asked, _)| OriginPattern::new(asked));
            let paths = self.ignore_body.iter().map(|path| JsonPath::parse(path));
            options.rules.push(MatchRule {
                glob: Globs::new([glob]).ok()?,
                paths: self.path.iter().map(|path| PathPattern::new(path)).collect::<Result<_, _>>().ok()?,
                same_host: same_host.collect::<Result<_, _>>().ok()?,
                ignore_query: self.ignore_query.clone(),
                ignore_body: paths.collect::<Result<_, _>>().ok()?,
                body: self.body,
                ..MatchRule::default()
            });
            return Some(options);
        }
        options.same_host.extend(self.same_host.clone());
        options.ignore_query.extend(self.ignore_query.clone());
        options.ignore_body.extend(self.ignore_body.clone());
        options.match_body = self.body.unwrap_or(options.match_body);
        let remove = |names: &mut Vec<String>| names.retain(|name| !self.unmatched_headers.contains(name));
        remove(&mut options.match_headers);
        options.rules.iter_mut().for_each(|rule| remove(&mut rule.match_headers));
        Some(options)
    }

    /// Returns the options as they are typed, or the lines for `harproxy.toml`.
    fn text(&self, options: &Options) -> Option<String> {
        if let Some(glob) = &self.glob {
            return Some(format!("in harproxy.toml:\n{}", self.toml(glob)));
        }
        if !self.unmatched_headers.is_empty() {
            let names = self.unmatched_headers.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Some(format!("leave {names} out of `--match-header` (`match-header` in harproxy.toml)"));
        }
        let mut words = Vec::new();
        if let Some((asked, recorded)) = &self.same_host {
            let known = options.same_host.iter().map(|(a, b)| format!("{a}={b}"));
            let pairs = known.chain([format!("{asked}={recorded}")]);
            words.extend(pairs.map(|pair| format!("--same-host {}", shell_quote::word(&pair))));
        }
        // An option replaces the list of harproxy.toml, so the whole list is written.
        if !self.ignore_query.is_empty() {
            let names = [&options.ignore_query[..], &self.ignore_query].concat().join(",");
            words.push(format!("--ignore-query {}", shell_quote::word(&names)));
        }
        if let Some(mode) = self.body {
            words.push(format!("--match-body {}", mode_word(mode)));
        }
        if !self.ignore_body.is_empty() {
            let paths = options.ignore_body.iter().chain(&self.ignore_body);
            words.extend(paths.map(|path| format!("--ignore-body {}", shell_quote::word(path))));
        }
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// Returns the lines of a `[[match]]` rule.
    fn toml(&self, glob: &str) -> String {
        let list = |name: &str, values: &[String]| {
            let quoted: Vec<_> = values.iter().map(|value| toml::Value::from(value.as_str()).to_string()).collect();
            (!quoted.is_empty()).then(|| format!("{name} = [{}]", quoted.join(", ")))
        };
        let same_host = self.same_host.as_ref().and_then(|(asked, _)| list("same-host", std::slice::from_ref(asked)));
        let lines = [
            Some(format!("[[match]]\nglob = \"{glob}\"")),
            self.path.as_ref().map(|path| format!("path = \"{path}\"")),
            same_host,
            list("ignore-query", &self.ignore_query),
            self.body.map(|mode| format!("body = \"{}\"", mode_word(mode))),
            list("ignore-body", &self.ignore_body),
        ];
        lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
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
