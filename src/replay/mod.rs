//! Replay: a proxy handler that answers from fixtures, forwards local requests, refuses the rest and keeps the ledger.
//!
//! - `answer`: the strict part, with the matcher and the response cache. It has no connector.
//! - `reload`: replaces the strict part when fixtures were edited.
//! - `local`: has a connector to this machine only; absent with `--no-local`.
//! - `passthrough`: has a connector to any host; present only if an option asks for it.

mod answer;
mod asked;
mod blocking;
mod cache;
mod clock;
mod cors;
mod fixtures;
mod handler;
mod intake;
mod latency;
mod ledger;
mod local;
mod passthrough;
mod prepared;
mod refusal;
mod reload;
mod response_payload;
mod rewrite;
mod stale;
mod stream;

pub use intake::LONGEST_REQUEST;
pub use latency::Latency;
pub use passthrough::NetworkPlan;
pub use reload::{FixtureChange, Reloader};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::verdict::{FailOn, FindingListener, Verdict};
use answer::Strict;
use harproxy_glob::Globs;
use harproxy_har::{Fixture, parse_time};
use harproxy_matching::{Matcher, Options};
use harproxy_proxy::Ask;
use harproxy_proxy::upstream::Timeouts;
use harproxy_redact::Policy;
use ledger::Ledger;
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
    /// The redaction policy: secrets in requests appear in no log, explanation or report.
    pub policy: Arc<Policy>,
    /// `--no-mark` is `false`: answers carry `x-harproxy`.
    pub mark: bool,
    /// `--fail-on`: the kinds that fail the run.
    pub fail_on: FailOn,
    /// `--clock`: whether the dates of answers move with the clock.
    pub clock: Clock,
    /// The current time for answers; `None` uses the machine's clock.
    pub now: Option<SystemTime>,
    /// `--connect-timeout`, `--idle-timeout` and `--answer-timeout`, for local requests.
    /// A request whose payload stalls for the idle timeout is refused, too.
    pub timeouts: Timeouts,
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

/// The answer to a miss (`--miss-status`).
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
    Fixture(#[from] harproxy_har::Error),
    /// The options of the way to the network can't be carried out.
    #[error(transparent)]
    Upstream(#[from] harproxy_proxy::upstream::PlanError),
    /// A matching option is malformed.
    #[error(transparent)]
    Matching(#[from] harproxy_matching::Error),
}

/// Opens the fixtures in these files and folders, in order, and builds their matcher, without starting a replay.
///
/// # Errors
/// [`Error`].
pub fn open(arguments: &[PathBuf], scope: Option<Globs>, matching: Options) -> Result<Matcher, Error> {
    let open = |path: Result<PathBuf, harproxy_har::Error>| Ok(Arc::new(Fixture::open(&path?)?));
    let fixtures = harproxy_har::find(arguments).into_iter().map(open).collect::<Result<_, harproxy_har::Error>>()?;
    Ok(Matcher::new(fixtures, scope, matching)?)
}

/// The proxy handler of a running replay.
pub struct Replayer {
    /// Replaced when fixtures are reloaded; requests in progress keep the one they started with.
    strict: ArcSwap<Strict>,
    ledger: Arc<Ledger>,
    policy: Arc<Policy>,
    /// The arguments for a reload.
    opening: Opening,
    /// The connector to local servers; absent with `--no-local`.
    local: Option<Local>,
    /// The connector to the network; absent unless an option allows it.
    live: Option<Passthrough>,
    /// Requests and records misses (`--on-miss record`).
    recorder: Option<Arc<dyn Ask>>,
    /// The current time for answers; `None` uses the arrival time of the request.
    now: Option<SystemTime>,
}

/// The arguments from which a replay opens its matcher.
struct Opening {
    arguments: Vec<PathBuf>,
    scope: Option<Globs>,
    matching: Options,
}

impl Replayer {
    /// Opens the fixtures and builds the index. `recorder` requests and records misses, with [`OnMiss::Record`].
    ///
    /// # Errors
    /// [`Error`]; nothing was run.
    pub fn open(plan: ReplayPlan, recorder: Option<Arc<dyn Ask>>) -> Result<Self, Error> {
        let matcher = open(&plan.fixtures, plan.scope.clone(), plan.matching.clone())?;
        // Asking what a file that is no HAR would answer is one thing, relying on it another.
        matcher.fixtures().iter().try_for_each(|fixture| fixture.expect_entries())?;
        matcher.fixtures().iter().for_each(|fixture| fixtures::warn(fixture));
        let local = plan.local.then(|| Local::new(plan.timeouts));
        let strict = Strict::new(matcher, &plan);
        let live = plan.network.map(Passthrough::new).transpose()?;
        Ok(Replayer {
            ledger: strict.ledger().clone(),
            strict: ArcSwap::from_pointee(strict),
            policy: plan.policy,
            opening: Opening { arguments: plan.fixtures, scope: plan.scope, matching: plan.matching },
            local,
            live,
            recorder,
            now: plan.now,
        })
    }

    /// The fixtures in order, as they were loaded last.
    #[must_use]
    pub fn fixtures(&self) -> Vec<Arc<Fixture>> {
        self.strict.load().fixtures().to_vec()
    }

    /// Answers from these fixtures from here on.
    fn answer_from(&self, fixtures: Vec<Arc<Fixture>>) -> Result<(), Error> {
        let Opening { scope, matching, .. } = &self.opening;
        let before = self.strict.load_full();
        let strict = Arc::new(before.with(Matcher::new(fixtures, scope.clone(), matching.clone())?));
        strict.carry_on(&before);
        self.strict.store(strict.clone());
        // Copies the state of requests that were answered since the first call.
        strict.carry_on(&before);
        Ok(())
    }

    /// Prepares explanations of misses and looks for stale entries. Blocking; can run while requests are answered.
    pub fn warm_up_explanations(&self) {
        self.strict.load().warm_up_explanations();
    }

    /// Sets the listener that is told of each finding at once, existing findings first.
    pub fn set_listener(&self, herald: FindingListener) {
        self.ledger.set_listener(herald);
    }

    /// Returns the verdict so far. Unused entries are those of the fixtures loaded last; all else covers the whole run.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.conclusion().0
    }

    /// Returns the verdict and the fixtures that it refers to. Both come from one snapshot, even during a reload.
    #[must_use]
    pub fn conclusion(&self) -> (Verdict, Vec<Arc<Fixture>>) {
        let opened = self.local.as_ref().map_or(0, Local::opened) + self.live.as_ref().map_or(0, Passthrough::opened);
        let strict = self.strict.load();
        (strict.verdict(opened), strict.fixtures().to_vec())
    }

    /// Returns true if a request to this domain or a subdomain could be in scope or named by `--passthrough`.
    /// Such a request must not bypass the proxy.
    #[must_use]
    pub fn may_match_domain(&self, domain: &str) -> bool {
        self.strict.load().may_match_domain(domain)
            || self.live.as_ref().is_some_and(|live| live.may_name_domain(domain))
    }

    /// Whether some URL of this origin (`https://host:port`, a default port left out) could be in scope.
    #[must_use]
    pub fn may_match_origin(&self, origin: &str) -> bool {
        self.strict.load().may_match_origin(origin)
    }

    /// When the recording began: the earliest `startedDateTime` among the first entries of the fixtures, as RFC 3339.
    #[must_use]
    pub fn recorded_at(&self) -> Option<String> {
        let first = |fixture: &Arc<Fixture>| {
            let entry = fixture.entry(fixture.heads().iter().next()?.entry).ok()?;
            Some((parse_time(&entry.started)?, entry.started.clone()))
        };
        let (at, written) = self.fixtures().iter().filter_map(first).min()?;
        // As it was written there, where others read it too.
        if OffsetDateTime::parse(&written, &Rfc3339).is_ok() { Some(written) } else { at.format(&Rfc3339).ok() }
    }
}
