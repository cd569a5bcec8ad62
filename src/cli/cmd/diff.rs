//! `harproxy diff`: prints the entries that differ between two fixtures.

use std::fmt::Write as _;

use serde_json::json;

use crate::cli::advice::Failure;
use crate::cli::args::fixtures::DiffArgs;
use crate::cli::event::Event;
use crate::cli::summary::difference_lines;
use crate::cli::ui::{self, Ui, counted};
use crate::fixtures::diff::diff;
use crate::record::entry_diff::{DiffKind, EntryDiff};
use crate::verdict::exit;
use harproxy_har::Fixture;
use harproxy_support::printable::Shown as _;
use harproxy_support::printable::one_line;

/// Runs the command. The status is 1 if the fixtures differ.
pub fn run(args: &DiffArgs, ui: &Ui) -> Result<u8, Failure> {
    let found = diff(&Fixture::open(&args.old)?, &Fixture::open(&args.new)?)?;
    let written = match args.json {
        true => ui.json(&found.iter().map(|entry| format!("{}\n", json!(entry))).collect::<String>()),
        false => ui.data(&found.iter().map(text_of).collect::<String>()),
    };
    written.map_err(Failure::Output)?;
    if found.is_empty() {
        ui.note(Event::Summary, &format!("{} and {} have the same entries", args.old.shown(), args.new.shown()));
        return Ok(exit::SUCCESS);
    }
    let count = |kind| found.iter().filter(|entry| entry.change == kind).count();
    let [changed, added, removed] = [DiffKind::Changed, DiffKind::Added, DiffKind::Removed].map(count);
    let entries = counted(found.len(), "entry differs", "entries differ");
    ui.note(Event::Summary, &format!("{entries}: {changed} changed, {added} added, {removed} removed"));
    Ok(exit::FAILED)
}

fn text_of(entry: &EntryDiff) -> String {
    let request = one_line(&format!("{} {}", entry.method, entry.url)).into_owned();
    match (entry.change, entry.new.or(entry.old)) {
        (DiffKind::Added, Some(at)) => format!("{}\n", ui::good(format!("+ #{at} {request}"))),
        (DiffKind::Removed, Some(at)) => format!("{}\n", ui::bad(format!("- #{at} {request}"))),
        _ => difference_lines(entry).iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "~ {line}");
            text
        }),
    }
}
