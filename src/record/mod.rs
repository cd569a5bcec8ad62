//! Recording: a proxy handler that forwards everything, watches what is in scope into a journal, and finalises the journal
//! into a fixture.

mod finalise;
mod handler;
mod heads;
mod held;
pub mod journal;
mod outcome;
mod problem;
mod recover;
mod redaction;
mod tally;
mod tap;
mod volatile;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::verdict::seen::Became;
use crate::verdict::{Herald, Verdict};
use harproxy_glob::Globs;
use harproxy_har::write::{ContentMode, JsonLayout};
use harproxy_matching::MatchRule;
use harproxy_proxy::upstream::{PlanError, Upstream};
use harproxy_redact::marker::Run;
use harproxy_redact::{Placeholder, Policy, Secret, Vault};
use heads::Meta;
use journal::frame::MAGIC;
use journal::{Claimed, Frame, FrameKind, Journal, Place};
pub use recover::{Hold, Left, Recovered, Why, discard, hold, left_in, recover, sweep};
use redaction::RecordingRedactor;
use tally::Tally;
pub use volatile::Volatile;

/// All that is settled before a recording starts.
#[derive(Clone, Debug)]
pub struct RecordPlan {
    /// The fixture to write (`-o`).
    pub output: PathBuf,
    /// What to record (`-g`); the empty list is everything but noise.
    pub scope: Globs,
    /// `[scope] noise`: whether there is a list of noise.
    pub noise: bool,
    /// `--content`.
    pub content: ContentMode,
    /// `--update`.
    pub update: Update,
    /// `--max-body`, bytes.
    pub max_body: Option<u64>,
    /// `--json-layout`.
    pub json_layout: JsonLayout,
    /// What is secret ([`Policy::off`]: nothing, `--no-redact`).
    pub policy: Arc<Policy>,
    /// `[redact.values]`: the placeholders of values that are known.
    pub values: Vec<(Placeholder, Secret)>,
    /// `--on-failure`.
    pub on_failure: OnFailure,
    /// `[volatile]`.
    pub volatile: Volatile,
    /// `[[match]]`: which requests are one.
    pub rules: Vec<MatchRule>,
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

/// `--on-failure`: what becomes of an existing fixture when CMD fails. A first recording is written all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It stays as it is, and the recording is held for `harproxy recover`.
    #[default]
    Hold,
    /// It is updated as if CMD had not failed.
    Write,
}

/// Why a recording can't start or can't be finished.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The fixture can't be read or written.
    #[error(transparent)]
    Fixture(#[from] harproxy_har::Error),
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
    /// `[volatile]` has a path that is none.
    #[error(transparent)]
    Volatile(#[from] harproxy_json::PathError),
    /// A rule of the policy can't be carried out.
    #[error(transparent)]
    Rules(#[from] harproxy_matching::Error),
    /// Another harproxy writes this fixture.
    #[error("{} is being {}", output.display(), by_whom(*recorder))]
    Locked {
        /// The fixture.
        output: PathBuf,
        /// The recorder, if it is one that says so.
        recorder: Option<u32>,
    },
    /// The output is a folder.
    #[error("recording into {}, which is a folder", output.display())]
    IsFolder {
        /// The folder.
        output: PathBuf,
    },
    /// There is nothing to recover, nor a fixture that it could be in by now.
    #[error("neither {} is there nor anything that a recording into it left", output.display())]
    NothingLeft {
        /// The fixture that was named.
        output: PathBuf,
    },
    /// The fixture has changed since a recording into it was held.
    #[error("{} has changed since the recording into it was held", output.display())]
    Changed {
        /// The fixture.
        output: PathBuf,
    },
    /// The output is a HAR of another tool, into which nothing is merged.
    #[error("{} was not recorded by harproxy: nothing is merged into it", output.display())]
    Foreign {
        /// The HAR.
        output: PathBuf,
    },
}

impl Error {
    fn journal(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Error::Journal { doing, path: path.into(), source }
    }
}

fn by_whom(recorder: Option<u32>) -> String {
    match recorder {
        Some(pid) => format!("recorded by another harproxy (process {pid})"),
        None => "written by another harproxy".to_owned(),
    }
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
    /// A recording held earlier was dropped: this one takes its place.
    pub replaced_held: bool,
    /// Requests in scope whose client went away before the answer: not stored.
    pub unanswered: u64,
    /// What exchanges became in the fixture, by their numbers in the journal; nothing where it was not written.
    pub entries: HashMap<u64, Became>,
}

/// A recording under way: the proxy's handler.
#[derive(Debug)]
pub struct Recorder {
    plan: RecordPlan,
    upstream: Upstream,
    claimed: Claimed,
    journal: Arc<Journal>,
    tally: Arc<Tally>,
    redactor: Arc<RecordingRedactor>,
    /// Exchanges begun.
    exchanges: AtomicU64,
    started: Instant,
    recovered: Option<Recovered>,
}

impl Recorder {
    /// Checks the output, takes its lock, finalises what a killed recording left, and opens the journal.
    ///
    /// # Errors
    /// [`Error`]; nothing was run.
    pub fn start(plan: RecordPlan, upstream: Upstream) -> Result<Self, Error> {
        let place = Place::beside(&plan.output)?;
        finalise::check(&plan)?;
        let claimed = place.claim()?;
        harproxy_har::write::sweep(&plan.output);
        let recovered = recover::killed(&plan, &claimed)?;
        let vault = Vault::new(Run::random(), &plan.values);
        let redactor = RecordingRedactor::new(plan.policy.clone(), vault);
        let journal = begin(&plan, &claimed, &redactor)?;
        Ok(Recorder {
            plan,
            upstream,
            claimed,
            journal: Arc::new(journal),
            tally: Arc::default(),
            redactor: Arc::new(redactor),
            exchanges: AtomicU64::new(0),
            started: Instant::now(),
            recovered,
        })
    }

    /// Tells each finding at once.
    pub fn heard_by(&self, herald: Herald) {
        self.tally.heard_by(herald);
    }

    /// What a killed recording had left, if it did.
    #[must_use]
    pub fn recovered(&self) -> Option<&Recovered> {
        self.recovered.as_ref()
    }

    /// Whether nothing was recorded, nor begun to be.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.exchanges.load(Ordering::Relaxed) == 0
    }

    /// The journal, if something was recorded and did not become part of the fixture.
    #[must_use]
    pub fn kept(&self) -> Option<PathBuf> {
        let journal = &self.claimed.place.journal;
        (!self.is_idle() && journal.exists()).then(|| journal.clone())
    }

    /// Writes what is still on its way into the journal, and nothing after that: what comes next is the end of the process.
    pub fn stop(&self) {
        self.journal.close();
        self.give_up();
    }

    /// Removes the journal if nothing was recorded. Done by itself when nobody has the recorder any more; whoever can't wait for
    /// that, since connections may hold it until the process ends, does it here.
    pub fn give_up(&self) {
        if self.is_idle() {
            self.journal.close();
            let _ = self.claimed.remove();
        }
    }

    /// What was counted and found so far.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        outcome::verdict(self)
    }

    /// Turns the journal into the fixture. Blocking; call it after the engine has drained.
    ///
    /// # Errors
    /// [`Error`]; the old fixture and the journal stay.
    pub fn finalise(&self, ending: Ending) -> Result<Outcome, Error> {
        finalise::finalise(self, &self.plan, ending)
    }

    /// The same under a policy that was learned since: its `[volatile]` and its rules stand in the place of the plan's.
    ///
    /// # Errors
    /// [`Error`]; the old fixture and the journal stay.
    pub fn finalise_under(&self, volatile: Volatile, rules: Vec<MatchRule>, ending: Ending) -> Result<Outcome, Error> {
        finalise::finalise(self, &RecordPlan { volatile, rules, ..self.plan.clone() }, ending)
    }

    /// Writes what was recorded as a fixture of its own, beside the one that it is for. Nothing is recorded any more.
    ///
    /// # Errors
    /// [`Error`].
    pub fn copy_to(&self, fixture: &Path) -> Result<(), Error> {
        finalise::copy(self, fixture)
    }

    /// What was settled.
    #[must_use]
    pub fn plan(&self) -> &RecordPlan {
        &self.plan
    }
}

/// Writes what a journal begins with, and opens it for exchanges.
fn begin(plan: &RecordPlan, claimed: &Claimed, redactor: &RecordingRedactor) -> Result<Journal, Error> {
    let run = (!redactor.is_off()).then(|| redactor.vault().run());
    let meta =
        Meta { scope: plan.scope.sources().to_vec(), max_body: plan.max_body, run, pid: Some(std::process::id()) };
    let start = || {
        let payload = heads::encode(&meta)?;
        let mut bytes = MAGIC.to_vec();
        Frame { kind: FrameKind::Meta, exchange: 0, payload }.write(&mut bytes)?;
        (&claimed.file).write_all(&bytes)?;
        Journal::start(claimed.file.try_clone()?)
    };
    start().map_err(|source| Error::journal("writing the journal", &claimed.place.journal, source))
}

/// A recording that is given up before anything was recorded leaves no journal behind.
impl Drop for Recorder {
    fn drop(&mut self) {
        self.give_up();
    }
}
