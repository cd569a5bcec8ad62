//! `harproxy report`: one verdict of the reports of many runs.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::cli::advice::Failure;
use crate::cli::args::report::ReportArgs;
use crate::cli::event::Event;
use crate::cli::plan;
use crate::cli::reports;
use crate::cli::ui::{self, Ui};
use crate::verdict::fail_on::SeverityOverride;
use crate::verdict::report::Report;
use crate::verdict::report::combine::{CombineError, combine};
use crate::verdict::report::json::{self, ReadError};

/// Why reports can't be combined.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A report can't be read.
    #[error("reading the report {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// It is none.
    #[error("reading the report {}", path.display())]
    NoReport {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        source: ReadError,
    },
    /// They have nothing in common.
    #[error("combining reports")]
    Combine(#[from] CombineError),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Error::Read { path, source } if source.kind() == io::ErrorKind::NotFound => {
                let no_glob = path.to_string_lossy().contains(['*', '?', '[']);
                let said = if no_glob { "nothing matches it" } else { "check the path" };
                format!(
                    "{said}: a shard that left no report may have failed before it ran anything, and without it there is no verdict of \
                     all"
                )
            }
            Error::Read { .. } => "name the JSON reports themselves: `--combine shards/*.json`".into(),
            Error::NoReport { source: ReadError::Newer { .. }, .. } => {
                "combine with a harproxy that is no older than those of the runs".into()
            }
            Error::NoReport { .. } => "a report is what `--report FILE.json` of `record` and `replay` wrote".into(),
            Error::Combine(_) => "combine those of recordings and those of replays apart".into(),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure`], when there is no verdict.
pub fn run(args: ReportArgs, ui: &Ui) -> Result<u8, Failure> {
    let fail_on = args.fail_on.as_deref().map(|list| {
        SeverityOverride::parse(list).map_err(|source| plan::Error::FailOn { list: list.to_owned(), source })
    });
    let mut paths = args.combine;
    let mut known = HashSet::new();
    // One that was named twice ran once, however it was named.
    paths.retain(|path| {
        let is_new = known.insert(path.canonicalize().unwrap_or_else(|_| path.clone()));
        if !is_new {
            let text = format!("{}: {} was named before, and counts once", ui::caution("warning"), path.display());
            ui.alert(Event::Warning, &text);
        }
        is_new
    });
    let reports = paths.iter().map(|path| Ok((path.display().to_string(), read(path)?)));
    let reports = reports.collect::<Result<Vec<_>, Error>>()?;
    let report = combine(reports, fail_on.transpose()?.as_ref()).map_err(Error::from)?;
    reports::tell(&report, ui, false);
    Ok(reports::hand_out(&args.report, report, ui))
}

fn read(path: &Path) -> Result<Report, Error> {
    let text = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    json::read(&text).map_err(|source| Error::NoReport { path: path.to_owned(), source })
}
