//! What a recording that ended badly left: the journal of one that was killed, and one that was held because its CMD failed.
//! The next recording takes over the first by itself; `harproxy recover` accepts or drops both.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::finalise::{self, Arrangement, Index};
use super::journal::{Claimed, Place, Reader};
use super::{Error, RecordPlan, Update};
use crate::har;

/// Why a recording has not become a fixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its CMD failed over an existing fixture.
    Held,
    /// It did not come to its end.
    Killed,
}

/// What one recording left.
#[derive(Clone, Debug)]
pub struct Left {
    /// Why it did.
    pub why: Why,
    /// Its journal.
    pub journal: PathBuf,
    /// Exchanges in it; `None` when it can't be read.
    pub exchanges: Option<usize>,
}

/// What one recording left, and is part of the fixture now.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Why it was left.
    pub why: Why,
    /// The fixture.
    pub output: PathBuf,
    /// Exchanges that it held.
    pub exchanges: usize,
    /// Those among them that were cut off, stored as truncated.
    pub cut: usize,
    /// Entries that it added to the fixture.
    pub added: usize,
    /// Entries that it replaced.
    pub changed: usize,
    /// Entries that were as it has them.
    pub unchanged: usize,
    /// Entries that it has not seen.
    pub not_seen: usize,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Held => "held",
            Why::Killed => "killed",
        })
    }
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recovered { why, output, exchanges, cut, .. } = self;
        let many = if *exchanges == 1 { "exchange" } else { "exchanges" };
        write!(f, "recovered {exchanges} {many} into {} from a recording that was {why}", output.display())?;
        if *cut > 0 { write!(f, "; {cut} of them cut off") } else { Ok(()) }
    }
}

/// Brings all that was left beside `plan.output` into it, the oldest first. Empty when nothing was left.
///
/// # Errors
/// [`Error::Locked`] while a recorder is at work, [`Error::NothingLeft`] where no fixture is either, or what keeps the fixture
/// from being written; what is not in it yet stays where it is.
pub fn recover(plan: &RecordPlan) -> Result<Vec<Recovered>, Error> {
    let place = Place::beside(&plan.output)?;
    if !place.has_leftovers() {
        return match plan.output.exists() {
            true => Ok(Vec::new()),
            false => Err(Error::NothingLeft { output: plan.output.clone() }),
        };
    }
    let claimed = place.claim()?;
    har::write::sweep(&plan.output);
    // A held recording is older: a journal is there only while it, or its recovery, is under way.
    let held = held(plan, &claimed)?;
    let killed = killed(plan, &claimed)?;
    claimed.remove()?;
    Ok(held.into_iter().chain(killed).collect())
}

/// Removes all that was left beside a fixture, which stays as it is.
///
/// # Errors
/// [`Error::Locked`] while a recorder is at work, or when a journal can't be removed.
pub fn discard(output: &Path) -> Result<Vec<Left>, Error> {
    let place = Place::beside(output)?;
    if !place.has_leftovers() {
        return Ok(Vec::new());
    }
    let claimed = place.claim()?;
    har::write::sweep(output);
    let Place { held, journal, .. } = &claimed.place;
    let mut left = Vec::new();
    for (why, path) in [(Why::Held, held), (Why::Killed, journal)] {
        let Ok(file) = File::open(path) else { continue };
        let exchanges =
            finalise::open_file(&file, path).ok().map(|there| there.map_or(0, |(_, index)| index.slots.len()));
        // The lock itself, or a recording that had seen nothing yet.
        if why == Why::Held || exchanges != Some(0) {
            left.push(Left { why, journal: path.clone(), exchanges });
        }
    }
    claimed.discard_held()?;
    claimed.remove()?;
    Ok(left)
}

/// The fixtures in a folder for which something was left.
#[must_use]
pub fn left_in(folder: &Path) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let files = std::fs::read_dir(here).into_iter().flatten().flatten();
    let mut fixtures: Vec<_> =
        files.filter_map(|file| Some(folder.join(Place::fixture_of(&file.file_name())?))).collect();
    fixtures.sort();
    fixtures.dedup();
    fixtures
}

/// Finalises what a killed recording left in the journal, and empties it.
///
/// # Errors
/// [`Error`]; the journal stays as it is.
pub fn killed(plan: &RecordPlan, claimed: &Claimed) -> Result<Option<Recovered>, Error> {
    let there = finalise::open(claimed)?;
    let recovered = accept(plan, Why::Killed, there)?;
    claimed.clear()?;
    Ok(recovered)
}

/// Finalises what is held, and removes it.
fn held(plan: &RecordPlan, claimed: &Claimed) -> Result<Option<Recovered>, Error> {
    let path = &claimed.place.held;
    if !path.exists() {
        return Ok(None);
    }
    let file = File::open(path).map_err(|source| Error::journal("reading the journal", path, source))?;
    let recovered = accept(plan, Why::Held, finalise::open_file(&file, path)?)?;
    claimed.discard_held()?;
    Ok(recovered)
}

/// A recording that did not end well has not seen everything: it never takes entries away.
fn accept(plan: &RecordPlan, why: Why, there: Option<(Reader, Index)>) -> Result<Option<Recovered>, Error> {
    let Some((mut reader, index)) = there.filter(|(_, index)| !index.slots.is_empty()) else { return Ok(None) };
    let update = if plan.update == Update::Replace { Update::Merge } else { plan.update };
    let Arrangement { added, changed, unchanged, not_seen, .. } = finalise::write(plan, update, &index, &mut reader)?;
    let (output, exchanges, cut) = (plan.output.clone(), index.slots.len(), index.cut);
    Ok(Some(Recovered { why, output, exchanges, cut, added, changed, unchanged, not_seen }))
}
