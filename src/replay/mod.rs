//! Replay: a proxy handler that answers from fixtures, lets local requests pass, refuses the rest, and keeps the ledger.
//!
//! `answer` is the strict part: it holds the matcher and what was made ready to be sent, and no way to dial. `local`
//! has a connector that ends on this machine, and none with `--no-local`; `passthrough` has one that leads anywhere, and only
//! when an option asks for it.

mod answer;
mod asked;
mod clock;
mod cors;
mod fixtures;
mod forward;
mod handler;
mod intake;
mod latency;
mod ledger;
mod local;
mod passthrough;
mod prepared;
mod refusal;
mod rewrite;
mod shelf;
mod source;
mod stream;

pub use intake::LONGEST_REQUEST;
pub use latency::Latency;
pub use passthrough::NetworkPlan;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::har::{self, Fixture};
use crate::matching::{Matcher, Options};
use crate::proxy::Ask;
use crate::redact::Policy;
use crate::urlglob::Globs;
use crate::verdict::{FailOn, Verdict};
use answer::Strict;
use local::Local;
use passthrough::Passthrough;

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
    /// `[scope] noise`: whether there is a list of noise.
    pub noise: bool,
    /// `--no-local` is `false`: loopback that is out of scope is dialled.
    pub local: bool,
    /// `--on-miss`.
    pub on_miss: OnMiss,
    /// `--passthrough` and `--on-miss passthrough`; `None` when nothing goes to the network by itself.
    pub network: Option<NetworkPlan>,
    /// `--latency`.
    pub latency: Latency,
    /// `--max-age`: entries older than this are told of.
    pub max_age: Option<Duration>,
    /// `--miss-status`: what a miss gets.
    pub miss: MissAnswer,
    /// What is secret in requests: none of it is told in a log, an explanation or a report.
    pub policy: Arc<Policy>,
    /// `--no-mark` is `false`: answers carry `x-harproxy`.
    pub mark: bool,
    /// `--fail-on`: the kinds that fail the run.
    pub fail_on: FailOn,
    /// `--clock`: whether the dates of answers move with the clock.
    pub clock: Clock,
    /// What to take for the present; `None` is the machine's clock.
    pub now: Option<SystemTime>,
    /// `--connect-timeout`, for local requests.
    pub connect_timeout: Duration,
    /// `--idle-timeout`, for local connections.
    pub idle_timeout: Duration,
}

/// `--on-miss`: what becomes of a request in scope that no entry answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMiss {
    /// It is refused, and fails the run.
    #[default]
    Fail,
    /// It goes to the network.
    Passthrough,
    /// It goes to the network, and what comes back into the fixture.
    Record,
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
    Fixture(#[from] har::Error),
    /// The options of the way to the network can't be carried out.
    #[error(transparent)]
    Upstream(#[from] crate::proxy::upstream::PlanError),
    /// A matching option is malformed.
    #[error(transparent)]
    Matching(#[from] crate::matching::Error),
}

/// Opens the fixtures that these files and folders name, in order, and indexes them: what a replay answers from, without
/// the replay.
///
/// # Errors
/// [`Error`].
pub fn open(arguments: &[PathBuf], scope: Option<Globs>, matching: Options) -> Result<Matcher, Error> {
    let open = |path: Result<PathBuf, har::Error>| Ok(Arc::new(Fixture::open(&path?)?));
    let fixtures = har::find(arguments).into_iter().map(open).collect::<Result<_, har::Error>>()?;
    Ok(Matcher::new(fixtures, scope, matching)?)
}

/// A replay under way: the proxy's handler.
pub struct Replayer {
    strict: Strict,
    /// Absent with `--no-local`: then nothing here can dial at all.
    local: Option<Local>,
    /// Absent unless an option lets something go to the network.
    live: Option<Passthrough>,
    /// Who asks for what is missing and records it (`--on-miss record`).
    recorder: Option<Arc<dyn Ask>>,
    /// What is taken for the present; `None`: the moment at which a request came.
    now: Option<SystemTime>,
}

impl Replayer {
    /// Opens the fixtures and builds the index. `recorder` is who asks for what is missing, with [`OnMiss::Record`].
    ///
    /// # Errors
    /// [`Error`]; nothing was run.
    pub fn open(plan: ReplayPlan, recorder: Option<Arc<dyn Ask>>) -> Result<Self, Error> {
        let matcher = open(&plan.fixtures, plan.scope.clone(), plan.matching.clone())?;
        // Asking what a file that is no HAR would answer is one thing, relying on it another.
        matcher.fixtures().iter().try_for_each(|fixture| fixture.expect_entries())?;
        matcher.fixtures().iter().for_each(|fixture| fixtures::warn(fixture));
        let local = plan.local.then(|| Local::new(plan.connect_timeout, plan.idle_timeout));
        let strict = Strict::new(matcher, &plan);
        if let Some(max_age) = plan.max_age {
            strict.find_stale(max_age, plan.now.unwrap_or_else(SystemTime::now).into());
        }
        let live = plan.network.map(Passthrough::new).transpose()?;
        Ok(Replayer { strict, local, live, recorder, now: plan.now })
    }

    /// Gets ready to explain misses, which can be done while requests are already answered. Blocking.
    pub fn look_around(&self) {
        self.strict.look_around();
    }

    /// What the run concludes so far.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let opened = self.local.as_ref().map_or(0, Local::opened) + self.live.as_ref().map_or(0, Passthrough::opened);
        self.strict.verdict(opened)
    }

    /// Whether a request to this host, or to one below it as a domain, could be in scope or named by `--passthrough`: then it may not go past the proxy.
    #[must_use]
    pub fn may_match_domain(&self, domain: &str) -> bool {
        self.strict.may_match_domain(domain) || self.live.as_ref().is_some_and(|live| live.may_name_domain(domain))
    }

    /// When the recording began: the earliest `startedDateTime` among the first entries of the fixtures, as written there.
    #[must_use]
    pub fn recorded_at(&self) -> Option<String> {
        let first = |fixture: &Arc<Fixture>| {
            let entry = fixture.entry(fixture.heads().iter().next()?.entry).ok()?;
            Some((OffsetDateTime::parse(&entry.started, &Rfc3339).ok()?, entry.started.clone()))
        };
        let (_, started) = self.strict.fixtures().iter().filter_map(first).min()?;
        Some(started)
    }
}
