//! `[[route]]`: rules that decide how requests are answered, and the decision for one request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::http::{HeaderName, HeaderValue, StatusCode};

use super::condition::{Conditions, OccurrenceCounter};
use super::delay::Delay;
use super::facts::RequestFacts;
use super::fault::Fault;
use super::patch::PatchOperation;
use super::state::StateRule;
use harproxy_matching::{PathPattern, RequestPattern};

/// A source by its name in `source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceName {
    Fixture,
    Live,
    Local,
    /// No source: a 404.
    None,
}

impl SourceName {
    pub const NAMES: [(&str, SourceName); 4] = [
        ("fixture", SourceName::Fixture),
        ("live", SourceName::Live),
        ("local", SourceName::Local),
        ("none", SourceName::None),
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        SourceName::NAMES.iter().find(|(_, source)| *source == self).map_or("none", |(name, _)| name)
    }
}

/// `fallback-on`: the results after which the next source is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    Miss,
    ClientError,
    ServerError,
    Timeout,
    Connect,
    Status(u16),
}

/// `source`, `fallback-on`, `split` and `headers`.
#[derive(Clone, Debug, Default)]
pub struct SourceRule {
    pub sources: Vec<SourceName>,
    pub fallback_on: Vec<Fallback>,
    /// The share of sessions, from 0 to 1, for which `live` comes first.
    pub live_share: Option<f64>,
    /// The header that identifies a client for the share; the session without it.
    pub split_by: Option<HeaderName>,
}

/// `respond`: an answer without a source.
#[derive(Clone, Debug, Default)]
pub struct Respond {
    pub status: Option<StatusCode>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub payload: RespondPayload,
}

#[derive(Clone, Debug, Default)]
pub enum RespondPayload {
    #[default]
    Empty,
    Json(String),
    Text(String),
    /// Read when the rule is loaded.
    File {
        bytes: bytes::Bytes,
        content_type: String,
    },
    /// The entry with this name.
    Example(String),
}

/// A rule.
#[derive(Debug)]
pub struct RouteRule {
    /// `name`, else its number from 1.
    pub id: String,
    pub pattern: RequestPattern,
    /// `path`: names for segments.
    pub path: Option<PathPattern>,
    pub when: Conditions,
    pub source: Option<SourceRule>,
    pub respond: Option<Respond>,
    pub fault: Option<Fault>,
    pub delay: Option<Delay>,
    /// The rate of the payload in bytes per second.
    pub rate: Option<u64>,
    pub patch: Vec<PatchOperation>,
    pub template: bool,
    pub shadow: bool,
    pub state: Option<StateRule>,
    /// `headers`: credentials that live requests get.
    pub live_headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) occurrences: OccurrenceCounter,
    /// The number of requests that it applied to.
    pub(super) applied: AtomicU64,
}

impl RouteRule {
    /// A rule without an effect.
    #[must_use]
    pub fn new(id: String, pattern: RequestPattern) -> Self {
        RouteRule {
            id,
            pattern,
            path: None,
            when: Conditions::default(),
            source: None,
            respond: None,
            fault: None,
            delay: None,
            rate: None,
            patch: Vec::new(),
            template: false,
            shadow: false,
            state: None,
            live_headers: Vec::new(),
            occurrences: OccurrenceCounter::default(),
            applied: AtomicU64::new(0),
        }
    }

    /// Returns true if the rule may apply to a request with this method and URL.
    #[must_use]
    pub fn covers(&self, method: &str, url: &str, path: &str) -> bool {
        self.pattern.matches(method, url) && self.path.as_ref().is_none_or(|pattern| pattern.matches(path))
    }

    #[must_use]
    pub fn needs_payload(&self) -> bool {
        self.when.needs_payload() || self.template || self.state.is_some()
    }

    /// Returns true if a source may be the network.
    #[must_use]
    pub fn uses_live(&self) -> bool {
        self.shadow || self.source.as_ref().is_some_and(|rule| rule.sources.contains(&SourceName::Live))
    }

    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied.load(Ordering::Relaxed)
    }
}

/// The rules in order. Immutable: a change makes another table, so that a request never sees two of them.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    pub rules: Vec<Arc<RouteRule>>,
    /// Changes by the admin API, by the id of the rule.
    pub overrides: BTreeMap<String, RouteOverride>,
}

/// A change of a rule by the admin API.
#[derive(Clone, Debug, Default)]
pub struct RouteOverride {
    pub sources: Option<Vec<SourceName>>,
    pub delay: Option<Delay>,
    /// `Some(None)` switches the rule's fault off.
    pub fault: Option<Option<Fault>>,
}

/// What the rules say about a request.
#[derive(Clone, Debug, Default)]
pub struct RouteDecision {
    /// The rules that apply, in order.
    pub rules: Vec<Arc<RouteRule>>,
    pub source: Option<(Arc<RouteRule>, SourceRule)>,
    pub respond: Option<Arc<RouteRule>>,
    pub fault: Option<(Arc<RouteRule>, Fault)>,
    pub state: Option<Arc<RouteRule>>,
    pub delays: Vec<Delay>,
    pub rate: Option<u64>,
}

impl RouteDecision {
    /// Returns the changes of the answer.
    pub fn patches(&self) -> Vec<&PatchOperation> {
        self.rules.iter().flat_map(|rule| &rule.patch).collect()
    }

    /// Returns the rule whose template switch applies, for the names of its path.
    #[must_use]
    pub fn template(&self) -> Option<&Arc<RouteRule>> {
        self.rules.iter().find(|rule| rule.template)
    }

    #[must_use]
    pub fn has_shadow(&self) -> bool {
        self.rules.iter().any(|rule| rule.shadow)
    }
}

impl RouteTable {
    /// Returns the rules that may apply to a request. A request without any needs no more work.
    #[must_use]
    pub fn covering(&self, method: &str, url: &str, path: &str) -> Vec<Arc<RouteRule>> {
        self.rules.iter().filter(|rule| rule.covers(method, url, path)).cloned().collect()
    }

    /// Decides by the rules that cover a request, and counts them.
    #[must_use]
    pub fn decide(&self, covering: &[Arc<RouteRule>], request: &RequestFacts) -> RouteDecision {
        let mut decision = RouteDecision::default();
        for rule in covering.iter().filter(|rule| rule.when.hold(request, rule.path.as_ref())) {
            if !rule.occurrences.count(rule.when.occurrence.as_ref(), request.session.as_deref()) {
                continue;
            }
            rule.applied.fetch_add(1, Ordering::Relaxed);
            let over = self.overrides.get(&rule.id);
            let sources = over.and_then(|over| over.sources.clone());
            if decision.source.is_none() && (rule.source.is_some() || sources.is_some()) {
                let mut source = rule.source.clone().unwrap_or_default();
                if let Some(sources) = sources {
                    source.sources = sources;
                }
                decision.source = Some((rule.clone(), source));
            }
            if decision.respond.is_none() && rule.respond.is_some() {
                decision.respond = Some(rule.clone());
            }
            let fault = over.and_then(|over| over.fault.clone()).unwrap_or_else(|| rule.fault.clone());
            if decision.fault.is_none()
                && let Some(fault) = fault
            {
                decision.fault = Some((rule.clone(), fault));
            }
            if decision.state.is_none() && rule.state.is_some() {
                decision.state = Some(rule.clone());
            }
            decision.delays.extend(over.and_then(|over| over.delay.clone()).or(rule.delay.clone()));
            decision.rate = decision.rate.or(rule.rate);
            decision.rules.push(rule.clone());
        }
        decision
    }
}
