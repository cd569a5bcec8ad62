//! The rules by which payloads and headers are compared: the options of a run, changed by the `[[match]]` rules that
//! apply.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use harproxy_compare::{BodyRules, PlaceholderValues};
use harproxy_json::JsonPath;

use super::candidate::Rules;
use super::{Echo, Error, MatchRule, Options};

/// The options of a run, combined with each set of `[[match]]` rules that applies to a URL.
#[derive(Debug)]
pub(super) struct Policy {
    /// The options without a rule.
    options: Arc<Rules>,
    /// The combinations that were needed so far, by the indexes of the rules. There are few.
    combined: Mutex<HashMap<Vec<usize>, Arc<Rules>>>,
}

impl Policy {
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let ignored = options.ignore_body.iter().map(|path| JsonPath::parse(path)).collect::<Result<_, _>>()?;
        let options = Rules {
            body: BodyRules { mode: options.match_body, ignored },
            match_headers: options.match_headers.clone(),
            score_all_headers: options.score_all_headers,
            missing_body: options.missing_body,
            redirects: options.redirects,
            values: Arc::new(PlaceholderValues::new(&options.values)),
            echo: Vec::new(),
        };
        Ok(Policy { options: Arc::new(options), combined: Mutex::default() })
    }

    /// Combines the options with the rules that apply, given by their indexes.
    pub(super) fn combine(&self, rules: &[MatchRule], active: &[usize]) -> Arc<Rules> {
        if active.is_empty() {
            return self.options.clone();
        }
        let mut combined = self.combined.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = combined.get(active) {
            return known.clone();
        }
        let with_rule = |combination: Rules, &n: &usize| combination.with_rule(&rules[n]);
        let combination = Arc::new(active.iter().fold(Rules::clone(&self.options), with_rule));
        combined.insert(active.to_vec(), combination.clone());
        combination
    }
}

impl Rules {
    /// Adds a rule: its lists are appended, its single values replace others.
    fn with_rule(mut self, rule: &MatchRule) -> Self {
        self.body.ignored.extend(rule.ignore_body.iter().cloned());
        if let Some(mode) = rule.body {
            self.body.mode = mode;
        }
        if let Some(redirects) = rule.redirects {
            self.redirects = redirects;
        }
        for echo in &rule.echo {
            if let Echo::Json(path) = echo {
                self.body.ignored.push((**path).clone());
            }
            if !self.echo.contains(echo) {
                self.echo.push(echo.clone());
            }
        }
        for name in &rule.match_headers {
            if !self.match_headers.contains(name) {
                self.match_headers.push(name.clone());
            }
        }
        // A header that the response repeats may have any value.
        let echo = &self.echo;
        self.match_headers
            .retain(|name| !echo.iter().any(|echo| matches!(echo, Echo::Header(echoed) if echoed == name)));
        self
    }
}
