//! The rules of a run, and the state that requests change: counts, collections, circuits and retry limits.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;

use super::breaker::CircuitBreaker;
use super::control::ApiKeys;
use super::expect::Verification;
use super::fault::RetryLimits;
use super::history::RequestHistory;
use super::rule::RouteRule;
use super::state::StateStore;
use super::table::RouteTable;
use crate::verdict::{CheckId, Finding, RuleUse, Severity};
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
    /// The last requests, for the admin API; `None` without it.
    pub history: Option<Arc<RequestHistory>>,
    /// The number of requests that rules applied to.
    pub number: AtomicU64,
}

/// The parts of the state that a reset clears. `Default` is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResetParts {
    /// Positions in the sequences of entries.
    pub sequence: bool,
    /// Collections of `state`, limits of retries, circuits of live sources.
    pub state: bool,
    /// `nth` and `rate`, and the requests of expectations. The sums of reports stay.
    pub counts: bool,
}

impl ResetParts {
    pub const ALL: ResetParts = ResetParts { sequence: true, state: true, counts: true };
}

/// The sessions that a reset clears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionChoice {
    All,
    /// The session, or the test, with this name; empty for clients without a name.
    Named(String),
}

impl SessionChoice {
    /// Returns true for a session by the name of its sequences: that of the client, or of the test with its attempt.
    #[must_use]
    pub fn includes(&self, session: Option<&str>) -> bool {
        match self {
            SessionChoice::All => true,
            SessionChoice::Named(name) => {
                let behind = session.unwrap_or_default().strip_prefix(name.as_str());
                behind.is_some_and(|rest| rest.is_empty() || (!name.is_empty() && rest.starts_with('\n')))
            }
        }
    }
}

impl RouteState {
    /// Replaces the rules. One with the same name keeps its counts.
    pub fn load(&self, mut table: RouteTable) {
        let before = self.table.load();
        for rule in &mut table.rules {
            if let Some(old) = before.rules.iter().find(|old| old.id == rule.id) {
                *rule = Arc::new(RouteRule { counts: old.counts.clone(), ..(**rule).clone() });
                self.forget_limits(old, rule);
            }
        }
        self.table.store(Arc::new(table));
    }

    /// Changes a rule for the requests from now on. Requests in progress keep the rule that they began with. Returns
    /// the new rule, or `None` if no rule has this name.
    pub fn change(&self, id: &str, change: impl Fn(&mut RouteRule)) -> Option<Arc<RouteRule>> {
        let mut changed = None;
        self.table.rcu(|table| {
            let mut table = RouteTable::clone(table);
            changed = table.rules.iter_mut().find(|rule| rule.id == id).map(|rule| {
                let mut next = RouteRule::clone(rule);
                change(&mut next);
                let old = std::mem::replace(rule, Arc::new(next));
                (old, rule.clone())
            });
            table
        });
        if let Some((old, new)) = &changed {
            self.forget_limits(old, new);
        }
        changed.map(|(_, new)| new)
    }

    /// Forgets the limits of retries that another fault of the rule set.
    fn forget_limits(&self, old: &RouteRule, new: &RouteRule) {
        if old.fault != new.fault {
            self.retries.forget(&new.id);
        }
    }

    /// Clears the state of these sessions. The sequences belong to the fixtures.
    pub fn reset(&self, parts: ResetParts, sessions: &SessionChoice) {
        let (table, is_all) = (self.table.load(), *sessions == SessionChoice::All);
        if parts.state {
            self.states.reset(|session| sessions.includes(session));
            self.retries.reset(|client| sessions.includes(Some(client)));
        }
        if parts.state && is_all {
            self.breaker.reset();
        }
        if parts.counts {
            table.rules.iter().for_each(|rule| rule.counts.occurrences.reset(|session| sessions.includes(session)));
        }
        if parts.counts && is_all {
            self.verification.reset();
        }
    }

    /// Returns the rules, and the number of requests that each applied to.
    #[must_use]
    pub fn uses(&self) -> Vec<RuleUse> {
        let table = self.table.load();
        let of = |rule: &Arc<RouteRule>| RuleUse {
            rule: rule.id.clone(),
            pattern: rule.pattern.to_string(),
            requests: rule.applied(),
        };
        table.rules.iter().map(of).collect()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_chosen_by_the_name_of_client_or_test() {
        let named = |name: &str| SessionChoice::Named(name.to_owned());
        assert!(named("gw0").includes(Some("gw0")) && named("shop::one").includes(Some("shop::one\n3")));
        for (name, session) in
            [("gw0", Some("gw01")), ("gw0", None), ("", Some("gw0")), ("shop::one", Some("shop::one2"))]
        {
            assert!(!named(name).includes(session), "{name} {session:?}");
        }
        assert!(
            named("").includes(None) && SessionChoice::All.includes(Some("x")) && SessionChoice::All.includes(None)
        );
    }
}
