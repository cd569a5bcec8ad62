//! What a recording that ended badly left: the journal of one that was killed, and one that was held because its CMD failed.
//! The next recording takes over the first by itself; `harproxy recover` accepts or drops both.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::finalise::{self, Destination};
use super::held::{self, HeldSummary};
use super::journal::{Claimed, Place};
use super::{Error, RecordPlan};
use crate::verdict::seen::{Became, Change};

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
    /// Its journal, or the folder of the held recording.
    pub path: PathBuf,
    /// Exchanges in it; `None` when it can't be read.
    pub exchanges: Option<usize>,
}

/// A recording that has become part of its fixture.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Why it had not before.
    pub why: Why,
    /// The fixture.
    pub output: PathBuf,
    /// Exchanges that it held.
    pub exchanges: usize,
    /// Exchanges that were cut off, stored as truncated.
    pub cut: usize,
    /// Requests without a response, which are left out.
    pub unanswered: usize,
    /// Entries that it added to the fixture.
    pub added: usize,
    /// Entries that it replaced.
    pub changed: usize,
    /// Entries that it has seen unchanged.
    pub unchanged: usize,
    /// Entries that it has not seen.
    pub not_seen: usize,
    /// The entries of the fixture that it added or replaced, if it was killed and redaction was on. A value that became
    /// known as a secret after it was journalled may be left in them.
    pub unchecked: Vec<usize>,
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
        let Recovered { why, output, exchanges, cut, unanswered, .. } = self;
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
    let held = accept_held(&claimed)?;
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
    let mut left = Vec::new();
    let Place { held: folder, journal, .. } = &claimed.place;
    if folder.exists() {
        let exchanges = held::summary(&claimed.place).ok().flatten().map(|summary| summary.exchanges);
        left.push(Left { why: Why::Held, path: folder.clone(), exchanges });
    }
    let indexed = finalise::open(&claimed).ok();
    let exchanges = indexed.map(|indexed| indexed.map_or(0, |(_, index)| index.slots.len()));
    // The journal may be only the lock, or hold no exchange yet.
    if exchanges != Some(0) {
        left.push(Left { why: Why::Killed, path: journal.clone(), exchanges });
    }
    held::discard(&claimed.place)?;
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
    let journal = finalise::open(claimed)?.filter(|(_, index)| !index.slots.is_empty());
    let recovered = match journal {
        Some((mut reader, index)) => {
            let update = finalise::cautious(plan.update);
            let arrangement = finalise::write(plan, update, &index, &mut reader, Destination::Fixture)?;
            let is_new = |became: &Became| became.change != Change::Unchanged;
            Some(Recovered {
                why: Why::Killed,
                output: plan.output.clone(),
                exchanges: index.slots.len(),
                cut: index.cut,
                unanswered: index.unanswered,
                added: arrangement.added,
                changed: arrangement.changed,
                unchanged: arrangement.unchanged,
                not_seen: arrangement.not_seen,
                unchecked: match index.meta.run {
                    Some(_) => arrangement.became().filter(is_new).map(|became| became.entry).collect(),
                    None => Vec::new(),
                },
            })
        }
        None => None,
    };
    claimed.clear()?;
    Ok(recovered)
}

/// Puts the held recording in place.
fn accept_held(claimed: &Claimed) -> Result<Option<Recovered>, Error> {
    let Some(summary) = held::summary(&claimed.place)? else { return Ok(None) };
    held::accept(&claimed.place, &summary)?;
    let HeldSummary { exchanges, cut, unanswered, added, changed, unchanged, not_seen, .. } = summary;
    let (why, output, unchecked) = (Why::Held, claimed.place.output.clone(), Vec::new());
    Ok(Some(Recovered { why, output, exchanges, cut, unanswered, added, changed, unchanged, not_seen, unchecked }))
}
