//! The rules and volatile values that two recordings taught.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use harproxy_glob::Globs;
use harproxy_json::JsonPath;
use harproxy_matching::{Echo, MatchBody, MatchRule, OriginPattern, PathPattern};

/// The URLs that a rule applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RuleScope {
    /// Value of `glob`.
    pub glob: String,
    /// Value of `path`, if path segments vary.
    pub path: Option<String>,
}

/// A learned `[[match]]` rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LearnedRule {
    /// Values of `ignore-query`.
    pub ignore_query: BTreeSet<String>,
    /// Values of `ignore-body`.
    pub ignore_body: BTreeSet<String>,
    /// Sets `body = "ignore"`: no JSON path describes how the payload varies.
    pub ignore_payload: bool,
    /// Sets `body = "json"`.
    pub json_payload: bool,
    /// Values of `match-header`.
    pub match_header: BTreeSet<String>,
    /// Values of `echo`.
    pub echo: BTreeSet<String>,
    /// Values of `same-host`.
    pub same_host: BTreeSet<String>,
}

/// Rules and volatile values learned from two recordings of the same program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LearnedPolicy {
    /// Values of `[volatile] headers`, each with its first two differing values.
    pub volatile_headers: BTreeMap<String, (String, String)>,
    /// Values of `[volatile] json`, each with its first two differing values.
    pub volatile_json: BTreeMap<String, (String, String)>,
    /// The `[[match]]` rules, in order of first appearance.
    pub rules: IndexMap<RuleScope, LearnedRule>,
    /// Messages about differences that no policy rule can ignore.
    pub unexplained: Vec<String>,
}

impl LearnedPolicy {
    /// Returns true if no rule or volatile value was learned. `unexplained` may still contain messages.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.volatile_headers.is_empty() && self.volatile_json.is_empty() && self.rules.is_empty()
    }

    /// Returns the rules for the matcher. Invalid patterns are omitted; the policy parser would reject them too.
    #[must_use]
    pub fn match_rules(&self) -> Vec<MatchRule> {
        let rule = |(at, rule): (&RuleScope, &LearnedRule)| MatchRule {
            glob: Globs::new([&at.glob]).unwrap_or_default(),
            paths: at.path.iter().filter_map(|path| PathPattern::new(path).ok()).collect(),
            same_host: rule.same_host.iter().filter_map(|origin| OriginPattern::new(origin).ok()).collect(),
            ignore_query: rule.ignore_query.iter().cloned().collect(),
            ignore_body: rule.ignore_body.iter().filter_map(|path| JsonPath::parse(path).ok()).collect(),
            echo: rule.echo.iter().filter_map(|place| Echo::parse(place).ok()).collect(),
            match_headers: rule.match_header.iter().cloned().collect(),
            body: match (rule.ignore_payload, rule.json_payload) {
                (true, _) => Some(MatchBody::Ignore),
                (false, true) => Some(MatchBody::Json),
                (false, false) => None,
            },
            ..MatchRule::default()
        };
        self.rules.iter().map(rule).collect()
    }

    pub(super) fn rule(&mut self, at: &RuleScope) -> &mut LearnedRule {
        self.rules.entry(at.clone()).or_default()
    }

    /// Adds a rule for a loopback origin whose port varies: `http://127.0.0.1:8000` then matches any port of that host.
    pub(super) fn add_same_host(&mut self, origin: &str) {
        let any_port = origin.rsplit_once(':').map_or(origin, |(host, _)| host);
        let at = RuleScope { glob: format!("{any_port}:*/**"), path: None };
        self.rule(&at).same_host.insert(format!("{any_port}:*"));
    }
}
