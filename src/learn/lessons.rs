//! What was learned, gathered over all pairs.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use harproxy_glob::Globs;
use harproxy_json::JsonPath;
use harproxy_matching::{Echo, MatchBody, MatchRule, OriginPattern, PathPattern};

/// The URLs that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Where {
    /// `glob`.
    pub glob: String,
    /// `path`, when segments vary.
    pub path: Option<String>,
}

/// What follows for some URLs: a `[[match]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// `ignore-query`.
    pub ignore_query: BTreeSet<String>,
    /// `ignore-body`.
    pub ignore_body: BTreeSet<String>,
    /// `body = "ignore"`: the payload varies in a way that no path names.
    pub ignore_payload: bool,
    /// `echo`.
    pub echo: BTreeSet<String>,
    /// `same-host`.
    pub same_host: BTreeSet<String>,
}

/// What follows from two recordings of the same program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lessons {
    /// `[volatile] headers`, each with an example: the two values.
    pub volatile_headers: BTreeMap<String, (String, String)>,
    /// `[volatile] json`, each with an example.
    pub volatile_json: BTreeMap<String, (String, String)>,
    /// `[[match]]`, in order of first appearance.
    pub rules: IndexMap<Where, Rule>,
    /// What differed and no line of a policy would make quiet, in words.
    pub unexplained: Vec<String>,
}

impl Lessons {
    /// Whether nothing differed, or nothing that could be said in a policy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.volatile_headers.is_empty() && self.volatile_json.is_empty() && self.rules.is_empty()
    }

    /// The rules as matching takes them. What a rule says that can't be carried out is left out: the lines would be refused
    /// when they are read.
    #[must_use]
    pub fn match_rules(&self) -> Vec<MatchRule> {
        let rule = |(at, rule): (&Where, &Rule)| MatchRule {
            glob: Globs::new([&at.glob]).unwrap_or_default(),
            paths: at.path.iter().filter_map(|path| PathPattern::new(path).ok()).collect(),
            same_host: rule.same_host.iter().filter_map(|origin| OriginPattern::new(origin).ok()).collect(),
            ignore_query: rule.ignore_query.iter().cloned().collect(),
            ignore_body: rule.ignore_body.iter().filter_map(|path| JsonPath::parse(path).ok()).collect(),
            echo: rule.echo.iter().filter_map(|place| Echo::parse(place).ok()).collect(),
            body: rule.ignore_payload.then_some(MatchBody::Ignore),
            ..MatchRule::default()
        };
        self.rules.iter().map(rule).collect()
    }

    pub(super) fn rule(&mut self, at: &Where) -> &mut Rule {
        self.rules.entry(at.clone()).or_default()
    }

    pub(super) fn volatile_header(&mut self, name: &str, first: &str, second: &str) {
        let example = || (first.to_owned(), second.to_owned());
        self.volatile_headers.entry(name.to_owned()).or_insert_with(example);
    }

    pub(super) fn volatile_json(&mut self, path: &str, first: &str, second: &str) {
        let example = || (first.to_owned(), second.to_owned());
        self.volatile_json.entry(path.to_owned()).or_insert_with(example);
    }

    /// An origin on this machine whose port varies: `http://127.0.0.1:8000` is any port there.
    pub(super) fn same_host(&mut self, origin: &str) {
        let any_port = origin.rsplit_once(':').map_or(origin, |(host, _)| host);
        let at = Where { glob: format!("{any_port}:*/**"), path: None };
        self.rule(&at).same_host.insert(format!("{any_port}:*"));
    }
}
