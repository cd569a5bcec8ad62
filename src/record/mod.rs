//! Recording: the pipeline forwards everything, the tap journals what is in scope, and the journal is finalised into a fixture.

mod finalise;
mod heads;
mod held;
pub mod journal;
mod problem;
mod recover;
mod redaction;
mod router;
mod source;
mod summary;
mod tap;
mod volatile;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::pipeline::{Collector, EventBus, Marks, Pipeline};
use crate::source::UpstreamSource;
use crate::verdict::request::RecordedEntry;
use crate::verdict::{FindingListener, Verdict};
use harproxy_glob::Globs;
use harproxy_har::write::{ContentMode, JsonLayout};
use harproxy_matching::MatchRule;
use harproxy_proxy::Handler;
use harproxy_proxy::upstream::{PlanError, Upstream};
use harproxy_redact::marker::Run;
use harproxy_redact::{Placeholder, Policy, Secret, Vault};
use heads::Meta;
use journal::frame::MAGIC;
use journal::{Claimed, Frame, FrameKind, Journal, Place};
pub use recover::{Hold, Left, Recovered, Why, discard, hold, left_in, recover, sweep};
use redaction::RecordingRedactor;
use router::{RecordRouter, RecordedSecrets};
pub use source::RecordingSource;
use tap::TapContext;
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
    Volatile(#[from] harproxy_redact::Error),
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

/// One line of the table at the end of a recording.
#[derive(Clone, Debug, Default)]
pub struct HostLine {
    /// `host[:port]`.
    pub host: String,
    /// Requests; a tunnel counts as one.
    pub requests: u64,
    /// Recorded.
    pub recorded: u64,
    /// Forwarded and not recorded.
    pub passed: u64,
}

/// The result of a finished recording.
#[derive(Clone, Debug)]
pub struct RecordingSummary {
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
    pub entries: HashMap<u64, RecordedEntry>,
}

/// A recording in progress.
#[derive(Debug)]
pub struct Recorder {
    plan: RecordPlan,
    live: Arc<UpstreamSource>,
    claimed: Claimed,
    journal: Arc<Journal>,
    collector: Arc<Collector>,
    redactor: Arc<RecordingRedactor>,
    /// Exchanges begun.
    exchanges: AtomicU64,
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
            live: Arc::new(UpstreamSource::live(upstream)),
            claimed,
            journal: Arc::new(journal),
            collector: Arc::new(Collector::new(true)),
            redactor: Arc::new(redactor),
            exchanges: AtomicU64::new(0),
            recovered,
        })
    }

    /// The handler that records the requests of an engine. Its events go to the bus.
    #[must_use]
    pub fn handler(self: &Arc<Self>, bus: &EventBus) -> Arc<dyn Handler> {
        let router = Arc::new(RecordRouter::new(self.clone()));
        let secrets = RecordedSecrets { policy: self.plan.policy.clone(), redactor: self.redactor.clone() };
        Arc::new(Pipeline::new(router, self.collector.clone(), bus, Arc::new(secrets), Marks::OwnErrors))
    }

    /// The network.
    #[must_use]
    pub fn live(&self) -> &Arc<UpstreamSource> {
        &self.live
    }

    /// The parts that the tap of the next exchange needs.
    fn tap_context(&self) -> TapContext<'_> {
        TapContext {
            journal: &self.journal,
            collector: &self.collector,
            redactor: &self.redactor,
            number: self.exchanges.fetch_add(1, Ordering::Relaxed) + 1,
            max_body: self.plan.max_body,
        }
    }

    /// Passes each new finding to a listener.
    pub fn set_listener(&self, listener: FindingListener) {
        self.collector.set_listener(listener);
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
        summary::verdict(self)
    }

    /// Turns the journal into the fixture. Blocking; call it after the engine has drained.
    ///
    /// # Errors
    /// [`Error`]; the old fixture and the journal stay.
    pub fn finalise(&self, ending: Ending) -> Result<RecordingSummary, Error> {
        finalise::finalise(self, &self.plan, ending)
    }

    /// The same under a policy that was learned since: its `[volatile]` and its rules stand in the place of the plan's.
    ///
    /// # Errors
    /// [`Error`]; the old fixture and the journal stay.
    pub fn finalise_under(
        &self,
        volatile: Volatile,
        rules: Vec<MatchRule>,
        ending: Ending,
    ) -> Result<RecordingSummary, Error> {
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
