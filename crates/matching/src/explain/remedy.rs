//! What to write so that the nearest entry matches: options, or a `[[match]]` of `harproxy.toml`. It is tried before it is told.

use serde_json_path::JsonPath;

use super::super::candidate::Candidate;
use super::super::choice::{self, Asked};
use super::super::index::Ordinal;
use super::super::key::KeyForm;
use super::super::matcher::Matcher;
use super::super::policy::Policy;
use super::super::redacted::{Shape, UrlPlaces};
use super::super::{
    Difference, MatchBody, MatchRule, Options, OriginPattern, PathPattern, Query, What, payload, score,
};
use super::body::Nature;
use super::compare::Compared;
use super::paths::{Paths, Segments, Step};
use harproxy_glob::Globs;
use harproxy_http::NormalUrl;
use harproxy_http::url::{Parts, normal};

/// What lets an entry match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Remedy {
    /// The request's origin and the recorded one.
    same_host: Option<(String, String)>,
    ignore_query: Vec<String>,
    path: Option<String>,
    body: Option<MatchBody>,
    ignore_body: Vec<String>,
    /// Headers that would no longer be compared.
    leave_out: Vec<String>,
    /// The glob of the rule, where options can't say it.
    rule: Option<String>,
}

/// More JSON paths than these are no remedy that one wants to write.
const MOST_PATHS: usize = 5;

impl Matcher {
    /// The options or the lines that let an entry match, beside those of the run; `None` when none do. They speak of the request
    /// as `told_as`.
    pub(super) fn remedy(
        &self,
        query: &Query<'_>,
        payload: &payload::Sent<'_>,
        told_as: &NormalUrl,
        ordinal: Ordinal,
        compared: &Compared,
    ) -> Option<String> {
        let recorded = self.url_of(ordinal)?;
        let differences = &compared.near.differences;
        let remedy = self.but_for_the_payload(query, told_as, &recorded, differences)?;
        let bodies = bodies(&compared.nature);
        let of_rules = self.rules_for(&recorded).comparison.mode != self.options.match_body;
        let mut whole = bodies.into_iter().map(|(body, ignore_body)| {
            let mut remedy = Remedy { body, ignore_body, ..remedy.clone() };
            let unwieldy = remedy.ignore_query.iter().any(|name| name.is_empty() || name.contains(','));
            // What a rule says of the payload, another has to take back.
            if remedy.path.is_some() || unwieldy || (of_rules && remedy.body.is_some()) {
                let origin = remedy
                    .same_host
                    .as_ref()
                    .map_or_else(|| Parts::of(told_as.as_str()).site().into_owned(), |(_, recorded)| recorded.clone());
                remedy.rule = Some(format!("{origin}/**"));
            }
            remedy
        });
        let works = |remedy: &Remedy| {
            let options = remedy.applied(&self.options);
            options.is_some_and(|options| self.would_match(query, payload, ordinal, &options))
        };
        whole.find(works)?.text(&self.options)
    }

    /// What there is to do about URL and headers; `None` when nothing helps.
    fn but_for_the_payload(
        &self,
        query: &Query<'_>,
        told_as: &NormalUrl,
        recorded: &str,
        differences: &[Difference],
    ) -> Option<Remedy> {
        let has = |what| differences.iter().any(|difference| difference.what == what);
        if has(What::Method) {
            return None;
        }
        let mut remedy = Remedy::default();
        if has(What::Header) {
            // It is the only thing to do, or there is more wrong than one line mends.
            let names = differences.iter().map(|difference| difference.name.clone());
            return (differences.iter().all(|difference| difference.what == What::Header))
                .then(|| Remedy { leave_out: names.collect(), ..remedy });
        }
        let (told, kept) = (Parts::of(told_as.as_str()), Parts::of(recorded));
        if has(What::Host) {
            remedy.same_host = Some((told.site().into_owned(), kept.site().into_owned()));
        }
        // Of parameters in another order there is no name, and nothing comes of leaving that out.
        let parameters = differences.iter().filter(|difference| difference.what == What::Query);
        remedy.ignore_query = parameters.map(|parameter| parameter.name.clone()).collect();
        if has(What::Path) {
            remedy.path = Some(self.template(query, &told, recorded)?);
        }
        Some(remedy)
    }

    /// The path with the segments that differ left open; `None` when the paths are not of one length.
    fn template(&self, query: &Query<'_>, told: &Parts<'_>, recorded: &str) -> Option<String> {
        let (asked, recorded) = (self.form.view(query.url.as_str()), self.form.view(recorded));
        let (asked, recorded) = (Segments::of(&asked), Segments::of(&recorded));
        let steps = Paths::of(&asked, &recorded).steps;
        let told: Vec<&str> = told.segments().collect();
        if steps.iter().any(|step| matches!(step, Step::Extra | Step::Lacking)) || told.len() != steps.len() {
            return None;
        }
        let mut template = String::new();
        let mut open = 0;
        for (n, (sent, kept)) in asked.written().iter().zip(recorded.written()).enumerate() {
            template.push('/');
            // What is secret in the request stands in no rule.
            if sent == kept && *sent == told[n] {
                template.push_str(sent);
            } else {
                open += 1;
                template.push_str(&if open == 1 { "{id}".to_owned() } else { format!("{{id{open}}}") });
            }
        }
        Some(template)
    }

    /// Whether an entry would be a candidate for a request under these options.
    fn would_match(&self, query: &Query<'_>, payload: &payload::Sent<'_>, ordinal: Ordinal, options: &Options) -> bool {
        let (Ok(form), Ok(policy)) =
            (KeyForm::new(&options.ignore_query, &options.same_host, &options.rules), Policy::new(options))
        else {
            return false;
        };
        let at = self.index.at(ordinal);
        let fixture = &self.fixtures[at.fixture];
        let Ok(entry) = fixture.entry(at.entry) else { return false };
        let Some(url) = normal(&entry.request.url) else { return false };
        let (asked, recorded) = (form.view(query.url.as_str()), form.view(&url));
        let same_url = match Shape::of(&UrlPlaces::of(&recorded)) {
            Some(shape) => shape.of_url(&asked) == shape.of_url(&recorded),
            None => form.key(query.url.as_str()) == form.key(&url),
        };
        let rules = policy.under(form.rules(), &recorded.active);
        if query.method != entry.request.method || !same_url {
            return false;
        }
        let candidate = Candidate::new(ordinal, at, fixture, &entry, &rules, &form);
        let (sent, no_payload) = (score::Sent::new(query.headers), payload.left_out());
        // What it has worked out holds for the comparisons of the run.
        let payload = payload.anew();
        let asked = Asked {
            url: Some(&asked),
            headers: query.headers,
            sent: &sent,
            payload: &payload,
            no_payload: &no_payload,
        };
        choice::rank(&candidate, &asked, &rules).is_some()
    }
}

/// What can be said of payloads so that they are equal, the mildest first.
fn bodies(nature: &Nature) -> Vec<(Option<MatchBody>, Vec<String>)> {
    let mut ways = Vec::new();
    match nature {
        Nature::Equal => return vec![(None, Vec::new())],
        Nature::JsonSpelling => ways.push((Some(MatchBody::Json), Vec::new())),
        Nature::FormSpelling => ways.push((Some(MatchBody::Form), Vec::new())),
        Nature::JsonPaths(paths) => {
            let exact = last_items_first(paths);
            let (each, lists) = (merged(paths, "[*]"), merged(paths, ""));
            // One path for all items of a list rather than one for each.
            let first = if each.len() < exact.len() { [each, exact] } else { [exact, each] };
            for paths in first.into_iter().chain([lists]) {
                if paths.len() <= MOST_PATHS && !paths.iter().any(|path| path == "$") {
                    ways.push((None, paths.clone()));
                    ways.push((Some(MatchBody::Json), paths));
                }
            }
        }
        Nature::Other | Nature::Long => {}
    }
    ways.push((Some(MatchBody::Ignore), Vec::new()));
    ways
}

/// JSON paths of which those that end with an item of a list stand in the opposite order: taking an item out moves those after
/// it.
fn last_items_first(paths: &[String]) -> Vec<String> {
    let is_item = |path: &&String| path.rsplit('[').next().is_some_and(is_index);
    let mut items = paths.iter().filter(is_item).rev();
    paths.iter().map(|path| if is_item(&path) { items.next().unwrap_or(path) } else { path }.clone()).collect()
}

/// `7]`.
fn is_index(rest: &str) -> bool {
    rest.strip_suffix(']').is_some_and(|index| !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()))
}

/// JSON paths with `instead` in the place of the first index of a list; with nothing there, or nothing behind it,
/// the list itself.
fn merged(paths: &[String], instead: &str) -> Vec<String> {
    let mut merged: Vec<String> = Vec::new();
    for path in paths {
        let path = match index_in(path) {
            Some((before, after)) if !instead.is_empty() && !after.is_empty() => format!("{before}{instead}{after}"),
            Some((before, _)) => before.to_owned(),
            None => path.clone(),
        };
        if !merged.contains(&path) {
            merged.push(path);
        }
    }
    merged
}

/// What stands before the first `[7]` of a path, and behind it.
fn index_in(path: &str) -> Option<(&str, &str)> {
    let (mut at, mut quoted, mut escaped) = (None, false, false);
    for (n, c) in path.char_indices() {
        match c {
            '\'' if !escaped => quoted = !quoted,
            '[' if !quoted && path[n + 1..].starts_with(|c: char| c.is_ascii_digit()) => at = Some(n),
            ']' if !quoted && at.is_some() => return Some((&path[..at?], &path[n + 1..])),
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

impl Remedy {
    /// The options of the run with this among them; `None` when it can't be said.
    fn applied(&self, options: &Options) -> Option<Options> {
        let mut options = options.clone();
        if let Some(glob) = &self.rule {
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
        let others = |names: &mut Vec<String>| names.retain(|name| !self.leave_out.contains(name));
        others(&mut options.match_headers);
        options.rules.iter_mut().for_each(|rule| others(&mut rule.match_headers));
        Some(options)
    }

    /// As it is typed, or written into `harproxy.toml`.
    fn text(&self, options: &Options) -> Option<String> {
        if let Some(glob) = &self.rule {
            return Some(format!("in harproxy.toml:\n{}", self.toml(glob)));
        }
        if !self.leave_out.is_empty() {
            let names = self.leave_out.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Some(format!("leave {names} out of `--match-header` (`match-header` in harproxy.toml)"));
        }
        let mut words = Vec::new();
        if let Some((asked, recorded)) = &self.same_host {
            let known = options.same_host.iter().map(|(a, b)| format!("{a}={b}"));
            words.extend(
                known
                    .chain([format!("{asked}={recorded}")])
                    .map(|pair| format!("--same-host {}", harproxy_support::shell_quote::word(&pair))),
            );
        }
        // A list that is given takes the place of the one in harproxy.toml: it is told whole.
        if !self.ignore_query.is_empty() {
            let names = [&options.ignore_query[..], &self.ignore_query].concat().join(",");
            words.push(format!("--ignore-query {}", harproxy_support::shell_quote::word(&names)));
        }
        if let Some(mode) = self.body {
            words.push(format!("--match-body {}", word(mode)));
        }
        if !self.ignore_body.is_empty() {
            let paths = options.ignore_body.iter().chain(&self.ignore_body);
            words.extend(paths.map(|path| format!("--ignore-body {}", harproxy_support::shell_quote::word(path))));
        }
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// The lines of the rule.
    fn toml(&self, glob: &str) -> String {
        let list = |values: &[String]| {
            values.iter().map(|value| toml::Value::from(value.as_str()).to_string()).collect::<Vec<_>>().join(", ")
        };
        let mut lines = vec!["[[match]]".to_owned(), format!("glob = \"{glob}\"")];
        if let Some(path) = &self.path {
            lines.push(format!("path = \"{path}\""));
        }
        if let Some((asked, _)) = &self.same_host {
            lines.push(format!("same-host = [{}]", list(std::slice::from_ref(asked))));
        }
        if !self.ignore_query.is_empty() {
            lines.push(format!("ignore-query = [{}]", list(&self.ignore_query)));
        }
        if let Some(mode) = self.body {
            lines.push(format!("body = \"{}\"", word(mode)));
        }
        if !self.ignore_body.is_empty() {
            lines.push(format!("ignore-body = [{}]", list(&self.ignore_body)));
        }
        lines.join("\n")
    }
}

/// As options and rules spell it.
fn word(mode: MatchBody) -> &'static str {
    match mode {
        MatchBody::Exact => "exact",
        MatchBody::Json => "json",
        MatchBody::Form => "form",
        MatchBody::Ignore => "ignore",
    }
}
