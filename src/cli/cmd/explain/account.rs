//! Formats the answer of a request: the entry, the reason, and why the other entries were not chosen.

use crate::cli::ui;
use crate::replay::explanation::{AnswerBody, explain_miss, location, place};
use crate::serve::table::RuleExplanation;
use crate::verdict::explain::{EntryPlace, describe_guess, difference};
use harproxy_matching::{Chosen, Contender, ContenderState, EntryRef, Matcher, Miss, MissKind, Outcome, Query};
use harproxy_support::printable::{Shown as _, one_line};

/// Maximum number of other entries in the output.
const MAX_OTHERS: usize = 10;
/// Maximum number of differences per entry.
const MAX_DIFFERENCES: usize = 5;

pub struct Account<'a> {
    pub matcher: &'a Matcher,
    /// The globs of `-g`.
    pub globs: &'a [String],
    pub query: &'a Query<'a>,
    pub outcome: &'a Outcome,
    /// The candidates before the answer advanced its sequence.
    pub contenders: &'a [Contender],
    /// The rules of `[[route]]` whose `match` fits.
    pub rules: &'a [RuleExplanation],
}

impl Account<'_> {
    /// Formats a few lines, without a final line end.
    pub fn text(&self, body: Option<&AnswerBody>) -> String {
        let mut lines: Vec<String> = self.rules.iter().map(rule).collect();
        let word = match self.outcome {
            _ if self.rules.iter().any(RuleExplanation::answers) => ui::good("rule"),
            Outcome::Serve(chosen) => {
                self.chosen(chosen, &self.content(chosen, body), &mut lines);
                ui::good("serve")
            }
            Outcome::Redirect(chosen) => {
                let to = location(chosen).unwrap_or_default();
                self.chosen(chosen, &format!("{} to {}", chosen.status, to.shown()), &mut lines);
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
        if !self.matcher.in_scope(self.query.url) && self.rules.is_empty() {
            lines.push(format!("{}: replay answers it only with a `-g` that includes it", ui::caution("out of scope")));
        }
        let head = format!("{word}: {} {}", self.query.method.shown(), self.matcher.redact_url(self.query.url));
        std::iter::once(head).chain(lines.into_iter().map(|line| format!("  {line}"))).collect::<Vec<_>>().join("\n")
    }

    fn content(&self, chosen: &Chosen, body: Option<&AnswerBody>) -> String {
        let Some(AnswerBody { entry, len, .. }) = body else { return chosen.status.to_string() };
        let recorded = &entry.response;
        let mut content = format!("{} {}", chosen.status, recorded.status_text.shown()).trim_end().to_owned();
        if i32::from(chosen.status) != recorded.status {
            content = format!("{} with the cached body of a {}", chosen.status, recorded.status);
        }
        let bare = self.query.method == "HEAD" || matches!(chosen.status, 100..=199 | 204 | 304);
        match bare {
            false => format!("{content}, {len} bytes"),
            _ if chosen.status < 200 => format!("{content}: a protocol upgrade, which replay refuses"),
            _ => content,
        }
    }

    fn chosen(&self, chosen: &Chosen, result: &str, lines: &mut Vec<String>) {
        lines.push(format!("{}: {result}", ui::strong(self.place(chosen.at))));
        if !chosen.followed.is_empty() {
            let hops: Vec<_> = chosen.followed.iter().map(|hop| self.place(*hop).to_string()).collect();
            lines.push(format!("redirects followed: {}", hops.join(", ")));
        }
        let winner = self.contenders.iter().find(|contender| contender.at == chosen.at);
        if let Some(winner) = winner.filter(|winner| winner.placeholders.places() > 0) {
            lines.push(format!("redacted: {}; any value matches there", placeholders(winner)));
        }
        if let Some(guess) = &chosen.guess {
            let (text, hint) = describe_guess(guess, |at| self.place(at));
            lines.push(format!("{}: {}", ui::caution("ambiguous"), text));
            lines.push(format!("{}: {}", ui::help("remedy"), hint));
        }
        let score = chosen.score;
        lines.push(match winner {
            Some(winner) => {
                let lacking = listed("; recorded, not repeated: ", &winner.lacking);
                let repeated = if winner.repeated.is_empty() { "no header" } else { &winner.repeated.join(", ") };
                format!("score {score}: repeats {repeated}{lacking}")
            }
            None => format!("score {score}"),
        });
        if winner.is_some_and(|winner| winner.state == ContenderState::Chosen { again: true }) {
            lines.push("it was already used, and no other entry has the same rank".to_owned());
        }
        self.others(lines);
    }

    /// Adds the other entries of this method and URL.
    fn others(&self, lines: &mut Vec<String>) {
        let is_other = |contender: &&Contender| !matches!(contender.state, ContenderState::Chosen { .. });
        let others: Vec<&Contender> = self.contenders.iter().filter(is_other).collect();
        for contender in others.iter().take(MAX_OTHERS) {
            let reason = match &contender.state {
                ContenderState::Chosen { .. } => continue,
                ContenderState::Waits => "equal rank; later in the sequence".to_owned(),
                ContenderState::Answered => "equal rank; already used".to_owned(),
                ContenderState::LowerScore => {
                    let lacking = listed("; not repeated: ", &contender.lacking);
                    format!("score {}{lacking}", contender.repeated.len())
                }
                ContenderState::OtherCondition => {
                    "recorded for another condition; another entry has the condition of the request".to_owned()
                }
                ContenderState::OtherSecrets => format!("{}; it has other secrets", placeholders(contender)),
                ContenderState::LessExact => {
                    "it matches any value in a redacted place; another entry matches the value that was sent".to_owned()
                }
                ContenderState::OtherIgnored => {
                    "another entry agrees in more of the parts that need not be equal".to_owned()
                }
                ContenderState::OtherSession => "another test recorded it".to_owned(),
                ContenderState::OtherHeaders => {
                    "another entry agrees in more of the headers that select a representation".to_owned()
                }
                ContenderState::OtherCredentials => {
                    "another entry has the credentials of the request, or none as the request".to_owned()
                }
                ContenderState::LaterFixture => "an earlier fixture has precedence".to_owned(),
                ContenderState::LastResort => "used only if no better entry exists".to_owned(),
                ContenderState::Differs(differences) => {
                    let mut shown: Vec<String> = differences.iter().take(MAX_DIFFERENCES).map(difference).collect();
                    if differences.len() > MAX_DIFFERENCES {
                        shown.push(format!("and {} more differences", differences.len() - MAX_DIFFERENCES));
                    }
                    shown.join("; ")
                }
                ContenderState::Unreadable(why) => format!("cannot be read: {}", why.shown()),
            };
            lines.push(format!("{} {}: {reason}", ui::faint("not"), self.place(contender.at)));
        }
        let more = others.len().saturating_sub(MAX_OTHERS);
        if more > 0 {
            lines.push(format!("{} {more} more entries of this method and URL", ui::faint("not")));
        }
    }

    fn miss(&self, miss: &Miss, lines: &mut Vec<String>) {
        let explained = explain_miss(self.matcher, self.globs, miss);
        lines.extend(explained.text().lines().map(str::to_owned));
        if miss.kind == MissKind::UsedUp {
            self.others(lines);
        }
        if let Some(help) = explained.hint {
            let mut help = help.lines();
            lines.push(format!("{}: {}", ui::help("remedy"), help.next().unwrap_or_default()));
            lines.extend(help.map(str::to_owned));
        }
    }

    fn place(&self, at: EntryRef) -> EntryPlace {
        place(self.matcher, at)
    }
}

/// Formats names behind a heading; empty without names.
fn listed(heading: &str, names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { String::new() } else { format!("{heading}{}", one_line(&names.join(", "))) }
}

/// Formats "2 of 3 placeholders sent back".
fn placeholders(contender: &Contender) -> String {
    let score = contender.placeholders;
    format!("{} of {} placeholders sent back", score.confirmed, score.places())
}

/// Formats one rule of `[[route]]`.
fn rule(explanation: &RuleExplanation) -> String {
    let RuleExplanation { rule, failing, sometimes, options, .. } = explanation;
    let rule = rule.shown();
    match failing {
        Some(condition) => format!("rule `{rule}` does not apply: `when` has {}", condition.shown()),
        None => {
            let often = if *sometimes { " to some of these requests (`nth` or `rate`)" } else { "" };
            format!("rule `{rule}` applies{often}: {}", options.join(", "))
        }
    }
}
