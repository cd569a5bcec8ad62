//! Parts of the configuration as JSON, for the admin API: they are written as TOML and parsed like the file, so that
//! both have the same options and errors.

use std::path::Path;

use serde_json::{Map, Value as Json};
use toml::de::DeValue;

use super::document::{ConfigFile, Error, TomlItem};
use super::{expect, route};
use crate::serve::expect::Expectation;
use crate::serve::rule::RuleChange;

/// The options of a rule that can be changed while requests are served.
const CHANGEABLE: [&str; 7] = ["source", "fallback-on", "split", "delay", "rate", "fault", "shadow"];

/// Parses the change of a rule. `null` removes an option.
///
/// # Errors
/// A sentence for the user.
pub fn rule_change(json: &Json) -> Result<RuleChange, String> {
    let members = json.as_object().ok_or("expected an object, such as `{\"source\":[\"live\"]}`")?;
    if let Some(name) = members.keys().find(|name| !CHANGEABLE.contains(&name.as_str())) {
        return Err(format!("`{name}` can't be changed; the options are {}", CHANGEABLE.join(", ")));
    }
    let mut table: Map<String, Json> = members
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    table.insert("match".to_owned(), "**".into());
    // Each option is parsed by itself.
    table.entry("source").or_insert_with(|| vec!["live", "fixture"].into());
    let rule = parse("route", Json::from(vec![Json::Object(table)]), |document, value| {
        route::rules(document, value, 1).map(|mut rules| rules.pop())
    })?;
    let rule = rule.ok_or("the rule is empty")?;
    let source = rule.source.unwrap_or_default();
    let has = |name: &str| members.contains_key(name);
    Ok(RuleChange {
        sources: members.get("source").map(|given| if given.is_null() { Vec::new() } else { source.sources }),
        fallback_on: has("fallback-on").then_some(source.fallback_on),
        split: has("split").then_some(source.split),
        delay: has("delay").then_some(rule.delay),
        rate: has("rate").then_some(rule.rate),
        fault: has("fault").then_some(rule.fault),
        shadow: has("shadow").then_some(rule.shadow),
    })
}

/// Parses a list of expectations: tables of `[[expect]]`, or texts of `--expect`.
///
/// # Errors
/// A sentence for the user.
pub fn expectations(list: &[Json]) -> Result<Vec<Expectation>, String> {
    let each = list.iter().map(|given| match given {
        Json::String(text) => Ok(vec![Expectation::parse(text)?]),
        table => parse("expect", vec![table.clone()].into(), expect::expectations),
    });
    Ok(each.collect::<Result<Vec<_>, String>>()?.concat())
}

/// Parses `value` as the section `name` of a file.
fn parse<T>(
    name: &str,
    value: Json,
    read: impl for<'t> FnOnce(&ConfigFile<'t>, super::document::Value<'t>) -> Result<T, Error>,
) -> Result<T, String> {
    let section: Map<String, Json> = [(name.to_owned(), value)].into_iter().collect();
    let text = toml::to_string(&section).map_err(|_| "`null` is allowed only for a whole option".to_owned())?;
    let document = ConfigFile::new(Path::new(""), &text, false);
    let items = document.root().map_err(reason)?;
    let item = items.into_iter().next().map(|TomlItem { value, .. }| value);
    // An empty list has no sections.
    let value = item.unwrap_or_else(|| toml::Spanned::new(0..0, DeValue::Array(Default::default())));
    read(&document, value).map_err(reason)
}

/// Returns an error without its place in the file.
fn reason(error: Error) -> String {
    match error {
        Error::Syntax { reason, .. } => reason,
        Error::Value { name, reason, .. } => format!("`{name}`: {reason}"),
        Error::Unknown { kind, name, suggestion, .. } => format!("unknown {kind} `{name}`{suggestion}"),
        error @ (Error::Read { .. } | Error::Outside { .. }) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::delay::Delay;
    use crate::serve::rule::{Fallback, SourceName};
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn change_has_the_options_of_the_configuration() {
        let change =
            rule_change(&json!({ "source": ["live", "fixture"], "fallback-on": "5xx", "delay": "2s", "fault": null }));
        let change = change.unwrap();
        assert_eq!(change.sources.unwrap(), [SourceName::Live, SourceName::Fixture]);
        assert_eq!((change.fallback_on.unwrap(), change.split), (vec![Fallback::ServerError], None));
        assert_eq!(change.delay, Some(Some(Delay::Fixed(Duration::from_secs(2)))));
        assert_eq!((change.fault, change.rate), (Some(None), None));
        assert!(rule_change(&json!({ "source": null })).unwrap().sources.unwrap().is_empty());
        let change = rule_change(&json!({ "fallback-on": "5xx" })).unwrap();
        assert!(change.sources.is_none() && change.fallback_on.is_some());
    }

    #[test]
    fn invalid_changes_have_the_reason_of_the_configuration() {
        for (json, said) in [
            (json!({ "source": "cloud" }), "`source`: expected fixture, live, local or none"),
            (json!({ "fault": { "kind": "status", "status": 200 } }), "`status` must be from 400 to 599"),
            (json!({ "delay": 5 }), "expected a duration"),
            (json!({ "match": "**" }), "`match` can't be changed"),
            (json!([]), "expected an object"),
        ] {
            let reason = rule_change(&json).unwrap_err();
            assert!(reason.contains(said), "{reason}");
        }
    }

    #[test]
    fn expectations_are_those_of_the_configuration() {
        let parsed = expectations(&[json!({ "match": "POST **/orders", "times": { "min": 1 }, "body": { "$.a": 1 } })]);
        assert_eq!(parsed.unwrap().len(), 1);
        assert!(expectations(&[]).unwrap().is_empty());
        assert_eq!(expectations(&[json!("POST **/orders = 1")]).unwrap().len(), 1);
        assert!(expectations(&[json!({ "times": 1 })]).unwrap_err().contains("needs `match`"));
        assert!(expectations(&[json!({ "match": "GET **", "count": 1 })]).unwrap_err().contains("unknown option"));
    }
}
