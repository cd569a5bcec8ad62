//! Operations on `[[route]]`: list, change.

use std::sync::Arc;

use serde_json::{Value, json};

use super::api::AdminApi;
use crate::serve::rule::RouteRule;
use harproxy_http::problem::Problem;

impl AdminApi {
    pub(super) fn list_routes(&self) -> Value {
        let table = self.rules.table.load();
        json!({ "routes": table.rules.iter().map(shown).collect::<Vec<_>>() })
    }

    /// Changes a rule for the requests from now on. An edit of the configuration replaces the change.
    pub(super) fn change_route(&self, id: &str, change: &Value) -> Result<Value, Problem> {
        let change = (self.parsers.change)(change)
            .map_err(|reason| Problem::new(400, "the change of the rule is not valid", reason))?;
        if change.uses_live() && self.is_offline {
            let detail = "`serve` is offline (--offline or CI=true), so that no rule can have a live source";
            return Err(Problem::new(409, "no live source", detail));
        }
        let changed = self.rules.change(id, |rule| change.apply(rule));
        let changed = changed.ok_or_else(|| {
            let known = self.rules.uses().into_iter().map(|rule| rule.rule).collect::<Vec<_>>();
            let detail = match known.is_empty() {
                true => "there are no rules; add one under [[route]] in harproxy.toml".to_owned(),
                false => format!("known are {}", known.join(", ")),
            };
            Problem::new(404, format!("no rule `{id}`"), detail)
        })?;
        tracing::info!("the admin API changed rule `{id}`");
        Ok(shown(&changed))
    }
}

/// Returns a rule as JSON, with the names of the configuration.
fn shown(rule: &Arc<RouteRule>) -> Value {
    let source = rule.source.as_ref();
    let fallbacks = source.map(|source| source.fallback_on.iter().map(ToString::to_string).collect::<Vec<_>>());
    json!({
        "id": rule.id,
        "match": rule.pattern.to_string(),
        "options": rule.options(),
        "source": source.map(|source| source.sources.iter().map(|name| name.as_str()).collect::<Vec<_>>()),
        "fallback-on": fallbacks,
        "split": source.and_then(|source| source.live_share).map(|share| json!({ "live": share * 100.0 })),
        "delay": rule.delay.as_ref().map(|delay| delay.to_json()),
        "rate": rule.rate.map(|rate| format!("{rate}B/s")),
        "fault": rule.fault.as_ref().map(|fault| fault.to_json()),
        "shadow": rule.shadow.then_some("live"),
        "requests": rule.applied(),
    })
}
