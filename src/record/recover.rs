//! Recovers leftover recordings: the journal of a killed recording, and the finished fixture of a held one.
//!
//! The next recording into the same fixture recovers a killed one first. `harproxy recover` adds both kinds to the
//! fixture, or drops them.

use std::fmt;
use std::path::{Path, PathBuf};

use super::damage::{Damage, DamagedJournal};
use super::finalise::{self, Arrangement, Destination, JournalIndex};
use super::held::{self, RecordingSummary};
use super::journal::{JournalPaths, LockedJournal};
use super::{Error, RecordPlan};
use crate::verdict::Finding;
use crate::verdict::request::{EntryChange, RecordedEntry};
use harproxy_support::printable::Shown as _;

/// The reason why a recording is not part of its fixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftoverCause {
    /// CMD failed over an existing fixture.
    Held,
    /// harproxy was killed.
    Killed,
    /// Its journal was damaged, and the fixture has its complete exchanges.
    Damaged,
}

/// A recording that is not part of its fixture, as `harproxy recover --discard` lists it.
#[derive(Clone, Debug)]
pub struct Leftover {
    pub cause: LeftoverCause,
    /// Its journal, or the folder of the held recording.
    pub path: PathBuf,
    /// Exchanges in it; `None` when it can't be read.
    pub exchanges: Option<usize>,
}

/// A leftover recording that was added to its fixture.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The reason why it was not part of the fixture before.
    pub cause: LeftoverCause,
    /// The fixture.
    pub output: PathBuf,
    pub summary: RecordingSummary,
    /// The entries that a killed recording with redaction added or replaced. They may still contain values that became
    /// known as secrets after they were journalled.
    pub unchecked: Vec<usize>,
    /// The damage of the journal, and the place where it is kept.
    pub damage: Option<(Damage, PathBuf)>,
    /// The findings about payloads that are stored as received.
    pub undecoded: Vec<Finding>,
}

impl Recovery {
    /// Returns the findings about a damaged journal, and about payloads that are stored as received.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let damage = self.damage.iter();
        let damage = damage
            .map(|(damage, kept)| damage.finding(&self.output, self.summary.exchanges, DamagedJournal::Beside(kept)));
        damage.chain(self.undecoded.iter().cloned()).collect()
    }
}

impl fmt::Display for LeftoverCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LeftoverCause::Held => "held",
            LeftoverCause::Killed => "killed",
            LeftoverCause::Damaged => "damaged",
        })
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recovery { cause, output, summary: RecordingSummary { exchanges, cut, unanswered, .. }, .. } = self;
        let many = if *exchanges == 1 { "exchange" } else { "exchanges" };
        write!(f, "recovered {exchanges} {many} into {} from a recording that was {cause}", output.shown())?;
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

/// Adds the leftover recordings beside `plan.output` to the fixture, the older first. Returns none if there are none.
///
/// # Errors
/// - [`Error::Locked`] while a recorder runs,
/// - [`Error::NothingLeft`] if there is neither a leftover nor a fixture,
/// - other errors if the fixture can't be written. The leftovers that were not added stay.
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
    // The held recording is older: holding it removed its journal.
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
    if !paths.has_leftovers() && !paths.damaged.exists() {
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
    let index = finalise::open(&journal, None).ok();
    let exchanges = index.map(|index| index.map_or(0, |(_, index)| index.exchanges.len()));
    // A journal without exchanges may be only the lock.
    if exchanges != Some(0) {
        leftovers.push(Leftover { cause: LeftoverCause::Killed, path: paths.journal.clone(), exchanges });
    }
    if paths.damaged.exists() {
        let failed = |source| Error::journal("removing", &paths.damaged, source);
        std::fs::remove_file(&paths.damaged).map_err(failed)?;
        leftovers.push(Leftover { cause: LeftoverCause::Damaged, path: paths.damaged.clone(), exchanges: None });
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
    let has_content = |index: &JournalIndex| !index.exchanges.is_empty() || index.damage.is_some();
    let index = finalise::open(journal, None)?.filter(|(_, index)| has_content(index));
    let Some((mut reader, index)) = index else {
        journal.truncate()?;
        return Ok(None);
    };
    let update = finalise::without_removals(plan.update);
    let arrangement = match index.exchanges.is_empty() {
        true => Arrangement::default(),
        false => finalise::write(plan, update, &index, &mut reader, Destination::Fixture)?,
    };
    let undecoded = finalise::undecoded::find(&index, &mut reader)?;
    if index.damage.is_some() {
        journal.keep_damaged()?;
    }
    let is_unchecked = |entry: &RecordedEntry| index.meta.run.is_some() && entry.change != EntryChange::Unchanged;
    let recovery = Recovery {
        cause: LeftoverCause::Killed,
        output: plan.output.clone(),
        summary: RecordingSummary::new(&index, &arrangement),
        unchecked: arrangement.recorded_entries().filter(is_unchecked).map(|entry| entry.entry).collect(),
        damage: index.damage.map(|damage| (damage, journal.paths.damaged.clone())),
        undecoded,
    };
    journal.truncate()?;
    Ok(Some(recovery))
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
        damage: None,
        undecoded: Vec::new(),
    }))
}
