//! Replay: a proxy handler that answers from fixtures, lets local requests pass, refuses the rest, and keeps the ledger.

use std::path::PathBuf;

use crate::urlglob::Globs;
use crate::verdict::Verdict;

/// All that is settled before a replay starts.
#[derive(Clone, Debug)]
pub struct ReplayPlan {
    /// Fixtures and folders, in order.
    pub fixtures: Vec<PathBuf>,
    /// `-g`: replaces the scope of the fixtures; `None` keeps it.
    pub scope: Option<Globs>,
    /// Whether CMD is run (then `no-traffic` fails).
    pub with_cmd: bool,
}

/// Why a replay can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A fixture can't be read.
    #[error(transparent)]
    Fixture(#[from] crate::har::Error),
    /// Nothing to replay.
    #[error("no fixture in {}", path.display())]
    NoFixture {
        /// The folder.
        path: PathBuf,
    },
}

/// A replay under way: the proxy's handler.
pub struct Replayer {
    _private: (),
}

impl Replayer {
    /// Opens the fixtures and builds the index.
    ///
    /// # Errors
    /// [`Error`]; nothing was run.
    pub fn open(plan: ReplayPlan) -> Result<Self, Error> {
        let _ = plan;
        todo!("replay")
    }

    /// What the run concludes so far.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        todo!("replay")
    }
}
