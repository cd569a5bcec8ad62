//! Collects the content of the reports of a run beside the verdict, and writes them.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::ci::Ci;
use super::event::Event;
use super::files;
use super::ui::{self, LogFormat, Ui};
use crate::verdict::report::{self, Format, Report, markdown, text};
use crate::verdict::request::{RecordedEntry, RequestRow, ResultKind};
use crate::verdict::{ConnectionObservation, EntryView, ExcerptBudget};
use crate::verdict::{StatusSource, Verdict, exit};
use harproxy_har::{Fixture, digest};
use harproxy_redact::RedactionView;

/// The number of entries that reports show. They are in memory while the reports are written.
const MAX_ENTRIES: usize = 20_000;
/// The memory of their payloads, in bytes.
const MAX_PAYLOADS: usize = 64 << 20;

/// The fixtures and entries that the reports of a run refer to.
#[derive(Debug, Default)]
pub struct Recorded {
    /// The fixtures of a replay, or the fixture of a recording.
    pub fixtures: Vec<Arc<Fixture>>,
    /// The entries of a recording by the numbers of its exchanges.
    pub entries: HashMap<u64, RecordedEntry>,
    /// The exchanges that a damaged journal has lost.
    pub lost: BTreeSet<u64>,
    /// The entries as reports show them, if they had to be read before the fixture was changed.
    pub entry_views: Option<IndexMap<(String, usize), EntryView>>,
}

impl Recorded {
    /// Adds to each recorded exchange the entry that holds it. One that was lost is not recorded.
    pub fn locate(&self, rows: &mut [RequestRow]) {
        for row in rows {
            let Some(exchange) = row.exchange else { continue };
            if row.outcome == ResultKind::Recorded && self.lost.contains(&exchange) {
                row.outcome = ResultKind::Passed;
            }
            if let Some(fixture) = self.fixtures.first()
                && let Some(recorded) = self.entries.get(&exchange)
            {
                row.fixture = Some(fixture.path().display().to_string());
                (row.entry, row.change) = (Some(recorded.entry), Some(recorded.change));
            }
        }
    }

    /// Adds the digests of the fixtures that still are as they were replayed. `harproxy prune --by` compares them.
    pub fn add_versions(&self, verdict: &mut Verdict) {
        for (used, fixture) in verdict.fixtures.iter_mut().zip(&self.fixtures) {
            let now = Fixture::open(fixture.path());
            let is_same = now.is_ok_and(|now| fixture.has_same_text(&now).unwrap_or(false));
            let digest = || digest::sha256_hex(&mut File::open(fixture.path()).ok()?).ok();
            used.sha256 = is_same.then(digest).flatten().map(|(hex, _)| hex);
        }
    }

    /// Reads the entries that findings and requests refer to and the unused ones, in this order and within the limits.
    pub fn entry_views(
        &self,
        verdict: &Verdict,
        rows: &[RequestRow],
        view: &RedactionView,
    ) -> IndexMap<(String, usize), EntryView> {
        let near = verdict.findings.iter().flat_map(|finding| &finding.near);
        let near = near.map(|near| (near.place.fixture.as_str(), near.place.entry));
        let served = rows.iter().flat_map(|row| {
            let entries = row.entry.iter().chain(&row.followed);
            entries.filter_map(|entry| Some((row.fixture.as_deref()?, *entry)))
        });
        let unused = verdict
            .fixtures
            .iter()
            .flat_map(|fixture| fixture.unused.iter().map(|entry| (fixture.fixture.as_str(), *entry)));
        let (mut views, mut budget) = (IndexMap::new(), ExcerptBudget::of(MAX_PAYLOADS));
        for (name, entry) in near.chain(served).chain(unused) {
            if views.len() >= MAX_ENTRIES {
                break;
            }
            let key = (name.to_owned(), entry);
            let fixture = self.fixtures.iter().find(|fixture| fixture.path().display().to_string() == name);
            if !views.contains_key(&key)
                && let Some(view) = fixture.and_then(|fixture| EntryView::of(fixture, entry, view, &mut budget))
            {
                views.insert(key, view);
            }
        }
        views
    }
}

/// Prints the verdict, separated from the live list by an empty line. With `--log-format json` the message contains
/// the report.
pub fn print_verdict(report: &Report, ui: &Ui, after_list: bool) {
    if ui.quiet && report.verdict.passed() {
        return;
    }
    let members = (ui.format == LogFormat::Json).then(|| {
        let mut report: Value = serde_json::from_str(&report::json::render(report)).unwrap_or_default();
        // Each request was an event before.
        if let Value::Object(members) = &mut report {
            members.retain(|name, _| !matches!(name.as_str(), "requests" | "moreRequests"));
        }
        json!({ "report": report })
    });
    let palette = text::Palette { columns: ui::width().map(usize::from), ..text::Palette::colour() };
    let mut shown = text::render(&report.verdict, &palette);
    let others = report.verdict.observation.as_ref().and_then(ConnectionObservation::other_connections_line);
    if let Some(line) = others.filter(|_| ui.verbose) {
        shown.push_str(&format!("  {line}\n"));
    }
    // With one run, CMD has printed its own error before.
    if !report.shards.is_empty() {
        shown.push_str(&text::endings(report, &palette));
    }
    if after_list {
        shown.insert(0, '\n');
    }
    ui.say(Event::Verdict, &shown, members);
}

/// Writes the requested reports and those for the CI system, and returns the exit status. A report that cannot be
/// written is a failure of harproxy. The other reports are then written again with that status. The status of CMD
/// takes precedence.
pub fn hand_out(paths: &[PathBuf], mut report: Report, ui: &Ui) -> u8 {
    let written = write(paths, &report, ui);
    // The status of combined reports is never that of CMD.
    let is_of_cmd = report.source == StatusSource::Cmd && report.shards.is_empty();
    if written.len() < paths.len() && !is_of_cmd && matches!(report.status, exit::SUCCESS | exit::FAILED) {
        (report.status, report.source) = (exit::INTERNAL_ERROR, StatusSource::Harproxy);
        let _ = write(&written, &report, ui);
    }
    if let Some(ci) = Ci::detect() {
        ci.publish(&report, &[markdown::render(&report), markdown::head(&report)], ui);
    }
    report.status
}

/// Writes reports and returns the written ones. Failures are printed.
fn write(paths: &[PathBuf], report: &Report, ui: &Ui) -> Vec<PathBuf> {
    let is_written = |path: &&PathBuf| {
        let Some(format) = Format::of(path) else { return false };
        let written = files::write(path, format.render(report).as_bytes());
        written.map_err(|failure| failure.print(ui)).is_ok()
    };
    paths.iter().filter(is_written).cloned().collect()
}
