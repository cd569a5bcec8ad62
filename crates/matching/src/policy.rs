//! The options that say how an entry is compared with a request, and what the `[[match]]` rules that apply make of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use harproxy_compare::{BodyRules, PlaceholderValues};
use harproxy_json::JsonPath;

use super::candidate::Rules;
use super::{Echo, Error, MatchRule, Options};

/// The options of the run, and of each set of rules that applies somewhere.
#[derive(Debug)]
pub(super) struct Policy {
    everywhere: Arc<Rules>,
    /// By the places of the rules. Few sets apply anywhere, and each is asked for once for a key.
    combined: Mutex<HashMap<Vec<usize>, Arc<Rules>>>,
}

impl Policy {
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let ignored = options.ignore_body.iter().map(|path| JsonPath::parse(path)).collect::<Result<_, _>>()?;
        let everywhere = Rules {
            body: BodyRules { mode: options.match_body, ignored },
            match_headers: options.match_headers.clone(),
            score_all_headers: options.score_all_headers,
            missing_body: options.missing_body,
            redirects: options.redirects,
            values: Arc::new(PlaceholderValues::new(&options.values)),
            echo: Vec::new(),
        };
        Ok(Policy { everywhere: Arc::new(everywhere), combined: Mutex::default() })
    }

    /// What holds where these rules apply.
    pub(super) fn under(&self, rules: &[MatchRule], active: &[usize]) -> Arc<Rules> {
        if active.is_empty() {
            return self.everywhere.clone();
        }
        let mut combined = self.combined.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = combined.get(active) {
            return known.clone();
        }
        let made = Arc::new(active.iter().fold(Rules::clone(&self.everywhere), |made, &n| made.over(&rules[n])));
        combined.insert(active.to_vec(), made.clone());
        made
    }
}

impl Rules {
    /// With what a rule says beside it: lists add up, of single values the rule's counts.
    fn over(mut self, rule: &MatchRule) -> Self {
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
        // What the answer repeats need not be what was recorded.
        let echo = &self.echo;
        self.match_headers
            .retain(|name| !echo.iter().any(|echo| matches!(echo, Echo::Header(echoed) if echoed == name)));
        self
    }
}
