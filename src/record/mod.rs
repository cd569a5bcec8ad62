//! Recording: a proxy handler that forwards everything, watches what is in scope into a journal, and finalises the journal
//! into a fixture.

use std::path::PathBuf;
use std::sync::Arc;

use crate::har::write::ContentMode;
use crate::proxy::upstream::{PlanError, Upstream};
use crate::urlglob::Globs;
use crate::verdict::Verdict;

/// All that is settled before a recording starts.
#[derive(Clone, Debug)]
pub struct RecordPlan {
    /// The fixture to write (`-o`).
    pub output: PathBuf,
    /// What to record (`-g`); the empty list is everything but noise.
    pub scope: Globs,
    /// `--content`.
    pub content: ContentMode,
    /// `--update`.
    pub update: Update,
    /// `--max-body`, bytes.
    pub max_body: Option<u64>,
}

/// `--update`: what becomes of entries of an existing fixture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Update {
    /// Refresh what was seen, keep the rest.
    #[default]
    Merge,
    /// Add only what is missing.
    Missing,
    /// Keep only what was seen.
    Replace,
}

/// Why a recording can't start or can't be finished.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The fixture can't be read or written.
    #[error(transparent)]
    Fixture(#[from] crate::har::Error),
    /// The upstream options can't be carried out.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The journal can't be written.
    #[error("{doing} {}", path.display())]
    Journal {
        /// What was being done.
        doing: &'static str,
        /// The journal.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Another recorder writes this fixture.
    #[error("{} is being recorded by another harproxy", output.display())]
    Locked {
        /// The fixture.
        output: PathBuf,
    },
}

/// How CMD ended, as far as a recording cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It exited 0, or there was none.
    Clean,
    /// It failed: an existing fixture stays as it is.
    Failed,
}

/// One line of the table at the end: a host and what was seen of it.
#[derive(Clone, Debug, Default)]
pub struct HostLine {
    /// `host[:port]`.
    pub host: String,
    /// Requests seen (tunnels count one).
    pub requests: u64,
    /// Recorded.
    pub recorded: u64,
    /// Passed through unrecorded.
    pub passed: u64,
}

/// What a finished recording did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Counts and findings.
    pub verdict: Verdict,
    /// The table, by host in order of first appearance.
    pub hosts: Vec<HostLine>,
    /// Whether the fixture was written; `false` when nothing was recorded or CMD failed over an existing one.
    pub written: bool,
    /// Entries that stayed byte for byte, were replaced, were added, and were not seen.
    pub unchanged: usize,
    /// Replaced in place.
    pub changed: usize,
    /// New.
    pub added: usize,
    /// In the fixture, not seen this time.
    pub not_seen: usize,
    /// Where the recording is held when the fixture was left as it is.
    pub held: Option<PathBuf>,
}

/// A recording under way: the proxy's handler.
pub struct Recorder {
    _upstream: Arc<Upstream>,
}

impl Recorder {
    /// Checks the output, takes its lock and opens the journal.
    ///
    /// # Errors
    /// [`Error`]; nothing was run.
    pub fn start(plan: RecordPlan, upstream: Upstream) -> Result<Self, Error> {
        let _ = (plan, upstream);
        todo!("record")
    }

    /// Turns the journal into the fixture. Blocking; call it after the engine has drained.
    ///
    /// # Errors
    /// [`Error`]; the old fixture and the journal stay.
    pub fn finalise(&self, ending: Ending) -> Result<Outcome, Error> {
        let _ = ending;
        todo!("record")
    }
}
