//! What a recording that ended badly left: the journal of one that was killed, and one that was held because its CMD failed.
//! The next recording takes over the first by itself; `harproxy recover` accepts or drops both.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finalise::{self, Arrangement, Index};
use super::heads::Told;
use super::journal::{Claimed, Place, Reader};
use super::{Error, RecordPlan, Update};
use harproxy_redact::{ClueKey, Clues};

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
    /// Requests that had no answer yet, and are left out.
    pub unanswered: usize,
    /// Secrets that it found out late were not looked for in what it had seen before: their clues need a key that is not here.
    pub unsearched: bool,
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
        let Recovered { why, output, exchanges, cut, unanswered, unsearched, .. } = self;
        let many = if *exchanges == 1 { "exchange" } else { "exchanges" };
        write!(f, "recovered {exchanges} {many} into {} from a recording that was {why}", output.display())?;
        if *cut > 0 {
            write!(f, "; {cut} of them cut off")?;
        }
        match unanswered {
            0 => {}
            1 => write!(f, "; one that had no answer yet was left out")?,
            more => write!(f, "; {more} that had no answer yet were left out")?,
        }
        if *unsearched {
            f.write_str(
                "; what it learned to be secret was not looked for in what it had seen before, as that takes the key of the CA \
                 that it ran with: look the fixture over before you commit it",
            )?;
        }
        Ok(())
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
    harproxy_har::write::sweep(&plan.output);
    // A held recording is older: a journal is there only while it, or its recovery, is under way.
    let held = held(plan, &claimed)?;
    let killed = killed(plan, &claimed)?;
    claimed.remove()?;
    Ok(held.into_iter().chain(killed).collect())
}

/// A fixture that nobody can record into as long as this lives. What an earlier recording left stays.
#[derive(Debug)]
pub struct Hold(Option<Claimed>);

/// Keeps recorders away from a fixture, and removes what a killed writer of it left. Where nothing can be written beside it nobody
/// else can either, and whoever wants to write the fixture is told why by trying.
///
/// # Errors
/// [`Error::Locked`] while one is at work, [`Error::Journal`] when its lock can't be made beside it.
pub fn hold(fixture: &Path) -> Result<Hold, Error> {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    // Through a link, if it is one: that is where it is written.
    let target = fixture.canonicalize().unwrap_or_else(|_| fixture.to_owned());
    match Place::beside(&target)?.claim() {
        Ok(claimed) => {
            harproxy_har::write::sweep(&target);
            Ok(Hold(Some(claimed)))
        }
        Err(Error::Journal { source, .. }) if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            Ok(Hold(None))
        }
        Err(Error::IsFolder { .. }) => Ok(Hold(None)),
        Err(Error::Locked { recorder, .. }) => Err(Error::Locked { output: fixture.to_owned(), recorder }),
        Err(error) => Err(error),
    }
}

/// Removes what a killed writer of a fixture left beside it, for who has nothing to write to it. A recording that it left stays.
pub fn sweep(fixture: &Path) {
    let target = fixture.canonicalize().unwrap_or_else(|_| fixture.to_owned());
    harproxy_har::write::sweep(&target);
    if Place::beside(&target).is_ok_and(|place| place.journal.exists()) {
        // One that is but a lock goes with it.
        drop(hold(&target));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let empty = self.0.take().filter(|claimed| claimed.file.metadata().is_ok_and(|file| file.len() == 0));
        let _ = empty.map(|claimed| claimed.remove());
    }
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
    harproxy_har::write::sweep(output);
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
    let unsearched = !suspect(plan.clue_key.as_ref(), &index, &mut reader);
    let update = if plan.update == Update::Replace { Update::Merge } else { plan.update };
    let Arrangement { added, changed, unchanged, not_seen, .. } = finalise::write(plan, update, &index, &mut reader)?;
    let (exchanges, cut, unanswered) = (index.slots.len(), index.cut, index.unanswered);
    let output = plan.output.clone();
    Ok(Some(Recovered { why, output, exchanges, cut, unanswered, unsearched, added, changed, unchanged, not_seen }))
}

/// Who found the values is gone: they are known by the clues that it left. False where some need another key.
fn suspect(key: Option<&ClueKey>, index: &Index, reader: &mut Reader) -> bool {
    let (Some(run), Some(names)) = (index.meta.run, &mut reader.names) else { return true };
    let mark = key.map(ClueKey::mark);
    let (ours, others): (Vec<&Told>, Vec<_>) = index.told.iter().partition(|told| Some(told.mark) == mark);
    if let Some(key) = key {
        let clues = ours.iter().flat_map(|told| &told.clues);
        names.know_by(Arc::new(Clues::new(key.clone(), run, clues)));
    }
    others.is_empty()
}
