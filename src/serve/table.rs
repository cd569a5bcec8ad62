//! The rules in order, and the decision that they make for one request.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::delay::Delay;
use super::facts::RequestFacts;
use super::fault::Fault;
use super::patch::PatchOperation;
use super::rule::{RespondPayload, RouteRule, SourceRule};
use super::template::Variables;
use crate::drift::request::header_secrets;
use harproxy_redact::{Placeholder, Secret};

/// Why a rule applies to a request, or does not.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleExplanation {
    pub rule: String,
    /// The condition that the request does not fulfil. `None` if the rule applies.
    pub failing: Option<String>,
    /// True if `nth` or `rate` limits it to some of the requests.
    pub sometimes: bool,
    pub options: Vec<&'static str>,
    /// True if the rule answers in place of an entry, whenever it applies.
    #[serde(skip)]
    pub is_answer: bool,
}

impl RuleExplanation {
    /// Returns true if the rule answers the request in place of an entry.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.failing.is_none() && !self.sometimes && self.is_answer
    }
}

/// The rules in order. Immutable: a change makes another table, so that a request never sees two of them.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    pub rules: Vec<Arc<RouteRule>>,
    /// `[vars]` and `--vars`.
    pub variables: Arc<Variables>,
}

/// The options that the rules decide for a request.
#[derive(Clone, Debug, Default)]
pub struct RouteDecision {
    /// The rules that apply, in order.
    pub rules: Vec<Arc<RouteRule>>,
    pub source: Option<(Arc<RouteRule>, SourceRule)>,
    pub respond: Option<Arc<RouteRule>>,
    pub fault: Option<(Arc<RouteRule>, Fault)>,
    pub state: Option<Arc<RouteRule>>,
    pub delays: Vec<Delay>,
    pub rate: Option<(Arc<RouteRule>, u64)>,
    /// The variables of templates.
    pub variables: Arc<Variables>,
    /// True if the collection of `state` answers: the path is its own, or that of an item.
    is_of_collection: bool,
}

impl RouteDecision {
    /// Returns true if the answer may depend on a rule that applies. A fault without a source comes first, then state,
    /// `respond` and `source`.
    fn has_effect(&self, rule: &Arc<RouteRule>) -> bool {
        let is = |by: Option<&Arc<RouteRule>>| by.is_some_and(|by| Arc::ptr_eq(by, rule));
        let fault = self.fault.as_ref();
        if rule.delay.is_some() || is(fault.map(|(by, _)| by)) {
            return true;
        }
        if fault.is_some_and(|(_, fault)| fault.answers()) {
            return false;
        }
        let is_respond = !self.is_of_collection && is(self.respond.as_ref());
        let has_made = self.is_of_collection || self.respond.is_some();
        let is_source = !has_made && is(self.source.as_ref().map(|(by, _)| by));
        let is_maker = is_source || is_respond || is(self.state.as_ref());
        let changes = !rule.patch.is_empty() || rule.template || rule.shadow;
        is_maker || changes || is(self.rate.as_ref().map(|(by, _)| by)) || rule.options().is_empty()
    }

    /// Returns the changes of the answer.
    pub fn patches(&self) -> Vec<&PatchOperation> {
        self.rules.iter().flat_map(|rule| &rule.patch).collect()
    }

    /// Returns the first rule with `template`. Its `path` names the segments.
    #[must_use]
    pub fn template(&self) -> Option<&Arc<RouteRule>> {
        self.rules.iter().find(|rule| rule.template)
    }
}

impl RouteTable {
    /// Returns the rules that answer by the name of an entry, with the name.
    pub fn examples(&self) -> impl Iterator<Item = (&RouteRule, &str)> {
        self.rules.iter().filter_map(|rule| match &rule.respond.as_ref()?.payload {
            RespondPayload::Example(name) => Some((&**rule, name.as_str())),
            _ => None,
        })
    }

    /// Returns the values of `headers` as secrets.
    #[must_use]
    pub fn secrets(&self) -> Vec<(Placeholder, Secret)> {
        header_secrets(self.rules.iter().flat_map(|rule| &rule.live_headers).map(|(_, value)| value))
    }

    /// Returns the rules that may apply to a request. A request without any needs no more work.
    #[must_use]
    pub fn covering(&self, method: &str, url: &str, path: &str) -> Vec<Arc<RouteRule>> {
        self.rules.iter().filter(|rule| rule.covers(method, url, path)).cloned().collect()
    }

    /// Explains the rules whose `match` fits a request, in order. Nothing is counted.
    #[must_use]
    pub fn explain(&self, request: &RequestFacts) -> Vec<RuleExplanation> {
        let url = &request.url;
        let covering = self.covering(request.method.as_str(), url.as_str(), url.parts().path);
        let mut has_source = false;
        let explain = |rule: Arc<RouteRule>| {
            let failing = rule.when.failing(request, rule.path.as_ref());
            let is_answer = rule.makes_answer(request) || (!has_source && rule.passes_over_fixture());
            has_source |= failing.is_none() && rule.when.occurrence.is_none() && rule.source.is_some();
            let (sometimes, options) = (rule.when.occurrence.is_some(), rule.options());
            RuleExplanation { rule: rule.id.clone(), failing, sometimes, options, is_answer }
        };
        covering.into_iter().map(explain).collect()
    }

    /// Decides by the rules that cover a request, and counts them. A rule that told the client to wait (`has_limit`)
    /// applies to an early retry, whatever `nth` and `rate` say.
    #[must_use]
    pub fn decide(
        &self,
        covering: &[Arc<RouteRule>],
        request: &RequestFacts,
        has_limit: impl Fn(&str) -> bool,
    ) -> RouteDecision {
        let mut decision = RouteDecision { variables: self.variables.clone(), ..RouteDecision::default() };
        let mut applying = Vec::new();
        for rule in covering.iter().filter(|rule| rule.when.hold(request, rule.path.as_ref())) {
            let is_counted = rule.counts.occurrences.count(rule.when.occurrence.as_ref(), request.session.as_deref());
            if !is_counted && !has_limit(&rule.id) {
                continue;
            }
            let source = rule.source.clone().map(|source| (rule.clone(), source));
            decision.source = decision.source.or(source);
            let fault = rule.fault.clone().map(|fault| (rule.clone(), fault));
            decision.fault = decision.fault.or(fault);
            decision.respond = decision.respond.or_else(|| rule.respond.is_some().then(|| rule.clone()));
            decision.state = decision.state.or_else(|| rule.state.is_some().then(|| rule.clone()));
            decision.rate = decision.rate.or_else(|| rule.rate.map(|rate| (rule.clone(), rate)));
            decision.delays.extend(rule.delay.clone());
            applying.push(rule);
        }
        let state = decision.state.as_ref().and_then(|rule| rule.state.as_ref());
        decision.is_of_collection = state.is_some_and(|state| state.covers(request));
        // A rule whose decisions all belong to other rules does nothing.
        for rule in applying.into_iter().filter(|rule| decision.has_effect(rule)).cloned().collect::<Vec<_>>() {
            rule.counts.applied.fetch_add(1, Ordering::Relaxed);
            decision.rules.push(rule);
        }
        decision
    }
}
