//! Replay: routes over fixtures, local servers and the network, and the verdict of a run.
//!
//! Requests in scope are answered by `FixtureSource`, which can't dial. Local requests go to a source that can only
//! connect to this machine; with `--no-local` there is none. The network is a source only if an option asks for it.

mod fixtures;
mod reload;
mod router;
mod stale;
mod verdict;

pub use crate::source::fixture::{Clock, LONGEST_REQUEST, Latency, MissAnswer, OnMiss};
pub use reload::{FixtureChange, Reloader};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::pipeline::{Collector, EventBus, Marks, Pipeline, RedactionCache, SourceList};
use crate::record::{Recorder, RecordingSource};
use crate::source::fixture::FixtureOptions;
use crate::source::{Source, UpstreamSource};
use crate::verdict::{CheckId, FailOn, Finding, FindingListener, Verdict};
use harproxy_glob::Globs;
use harproxy_har::{Fixture, parse_time};
use harproxy_matching::{Matcher, Options};
use harproxy_proxy::Handler;
use harproxy_proxy::upstream::{Timeouts, Upstream, UpstreamPlan};
use harproxy_redact::Policy;
use router::Routes;
use stale::MaxAge;

#[derive(Clone, Debug)]
pub struct ReplayPlan {
    /// Fixtures and folders, in order.
    pub fixtures: Vec<PathBuf>,
    /// `-g`: replaces the scope of the fixtures; `None` keeps it.
    pub scope: Option<Globs>,
    /// True if the run has a CMD. Then `no-traffic` fails.
    pub with_cmd: bool,
    pub matching: Options,
    /// `[scope] noise`: true if there is a list of noise.
    pub noise: bool,
    /// False with `--no-local`: local servers out of scope are not dialled.
    pub local: bool,
    /// `--on-miss`.
    pub on_miss: OnMiss,
    /// `--passthrough` and `--on-miss passthrough`; `None` if no request goes to the network.
    pub network: Option<NetworkPlan>,
    /// `--latency`.
    pub latency: Latency,
    /// `--max-age`: older entries are reported.
    pub max_age: Option<Duration>,
    /// `--miss-status`.
    pub miss: MissAnswer,
    /// Redacts logs, explanations and reports.
    pub policy: Arc<Policy>,
    /// False with `--no-mark`: responses have no `x-harproxy` header.
    pub mark: bool,
    /// `--fail-on`.
    pub fail_on: FailOn,
    /// `--clock`.
    pub clock: Clock,
    /// `--now`; `None` is the machine's clock.
    pub now: Option<SystemTime>,
    /// `--connect-timeout`, `--idle-timeout` and `--answer-timeout` for local requests. The idle timeout also limits
    /// the time between two pieces of a request payload.
    pub timeouts: Timeouts,
}

#[derive(Clone, Debug)]
pub struct NetworkPlan {
    /// `--passthrough`: the URLs that go there.
    pub named: Option<Globs>,
    /// The options of upstream connections.
    pub upstream: UpstreamPlan,
}

/// Why a replay can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Fixture(#[from] harproxy_har::Error),
    /// The options of upstream connections are not usable.
    #[error(transparent)]
    Upstream(#[from] harproxy_proxy::upstream::PlanError),
    #[error(transparent)]
    Matching(#[from] harproxy_matching::Error),
}

/// Opens the fixtures that these files and folders name, in order, and indexes them.
pub fn open(arguments: &[PathBuf], scope: Option<Globs>, matching: Options) -> Result<Matcher, Error> {
    let open = |path: Result<PathBuf, harproxy_har::Error>| Ok(Arc::new(Fixture::open(&path?)?));
    let fixtures = harproxy_har::find(arguments).into_iter().map(open).collect::<Result<_, harproxy_har::Error>>()?;
    Ok(Matcher::new(fixtures, scope, matching)?)
}

/// A replay in progress.
pub struct Replayer {
    /// Replaced when fixtures are loaded again. Requests in progress keep the routes that they began with.
    routes: ArcSwap<Routes>,
    collector: Arc<Collector>,
    opening: Opening,
    policy: Arc<Policy>,
    marks: Marks,
    max_age: Option<MaxAge>,
    /// `--passthrough`.
    passthrough: Option<Globs>,
    /// `None` with `--no-local`.
    local: Option<Forwarding>,
    /// `None` unless an option sends requests to the network.
    live: Option<Forwarding>,
    /// Records misses (`--on-miss record`).
    recorder: Option<Arc<Recorder>>,
}

/// The arguments with which fixtures are opened at the start and loaded again.
struct Opening {
    arguments: Vec<PathBuf>,
    scope: Option<Globs>,
    matching: Options,
}

/// A source that forwards requests, also as a list.
struct Forwarding {
    source: Arc<UpstreamSource>,
    list: SourceList,
}

impl Forwarding {
    fn new(source: UpstreamSource) -> Self {
        let source = Arc::new(source);
        Forwarding { list: Arc::new([source.clone()]), source }
    }

    fn opened(&self) -> u64 {
        self.source.upstream().opened()
    }
}

impl Replayer {
    /// Opens the fixtures and builds the index. `recorder` records misses, with [`OnMiss::Record`].
    ///
    /// # Errors
    /// [`Error`]; nothing was run.
    pub fn open(plan: ReplayPlan, recorder: Option<Arc<Recorder>>) -> Result<Self, Error> {
        let matcher = open(&plan.fixtures, plan.scope.clone(), plan.matching.clone())?;
        // A replay needs entries, while other commands also accept a file without any.
        matcher.fixtures().iter().try_for_each(|fixture| fixture.expect_entries())?;
        matcher.fixtures().iter().for_each(|fixture| fixtures::warn(fixture));
        let (passthrough, live) = match plan.network {
            Some(network) => (network.named, Some(UpstreamSource::live(Upstream::anywhere(network.upstream)?))),
            None => (None, None),
        };
        let live = live.map(Forwarding::new);
        let options = FixtureOptions {
            globs: plan.scope.as_ref().map(|globs| globs.sources().to_vec()),
            with_cmd: plan.with_cmd,
            fail_on: plan.fail_on,
            on_miss: plan.on_miss,
            miss: plan.miss,
            noise: plan.noise,
            clock: plan.clock,
            now: plan.now,
            latency: plan.latency,
            idle_timeout: plan.timeouts.idle,
            policy: plan.policy.clone(),
        };
        let on_miss = on_miss(live.as_ref(), recorder.as_ref());
        let now = plan.now.unwrap_or_else(SystemTime::now).into();
        Ok(Replayer {
            routes: ArcSwap::from_pointee(Routes::new(matcher, options, on_miss)),
            collector: Arc::new(Collector::new(false)),
            opening: Opening { arguments: plan.fixtures, scope: plan.scope, matching: plan.matching },
            policy: plan.policy,
            marks: if plan.mark { Marks::All } else { Marks::None },
            max_age: plan.max_age.map(|age| MaxAge { age, now }),
            passthrough,
            local: plan.local.then(|| Forwarding::new(UpstreamSource::local(plan.timeouts))),
            live,
            recorder,
        })
    }

    /// The handler that answers the requests of an engine. Its events go to the bus.
    #[must_use]
    pub fn handler(self: &Arc<Self>, bus: &EventBus) -> Arc<dyn Handler> {
        let redaction = Arc::new(RedactionCache::new(self.policy.clone()));
        Arc::new(Pipeline::new(self.clone(), self.collector.clone(), bus, redaction, self.marks))
    }

    /// The fixtures in order, as they were loaded last.
    #[must_use]
    pub fn fixtures(&self) -> Vec<Arc<Fixture>> {
        self.routes.load().fixtures.fixtures().to_vec()
    }

    /// Replaces the fixtures.
    fn answer_from(&self, fixtures: Vec<Arc<Fixture>>) -> Result<(), Error> {
        let Opening { scope, matching, .. } = &self.opening;
        let matcher = Matcher::new(fixtures, scope.clone(), matching.clone())?;
        let before = self.routes.load_full();
        let on_miss = on_miss(self.live.as_ref(), self.recorder.as_ref());
        let routes = Arc::new(Routes::new(matcher, before.fixtures.options().clone(), on_miss));
        let (next, previous) = (routes.fixtures.clone(), before.fixtures.matcher());
        next.matcher().inherit_state(previous);
        self.routes.store(routes);
        // The requests in between.
        next.matcher().inherit_state(previous);
        Ok(())
    }

    /// Prepares explanations of misses, and looks for stale entries, while requests are already answered. Blocking.
    pub fn warm_up(&self) {
        let routes = self.routes.load_full();
        routes.fixtures.matcher().warm_up_explanations();
        self.stale(&routes);
    }

    /// The findings about stale entries. The first call reads all entries.
    fn stale<'r>(&self, routes: &'r Routes) -> &'r [Finding] {
        let Some(max_age) = self.max_age else { return &[] };
        routes.stale.get_or_init(|| {
            let source = &routes.fixtures;
            let severity = source.options().fail_on.severity(&CheckId::STALE);
            let named = source.fixtures().iter().zip(source.names());
            named.filter_map(|(fixture, name)| stale::find(max_age, fixture, name, &self.policy, severity)).collect()
        })
    }

    /// Passes each new finding to a listener.
    pub fn set_listener(&self, listener: FindingListener) {
        self.collector.set_listener(listener);
    }

    /// The verdict so far. The use of entries is that of the fixtures that were loaded last.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.conclusion().0
    }

    /// The verdict, and the fixtures that it is about.
    #[must_use]
    pub fn conclusion(&self) -> (Verdict, Vec<Arc<Fixture>>) {
        let opened = self.local.iter().chain(&self.live).map(Forwarding::opened).sum();
        let routes = self.routes.load_full();
        let verdict = verdict::verdict(&self.collector, &routes.fixtures, self.stale(&routes), opened);
        (verdict, routes.fixtures.fixtures().to_vec())
    }

    /// Returns true if a URL of this host, or of a host below it, may be in scope or named by `--passthrough`. Such
    /// requests must not bypass the proxy.
    #[must_use]
    pub fn may_match_domain(&self, domain: &str) -> bool {
        self.routes.load().fixtures.matcher().may_match_domain(domain)
            || self.passthrough.as_ref().is_some_and(|globs| globs.may_match_domain(domain))
    }

    /// Returns true if a URL of this origin (`https://host:port`, without a default port) may be in scope.
    #[must_use]
    pub fn may_match_origin(&self, origin: &str) -> bool {
        self.routes.load().fixtures.matcher().may_match_origin(origin)
    }

    /// The start of the recording: the earliest `startedDateTime` among the first entries of the fixtures, as RFC 3339.
    #[must_use]
    pub fn recorded_at(&self) -> Option<String> {
        let first = |fixture: &Arc<Fixture>| {
            let entry = fixture.entry(fixture.heads().iter().next()?.entry).ok()?;
            Some((parse_time(&entry.started)?, entry.started.clone()))
        };
        let (at, written) = self.fixtures().iter().filter_map(first).min()?;
        // As it is written in the fixture, if it is RFC 3339.
        if OffsetDateTime::parse(&written, &Rfc3339).is_ok() { Some(written) } else { at.format(&Rfc3339).ok() }
    }
}

/// The source for misses that are passed on.
fn on_miss(live: Option<&Forwarding>, recorder: Option<&Arc<Recorder>>) -> Option<Arc<dyn Source>> {
    match (recorder, live) {
        (Some(recorder), _) => Some(Arc::new(RecordingSource::new(recorder.clone()))),
        (None, Some(live)) => Some(live.source.clone()),
        (None, None) => None,
    }
}
