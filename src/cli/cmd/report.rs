//! `harproxy report`: combines the reports of several runs.

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

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("reading the report {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("reading the report {}", path.display())]
    NoReport { path: PathBuf, source: ReadError },
    #[error("combining reports")]
    Combine(#[from] CombineError),
}

impl Error {
    pub fn hint(&self) -> String {
        match self {
            Error::Read { path, source } if source.kind() == io::ErrorKind::NotFound => {
                let is_glob = path.to_string_lossy().contains(['*', '?', '[']);
                let advice = if is_glob { "no file matches it" } else { "check the path" };
                format!(
                    "{advice}: a shard without a report may have failed before it started; the combined verdict needs every report"
                )
            }
            Error::Read { .. } => "pass the JSON reports themselves: `--combine shards/*.json`".into(),
            Error::NoReport { source: ReadError::Newer { .. }, .. } => {
                "use a harproxy at least as new as those of the runs".into()
            }
            Error::NoReport { .. } => "pass files that `--report FILE.json` of `record` or `replay` wrote".into(),
            Error::Combine(_) => "combine reports of recordings and of replays separately".into(),
        }
    }
}

/// Fails if there is no verdict.
pub fn run(args: ReportArgs, ui: &Ui) -> Result<u8, Failure> {
    let fail_on = args.fail_on.as_deref().map(|list| {
        SeverityOverride::parse(list).map_err(|source| plan::Error::FailOn { list: list.to_owned(), source })
    });
    let mut paths = args.combine;
    let mut known = HashSet::new();
    // A report that was passed twice counts once, also with different paths.
    paths.retain(|path| {
        let is_new = known.insert(path.canonicalize().unwrap_or_else(|_| path.clone()));
        if !is_new {
            let text = format!("{}: {} was passed twice and counts once", ui::caution("warning"), path.display());
            ui.alert(Event::Warning, &text);
        }
        is_new
    });
    let reports = paths.iter().map(|path| Ok((path.display().to_string(), read(path)?)));
    let reports = reports.collect::<Result<Vec<_>, Error>>()?;
    let report = combine(reports, fail_on.transpose()?.as_ref()).map_err(Error::from)?;
    reports::print_verdict(&report, ui, false);
    Ok(reports::hand_out(&args.report, report, ui))
}

fn read(path: &Path) -> Result<Report, Error> {
    let text = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    json::read(&text).map_err(|source| Error::NoReport { path: path.to_owned(), source })
}
