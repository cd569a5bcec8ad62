//! `harproxy prune --by`: removes the entries that a replay did not use, from its JSON report.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::report;
use crate::cli::advice::Failure;
use crate::cli::args::fixtures::PruneArgs;
use crate::cli::event::Event;
use crate::cli::prune::{self, PruneResult};
use crate::cli::ui::Ui;
use crate::cli::usage_error::UsageError;
use crate::fixtures::prune::{Error, Selection, prune_locked};
use crate::record;
use crate::verdict::report::Report;
use crate::verdict::{FixtureUse, RunMode, StatusSource, exit};
use harproxy_har::{Fixture, digest};
use harproxy_redact::Policy;
use harproxy_support::printable::Shown as _;

/// Runs the command. Fails without a change if the report is not one of a passed replay of these fixtures.
pub fn run(args: PruneArgs, ui: &Ui) -> Result<u8, Failure> {
    let report = report::read(&args.by)?;
    if let Some(reason) = refusal(&report) {
        let text = format!("{} prunes nothing: {reason}", args.by.shown());
        return Err(UsageError::new(text, "pass the report of a `replay` that passed").into());
    }
    let mut used = report.verdict.fixtures;
    if !args.fixtures.is_empty() {
        let named = harproxy_har::find(&args.fixtures).into_iter().collect::<Result<Vec<_>, _>>()?;
        used = named.iter().map(|path| use_of(path, &used, &args.by)).collect::<Result<_, _>>()?;
    }
    let fixtures = used.iter().map(open_unchanged).collect::<Result<Vec<_>, Failure>>()?;
    let Selection { partly_unused, unused } = Selection::new(&fixtures, &used);
    let mut result = PruneResult::keeping(unused.iter().map(|n| fixtures[*n].clone()).collect());
    let mut shown = prune::Announcer::default();
    for (n, entries) in partly_unused {
        shown.show(&fixtures[n], &entries, &Policy::default(), ui);
        if !args.dry_run {
            let pruned = prune_locked(&fixtures[n], &entries);
            result.add(fixtures[n].clone(), pruned.map_err(Failure::from));
        }
    }
    if args.dry_run && !shown.is_unused() {
        ui.note(Event::Pruned, "nothing was changed: --dry-run");
        return Ok(exit::SUCCESS);
    }
    result.print(ui);
    Ok(if result.failures.is_empty() { exit::SUCCESS } else { exit::INTERNAL_ERROR })
}

fn refusal(report: &Report) -> Option<String> {
    match report.source {
        _ if report.verdict.mode != RunMode::REPLAY => Some("it is not the report of a replay".to_owned()),
        StatusSource::Cmd if report.status != exit::SUCCESS => Some(format!("CMD ended with status {}", report.status)),
        StatusSource::Harproxy if report.status != exit::SUCCESS => Some("harproxy failed in the run".to_owned()),
        _ if report.verdict.fixtures.iter().any(|fixture| fixture.pruned.is_some()) => {
            Some("the run pruned its fixtures already".to_owned())
        }
        _ => prune::refusal_of(&report.verdict),
    }
}

/// Finds the use of a fixture in the report.
fn use_of(path: &Path, used: &[FixtureUse], by: &Path) -> Result<FixtureUse, UsageError> {
    let same = |other: &str| {
        let (a, b) = (path.canonicalize(), Path::new(other).canonicalize());
        path == Path::new(other) || matches!((a, b), (Ok(a), Ok(b)) if a == b)
    };
    used.iter().find(|used| same(&used.fixture)).cloned().ok_or_else(|| {
        let names: BTreeSet<&str> = used.iter().map(|used| used.fixture.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let text = format!("{} was not replayed by the run of {}", path.shown(), by.shown());
        UsageError::new(text, format!("fixtures of the run: {}", names.join(", ")))
    })
}

/// Opens a fixture of the report. Fails if it is not the version that was replayed.
fn open_unchanged(used: &FixtureUse) -> Result<Arc<Fixture>, Failure> {
    let path = PathBuf::from(&used.fixture);
    let fixture = Fixture::open(&path)?;
    let now = std::fs::File::open(&path).and_then(|mut file| digest::sha256_hex(&mut file));
    if now.ok().map(|(hex, _)| hex) != used.sha256 || used.sha256.is_none() {
        return Err(Error::Changed { path }.into());
    }
    // A recording in progress would change it.
    drop(record::lock_fixture(&path)?);
    Ok(Arc::new(fixture))
}
