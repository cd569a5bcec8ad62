//! Recovers what a recording left that did not end well: the journal of a killed one, and the fixture of a held one.
//!
//! The next recording takes over a killed one by itself. `harproxy recover` accepts or drops both.

use std::fmt;
use std::path::{Path, PathBuf};

use super::finalise::{self, Destination};
use super::held::{self, RecordingSummary};
use super::journal::{JournalPaths, LockedJournal};
use super::{Error, RecordPlan};
use crate::verdict::request::{EntryChange, RecordedEntry};

/// The cause why a recording has not become a fixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftoverCause {
    /// CMD failed over an existing fixture.
    Held,
    /// harproxy was killed.
    Killed,
}

/// A recording that has not become a fixture.
#[derive(Clone, Debug)]
pub struct Leftover {
    /// Why it has not.
    pub cause: LeftoverCause,
    /// Its journal, or the folder of the held recording.
    pub path: PathBuf,
    /// Exchanges in it; `None` when it can't be read.
    pub exchanges: Option<usize>,
}

/// A recovered recording, which is part of its fixture now.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// Why it was not before.
    pub cause: LeftoverCause,
    /// The fixture.
    pub output: PathBuf,
    pub summary: RecordingSummary,
    /// The entries of the fixture that it added or replaced, if it was killed and redaction was on. A value that became
    /// known as a secret after it was journalled may be left in them.
    pub unchecked: Vec<usize>,
}

impl fmt::Display for LeftoverCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LeftoverCause::Held => "held",
            LeftoverCause::Killed => "killed",
        })
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recovery { cause, output, summary: RecordingSummary { exchanges, cut, unanswered, .. }, .. } = self;
        let many = if *exchanges == 1 { "exchange" } else { "exchanges" };
        write!(f, "recovered {exchanges} {many} into {} from a recording that was {cause}", output.display())?;
        if *cut > 0 {
            write!(f, "; {cut} of them cut off")?;
        }
        match unanswered {
            0 => Ok(()),
            1 => write!(f, "; one that had no answer yet was left out"),
            more => write!(f, "; {more} that had no answer yet were left out"),
        }
    }
}

/// Recovers the recordings beside `plan.output`, the older first. Empty when there are none.
///
/// # Errors
/// [`Error::Locked`] while a recorder runs, [`Error::NothingLeft`] when there is no fixture either, or the reason why
/// the fixture can't be written. Recordings that are not in the fixture yet stay.
pub fn recover(plan: &RecordPlan) -> Result<Vec<Recovery>, Error> {
    let paths = JournalPaths::beside(&plan.output)?;
    if !paths.has_leftovers() {
        return match plan.output.exists() {
            true => Ok(Vec::new()),
            false => Err(Error::NothingLeft { output: plan.output.clone() }),
        };
    }
    let journal = paths.lock()?;
    harproxy_har::write::sweep(&plan.output);
    // A held recording is older: it is held when its journal ends.
    let held = accept_held(&journal)?;
    let killed = recover_killed(plan, &journal)?;
    journal.remove()?;
    Ok(held.into_iter().chain(killed).collect())
}

/// Drops the recordings beside a fixture, which stays as it is.
///
/// # Errors
/// [`Error::Locked`] while a recorder runs, or when a file can't be removed.
pub fn discard(output: &Path) -> Result<Vec<Leftover>, Error> {
    let paths = JournalPaths::beside(output)?;
    if !paths.has_leftovers() {
        return Ok(Vec::new());
    }
    let journal = paths.lock()?;
    harproxy_har::write::sweep(output);
    let paths = &journal.paths;
    let mut leftovers = Vec::new();
    if paths.held.exists() {
        let exchanges = held::read(paths).ok().flatten().map(|held| held.summary.exchanges);
        leftovers.push(Leftover { cause: LeftoverCause::Held, path: paths.held.clone(), exchanges });
    }
    let index = finalise::open(&journal).ok();
    let exchanges = index.map(|index| index.map_or(0, |(_, index)| index.exchanges.len()));
    // A journal without exchanges may be only the lock.
    if exchanges != Some(0) {
        leftovers.push(Leftover { cause: LeftoverCause::Killed, path: paths.journal.clone(), exchanges });
    }
    held::discard(paths)?;
    journal.remove()?;
    Ok(leftovers)
}

/// The fixtures in a folder that have leftover recordings.
#[must_use]
pub fn fixtures_with_leftovers(folder: &Path) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let files = std::fs::read_dir(here).into_iter().flatten().flatten();
    let mut fixtures: Vec<_> =
        files.filter_map(|file| Some(folder.join(JournalPaths::fixture_of(&file.file_name())?))).collect();
    fixtures.sort();
    fixtures.dedup();
    fixtures
}

/// Finalises the journal of a killed recording and empties it. `None` if it has no exchanges.
///
/// # Errors
/// [`Error`]; the journal stays as it is.
pub fn recover_killed(plan: &RecordPlan, journal: &LockedJournal) -> Result<Option<Recovery>, Error> {
    let index = finalise::open(journal)?.filter(|(_, index)| !index.exchanges.is_empty());
    let recovery = match index {
        Some((mut reader, index)) => {
            let update = finalise::without_removals(plan.update);
            let arrangement = finalise::write(plan, update, &index, &mut reader, Destination::Fixture)?;
            let is_written = |entry: &RecordedEntry| entry.change != EntryChange::Unchanged;
            let written = arrangement.recorded_entries().filter(is_written).map(|entry| entry.entry);
            Some(Recovery {
                cause: LeftoverCause::Killed,
                output: plan.output.clone(),
                summary: RecordingSummary::new(&index, &arrangement),
                unchecked: if index.meta.run.is_some() { written.collect() } else { Vec::new() },
            })
        }
        None => None,
    };
    journal.truncate()?;
    Ok(recovery)
}

/// Puts the held recording in place, if there is one.
fn accept_held(journal: &LockedJournal) -> Result<Option<Recovery>, Error> {
    let Some(recording) = held::read(&journal.paths)? else { return Ok(None) };
    held::accept(&journal.paths, &recording)?;
    Ok(Some(Recovery {
        cause: LeftoverCause::Held,
        output: journal.paths.output.clone(),
        summary: recording.summary,
        unchecked: Vec::new(),
    }))
}
