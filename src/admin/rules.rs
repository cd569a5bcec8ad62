//! Operations on `[[route]]`: list, change.

use std::sync::Arc;

use serde_json::{Value, json};

use super::api::AdminApi;
use crate::serve::rule::{RouteRule, Split};
use harproxy_http::problem::Problem;

impl AdminApi {
    pub(super) fn list_routes(&self) -> Value {
        let table = self.rules.table.load();
        json!({ "routes": table.rules.iter().map(rule_json).collect::<Vec<_>>() })
    }

    /// Changes a rule for the requests from now on. An edit of the configuration replaces the change.
    pub(super) fn change_route(&self, id: &str, change: &Value) -> Result<Value, Problem> {
        let change = (self.parsers.change)(change)
            .map_err(|reason| Problem::new(400, "the change of the rule is not valid", reason))?;
        if let Some(rule) = self.rules.table.load().rules.iter().find(|rule| rule.id == id) {
            let mut next = RouteRule::clone(rule);
            change.apply(&mut next);
            self.check_live(&next)?;
            if let Some(reason) = next.conflict() {
                return Err(Problem::new(409, "the change does not fit the rule", format!("rule `{id}`: {reason}")));
            }
        }
        let changed = self.rules.change(id, |rule| change.apply(rule));
        let changed = changed.ok_or_else(|| {
            let known = self.rules.uses().into_iter().map(|rule| rule.rule).collect::<Vec<_>>();
            let detail = match known.is_empty() {
                true => "there are no rules; add one under [[route]] in harproxy.toml".to_owned(),
                false => {
                    format!("known are {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
                }
            };
            Problem::new(404, format!("no rule `{id}`"), detail)
        })?;
        tracing::info!("the admin API changed rule `{id}`");
        Ok(rule_json(&changed))
    }
}

impl AdminApi {
    fn check_live(&self, rule: &RouteRule) -> Result<(), Problem> {
        let refused = |detail: String| Err(Problem::new(409, "no live source", detail));
        match rule.unset_variables.first() {
            _ if !rule.uses_live() => Ok(()),
            _ if self.is_offline => {
                refused("`serve` is offline (--offline or CI=true), so that no rule can have a live source".to_owned())
            }
            Some(variable) => {
                refused(format!("`headers` of the rule needs the variable `{variable}`, which is not set"))
            }
            None => Ok(()),
        }
    }
}

/// Returns a rule as JSON, with the names of the configuration.
fn rule_json(rule: &Arc<RouteRule>) -> Value {
    let source = rule.source.as_ref();
    let fallbacks = source.map(|source| source.fallback_on.iter().map(ToString::to_string).collect::<Vec<_>>());
    json!({
        "id": rule.id,
        "match": rule.pattern.to_string(),
        "options": rule.options(),
        "source": source.map(|source| source.sources().iter().map(|name| name.as_str()).collect::<Vec<_>>()),
        "fallback-on": fallbacks,
        "split": source.and_then(|source| source.split.as_ref()).map(split_json),
        "delay": rule.delay.as_ref().map(|delay| delay.to_json()),
        "rate": rule.rate.map(|rate| format!("{rate}B/s")),
        "fault": rule.fault.as_ref().map(|fault| fault.to_json()),
        "shadow": rule.shadow.then_some("live"),
        "requests": rule.applied(),
    })
}

fn split_json(split: &Split) -> Value {
    let mut json = json!({ "live": split.live_percent });
    if let Some(by) = &split.by {
        json["by"] = by.as_str().into();
    }
    json
}
