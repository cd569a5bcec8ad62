//! The texts for a miss, for a guess, and for a difference between a request and an entry. The client, the log, the
//! reports and `harproxy explain` share them.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use harproxy_compare::{excerpt, excerpt_pair};
use harproxy_matching::{Difference, EntryRef, Guess, Miss, MissKind, RequestPart};
use harproxy_redact::RedactionView;
use harproxy_support::printable::{Shown as _, one_line};

/// The number of differences of an entry that are listed.
pub const MAX_DIFFERENCES: usize = 5;
/// The labels of the nearest entry, and of the others.
pub const LEADS: [&str; 2] = ["nearest", "then"];

/// Returns true if a line of an explanation describes a near entry.
#[must_use]
pub fn is_near_line(line: &str) -> bool {
    LEADS.iter().any(|lead| line.strip_prefix(lead).is_some_and(|rest| rest.starts_with(':')))
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPlace {
    /// The fixture, as it was given.
    pub fixture: String,
    /// The entry, counted from 0.
    pub entry: usize,
    /// The entry's line in the HAR, counted from 1.
    pub line: Option<usize>,
}

/// `hars/api.har#12 (line 345)`.
impl std::fmt::Display for EntryPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.fixture.shown(), self.entry)?;
        self.line.map_or(Ok(()), |line| write!(f, " (line {line})"))
    }
}

/// An entry that is similar to a request, with the differences that prevent a match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearEntry {
    #[serde(flatten)]
    pub place: EntryPlace,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The differences, most important first.
    pub differences: Vec<Difference>,
}

impl NearEntry {
    /// Redacts the values that are known as secrets.
    pub fn redact(&mut self, view: &RedactionView) {
        self.operation.iter_mut().for_each(|name| view.redact_in(name));
        for difference in &mut self.differences {
            let Difference { name, request, recorded, .. } = difference;
            [name].into_iter().chain(request).chain(recorded).for_each(|text| view.redact_in(text));
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub kind: &'static str,
    /// The reason for the miss, one sentence.
    pub summary: String,
    /// True if an entry has the URL.
    pub url_recorded: bool,
    pub operation: Option<String>,
    /// The nearest entries, nearest first.
    pub near: Vec<NearEntry>,
    /// The number of entries with the same host and path.
    pub same_path: usize,
    /// The command that records the request, and on further lines the request that it may mean, or the option or rule
    /// with which the nearest entry matches.
    pub hint: Option<String>,
}

/// The parts of a run's command line that the command for recording a miss repeats, quoted and without secrets.
#[derive(Clone, Debug, Default)]
pub struct RerunCommand {
    /// The options, except `-g`.
    pub options: String,
    /// CMD; empty without CMD.
    pub cmd: String,
}

/// The run that the command for recording a miss repeats.
#[derive(Clone, Copy, Debug, Default)]
pub struct RerunOptions<'a> {
    /// The globs of `-g`.
    pub globs: &'a [String],
    /// `None` without a run.
    pub command: Option<&'a RerunCommand>,
}

impl RerunOptions<'_> {
    /// Returns the command that records a request into this fixture, or into a new one.
    fn record_command(&self, fixture: Option<String>) -> String {
        let mut command = match fixture.map(|fixture| harproxy_support::shell_quote::path(Path::new(&fixture))) {
            Some(fixture) => format!("harproxy replay {fixture} --on-miss record"),
            None => "harproxy record".to_owned(),
        };
        for glob in self.globs {
            let _ = write!(command, " -g {}", harproxy_support::shell_quote::word(glob));
        }
        let run = self.command.map_or([("", ""); 2], |run| [(" ", &run.options), (" -- ", &run.cmd)]);
        for (before, words) in run.into_iter().filter(|(_, words)| !words.is_empty()) {
            command.extend([before, words]);
        }
        format!("record it: `{command}`")
    }

    /// Returns the hint for a miss: first the command that records the request, then the URL that it may mean, or the
    /// option or rule with which the nearest entry matches.
    fn hint(&self, miss: &Miss, fixture: Option<String>) -> Option<String> {
        let (remedy, did_you_mean) = (miss.remedy.as_deref(), miss.did_you_mean.as_deref());
        let lines = match &miss.kind {
            MissKind::NoEntry => [
                Some(self.record_command(fixture)),
                did_you_mean.map(|request| format!("did you mean {request}?")),
                remedy.map(|remedy| format!("if the difference does not matter: {remedy}")),
            ],
            MissKind::BodyNotRecorded(_) => [
                Some(self.record_command(fixture)),
                None,
                remedy.map(|remedy| format!("if the body does not matter: {remedy}")),
            ],
            _ => [remedy.map(str::to_owned), None, None],
        };
        let lines: Vec<String> = lines.into_iter().flatten().collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

impl Explanation {
    /// Explains a miss of a run with these options; `place` returns the place of an entry.
    #[must_use]
    pub fn of(miss: &Miss, place: impl Fn(EntryRef) -> EntryPlace, options: RerunOptions<'_>) -> Self {
        let near = miss.near.iter();
        let near = near.map(|near| NearEntry {
            place: place(near.at),
            operation: near.operation.clone(),
            differences: near.differences.clone(),
        });
        let near: Vec<NearEntry> = near.collect();
        let about_url = |d: &Difference| matches!(d.part, RequestPart::Host | RequestPart::Path | RequestPart::Query);
        let url_recorded =
            miss.kind != MissKind::NoEntry || near.iter().any(|near| !near.differences.iter().any(about_url));
        let hops = |hops: &[EntryRef]| hops.iter().map(|at| place(*at).to_string()).collect::<Vec<_>>().join(" → ");
        let (kind, summary) = match &miss.kind {
            MissKind::NoEntry if url_recorded => ("no-entry", "the URL is recorded, but not this request".to_owned()),
            MissKind::NoEntry => ("no-entry", "no entry has this URL".to_owned()),
            MissKind::UsedUp => ("used-up", "every entry for it has answered already".to_owned()),
            MissKind::BodyNotRecorded(at) => {
                ("body-not-recorded", format!("{} answers it, but its body was not recorded", place(*at)))
            }
            MissKind::OtherProtocol(at) => (
                "other-protocol",
                format!("{} is a change of protocol, a WebSocket perhaps, and this a plain request", place(*at)),
            ),
            MissKind::RedirectLoop(loops) => ("redirect-loop", format!("the redirects lead back: {}", hops(loops))),
            MissKind::TooManyHops => ("too-many-hops", "more than 20 redirects in a row".to_owned()),
            MissKind::Unreadable(at, why) => {
                // The error may begin with the place, too.
                let at = place(*at).to_string();
                let why = why.strip_prefix(&at).map_or(why.as_str(), |why| why.trim_start_matches([':', ' ']));
                ("unreadable", format!("{at} answers it, but can't be read: {}", why.shown()))
            }
        };
        Explanation {
            kind,
            summary,
            url_recorded,
            operation: miss.operation.clone(),
            near,
            same_path: miss.same_path,
            hint: options.hint(miss, miss.recordable.map(|at| place(at).fixture)),
        }
    }

    /// Returns the explanation without the hint: the summary, the number of entries with the same host and path, and a
    /// line for each near entry.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = match &self.operation {
            Some(operation) => format!("GraphQL operation `{}`: {}", operation.shown(), self.summary),
            None => self.summary.clone(),
        };
        if self.same_path > 0 {
            let entries = many(self.same_path as u64, "entry shares", "entries share");
            let _ = write!(text, "; {entries} its host and path");
        }
        text + &near_lines(&self.near)
    }
}

/// Returns a line for each near entry, each after a line end.
#[must_use]
pub fn near_lines(near: &[NearEntry]) -> String {
    let mut text = String::new();
    for (n, near) in near.iter().enumerate() {
        let lead = LEADS[usize::from(n > 0)];
        let mut listed: Vec<String> = near.differences.iter().take(MAX_DIFFERENCES).map(difference).collect();
        if near.differences.len() > MAX_DIFFERENCES {
            listed.push(format!("and {} more differences", near.differences.len() - MAX_DIFFERENCES));
        }
        let operation = near.operation.as_ref().map_or_else(String::new, |name| format!(" `{}`", name.shown()));
        let listed = if listed.is_empty() { String::new() } else { format!(": {}", listed.join("; ")) };
        let _ = write!(text, "\n{lead}: {}{operation}{listed}", near.place);
    }
    text
}

/// Describes a response that was served by guess, in one sentence, and returns a hint how the client or the
/// configuration can distinguish the entries. `place` returns the place of an entry.
#[must_use]
pub fn describe_guess(guess: &Guess, place: impl Fn(EntryRef) -> EntryPlace) -> (String, String) {
    /// The most entries that are listed.
    const MAX_LISTED: usize = 8;
    let mut among = guess.among.clone();
    // The text does not depend on the entry that was served: it is the same finding.
    among.sort_unstable();
    let more = among.len().saturating_sub(MAX_LISTED);
    let mut among: Vec<String> = among.into_iter().take(MAX_LISTED).map(|at| place(at).to_string()).collect();
    if more > 0 {
        among.push(format!("{more} more"));
    }
    if !guess.headers.is_empty() {
        let names: Vec<String> = guess.headers.iter().map(|name| format!("`{}`", name.shown())).collect();
        let text = format!(
            "served by guess: {among} differ in the header {names} and in their responses, and no value of {names} in \
             them is that of the request",
            among = list(&among),
            names = list(&names)
        );
        return (text, "record the request, or send the recorded value".to_owned());
    }
    if !guess.ignored.is_empty() {
        let ignored = one_line(&list(&guess.ignored)).into_owned();
        let text = format!(
            "served by guess: {among} differ in {ignored} and in their responses; the options ignore {ignored}, and no \
             value in these entries is that of the request",
            among = list(&among)
        );
        return (text, format!("record the request, or compare {ignored} again"));
    }
    let mut placeholders = guess.placeholders.clone();
    placeholders.sort_unstable();
    let differ = if guess.tokens_alone { "in the tokens that they return" } else { "in their responses" };
    let sent = placeholders.last().map(ToString::to_string).unwrap_or_default();
    let names: Vec<String> = placeholders
        .iter()
        .map(|placeholder| format!("{}-{} = \"env:…\"", placeholder.name, placeholder.number))
        .collect();
    let text = format!(
        "served by guess: {} differ in redacted places and {differ}, and nothing in the request tells which is meant",
        list(&among)
    );
    let hint = format!(
        "send the placeholder itself, such as `{sent}`, or give one of the values in harproxy.toml under [redact.values]: {}",
        names.join(" or ")
    );
    (text, hint)
}

fn list(items: &[String]) -> String {
    match items.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Returns a number with its noun: `1 entry`, `2 entries`.
pub fn many(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// The length of values in sentences, in characters. The data keeps longer ones.
const MAX_VALUE: usize = 120;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueSide {
    Request,
    Recorded,
}

/// A phrase such as "query parameter `page` is `3`, recorded `2`", as words and values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase(Vec<(Option<ValueSide>, String)>);

impl Phrase {
    /// Describes a difference. Values are cut to about `longest` characters around the place where they differ.
    #[must_use]
    pub fn of(difference: &Difference, longest: usize) -> Self {
        let subject = subject(difference);
        let words = |words: &str| (None, words.to_owned());
        let (request, recorded) =
            (|value| (Some(ValueSide::Request), value), |value| (Some(ValueSide::Recorded), value));
        Phrase(match values(difference, longest) {
            [_, Some(kept)] if difference.part == RequestPart::Method => {
                vec![words("only recorded as "), recorded(kept)]
            }
            [Some(sent), Some(kept)] => {
                let is = words(&format!("{subject} is `"));
                vec![is, request(sent), words("`, recorded `"), recorded(kept), words("`")]
            }
            [Some(sent), None] => {
                vec![words(&format!("{subject} is `")), request(sent), words("`, recorded without it")]
            }
            [None, Some(kept)] => {
                vec![words(&format!("{subject} is missing, recorded `")), recorded(kept), words("`")]
            }
            [None, None] => vec![words(&format!("{subject} differs"))],
        })
    }

    /// Returns the parts in order. A value has its side.
    pub fn parts(&self) -> impl Iterator<Item = (Option<ValueSide>, &str)> {
        self.0.iter().map(|(side, text)| (*side, text.as_str()))
    }

    #[must_use]
    pub fn chars(&self) -> usize {
        self.parts().map(|(_, text)| text.chars().count()).sum()
    }
}

/// Describes one difference for a sentence.
#[must_use]
pub fn difference(difference: &Difference) -> String {
    Phrase::of(difference, MAX_VALUE).parts().map(|(_, text)| text).collect()
}

/// Returns the subject of a difference: "query parameter `page`".
#[must_use]
pub fn subject(difference: &Difference) -> String {
    let name = one_line(&difference.name);
    match (difference.part, &*name) {
        (RequestPart::Query, "") => "the query".to_owned(),
        (RequestPart::Query, name) => format!("query parameter `{name}`"),
        (RequestPart::Header, name) => format!("header `{name}`"),
        (RequestPart::Body, "") => "the body".to_owned(),
        (RequestPart::Body, name) => format!("body `{name}`"),
        (RequestPart::Path, "") => "the path".to_owned(),
        (RequestPart::Path, name) => format!("path segment {name}"),
        (RequestPart::Host, _) => "the origin".to_owned(),
        (RequestPart::Method, _) => "the method".to_owned(),
    }
}

/// Returns the values of the request and of the entry, each on one line. They are cut to about `longest` characters
/// around the place where they differ.
#[must_use]
pub fn values(difference: &Difference, longest: usize) -> [Option<String>; 2] {
    let [request, recorded] = [&difference.request, &difference.recorded].map(|value| value.as_deref().map(one_line));
    match (request, recorded) {
        (Some(request), Some(recorded)) => excerpt_pair(&request, &recorded, longest).map(Some),
        (request, recorded) => [request, recorded].map(|value| value.map(|value| excerpt(&value, longest))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_matching::NearMiss;
    use harproxy_redact::{Placeholder, PlaceholderName};

    fn at(entry: usize) -> EntryRef {
        EntryRef { fixture: 0, entry }
    }

    fn place(at: EntryRef) -> EntryPlace {
        EntryPlace { fixture: "hars/api.har".into(), entry: at.entry, line: Some(at.entry * 10) }
    }

    fn differs(part: RequestPart, name: &str, request: Option<&str>, recorded: Option<&str>) -> Difference {
        Difference { part, name: name.into(), request: request.map(Into::into), recorded: recorded.map(Into::into) }
    }

    fn miss(kind: MissKind, near: Vec<NearMiss>) -> Miss {
        Miss { kind, near, same_path: 2, remedy: None, did_you_mean: None, recordable: None, operation: None }
    }

    fn near(entry: usize, difference: Difference) -> NearMiss {
        NearMiss { at: at(entry), differences: vec![difference], operation: None }
    }

    #[test]
    fn explanation_has_the_nearest_entries_and_the_number_with_the_same_path() {
        let query = near(4, differs(RequestPart::Query, "page", Some("3"), Some("2")));
        let explained = Explanation::of(&miss(MissKind::NoEntry, vec![query]), place, RerunOptions::default());
        assert!(!explained.url_recorded);
        assert_eq!(
            explained.text(),
            "no entry has this URL; 2 entries share its host and path\n\
             nearest: hars/api.har#4 (line 40): query parameter `page` is `3`, recorded `2`"
        );
        let method = near(1, differs(RequestPart::Method, "", Some("PUT"), Some("GET")));
        let explained = Explanation::of(&miss(MissKind::NoEntry, vec![method]), place, RerunOptions::default());
        assert!(explained.url_recorded);
        assert!(explained.text().contains("only recorded as GET"));
    }

    #[test]
    fn each_other_kind_of_miss_has_a_sentence() {
        for (kind, word, sentence) in [
            (MissKind::UsedUp, "used-up", "answered already"),
            (MissKind::BodyNotRecorded(at(3)), "body-not-recorded", "hars/api.har#3 (line 30)"),
            (MissKind::OtherProtocol(at(3)), "other-protocol", "hars/api.har#3 (line 30) is a change of protocol"),
            (MissKind::RedirectLoop(vec![at(1), at(2), at(1)]), "redirect-loop", "#1 (line 10) → hars/api.har#2"),
            (MissKind::TooManyHops, "too-many-hops", "20"),
            (MissKind::Unreadable(at(3), "the file is gone".into()), "unreadable", "the file is gone"),
        ] {
            let explained = Explanation::of(&miss(kind, vec![]), place, RerunOptions::default());
            assert_eq!(explained.kind, word);
            assert!(explained.text().contains(sentence), "{}", explained.text());
            assert!(explained.url_recorded);
        }
    }

    #[test]
    fn hint_is_to_record_first_with_the_command_of_the_run() {
        let explained = Explanation::of(
            &Miss { recordable: Some(at(0)), ..miss(MissKind::NoEntry, vec![]) },
            place,
            RerunOptions::default(),
        );
        assert_eq!(explained.hint.as_deref(), Some("record it: `harproxy replay hars/api.har --on-miss record`"));
        let foreign = Explanation::of(&miss(MissKind::NoEntry, vec![]), place, RerunOptions::default());
        assert_eq!(foreign.hint.as_deref(), Some("record it: `harproxy record`"));
        let globs = ["**/api/**".to_owned(), "!**/health".to_owned()];
        let command = RerunCommand { options: "--map 'a=b c'".into(), cmd: "pytest -q".into() };
        let options = RerunOptions { globs: &globs, command: Some(&command) };
        let recording = |recordable| {
            let miss = Miss { recordable, ..miss(MissKind::NoEntry, vec![]) };
            Explanation::of(&miss, place, options).hint.unwrap()
        };
        assert_eq!(
            recording(Some(at(0))),
            "record it: `harproxy replay hars/api.har --on-miss record -g '**/api/**' -g '!**/health' --map 'a=b c' -- pytest -q`"
        );
        assert_eq!(
            recording(None),
            "record it: `harproxy record -g '**/api/**' -g '!**/health' --map 'a=b c' -- pytest -q`"
        );
        let both = Miss {
            remedy: Some("--same-host http://a=http://b".into()),
            did_you_mean: Some("GET http://b/x".into()),
            ..miss(MissKind::NoEntry, vec![])
        };
        let hint = Explanation::of(&both, place, RerunOptions::default()).hint.unwrap();
        let lines = [
            "record it: `harproxy record`",
            "did you mean GET http://b/x?",
            "if the difference does not matter: --same-host http://a=http://b",
        ];
        assert_eq!(hint.lines().collect::<Vec<_>>(), lines);
        assert_eq!(
            Explanation::of(&miss(MissKind::TooManyHops, vec![]), place, RerunOptions::default()).hint.as_deref(),
            None
        );
    }

    #[test]
    fn explanation_names_graphql_operations() {
        let mut near = near(4, differs(RequestPart::Body, "$.variables.id", Some("7"), Some("5")));
        near.operation = Some("GetUser".into());
        let miss = Miss { operation: Some("GetUsers".into()), ..miss(MissKind::NoEntry, vec![near]) };
        let text = Explanation::of(&miss, place, RerunOptions::default()).text();
        assert!(text.starts_with("GraphQL operation `GetUsers`: "), "{text}");
        assert!(text.contains("nearest: hars/api.har#4 (line 40) `GetUser`: body"), "{text}");
    }

    #[test]
    fn explanation_lists_a_bounded_number_of_differences() {
        let differences =
            (0..50).map(|n| differs(RequestPart::Body, &format!("$.a{n}"), Some("1"), Some("2"))).collect();
        let near = NearMiss { at: at(0), differences, operation: None };
        let explained = Explanation::of(&miss(MissKind::NoEntry, vec![near]), place, RerunOptions::default());
        assert!(explained.text().ends_with("; and 45 more differences"), "{}", explained.text());
    }

    #[test]
    fn guess_names_entries_placeholders_and_both_remedies() {
        let password = |number| Placeholder { name: PlaceholderName::new("password"), number };
        let at = |entry| EntryRef { fixture: 0, entry };
        let place =
            |at: EntryRef| EntryPlace { fixture: "hars/api.har".into(), entry: at.entry, line: Some(at.entry * 10) };
        let guess = Guess {
            among: vec![at(2), at(1)],
            placeholders: vec![password(2), password(1)],
            ignored: vec![],
            tokens_alone: false,
            headers: vec![],
            sent: 0,
            secrets: vec![],
        };
        let described = describe_guess(&guess, place);
        assert!(described.0.contains("hars/api.har#1 (line 10) and hars/api.har#2 (line 20) differ"), "{described:?}");
        assert!(described.1.contains("`REDACTED-password-2`"), "{described:?}");
        assert!(described.1.contains("password-1 = \"env:…\" or password-2 = \"env:…\""), "{described:?}");
        let other = Guess { among: vec![at(1), at(2)], ..guess };
        assert_eq!(describe_guess(&other, place), described);
        let ignored = Guess { ignored: vec!["query parameter `page`".into()], placeholders: vec![], ..other };
        let (text, hint) = describe_guess(&ignored, place);
        assert!(text.contains("differ in query parameter `page` and in their responses"), "{text}");
        assert_eq!(hint, "record the request, or compare query parameter `page` again");
    }

    #[test]
    fn phrase_has_the_value_of_the_request_and_the_recorded_one() {
        for (given, expected) in [
            (differs(RequestPart::Query, "page", Some("3"), Some("2")), "query parameter `page` is `3`, recorded `2`"),
            (differs(RequestPart::Body, "$.user.id", Some("7"), Some("5")), "body `$.user.id` is `7`, recorded `5`"),
            (differs(RequestPart::Method, "", Some("POST"), Some("GET")), "only recorded as GET"),
            (differs(RequestPart::Header, "x-tenant", None, Some("a")), "header `x-tenant` is missing, recorded `a`"),
            (differs(RequestPart::Query, "v", Some("1"), None), "query parameter `v` is `1`, recorded without it"),
            (differs(RequestPart::Body, "", Some("a"), Some("b")), "the body is `a`, recorded `b`"),
            (differs(RequestPart::Path, "", Some("/a"), Some("/b")), "the path is `/a`, recorded `/b`"),
            (
                differs(RequestPart::Host, "", Some("https://a"), Some("https://b")),
                "the origin is `https://a`, recorded `https://b`",
            ),
        ] {
            assert_eq!(difference(&given), expected);
        }
        let long = difference(&differs(RequestPart::Body, "", Some(&"ä".repeat(500)), Some("b")));
        assert!(long.chars().count() < 200 && long.contains('…'), "{long}");
    }

    #[test]
    fn long_values_are_cut_where_they_differ_and_values_stay_on_one_line() {
        let long = |mark: &str| format!("{}{mark}{}", "-".repeat(3000), "-".repeat(2000));
        let phrase = difference(&differs(RequestPart::Body, "$.a", Some(&long("one")), Some(&long("two"))));
        assert!(phrase.chars().count() < 320 && phrase.contains("--one--") && phrase.contains("--two--"), "{phrase}");
        let phrase = difference(&differs(RequestPart::Query, "q", Some("a\n\u{1b}[31mb"), Some("\u{202e}")));
        assert_eq!(phrase, r"query parameter `q` is `a\n\u{1b}[31mb`, recorded `\u{202e}`");
    }
}
