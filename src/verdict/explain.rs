//! A miss in words: the same ones for the client, the log, the report and `harproxy explain`.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::phrase::difference;
use harproxy_matching::{Difference, EntryRef, Miss, MissKind, What};

/// How many differences of an entry are told.
pub const TOLD: usize = 5;
/// What stands before the nearest entry, and before each of the others.
pub const LEADS: [&str; 2] = ["nearest", "then"];

/// Whether a line of an explanation tells of a near entry.
#[must_use]
pub fn is_about_near(line: &str) -> bool {
    LEADS.iter().any(|lead| line.strip_prefix(lead).is_some_and(|rest| rest.starts_with(':')))
}

/// Where an entry stands, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The fixture, as it was given.
    pub fixture: String,
    /// The entry, from 0.
    pub entry: usize,
    /// The entry's line in the HAR, from 1.
    pub line: Option<usize>,
}

/// `hars/api.har#12 (line 345)`.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.fixture, self.entry)?;
        self.line.map_or(Ok(()), |line| write!(f, " (line {line})"))
    }
}

/// A near entry and what keeps it from matching.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearEntry {
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// The GraphQL operation that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The differences, the weightiest first.
    pub differences: Vec<Difference>,
}

/// A miss with all that helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The kind of miss, one word.
    pub kind: &'static str,
    /// What happened, one sentence.
    pub summary: String,
    /// Whether any entry has the URL.
    pub url_recorded: bool,
    /// The GraphQL operation that the request names.
    pub operation: Option<String>,
    /// The nearest entries, nearest first.
    pub near: Vec<NearEntry>,
    /// How many entries share host and path.
    pub same_path: usize,
    /// The option or policy line that would make the nearest one match.
    pub remedy: Option<String>,
    /// Where there is none: how to record the request.
    pub recording: Option<String>,
}

/// What of a run has to be typed again so that it asks for the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Again<'a> {
    /// The globs of `-g`.
    pub globs: &'a [String],
    /// Whether it runs CMD.
    pub with_cmd: bool,
}

impl Again<'_> {
    fn globs(&self) -> String {
        self.globs.iter().map(|glob| format!(" -g {}", harproxy_support::shell_quote::word(glob))).collect()
    }

    /// How a request is recorded: into this fixture, or a new one.
    fn recording(&self, fixture: Option<&str>) -> String {
        let globs = self.globs();
        let command = match fixture {
            Some(fixture) => {
                format!(
                    "harproxy replay {} --on-miss record{globs}",
                    harproxy_support::shell_quote::path(Path::new(fixture))
                )
            }
            None => format!("harproxy record{globs}"),
        };
        format!("record it: `{command}{}`", if self.with_cmd { " -- CMD" } else { "" })
    }
}

impl Explanation {
    /// Explains a miss; `place` says where an entry stands.
    #[must_use]
    pub fn of(miss: &Miss, place: impl Fn(EntryRef) -> Place) -> Self {
        Explanation::in_run(miss, place, Again::default())
    }

    /// Explains a miss of a run that would be typed `again` so.
    #[must_use]
    pub fn in_run(miss: &Miss, place: impl Fn(EntryRef) -> Place, again: Again<'_>) -> Self {
        let near = miss.near.iter();
        let near = near.map(|near| NearEntry {
            place: place(near.at),
            operation: near.operation.clone(),
            differences: near.differences.clone(),
        });
        let near: Vec<NearEntry> = near.collect();
        let about_url = |d: &Difference| matches!(d.what, What::Host | What::Path | What::Query);
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
                // What can't be read is named by its own error too.
                let at = place(*at).to_string();
                let why = why.strip_prefix(&at).map_or(why.as_str(), |why| why.trim_start_matches([':', ' ']));
                ("unreadable", format!("{at} answers it, but can't be read: {why}"))
            }
        };
        Explanation {
            kind,
            summary,
            url_recorded,
            operation: miss.operation.clone(),
            near,
            same_path: miss.same_path,
            remedy: miss.remedy.clone(),
            recording: (miss.kind == MissKind::NoEntry && miss.remedy.is_none())
                .then(|| again.recording(miss.recordable.map(|at| place(at).fixture).as_deref())),
        }
    }

    /// What helps: the remedy, or that it has to be recorded.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.remedy.as_deref().or(self.recording.as_deref())
    }

    /// The whole of it but the remedy: the summary, how many entries share host and path, and a line for each near entry.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = match &self.operation {
            Some(operation) => format!("GraphQL operation `{operation}`: {}", self.summary),
            None => self.summary.clone(),
        };
        match self.same_path {
            0 => {}
            1 => text.push_str("; 1 entry shares its host and path"),
            n => {
                let _ = write!(text, "; {n} entries share its host and path");
            }
        }
        for (n, near) in self.near.iter().enumerate() {
            let lead = LEADS[usize::from(n > 0)];
            let mut told: Vec<String> = near.differences.iter().take(TOLD).map(difference).collect();
            if near.differences.len() > TOLD {
                told.push(format!("and {} more differences", near.differences.len() - TOLD));
            }
            let operation = near.operation.as_ref().map_or_else(String::new, |name| format!(" `{name}`"));
            let told = if told.is_empty() { String::new() } else { format!(": {}", told.join("; ")) };
            let _ = write!(text, "\n{lead}: {}{operation}{told}", near.place);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_matching::Near;

    fn at(entry: usize) -> EntryRef {
        EntryRef { fixture: 0, entry }
    }

    fn place(at: EntryRef) -> Place {
        Place { fixture: "hars/api.har".into(), entry: at.entry, line: Some(at.entry * 10) }
    }

    fn differs(what: What, name: &str, request: Option<&str>, recorded: Option<&str>) -> Difference {
        Difference { what, name: name.into(), request: request.map(Into::into), recorded: recorded.map(Into::into) }
    }

    fn miss(kind: MissKind, near: Vec<Near>) -> Miss {
        Miss { kind, near, same_path: 2, remedy: None, recordable: None, operation: None }
    }

    fn near(entry: usize, difference: Difference) -> Near {
        Near { at: at(entry), differences: vec![difference], operation: None }
    }

    #[test]
    fn a_miss_says_whether_the_url_is_recorded_the_nearest_entries_and_how_many_share_the_path() {
        let query = near(4, differs(What::Query, "page", Some("3"), Some("2")));
        let told = Explanation::of(&miss(MissKind::NoEntry, vec![query]), place);
        assert!(!told.url_recorded);
        assert_eq!(
            told.text(),
            "no entry has this URL; 2 entries share its host and path\n\
             nearest: hars/api.har#4 (line 40): query parameter `page` is `3`, recorded `2`"
        );
        let method = near(1, differs(What::Method, "", Some("PUT"), Some("GET")));
        let told = Explanation::of(&miss(MissKind::NoEntry, vec![method]), place);
        assert!(told.url_recorded);
        assert!(told.text().contains("only recorded as GET"));
    }

    #[test]
    fn every_other_kind_of_miss_has_its_sentence() {
        for (kind, word, told) in [
            (MissKind::UsedUp, "used-up", "answered already"),
            (MissKind::BodyNotRecorded(at(3)), "body-not-recorded", "hars/api.har#3 (line 30)"),
            (MissKind::OtherProtocol(at(3)), "other-protocol", "hars/api.har#3 (line 30) is a change of protocol"),
            (MissKind::RedirectLoop(vec![at(1), at(2), at(1)]), "redirect-loop", "#1 (line 10) → hars/api.har#2"),
            (MissKind::TooManyHops, "too-many-hops", "20"),
            (MissKind::Unreadable(at(3), "the file is gone".into()), "unreadable", "the file is gone"),
        ] {
            let explained = Explanation::of(&miss(kind, vec![]), place);
            assert_eq!(explained.kind, word);
            assert!(explained.text().contains(told), "{}", explained.text());
            assert!(explained.url_recorded);
        }
    }

    #[test]
    fn what_no_option_mends_has_to_be_recorded() {
        let explained = Explanation::of(&Miss { recordable: Some(at(0)), ..miss(MissKind::NoEntry, vec![]) }, place);
        assert_eq!(
            (&explained.remedy, explained.help()),
            (&None, Some("record it: `harproxy replay hars/api.har --on-miss record`"))
        );
        let foreign = Explanation::of(&miss(MissKind::NoEntry, vec![]), place);
        assert_eq!(foreign.help(), Some("record it: `harproxy record`"));
        let globs = ["**/api/**".to_owned(), "!**/health".to_owned()];
        let again = Again { globs: &globs, with_cmd: true };
        let recording = |recordable| {
            let miss = Miss { recordable, ..miss(MissKind::NoEntry, vec![]) };
            Explanation::in_run(&miss, place, again).recording.unwrap()
        };
        assert_eq!(
            recording(Some(at(0))),
            "record it: `harproxy replay hars/api.har --on-miss record -g '**/api/**' -g '!**/health' -- CMD`"
        );
        assert_eq!(recording(None), "record it: `harproxy record -g '**/api/**' -g '!**/health' -- CMD`");
        let mended = Miss { remedy: Some("--ignore-query page".into()), ..miss(MissKind::NoEntry, vec![]) };
        assert_eq!(Explanation::of(&mended, place).help(), Some("--ignore-query page"));
        assert_eq!(Explanation::of(&miss(MissKind::TooManyHops, vec![]), place).help(), None);
    }

    #[test]
    fn graphql_operations_are_named() {
        let mut near = near(4, differs(What::Body, "$.variables.id", Some("7"), Some("5")));
        near.operation = Some("GetUser".into());
        let miss = Miss { operation: Some("GetUsers".into()), ..miss(MissKind::NoEntry, vec![near]) };
        let told = Explanation::of(&miss, place).text();
        assert!(told.starts_with("GraphQL operation `GetUsers`: "), "{told}");
        assert!(told.contains("nearest: hars/api.har#4 (line 40) `GetUser`: body"), "{told}");
    }

    #[test]
    fn a_flood_of_differences_stays_a_sentence() {
        let differences = (0..50).map(|n| differs(What::Body, &format!("$.a{n}"), Some("1"), Some("2"))).collect();
        let near = Near { at: at(0), differences, operation: None };
        let told = Explanation::of(&miss(MissKind::NoEntry, vec![near]), place);
        assert!(told.text().ends_with("; and 45 more differences"), "{}", told.text());
    }
}
