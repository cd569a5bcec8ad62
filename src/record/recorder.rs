//! A running recording.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use indexmap::IndexSet;

use super::damage::KnownJournal;
use super::journal::heads::JournalMeta;
use super::journal::{FrameMark, Journal, JournalPaths, LockedJournal, WrittenFrames};
use super::redaction::RecordingRedactor;
use super::tap::TapContext;
use super::{Error, RecordPlan, Recovery, finalise, recover};
use crate::pipeline::Collector;
use crate::source::UpstreamSource;
use crate::verdict::FindingListener;
use harproxy_http::NormalUrl;
use harproxy_proxy::upstream::Upstream;
use harproxy_redact::{RedactionView, RunId, SecretStore};
use harproxy_support::shell_quote;
use harproxy_support::sync::lock;

/// The first port that systems assign by themselves: such a port differs from run to run.
const FIRST_ASSIGNED_PORT: u16 = 32_768;
/// The maximum number of globs for requests to this machine.
const MAX_LOCAL_GLOBS: usize = 20;

/// A recording in progress.
#[derive(Debug)]
pub struct Recorder {
    pub(super) plan: RecordPlan,
    pub(super) live: Arc<UpstreamSource>,
    pub(super) locked: LockedJournal,
    pub(super) journal: Arc<Journal>,
    known: KnownJournal,
    pub(super) collector: Arc<Collector>,
    pub(super) redactor: Arc<RecordingRedactor>,
    /// The redaction of logs and reports.
    pub(super) view: Arc<RedactionView>,
    /// The number of exchanges that have begun.
    pub(super) exchanges: AtomicU64,
    /// The globs that would record the requests to this machine that were left out.
    local: Mutex<IndexSet<String>>,
    /// The first URL that was out of scope, without its query.
    pub(super) passed: OnceLock<String>,
    recovery: Option<Recovery>,
}

impl Recorder {
    /// Checks and locks the output, recovers a killed recording, and opens the journal.
    pub fn start(plan: RecordPlan, upstream: Upstream) -> Result<Self, Error> {
        let paths = JournalPaths::beside(&plan.output)?;
        finalise::check(&plan)?;
        let locked = paths.lock()?;
        harproxy_har::write::sweep(&plan.output);
        let recovery = recover::recover_killed(&plan, &locked)?;
        let redactor = RecordingRedactor::new(plan.policy.clone(), SecretStore::new(RunId::random(), &plan.values));
        let (mark, meta) = (FrameMark::random(), meta(&plan, &redactor));
        let known = KnownJournal { mark, meta, written: WrittenFrames::default() };
        let journal = start_journal(&known, &locked)?;
        let view = RedactionView::new(plan.policy.clone(), &plan.values);
        view.add_recorded(redactor.secrets().clone());
        let collector = Arc::new(Collector::new(true));
        // The entries of a recording before this one are incomplete.
        recovery.iter().flat_map(Recovery::findings).for_each(|finding| collector.add_finding(finding));
        Ok(Recorder {
            plan,
            live: Arc::new(UpstreamSource::live(upstream)),
            locked,
            journal: Arc::new(journal),
            known,
            collector,
            redactor: Arc::new(redactor),
            view: Arc::new(view),
            exchanges: AtomicU64::new(0),
            local: Mutex::default(),
            passed: OnceLock::new(),
            recovery,
        })
    }

    /// Passes each finding to `listener` as it is made.
    pub fn set_listener(&self, listener: FindingListener) {
        self.collector.set_listener(listener);
    }

    /// The redaction of logs and reports.
    #[must_use]
    pub fn view(&self) -> &Arc<RedactionView> {
        &self.view
    }

    /// The secrets that the recording found.
    #[must_use]
    pub fn secrets(&self) -> &Arc<SecretStore> {
        self.redactor.secrets()
    }

    /// The network.
    #[must_use]
    pub fn live(&self) -> &Arc<UpstreamSource> {
        &self.live
    }

    /// The parts that the tap of the next exchange needs.
    pub(super) fn tap_context(&self) -> TapContext {
        TapContext {
            journal: self.journal.clone(),
            collector: self.collector.clone(),
            redactor: self.redactor.clone(),
            number: self.exchanges.fetch_add(1, Ordering::Relaxed) + 1,
            max_body: self.plan.max_body,
            max_decoded: self.plan.max_decoded,
        }
    }

    /// Notes a request to this machine that is not recorded, because no glob names its origin.
    pub(super) fn add_local(&self, url: &NormalUrl) {
        // Binding compiles globs, which each request to this machine would otherwise pay for.
        if lock(&self.local).len() < MAX_LOCAL_GLOBS
            && let Some(glob) = self.plan.scope.bind(url.as_str(), &stable_origin(url))
        {
            self.add_local_glob(glob);
        }
    }

    /// Notes a tunnel to this machine, whose URLs are unknown. `origin` is its URL without a path.
    pub(super) fn add_local_tunnel(&self, origin: &NormalUrl) {
        if self.plan.scope.may_match_origin(&origin.parts().site()) {
            self.add_local_glob(format!("{}/**", stable_origin(origin)));
        }
    }

    fn add_local_glob(&self, glob: String) {
        let mut globs = lock(&self.local);
        if globs.len() < MAX_LOCAL_GLOBS {
            globs.insert(glob);
        }
    }

    /// The options that record the requests to this machine that were left out: `-g 'http://localhost:5173/api/**'`.
    #[must_use]
    pub(super) fn local_options(&self) -> Vec<String> {
        lock(&self.local).iter().map(|glob| format!("-g {}", shell_quote::word(glob))).collect()
    }

    /// Returns the knowledge of the recorder about its journal, which must be closed.
    pub(super) fn known_journal(&self) -> KnownJournal {
        KnownJournal { written: self.journal.written(), ..self.known.clone() }
    }

    /// The killed recording that was recovered at the start, if there was one.
    #[must_use]
    pub fn recovery(&self) -> Option<&Recovery> {
        self.recovery.as_ref()
    }

    /// Whether no exchange has begun.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.exchanges.load(Ordering::Relaxed) == 0
    }

    /// The journal, if it holds exchanges that are not in the fixture.
    #[must_use]
    pub fn unfinished_journal(&self) -> Option<PathBuf> {
        let journal = &self.locked.paths.journal;
        (!self.is_idle() && journal.exists()).then(|| journal.clone())
    }

    /// Writes all queued frames and ends the recording without finalising it.
    pub fn stop(&self) {
        self.journal.close();
        self.remove_if_idle();
    }

    /// Removes the journal if no exchange has begun. Dropping the recorder does the same, but connections may keep it
    /// alive until the process ends.
    pub fn remove_if_idle(&self) {
        if self.is_idle() {
            self.journal.close();
            let _ = self.locked.remove();
        }
    }

    /// The settings of the recording.
    #[must_use]
    pub fn plan(&self) -> &RecordPlan {
        &self.plan
    }
}

/// Returns the origin of a URL, with `*` as the port if the system assigned it.
fn stable_origin(url: &NormalUrl) -> String {
    let (parts, site) = (url.parts(), url.parts().site());
    match (parts.port(), site.rsplit_once(':')) {
        (Some(FIRST_ASSIGNED_PORT..), Some((host, _))) => format!("{host}:*"),
        _ => site.into_owned(),
    }
}

fn meta(plan: &RecordPlan, redactor: &RecordingRedactor) -> JournalMeta {
    JournalMeta {
        scope: plan.scope.sources().to_vec(),
        max_body: plan.max_body,
        max_decoded: Some(plan.max_decoded.bytes()),
        run: (!redactor.is_off()).then(|| redactor.secrets().run()),
        pid: Some(std::process::id()),
    }
}

/// Writes the head and the first frame of a journal and opens it for exchanges.
fn start_journal(known: &KnownJournal, locked: &LockedJournal) -> Result<Journal, Error> {
    let start = || {
        (&locked.file).write_all(&known.beginning()?)?;
        Journal::start(locked.file.try_clone()?, known.mark)
    };
    start().map_err(|source| Error::journal("writing the journal", &locked.paths.journal, source))
}

/// Removes the journal of a recorder without exchanges.
impl Drop for Recorder {
    fn drop(&mut self) {
        self.remove_if_idle();
    }
}
