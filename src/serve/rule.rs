//! `[[route]]`: rules that decide how requests are answered, and the decision for one request.

use std::fmt;
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

impl Fallback {
    /// Parses the name that the configuration has for it.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        Ok(match text {
            "miss" => Fallback::Miss,
            "4xx" => Fallback::ClientError,
            "5xx" => Fallback::ServerError,
            "timeout" => Fallback::Timeout,
            "connect" => Fallback::Connect,
            status => match status.parse() {
                Ok(status @ 100..=599) => Fallback::Status(status),
                _ => return Err("expected miss, 4xx, 5xx, a status, timeout or connect"),
            },
        })
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fallback::Miss => f.pad("miss"),
            Fallback::ClientError => f.pad("4xx"),
            Fallback::ServerError => f.pad("5xx"),
            Fallback::Timeout => f.pad("timeout"),
            Fallback::Connect => f.pad("connect"),
            Fallback::Status(status) => status.fmt(f),
        }
    }
}

/// `source`, `fallback-on`, `split` and `headers`.
#[derive(Clone, Debug, Default)]
pub struct SourceRule {
    pub sources: Vec<SourceName>,
    pub fallback_on: Vec<Fallback>,
    /// `None` without a split.
    pub split: Option<Split>,
}

/// `split`: a share of clients for which `live` comes first.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// From 0 to 100.
    pub live_percent: f64,
    /// The header that identifies a client; the session without it.
    pub by: Option<HeaderName>,
}

impl SourceRule {
    /// Returns the sources in order. A split without sources is between the live one and the fixture.
    #[must_use]
    pub fn sources(&self) -> &[SourceName] {
        match self.sources.is_empty() && self.split.is_some() {
            true => &[SourceName::Live, SourceName::Fixture],
            false => &self.sources,
        }
    }
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

/// The requests of a rule. Versions of one rule share them.
#[derive(Debug, Default)]
pub(super) struct RuleCounts {
    /// Those that fulfilled its conditions.
    pub(super) occurrences: OccurrenceCounter,
    /// The number of those that it applied to.
    pub(super) applied: AtomicU64,
}

/// A rule.
#[derive(Clone, Debug)]
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
    pub state: Option<StateRule>,
    /// `shadow`: copies of safe requests go to the live API.
    pub shadow: bool,
    /// `headers`: credentials that live requests get.
    pub live_headers: Vec<(HeaderName, HeaderValue)>,
    /// Variables of `headers` that are not set.
    pub unset_variables: Vec<String>,
    pub(super) counts: Arc<RuleCounts>,
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
            state: None,
            shadow: false,
            live_headers: Vec::new(),
            unset_variables: Vec::new(),
            counts: Arc::default(),
        }
    }

    /// Returns true if the rule may apply to a request with this method and URL.
    #[must_use]
    pub fn covers(&self, method: &str, url: &str, path: &str) -> bool {
        self.pattern.matches(method, url) && self.path.as_ref().is_none_or(|pattern| pattern.matches(path))
    }

    /// Returns the reason why the options of the rule do not fit together.
    #[must_use]
    pub fn conflict(&self) -> Option<&'static str> {
        let sources = self.source.as_ref().map(SourceRule::sources).unwrap_or_default();
        let is_repeated = |(at, name): (usize, &SourceName)| sources[..at].contains(name);
        if self.source.is_some() && sources.is_empty() {
            return Some("a rule with `fallback-on` needs `source`");
        }
        if self.respond.is_some() && !sources.is_empty() {
            return Some("`respond` and `source` exclude each other: both are the answer");
        }
        if self.respond.is_some() && self.state.is_some() {
            return Some("`respond` and `state` exclude each other: both are the answer");
        }
        if self.respond.is_some() && matches!(self.fault, Some(Fault::Status { .. } | Fault::Timeout | Fault::Empty)) {
            return Some("`respond` and a fault that answers by itself exclude each other");
        }
        if !self.live_headers.is_empty() && !self.pattern.names_server() {
            return Some("a rule with `headers` names the server in `match`, as in `GET https://api.example.com/**`");
        }
        let has_segment = |name: &String| self.path.as_ref().is_some_and(|path| path.place_of(name).is_some());
        if self.when.path.iter().any(|(name, _)| !has_segment(name)) {
            return Some("`when.path` names a segment that `path` of the rule does not have");
        }
        if sources.iter().enumerate().any(is_repeated) {
            return Some("`source` names one of the sources twice");
        }
        if sources.iter().rev().skip(1).any(|name| *name == SourceName::None) {
            return Some("no source behind `none` is ever asked: put `none` at the end of `source`");
        }
        if self.rate.is_some() && matches!(self.fault, Some(Fault::Slow(_))) {
            return Some("`rate` and the fault `slow` exclude each other: both are the rate of the payload");
        }
        None
    }

    #[must_use]
    pub fn needs_payload(&self) -> bool {
        self.when.needs_payload() || self.template || self.state.is_some()
    }

    /// Returns true if requests may go to the network.
    #[must_use]
    pub fn uses_live(&self) -> bool {
        self.shadow || self.source.as_ref().is_some_and(|rule| rule.sources().contains(&SourceName::Live))
    }

    /// Returns true if the rule makes the answer of a request that it applies to.
    #[must_use]
    pub fn makes_answer(&self, request: &RequestFacts) -> bool {
        self.respond.is_some()
            || self.fault.as_ref().is_some_and(Fault::answers)
            || self.state.as_ref().is_some_and(|state| state.covers(request))
    }

    /// Returns true if another source than the fixture is asked first, for all clients.
    #[must_use]
    pub fn passes_over_fixture(&self) -> bool {
        let is_other = |rule: &SourceRule| {
            rule.split.is_none() && rule.sources.first().is_some_and(|source| *source != SourceName::Fixture)
        };
        self.source.as_ref().is_some_and(is_other)
    }

    /// Returns the options that the rule decides, by their names in the configuration.
    #[must_use]
    pub fn options(&self) -> Vec<&'static str> {
        let options = [
            ("source", self.source.is_some()),
            ("respond", self.respond.is_some()),
            ("fault", self.fault.is_some()),
            ("state", self.state.is_some()),
            ("delay", self.delay.is_some()),
            ("rate", self.rate.is_some()),
            ("patch", !self.patch.is_empty()),
            ("template", self.template),
            ("shadow", self.shadow),
        ];
        options.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
    }

    /// Returns true if the rule changes payloads, and nothing else.
    #[must_use]
    pub fn is_about_payloads(&self) -> bool {
        let is_late = |fault: &Fault| !fault.answers();
        let has_other = self.options().iter().any(|option| !["fault", "patch", "template", "rate"].contains(option));
        !has_other && self.fault.iter().all(is_late) && self.patch.iter().all(PatchOperation::changes_payload)
    }

    /// Takes back that the rule applied to a request.
    pub(super) fn uncount(&self) {
        self.counts.applied.fetch_sub(1, Ordering::Relaxed);
    }

    #[must_use]
    pub fn applied(&self) -> u64 {
        self.counts.applied.load(Ordering::Relaxed)
    }
}

/// A change of a rule. The outer option is `None` for what stays, the inner one for what is removed.
#[derive(Clone, Debug, Default)]
pub struct RuleChange {
    pub sources: Option<Vec<SourceName>>,
    pub fallback_on: Option<Vec<Fallback>>,
    pub split: Option<Option<Split>>,
    pub delay: Option<Option<Delay>>,
    pub rate: Option<Option<u64>>,
    pub fault: Option<Option<Fault>>,
    pub shadow: Option<bool>,
}

impl RuleChange {
    /// Changes a rule.
    pub fn apply(&self, rule: &mut RouteRule) {
        let RuleChange { sources, fallback_on, split, delay, rate, fault, shadow } = self.clone();
        let mut source = rule.source.take().unwrap_or_default();
        source.sources = sources.unwrap_or(source.sources);
        source.split = split.unwrap_or(source.split);
        source.fallback_on = match fallback_on {
            Some(fallback_on) => fallback_on,
            // `fallback-on` goes with the sources.
            None if source.sources().is_empty() => Vec::new(),
            None => source.fallback_on,
        };
        rule.source = (!source.sources().is_empty() || !source.fallback_on.is_empty()).then_some(source);
        rule.delay = delay.unwrap_or(rule.delay.take());
        rule.rate = rate.unwrap_or(rule.rate);
        rule.fault = fault.unwrap_or(rule.fault.take());
        rule.shadow = shadow.unwrap_or(rule.shadow);
    }
}
