//! The routes of a replay: `--passthrough` first, then the fixtures, then this machine; the rest is refused.

use std::sync::{Arc, OnceLock};

use ::http::header::ACCESS_CONTROL_REQUEST_METHOD;

use super::Replayer;
use crate::pipeline::{Exchange, Router, SourceList, TlsRefusal, TunnelRoute};
use crate::serve::memory::RouteState;
use crate::serve::shadow::Shadow;
use crate::serve::source::passing::{CountingSource, HistorySource, KeySource};
use crate::serve::source::{RuledSource, is_preflight};
use crate::source::fixture::{FixtureOptions, FixtureSource, Guesses, passthrough};
use crate::source::{RefusingSource, Source, UpstreamSource};
use crate::verdict::request::ResultKind;
use crate::verdict::{CheckId, Finding, Severity};
use harproxy_glob::Globs;
use harproxy_har::Fixture;
use harproxy_http::NormalUrl;
use harproxy_http::url::is_loopback_host;
use harproxy_matching::{Matcher, noise};
use harproxy_proxy::upstream::Upstream;
use harproxy_proxy::{Origin, Scheme};
use harproxy_support::printable::Shown as _;

/// The sources over the fixtures that are loaded. Another set replaces it when they are loaded again.
pub(super) struct Routes {
    pub(super) fixtures: Arc<FixtureSource>,
    /// For requests in scope.
    answered: SourceList,
    /// For requests that no source may answer.
    refused: SourceList,
    /// The findings about stale entries.
    pub(super) stale: OnceLock<Vec<Finding>>,
}

impl Routes {
    /// Routes over these fixtures; `on_miss` is the source of what they don't answer, if they pass it on.
    /// `guesses` is the account of the routes that these replace.
    pub(super) fn new(
        matcher: Matcher,
        options: FixtureOptions,
        on_miss: Option<Arc<dyn Source>>,
        rules: Option<&RuleSources>,
        guesses: Arc<Guesses>,
    ) -> Self {
        let scope = match &options.scope {
            Some(globs) => globs.sources().to_vec(),
            None => matcher.fixtures().iter().flat_map(|fixture| scope_of(fixture)).collect(),
        };
        let (noise, fail_on) = (options.noise, options.fail_on.clone());
        let fixtures = Arc::new(FixtureSource::new(matcher, options).with_guesses(guesses));
        let recorded = fixtures.clone();
        let same_host = Box::new(move |method: &str, url: &NormalUrl| recorded.matcher.same_host_option(method, url));
        let refusing = RefusingSource { scope, noise, fail_on, same_host };
        let first: Arc<dyn Source> = fixtures.clone();
        let refused: SourceList = Arc::new([Arc::new(refusing)]);
        let answered: SourceList = std::iter::once(first).chain(on_miss).collect();
        let answered = match rules {
            None => answered,
            Some(rules) => rules.precede(&fixtures, answered),
        };
        Routes { fixtures, answered, refused, stale: OnceLock::new() }
    }
}

/// The rules of a run, and the sources that they can name beside the fixtures.
pub(super) struct RuleSources {
    pub(super) state: Arc<RouteState>,
    pub(super) live: Option<Arc<UpstreamSource>>,
    pub(super) local: Option<Arc<UpstreamSource>>,
    pub(super) shadow: Option<Arc<Shadow>>,
}

impl RuleSources {
    /// Puts the rules before the sources of requests in scope.
    fn precede(&self, fixtures: &Arc<FixtureSource>, answered: SourceList) -> SourceList {
        let ruled: Arc<dyn Source> = Arc::new(RuledSource {
            rules: self.state.clone(),
            fixtures: fixtures.clone(),
            live: self.live.clone(),
            local: self.local.clone(),
            shadow: self.shadow.clone(),
            others: answered,
        });
        Arc::new([ruled])
    }

    /// Puts the history, API keys and the count of expected requests before all sources.
    fn guard(&self, sources: SourceList, fixtures: &Arc<FixtureSource>) -> SourceList {
        let state = &self.state;
        let mut guards: Vec<Arc<dyn Source>> = Vec::new();
        if let Some(history) = &state.history {
            guards.push(Arc::new(HistorySource(history.clone())));
        }
        if !state.keys.0.is_empty() {
            guards.push(Arc::new(KeySource(state.clone())));
        }
        if !state.verification.is_empty() {
            guards.push(Arc::new(CountingSource { rules: state.clone(), fixtures: fixtures.clone() }));
        }
        if guards.is_empty() { sources } else { guards.into_iter().chain(sources.iter().cloned()).collect() }
    }
}

impl Replayer {
    /// Returns true if a URL at this host and port may be in scope, whatever the scheme is.
    fn may_be_in_scope(&self, to: &Origin) -> bool {
        let routes = self.routes.load();
        let may_match = |origin: &str| {
            let rules = || self.rules.as_ref().is_some_and(|rules| rules.state.may_match_origin(origin));
            routes.fixtures.matcher.may_match_origin(origin) || rules()
        };
        origins(to).any(|origin| may_match(&origin))
    }
}

/// Returns the globs of harproxy's own fixture, or the phrase for the origins in a foreign one.
fn scope_of(fixture: &Fixture) -> Vec<String> {
    match fixture.scope() {
        Some([]) => vec!["**".to_owned()],
        Some(globs) => globs.to_vec(),
        None => vec![format!("the origins in {}", fixture.path().shown())],
    }
}

/// Returns the origins of a host and port in both schemes.
fn origins(to: &Origin) -> impl Iterator<Item = String> {
    [Scheme::Https, Scheme::Http].into_iter().map(|scheme| Origin { scheme, ..to.clone() }.to_string())
}

impl Replayer {
    /// Returns the sources that may answer a request.
    fn sources(&self, exchange: &mut Exchange<'_>) -> SourceList {
        let routes = self.routes.load();
        // The Host header decides on the URL, and never on the server that is dialled.
        let is_elsewhere = exchange.connect_to != exchange.origin;
        exchange.may_forward = !is_elsewhere || self.may_be_in_scope(&exchange.connect_to);
        let Ok(url) = &exchange.url else { return routes.refused.clone() };
        if let (Some(live), Some(named)) = (&self.live, &self.passthrough)
            && named.matches(url.as_str())
            && (!is_elsewhere || named.may_match_origin(&exchange.connect_to.to_string()))
        {
            let severity = routes.fixtures.options.fail_on.severity(&CheckId::PASSTHROUGH);
            let finding = passthrough(exchange.line(), severity, "it went to the network, as `--passthrough` says");
            exchange.outcome().findings.push(finding);
            return Arc::new([live.clone()]);
        }
        // A preflight is in scope if the request after it is.
        let requested = exchange.headers().get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| is_preflight(exchange));
        let method = requested.and_then(|method| method.to_str().ok()).unwrap_or(exchange.method().as_str());
        let is_ruled = |rules: &RuleSources| rules.state.covers(method, url);
        if routes.fixtures.matcher.in_scope(url) || self.rules.as_ref().is_some_and(is_ruled) {
            exchange.outcome().in_scope = true;
            return routes.answered.clone();
        }
        match &self.local {
            Some(local) if is_loopback_host(&exchange.connect_to.host) => Arc::new([local.clone()]),
            _ => routes.refused.clone(),
        }
    }
}

impl Router for Replayer {
    fn route(&self, exchange: &mut Exchange<'_>) -> SourceList {
        let sources = self.sources(exchange);
        let Some(rules) = &self.rules else { return sources };
        // A preflight needs no key, so it reaches no source that connects to a server.
        if !rules.state.keys.0.is_empty() && is_preflight(exchange) {
            return Arc::new([self.routes.load().fixtures.clone()]);
        }
        rules.guard(sources, &self.routes.load().fixtures)
    }

    /// Dials for `--passthrough`, and for a local server without URLs in scope, whose own TLS is passed through.
    /// Nothing else is dialled.
    fn route_tunnel(&self, to: &Origin) -> TunnelRoute {
        if self.may_be_in_scope(to) {
            return TunnelRoute::Serve;
        }
        if let (Some(live), Some(named)) = (&self.live, &self.passthrough)
            && origins(to).any(|origin| named.may_match_origin(&origin))
        {
            return TunnelRoute::Intercept(live.clone());
        }
        let is_local = NormalUrl::parse(&format!("{to}/")).is_ok_and(|url| url.parts().is_loopback());
        match &self.local {
            Some(local) if is_local => TunnelRoute::PassThrough(local.clone()),
            // With `--no-local` the client gets the reason inside its TLS, where it can read it.
            _ => TunnelRoute::Serve,
        }
    }

    fn speaks_h2(&self, to: &Origin) -> bool {
        self.routes.load().fixtures.matcher.speaks_h2(&to.to_string())
    }

    /// A refusal for a host out of scope only counts if the host is on the list of noise, or if a glob of `-g` excludes
    /// URLs.
    fn route_tls_refusal(&self, to: &Origin) -> TlsRefusal {
        let routes = self.routes.load();
        let (matcher, options) = (&routes.fixtures.matcher, &routes.fixtures.options);
        let in_scope = || NormalUrl::parse(&format!("{to}/")).is_ok_and(|url| matcher.in_scope(&url));
        if options.noise && noise::knows(&to.host) && !in_scope() {
            return TlsRefusal::Count(ResultKind::Noise);
        }
        let excludes = options.scope.iter().flat_map(Globs::sources).any(|glob| glob.starts_with('!'));
        if excludes && !self.may_be_in_scope(to) {
            return TlsRefusal::Count(ResultKind::OutOfScope);
        }
        TlsRefusal::Report
    }

    fn severity(&self, check: &CheckId) -> Severity {
        self.routes.load().fixtures.options.fail_on.severity(check)
    }

    fn upstreams(&self) -> Vec<&Upstream> {
        let recorder = self.recorder.as_ref().map(|recorder| &recorder.live().upstream);
        let shadow = self.shadow().map(|shadow| shadow.upstream());
        self.live.as_ref().map(|live| &live.upstream).into_iter().chain(recorder).chain(shadow).collect()
    }
}
