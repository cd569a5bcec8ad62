//! The reports of a run: what they show beside the verdict, and writing them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::ci::Ci;
use super::event::Event;
use super::files;
use super::ui::{LogFormat, Ui};
use crate::verdict::report::{Format, Report, github, json, text};
use crate::verdict::seen::{Became, Room, Seen, Shown};
use crate::verdict::{Source, Verdict, exit};
use harproxy_har::Fixture;
use harproxy_redact::Policy;

/// So many entries are shown; they are held in memory while the reports are written.
const SHOWN: usize = 20_000;
/// Payload bytes that are held with them.
const ROOM: usize = 64 << 20;

/// What was recorded, as far as reports show it.
#[derive(Debug, Default)]
pub struct Recorded {
    /// The fixtures of a replay, or the one that a recording wrote.
    pub fixtures: Vec<Arc<Fixture>>,
    /// The entries of a recording by the numbers of its exchanges.
    pub entries: HashMap<u64, Became>,
    /// The entries as reports show them, where they had to be looked up before the reports are made: later they may be
    /// gone.
    pub shown: Option<IndexMap<(String, usize), Shown>>,
}

impl Recorded {
    /// Says of each exchange of a recording which entry it became.
    pub fn locate(&self, seen: &mut [Seen]) {
        let Some(fixture) = self.fixtures.first() else { return };
        for seen in seen {
            if let Some(became) = seen.exchange.and_then(|exchange| self.entries.get(&exchange)) {
                seen.fixture = Some(fixture.path().display().to_string());
                (seen.entry, seen.change) = (Some(became.entry), Some(became.change));
            }
        }
    }

    /// The entries that findings and requests speak of, and those that nothing asked for; as far as there is room, in
    /// this
    /// order.
    #[must_use]
    pub fn show(&self, verdict: &Verdict, seen: &[Seen], policy: &Policy) -> IndexMap<(String, usize), Shown> {
        let near = verdict.findings.iter().flat_map(|finding| &finding.near);
        let near = near.map(|near| (near.place.fixture.as_str(), near.place.entry));
        let found = seen.iter().flat_map(|seen| {
            let entries = seen.entry.iter().chain(&seen.followed);
            entries.filter_map(|entry| Some((seen.fixture.as_deref()?, *entry)))
        });
        let unused = verdict
            .fixtures
            .iter()
            .flat_map(|fixture| fixture.unused.iter().map(|entry| (fixture.fixture.as_str(), *entry)));
        let (mut shown, mut room) = (IndexMap::new(), Room::of(ROOM));
        for (name, entry) in near.chain(found).chain(unused) {
            if shown.len() >= SHOWN {
                break;
            }
            let key = (name.to_owned(), entry);
            let fixture = self.fixtures.iter().find(|fixture| fixture.path().display().to_string() == name);
            if !shown.contains_key(&key)
                && let Some(found) = fixture.and_then(|fixture| Shown::of(fixture, entry, policy, &mut room))
            {
                shown.insert(key, found);
            }
        }
        shown
    }
}

/// The verdict for a person, apart from the list of requests if there is one; with `--log-format json` the whole
/// report beside it.
pub fn tell(report: &Report, ui: &Ui, after_list: bool) {
    if ui.quiet && report.verdict.passed() {
        return;
    }
    let members = || {
        let mut report: Value = serde_json::from_str(&json::render(report)).unwrap_or_default();
        // Each was an event of its own.
        if let Value::Object(members) = &mut report {
            members.retain(|name, _| !matches!(name.as_str(), "requests" | "moreRequests"));
        }
        Map::from_iter([("report".to_owned(), report)])
    };
    let columns = terminal_size::terminal_size_of(std::io::stderr()).map(|(width, _)| usize::from(width.0));
    let palette = text::Palette::colour().within(columns);
    let mut told = text::render(&report.verdict, &palette);
    // With one run it is CMD that has said what is wrong with it, just before.
    if !report.shards.is_empty() {
        told.push_str(&text::endings(report, &palette));
    }
    if Ci::detect().is_some_and(|ci| ci.interprets_output()) {
        told = github::inert(&told).into_owned();
    }
    if after_list {
        told.insert(0, '\n');
    }
    ui.say(Event::Verdict, &told, if ui.format == LogFormat::Json { members() } else { Map::new() });
}

/// Writes the reports that were asked for and those that the CI system takes; the exit status. What can't be written
/// where it
/// was asked for is told, and is a failure of harproxy's own, which the others then say too; but CMD's own status goes
/// before.
#[must_use]
pub fn hand_out(paths: &[PathBuf], mut report: Report, ui: &Ui) -> u8 {
    let written = write(paths, &report, ui);
    // Of many runs no status is CMD's: the combined one is ours.
    let is_of_cmd = report.source == Source::Cmd && report.shards.is_empty();
    if written.len() < paths.len() && !is_of_cmd && matches!(report.status, exit::HELD | exit::FAILED) {
        (report.status, report.source) = (exit::BROKEN, Source::Harproxy);
        let _ = write(&written, &report, ui);
    }
    if let Some(ci) = Ci::detect() {
        ci.publish(&report, ui);
    }
    report.status
}

/// Writes reports; those that were written. The others are told.
fn write(paths: &[PathBuf], report: &Report, ui: &Ui) -> Vec<PathBuf> {
    let is_written = |path: &&PathBuf| {
        let Some(format) = Format::of(path) else { return false };
        files::write(path, format.render(report).as_bytes()).inspect_err(|failure| failure.print(ui)).is_ok()
    };
    paths.iter().filter(is_written).cloned().collect()
}
