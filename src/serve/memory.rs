//! The rules of a run, and the state that requests change: counts, collections, circuits and retry limits.

use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;

use super::breaker::CircuitBreaker;
use super::control::ApiKeys;
use super::expect::Verification;
use super::fault::RetryLimits;
use super::rule::RouteTable;
use super::state::StateStore;
use crate::verdict::{CheckId, Finding, Severity};
use harproxy_http::NormalUrl;

/// The rules of a run, and the state that requests change. Reloads of fixtures keep it.
#[derive(Debug, Default)]
pub struct RouteState {
    pub table: ArcSwap<RouteTable>,
    pub states: StateStore,
    pub breaker: CircuitBreaker,
    pub retries: RetryLimits,
    /// Whether `x-mock-…` headers count.
    pub has_control_headers: bool,
    pub keys: ApiKeys,
    /// True in `serve`: a persisted query without an entry gets the answer that clients expect.
    pub is_mock: bool,
    /// `--closest`: the most similar entry answers a miss.
    pub closest: bool,
    pub verification: Verification,
    /// The number of requests that rules applied to.
    pub number: AtomicU64,
}

impl RouteState {
    /// Returns true if a rule may apply to a request.
    #[must_use]
    pub fn covers(&self, method: &str, url: &NormalUrl) -> bool {
        !self.table.load().covering(method, url.as_str(), url.parts().path).is_empty()
    }

    /// Returns true if a rule may apply to a URL of this origin.
    #[must_use]
    pub fn may_match_origin(&self, origin: &str) -> bool {
        self.table.load().rules.iter().any(|rule| rule.pattern.globs().may_match_origin(origin))
    }

    /// Returns true if a rule may apply to a URL of this host, or of a host below it.
    #[must_use]
    pub fn may_match_domain(&self, domain: &str) -> bool {
        self.table.load().rules.iter().any(|rule| rule.pattern.globs().may_match_domain(domain))
    }

    /// Returns the findings at the end of a run: expectations that are not met, and rules that applied to no request.
    #[must_use]
    pub fn findings(&self, severity: impl Fn(&CheckId) -> Severity) -> Vec<Finding> {
        let table = self.table.load();
        let unused = table.rules.iter().filter(|rule| rule.applied() == 0).map(|rule| {
            let text = format!("rule `{}` (`{}`) applied to no request", rule.id, rule.pattern);
            Finding::new(CheckId::RULE_UNUSED, severity(&CheckId::RULE_UNUSED), text)
                .with_hint("correct `match` and `when` of the rule, or remove it")
        });
        self.verification.findings().into_iter().chain(unused).collect()
    }
}
