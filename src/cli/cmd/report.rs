//! `harproxy report`: combines the reports of several runs.

use std::collections::HashSet;
use std::path::Path;
use std::{fs, io};

use crate::cli::advice::Failure;
use crate::cli::args::about::ReportArgs;
use crate::cli::event::Event;
use crate::cli::reports;
use crate::cli::ui::Ui;
use crate::cli::usage_error::UsageError;
use crate::verdict::report::Report;
use crate::verdict::report::combine::combine;
use crate::verdict::report::json::{self, ReadError};
use harproxy_support::printable::Shown as _;

/// Runs the command. Fails if there is no verdict.
pub fn run(args: ReportArgs, ui: &Ui) -> Result<u8, Failure> {
    let mut paths = args.combine;
    let mut known = HashSet::new();
    // A report that was passed twice counts once, also with different paths.
    paths.retain(|path| {
        let is_new = known.insert(path.canonicalize().unwrap_or_else(|_| path.clone()));
        if !is_new {
            ui.warn(Event::Warning, &format!("{} was passed twice and counts once", path.shown()));
        }
        is_new
    });
    let reports = paths.iter().map(|path| Ok((path.display().to_string(), read(path)?)));
    let reports = reports.collect::<Result<Vec<_>, UsageError>>()?;
    let report = combine(reports, args.fail_on.as_ref()).map_err(|source| {
        let hint = "combine reports of recordings and of replays separately";
        UsageError::new("combining reports", hint).because(source)
    })?;
    reports::print_verdict(&report, ui, false);
    Ok(reports::hand_out(&args.report, report, ui))
}

/// Reads a JSON report.
pub(super) fn read(path: &Path) -> Result<Report, UsageError> {
    let error = |hint: String| UsageError::new(format!("reading the report {}", path.shown()), hint);
    let text = fs::read(path).map_err(|source| error(unreadable(path, &source)).because(source))?;
    json::read(&text).map_err(|source| {
        let hint = match source {
            ReadError::Newer { .. } => "use a harproxy at least as new as those of the runs",
            _ => "pass files that `--report FILE.json` of `record` or `replay` wrote",
        };
        error(hint.to_owned()).because(source)
    })
}

/// Returns the hint for a report that cannot be read.
fn unreadable(path: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::NotFound {
        return "pass the JSON reports themselves: `--combine shards/*.json`".to_owned();
    }
    let is_glob = path.to_string_lossy().contains(['*', '?', '[']);
    let advice = if is_glob { "no file matches it" } else { "check the path" };
    format!(
        "{advice}: a shard without a report may have failed before it started; the combined verdict needs every report"
    )
}
