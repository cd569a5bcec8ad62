//! The answer of a request in words: what it is, why it is that, and what became of the other entries.

use crate::cli::ui;
use crate::verdict::ambiguity;
use crate::verdict::explain::{EntryPlace, Explanation, RerunOptions};
use crate::verdict::phrase::difference;
use harproxy_matching::{Chosen, Contender, EntryRef, Fate, Matcher, Miss, MissKind, Outcome, Placeholders, Query};

use super::answer::{self, Body};

/// Entries that are told of beside the one that answers.
const TOLD: usize = 10;
/// Differences of an entry that are told.
const DIFFERENCES: usize = 5;

/// A request and its answer.
pub struct Account<'a> {
    pub matcher: &'a Matcher,
    /// The globs of `-g`.
    pub globs: &'a [String],
    pub query: &'a Query<'a>,
    pub outcome: &'a Outcome,
    /// As they stood before the answer took its turn.
    pub contenders: &'a [Contender],
}

impl Account<'_> {
    /// A few lines, without an end to the last.
    pub fn text(&self, body: Option<&Body>) -> String {
        let mut lines = Vec::new();
        let word = match self.outcome {
            Outcome::Serve(chosen) => {
                self.chosen(chosen, &self.content(chosen, body), &mut lines);
                ui::good("serve")
            }
            Outcome::Redirect(chosen) => {
                let to = answer::location(chosen).unwrap_or_default();
                self.chosen(chosen, &format!("{} to {to}", chosen.status), &mut lines);
                ui::good("redirect")
            }
            Outcome::Abort(chosen) => {
                self.chosen(chosen, "recorded as a failure: the connection is closed", &mut lines);
                ui::caution("abort")
            }
            Outcome::Miss(miss) => {
                self.miss(miss, &mut lines);
                ui::bad("miss")
            }
        };
        if !self.matcher.in_scope(self.query.url) {
            lines.push(format!("{}: replay answers it only with a `-g` that lets it in", ui::caution("out of scope")));
        }
        let head = format!("{word}: {} {}", self.query.method, self.matcher.told(self.query.url));
        std::iter::once(head).chain(lines.into_iter().map(|line| format!("  {line}"))).collect::<Vec<_>>().join("\n")
    }

    fn content(&self, chosen: &Chosen, body: Option<&Body>) -> String {
        let Some(Body { entry, len, .. }) = body else { return chosen.status.to_string() };
        let recorded = &entry.response;
        let mut content = format!("{} {}", chosen.status, recorded.status_text).trim_end().to_owned();
        if i32::from(chosen.status) != recorded.status {
            content = format!("{} with the cached body of a {}", chosen.status, recorded.status);
        }
        let bare = self.query.method == "HEAD" || matches!(chosen.status, 100..=199 | 204 | 304);
        match bare {
            false => format!("{content}, {len} bytes"),
            _ if chosen.status < 200 => format!("{content}: a change of protocol, which replay refuses"),
            _ => content,
        }
    }

    fn chosen(&self, chosen: &Chosen, what: &str, lines: &mut Vec<String>) {
        lines.push(format!("{}: {what}", ui::strong(self.place(chosen.at))));
        if !chosen.followed.is_empty() {
            let hops: Vec<_> = chosen.followed.iter().map(|hop| self.place(*hop).to_string()).collect();
            lines.push(format!("redirects followed: {}", hops.join(", ")));
        }
        let winner = self.contenders.iter().find(|contender| contender.at == chosen.at);
        if let Some(winner) = winner.filter(|winner| winner.placeholders.of > 0) {
            lines.push(format!("redacted: {}; any value matches there", placeholders(winner)));
        }
        if let Some(guess) = &chosen.guess {
            let described = ambiguity::describe(guess, |at| self.place(at));
            lines.push(format!("{}: {}", ui::caution("ambiguous"), described.text));
            lines.push(format!("{}: {}", ui::help("remedy"), described.hint));
        }
        let score = chosen.score;
        lines.push(match winner {
            Some(winner) => {
                let lacking = match winner.lacking.is_empty() {
                    true => String::new(),
                    false => format!("; recorded, not repeated: {}", winner.lacking.join(", ")),
                };
                let repeated = if winner.repeated.is_empty() { "no header" } else { &winner.repeated.join(", ") };
                format!("score {score}: repeats {repeated}{lacking}")
            }
            None => format!("score {score}"),
        });
        if winner.is_some_and(|winner| winner.fate == Fate::Chosen { again: true }) {
            lines.push("it has answered before, and no other is left that is as good".to_owned());
        }
        self.others(lines);
    }

    /// The other entries of this method and URL.
    fn others(&self, lines: &mut Vec<String>) {
        let others = || self.contenders.iter().filter(|contender| !matches!(contender.fate, Fate::Chosen { .. }));
        for contender in others().take(TOLD) {
            let fate = match &contender.fate {
                Fate::Chosen { .. } => continue,
                Fate::Waits => "as good; its turn comes later".to_owned(),
                Fate::Answered => "has had its turn".to_owned(),
                Fate::LowerScore => {
                    let score = contender.repeated.len();
                    format!("score {score}; not repeated: {}", contender.lacking.join(", "))
                        .trim_end_matches("; not repeated: ")
                        .to_owned()
                }
                Fate::OtherCondition => {
                    "asked for on another condition; one was recorded on the request's own".to_owned()
                }
                Fate::OtherSecrets => format!("{}; it is about other secrets", placeholders(contender)),
                Fate::LessExact => "it answers any value in a redacted place; another says what was sent".to_owned(),
                Fate::LaterFixture => "an earlier fixture answers".to_owned(),
                Fate::LastResort => "answers only when nothing better is there".to_owned(),
                Fate::Differs(differences) => {
                    let mut told: Vec<String> = differences.iter().take(DIFFERENCES).map(difference).collect();
                    if differences.len() > DIFFERENCES {
                        told.push(format!("and {} more differences", differences.len() - DIFFERENCES));
                    }
                    told.join("; ")
                }
                Fate::Unreadable(why) => format!("can't be read: {why}"),
            };
            lines.push(format!("{} {}: {fate}", ui::faint("not"), self.place(contender.at)));
        }
        let more = others().count().saturating_sub(TOLD);
        if more > 0 {
            lines.push(format!("{} {more} more entries of this method and URL", ui::faint("not")));
        }
    }

    fn miss(&self, miss: &Miss, lines: &mut Vec<String>) {
        let options = RerunOptions { globs: self.globs, with_cmd: true };
        let explained = Explanation::in_run(miss, |at| self.place(at), options);
        lines.extend(explained.text().lines().map(str::to_owned));
        if miss.kind == MissKind::UsedUp {
            self.others(lines);
        }
        if let Some(help) = explained.hint() {
            lines.push(format!("{}: {help}", ui::help("remedy")));
        }
    }

    fn place(&self, at: EntryRef) -> EntryPlace {
        let line = self.matcher.fixtures()[at.fixture].heads().get(at.entry).map(|head| head.line);
        EntryPlace { fixture: answer::fixture(self.matcher, at), entry: at.entry, line }
    }
}

/// "2 of 3 placeholders sent back".
fn placeholders(contender: &Contender) -> String {
    let Placeholders { back, of } = contender.placeholders;
    format!("{back} of {of} placeholders sent back")
}
