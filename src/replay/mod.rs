//! Replay: routes over fixtures, local servers and the network, and the verdict of a run.
//!
//! Requests in scope are answered by `FixtureSource`, which can't dial. Local requests go to a source that can only
//! connect to this machine; with `--no-local` there is none. The network is a source only if an option asks for it.

pub mod explanation;
mod reload;
mod router;
mod verdict;

pub use crate::source::fixture::{Clock, FixtureOptions, FixtureSource, LONGEST_REQUEST, Latency, MissAnswer, OnMiss};
pub use reload::{ChangeKind, FixtureChange, Reloader};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::runtime::Handle;

use crate::pipeline::{Collector, EventBus, Marks, Pipeline, RunRedaction};
use crate::record::{Recorder, RecordingSource};
use crate::serve::memory::{ResetParts, RouteState, SessionChoice};
use crate::serve::shadow::Shadow;
use crate::source::{Source, UpstreamSource};
use crate::verdict::explain::many;
use crate::verdict::{CheckId, Finding, FindingListener, Severity, Verdict};
use harproxy_glob::Globs;
use harproxy_har::{Fixture, Warning, parse_time};
use harproxy_matching::{Matcher, Options};
use harproxy_proxy::Handler;
use harproxy_proxy::upstream::{Upstream, UpstreamPlan};
use harproxy_redact::RedactionView;
use harproxy_support::printable::Shown as _;
use harproxy_support::sync::lock;
use router::{Routes, RuleSources};
use verdict::MaxAge;

/// The time for which the end of a run waits for `shadow`.
const SHADOW_TIME: Duration = Duration::from_secs(2);
/// The number of warnings that are logged for each fixture.
const MAX_WARNINGS: usize = 10;

#[derive(Clone, Debug)]
pub struct ReplayPlan {
    /// Fixtures and folders, in order.
    pub fixtures: Vec<PathBuf>,
    pub matching: Options,
    /// False with `--no-local`: local servers out of scope are not dialled.
    pub local: bool,
    /// `--passthrough` and `--on-miss passthrough`; `None` if no request goes to the network.
    pub network: Option<NetworkPlan>,
    /// `[[route]]`, control headers and API keys; `None` without any.
    pub routes: Option<Arc<RouteState>>,
    /// `--max-age`: older entries are reported.
    pub max_age: Option<Duration>,
    /// False with `--no-mark`: responses have no `x-harproxy` header.
    pub mark: bool,
    pub answers: FixtureOptions,
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

/// Holds reloads back until it is dropped.
pub struct HeldReloads<'r> {
    replayer: &'r Replayer,
    _guard: MutexGuard<'r, ()>,
}

impl HeldReloads<'_> {
    /// Loads a fixture again that got new entries at its end.
    ///
    /// # Errors
    /// [`Error`]; the versions that were loaded stay in use.
    pub fn load_extended(&self, path: &Path) -> Result<(), Error> {
        self.replayer.load_extended(path)
    }
}

/// A replay in progress.
pub struct Replayer {
    /// Replaced when fixtures are loaded again. Requests in progress keep the routes that they began with.
    routes: ArcSwap<Routes>,
    collector: Arc<Collector>,
    /// The fixtures and folders of the command line, which reloads search again.
    arguments: Vec<PathBuf>,
    matching: Options,
    /// The redaction of logs, refusals and reports.
    view: Arc<RedactionView>,
    marks: Marks,
    max_age: Option<MaxAge>,
    /// `--passthrough`.
    passthrough: Option<Globs>,
    /// `None` with `--no-local`.
    local: Option<Arc<UpstreamSource>>,
    /// `None` unless an option sends requests to the network.
    live: Option<Arc<UpstreamSource>>,
    /// The source for misses that are passed on.
    on_miss: Option<Arc<dyn Source>>,
    /// `[[route]]`, control headers and API keys.
    rules: Option<RuleSources>,
    /// Records misses (`--on-miss record`).
    recorder: Option<Arc<Recorder>>,
    /// Held while fixtures are found, opened and replaced.
    reload: Mutex<()>,
    /// Held while the state moves to another matcher, and while it is reset.
    swap: Mutex<()>,
}

impl Replayer {
    /// Opens the fixtures and builds the index. `recorder` records misses, with [`OnMiss::Record`].
    ///
    /// # Errors
    /// [`Error`]; nothing was run.
    pub fn open(plan: ReplayPlan, recorder: Option<Arc<Recorder>>) -> Result<Self, Error> {
        let ReplayPlan { answers, matching, .. } = plan;
        let of_rules = plan.routes.iter().flat_map(|routes| routes.table.load().secrets());
        let secrets: Vec<_> = matching.values.iter().cloned().chain(of_rules).collect();
        let view = Arc::new(RedactionView::new(answers.policy.clone(), &secrets));
        recorder.iter().for_each(|recorder| view.add_recorded(recorder.secrets().clone()));
        let matcher = open(&plan.fixtures, answers.scope.clone(), matching.clone())?.redact_with(view.clone());
        // A replay needs entries, while other commands also accept a file without any.
        matcher.fixtures().iter().try_for_each(|fixture| fixture.expect_entries())?;
        matcher.fixtures().iter().for_each(|fixture| log_warnings(fixture));
        let upstream = |network: &NetworkPlan| Upstream::anywhere(network.upstream.clone());
        let live = plan.network.as_ref().map(upstream).transpose()?.map(|live| Arc::new(UpstreamSource::live(live)));
        let on_miss: Option<Arc<dyn Source>> = match (&recorder, &live) {
            (Some(recorder), _) => Some(Arc::new(RecordingSource(recorder.clone()))),
            (None, Some(live)) => Some(live.clone()),
            (None, None) => None,
        };
        let now = answers.now.unwrap_or_else(SystemTime::now).into();
        let local = plan.local.then(|| Arc::new(UpstreamSource::local(answers.timeouts)));
        let rules = match plan.routes {
            None => None,
            Some(state) => {
                let shadows = plan.network.as_ref().map(upstream).transpose()?;
                // Without a runtime nothing is served.
                let shadow = shadows.zip(Handle::try_current().ok());
                let shadow = shadow.map(|(upstream, runtime)| Arc::new(Shadow::new(upstream, runtime, view.clone())));
                Some(RuleSources { state, live: live.clone(), local: local.clone(), shadow })
            }
        };
        let passthrough = plan.network.and_then(|network| network.named);
        let routes = Routes::new(matcher, answers, on_miss.clone(), rules.as_ref(), Arc::default());
        Ok(Replayer {
            collector: Arc::new(Collector::new(false)),
            arguments: plan.fixtures,
            matching,
            view,
            marks: if plan.mark { Marks::All } else { Marks::None },
            max_age: plan.max_age.map(|age| MaxAge { age, now }),
            passthrough,
            local,
            routes: ArcSwap::from_pointee(routes),
            rules,
            live,
            on_miss,
            recorder,
            reload: Mutex::default(),
            swap: Mutex::default(),
        })
    }

    /// Returns the handler that answers the requests of an engine. Its events go to the bus.
    #[must_use]
    pub fn handler(self: &Arc<Self>, bus: &EventBus) -> Arc<dyn Handler> {
        let redaction = Arc::new(RunRedaction::new(self.view.clone()));
        Arc::new(Pipeline::new(self.clone(), self.collector.clone(), bus, redaction, self.marks))
    }

    /// Returns the redaction of logs, refusals and reports.
    #[must_use]
    pub fn view(&self) -> &Arc<RedactionView> {
        &self.view
    }

    /// Returns the fixtures in order, as they were loaded last.
    #[must_use]
    pub fn fixtures(&self) -> Vec<Arc<Fixture>> {
        self.routes.load().fixtures.matcher.fixtures().to_vec()
    }

    /// Replaces the fixtures.
    fn answer_from(&self, fixtures: Vec<Arc<Fixture>>, extended: Option<&Path>) -> Result<(), Error> {
        let before = self.routes.load_full();
        let options = before.fixtures.options.clone();
        let matcher = Matcher::new(fixtures, options.scope.clone(), self.matching.clone())?;
        let matcher = matcher.redact_with(self.view.clone());
        let guesses = before.fixtures.guesses.clone();
        let routes = Routes::new(matcher, options, self.on_miss.clone(), self.rules.as_ref(), guesses);
        let routes = Arc::new(routes);
        let (next, previous) = (routes.fixtures.clone(), &before.fixtures.matcher);
        let _swap = lock(&self.swap);
        next.matcher.inherit_state(previous, extended);
        self.routes.store(routes);
        // The requests in between.
        next.matcher.inherit_state(previous, extended);
        Ok(())
    }

    /// Holds reloads back while a fixture is written. Only one caller at a time has the guard.
    #[must_use]
    pub fn hold_reloads(&self) -> HeldReloads<'_> {
        HeldReloads { replayer: self, _guard: lock(&self.reload) }
    }

    fn load_extended(&self, path: &Path) -> Result<(), Error> {
        let mut fixtures = self.fixtures();
        for fixture in fixtures.iter_mut().filter(|fixture| fixture.path() == path) {
            *fixture = Arc::new(Fixture::open(path)?);
        }
        self.answer_from(fixtures, Some(path))
    }

    /// Returns the source over the fixtures that are loaded.
    #[must_use]
    pub fn fixture_source(&self) -> Arc<FixtureSource> {
        self.routes.load().fixtures.clone()
    }

    /// Clears the state of these sessions.
    pub fn reset(&self, parts: ResetParts, sessions: &SessionChoice) {
        // A reload copies the state to another matcher.
        let _swap = lock(&self.swap);
        let matcher = &self.routes.load().fixtures.matcher;
        if parts.sequence {
            matcher.reset_sequences(|session| sessions.includes(session));
        }
        if let Some(rules) = &self.rules {
            rules.state.reset(parts, sessions);
        }
    }

    /// Prepares explanations of misses, and looks for stale entries, while requests are already answered. Blocking.
    pub fn warm_up(&self) {
        let routes = self.routes.load_full();
        routes.fixtures.matcher.warm_up_explanations();
        self.stale(&routes);
    }

    /// Returns the findings about stale entries. The first call reads all entries.
    fn stale<'r>(&self, routes: &'r Routes) -> &'r [Finding] {
        let Some(max_age) = self.max_age else { return &[] };
        routes.stale.get_or_init(|| {
            let source = &routes.fixtures;
            let FixtureOptions { fail_on, policy, .. } = &source.options;
            let severity = fail_on.severity(&CheckId::STALE);
            let named = source.matcher.fixtures().iter().zip(&source.names);
            named.filter_map(|(fixture, name)| verdict::find_stale(max_age, fixture, name, policy, severity)).collect()
        })
    }

    fn shadow(&self) -> Option<&Arc<Shadow>> {
        self.rules.as_ref().and_then(|rules| rules.shadow.as_ref())
    }

    /// Waits for the comparisons in the background, up to a time limit. They add findings.
    pub async fn finish_shadows(&self) {
        let Some(shadow) = self.shadow() else { return };
        let lost = shadow.finish(SHADOW_TIME).await;
        if lost > 0 {
            let text = format!(
                "{} got no answer before the end of the run, or could not be sent",
                many(lost, "copy", "copies")
            );
            let finding = Finding::new(CheckId::SHADOW_DIFFERS, self.severity(&CheckId::SHADOW_DIFFERS), text);
            let hint = "check that the live API answers in time; 64 copies can wait for it";
            self.collector.add_finding(finding.with_hint(hint));
        }
    }

    /// Passes each new finding to a listener.
    pub fn set_listener(&self, listener: FindingListener) {
        self.collector.set_listener(listener);
    }

    /// Returns the verdict so far. The use of entries is that of the fixtures that were loaded last.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.conclusion().0
    }

    /// Returns the verdict, and the fixtures that it is about.
    #[must_use]
    pub fn conclusion(&self) -> (Verdict, Vec<Arc<Fixture>>) {
        let sources = self.local.iter().chain(&self.live).cloned();
        let routes = self.routes.load_full();
        let uses = self.rules.as_ref().map(|rules| rules.state.uses()).unwrap_or_default();
        let has_rule_applied = uses.iter().any(|rule| rule.requests > 0);
        let shadowed = self.shadow().map_or(0, |shadow| shadow.upstream().opened());
        let mut verdict =
            verdict::verdict(&self.collector, &routes.fixtures, self.stale(&routes), has_rule_applied, sources);
        verdict.counts.upstream_connections += shadowed;
        if let Some(rules) = &self.rules {
            verdict.findings.extend(rules.state.findings(|check| self.severity(check)));
            verdict.rules = uses;
        }
        (verdict, routes.fixtures.matcher.fixtures().to_vec())
    }

    /// Returns true if a URL of this host, or of a host below it, may be in scope or named by `--passthrough`. Such
    /// requests must not bypass the proxy.
    #[must_use]
    pub fn may_match_domain(&self, domain: &str) -> bool {
        self.routes.load().fixtures.matcher.may_match_domain(domain)
            || self.rules.as_ref().is_some_and(|rules| rules.state.may_match_domain(domain))
            || self.passthrough.as_ref().is_some_and(|globs| globs.may_match_domain(domain))
    }

    /// Returns the findings that may explain why CMD failed: answers from an earlier part of the recording.
    #[must_use]
    pub fn out_of_sequence(&self) -> Vec<Finding> {
        self.routes.load().fixtures.guesses.out_of_sequence()
    }

    /// Returns the severity that `--fail-on` gives to findings of this check.
    #[must_use]
    pub fn severity(&self, check: &CheckId) -> Severity {
        self.routes.load().fixtures.options.fail_on.severity(check)
    }

    /// Returns true if a URL of this origin (`https://host:port`, without a default port) may be in scope.
    #[must_use]
    pub fn may_match_origin(&self, origin: &str) -> bool {
        self.routes.load().fixtures.matcher.may_match_origin(origin)
            || self.rules.as_ref().is_some_and(|rules| rules.state.may_match_origin(origin))
    }

    /// Returns the hosts that the scope and the entries name, IPv6 addresses without brackets.
    #[must_use]
    pub fn named_hosts(&self) -> BTreeSet<String> {
        self.routes.load().fixtures.matcher.named_hosts()
    }

    /// Returns the earliest `startedDateTime` among the first entries of the fixtures, as RFC 3339.
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

/// Logs the warnings of a fixture. Entries that replay leaves out would otherwise go unnoticed until a request misses.
fn log_warnings(fixture: &Fixture) {
    let (path, warnings) = (fixture.path().shown(), fixture.warnings());
    for Warning { entry, line, text } in warnings.iter().take(MAX_WARNINGS) {
        let entry = entry.map_or_else(String::new, |entry| format!("#{entry}"));
        let line = line.map_or_else(String::new, |line| format!(" (line {line})"));
        tracing::warn!("{path}{entry}{line}: {text}");
    }
    if warnings.len() > MAX_WARNINGS {
        tracing::warn!("{path}: {} more warnings", warnings.len() - MAX_WARNINGS);
    }
}
