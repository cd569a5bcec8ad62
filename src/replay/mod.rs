//! Replay: a proxy handler that answers from fixtures, lets local requests pass, refuses the rest, and keeps the ledger.

use std::path::PathBuf;
use std::time::Duration;

use crate::matching::Options;
use crate::urlglob::Globs;
use crate::verdict::{FailOn, Verdict};

/// All that is settled before a replay starts.
#[derive(Clone, Debug)]
pub struct ReplayPlan {
    /// Fixtures and folders, in order.
    pub fixtures: Vec<PathBuf>,
    /// `-g`: replaces the scope of the fixtures; `None` keeps it.
    pub scope: Option<Globs>,
    /// Whether CMD is run (then `no-traffic` fails).
    pub with_cmd: bool,
    /// Matching options.
    pub matching: Options,
    /// `--no-local` is `false`: loopback that is out of scope is dialled.
    pub local: bool,
    /// `--miss-status`: what a miss gets.
    pub miss: MissAnswer,
    /// `--no-mark` is `false`: answers carry `x-harproxy`.
    pub mark: bool,
    /// `--fail-on`: the kinds that fail the run.
    pub fail_on: FailOn,
    /// `--clock`: whether the dates of answers move with the clock.
    pub clock: Clock,
    /// `--connect-timeout`, for local requests.
    pub connect_timeout: Duration,
    /// `--idle-timeout`, for local connections.
    pub idle_timeout: Duration,
}

/// What a client gets for a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissAnswer {
    /// This status and the explanation.
    Status(u16),
    /// A closed connection.
    Abort,
}

/// `--clock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// Date, Expires and the cookies' Expires move by now minus the recorded Date: fixtures don't expire.
    #[default]
    Shift,
    /// They are sent as recorded.
    Recorded,
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
    /// A matching option is malformed.
    #[error(transparent)]
    Matching(#[from] crate::matching::Error),
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
