//! `[[route]]`: rules for the answers of `serve` and `replay`.

use std::str::FromStr as _;

use ::http::{HeaderName, HeaderValue};
use regex::Regex;
use serde_json::Value as Json;
use toml::de::DeValue;

use super::document::{ConfigFile, Error, Table, TomlItem, Value};
use super::route_answer::{delay, fault, patches, rate, respond};
use crate::serve::condition::{Conditions, Occurrence, ValueTest};
use crate::serve::rule::{Fallback, RespondPayload, RouteRule, SourceName, SourceRule, Split};
use crate::serve::state::StateRule;
use crate::serve::template;
use harproxy_json::JsonPath;
use harproxy_matching::{PathPattern, RequestPattern};

pub(super) const KEYS: [&str; 16] = [
    "name",
    "match",
    "path",
    "when",
    "source",
    "fallback-on",
    "split",
    "headers",
    "respond",
    "patch",
    "delay",
    "rate",
    "fault",
    "template",
    "state",
    "shadow",
];
const WHEN: [&str; 6] = ["header", "query", "path", "body", "nth", "rate"];
const TESTS: [&str; 8] = ["gt", "gte", "lt", "lte", "matches", "contains", "exists", "equals"];

/// Reads the rules. `first` is the number of the first one.
pub(super) fn rules<'t>(document: &ConfigFile<'t>, value: Value<'t>, first: usize) -> Result<Vec<RouteRule>, Error> {
    let span = value.span();
    let DeValue::Array(tables) = value.into_inner() else {
        return Err(document.wrong("route", &span, "expected a list of rules, each under `[[route]]`"));
    };
    let one = |(number, value): (usize, Value<'t>)| {
        let span = value.span();
        rule(document, document.table("[route]", value)?, &span, number)
    };
    (first..).zip(tables).map(one).collect()
}

fn rule<'t>(
    document: &ConfigFile<'t>,
    table: Table<'t>,
    span: &std::ops::Range<usize>,
    number: usize,
) -> Result<RouteRule, Error> {
    let items = document.items(table);
    let pattern = items.iter().find(|item| item.name == "match");
    let pattern = match pattern {
        Some(TomlItem { name, value, .. }) => RequestPattern::parse(&document.text(name, value)?)
            .map_err(|reason| document.wrong(name, &value.span(), reason))?,
        None => {
            return Err(document.wrong(
                "route",
                span,
                "a rule needs `match`, such as `GET https://api.example.com/**`",
            ));
        }
    };
    let mut rule = RouteRule::new(number.to_string(), pattern);
    let mut source = SourceRule::default();
    for TomlItem { name, at, value } in items {
        let wrong = |reason: String| document.wrong(&name, &value.span(), reason);
        match name.as_str() {
            "match" => {}
            "name" => {
                rule.id = document.text(&name, &value)?;
                if rule.id.trim().is_empty() {
                    return Err(wrong("the name of a rule is empty".to_owned()));
                }
            }
            "path" => rule.path = Some(PathPattern::new(&document.text(&name, &value)?).map_err(wrong)?),
            "when" => rule.when = conditions(document, document.table(&name, value)?)?,
            "source" => {
                source.sources = document.each(&name, &value, source_name)?;
                if source.sources.is_empty() {
                    return Err(wrong("expected at least one source, such as `fixture`".to_owned()));
                }
            }
            "fallback-on" => source.fallback_on = document.each(&name, &value, Fallback::parse)?,
            "split" => source.split = Some(split(document, document.table(&name, value)?)?),
            "headers" => live_headers(document, document.table(&name, value)?, &mut rule)?,
            "respond" => rule.respond = Some(respond(document, document.table(&name, value)?)?),
            "patch" => rule.patch = patches(document, &name, &value)?,
            "delay" => rule.delay = Some(delay(document, &name, &value)?),
            "rate" => rule.rate = Some(rate(&document.text(&name, &value)?).map_err(wrong)?),
            "fault" => rule.fault = Some(fault(document, &name, &value)?),
            "template" => rule.template = document.boolean(&name, &value)?,
            "shadow" => match document.text(&name, &value)?.as_str() {
                "live" => rule.shadow = true,
                _ => return Err(wrong("expected `live`".to_owned())),
            },
            "state" => rule.state = Some(state(document, document.table(&name, value)?, &at)?),
            _ => return Err(document.unknown("option of [[route]]", &name, at, KEYS, None)),
        }
    }
    if let Some(RespondPayload::Json(text) | RespondPayload::Text(text)) =
        rule.respond.as_ref().map(|respond| &respond.payload).filter(|_| rule.template)
    {
        template::check(text).map_err(|reason| {
            let hint = if text.contains("\\\"") { "; within `json` write 'x' for \"x\"" } else { "" };
            document.wrong("respond", span, format!("{reason}{hint}"))
        })?;
    }
    rule.source =
        (source.split.is_some() || !source.sources.is_empty() || !source.fallback_on.is_empty()).then_some(source);
    // The admin API can change the sources without the split.
    if let Some(SourceRule { split: Some(_), .. }) = &rule.source
        && !rule.source.iter().any(|rule| rule.sources().contains(&SourceName::Live) && rule.sources().len() > 1)
    {
        let reason = "`split` needs `live` and another source in `source`, or no `source`";
        return Err(document.wrong("route", span, reason));
    }
    match rule.conflict() {
        Some(reason) => Err(document.wrong("route", span, reason)),
        None => Ok(rule),
    }
}

/// Parses the name of a source.
fn source_name(text: &str) -> Result<SourceName, String> {
    let found = SourceName::NAMES.iter().find(|(name, _)| *name == text).map(|(_, source)| *source);
    found.ok_or_else(|| "expected fixture, live, local or none".to_owned())
}

fn split<'t>(document: &ConfigFile<'t>, table: Table<'t>) -> Result<Split, Error> {
    let mut split = Split { live_percent: 0.0, by: None };
    for TomlItem { name, at, value } in document.items(table) {
        match name.as_str() {
            "live" => {
                let share = document.json(value.get_ref()).as_f64().filter(|share| (0.0..=100.0).contains(share));
                let share =
                    share.ok_or_else(|| document.wrong(&name, &value.span(), "expected a percentage from 0 to 100"))?;
                split.live_percent = share;
            }
            "by" => split.by = Some(header_name(document, &name, &value)?),
            _ => return Err(document.unknown("option of `split`", &name, at, ["live", "by"], None)),
        }
    }
    Ok(split)
}

fn header_name(document: &ConfigFile<'_>, name: &str, value: &Value<'_>) -> Result<HeaderName, Error> {
    let text = document.text(name, value)?;
    HeaderName::from_str(&text).map_err(|_| document.wrong(name, &value.span(), "expected the name of a header"))
}

/// Reads credentials, whose values may be variables of the environment. Commands that send no request do not need them,
/// so that an unset one is noted.
fn live_headers<'t>(document: &ConfigFile<'t>, table: Table<'t>, rule: &mut RouteRule) -> Result<(), Error> {
    for TomlItem { name, at, value } in document.items(table) {
        let header =
            HeaderName::from_str(&name).map_err(|_| document.wrong(&name, &at, "expected the name of a header"))?;
        let wrong = |reason: String| document.wrong(&name, &value.span(), reason);
        let text = document.text(&name, &value)?;
        let text = match text.strip_prefix("env:") {
            Some(variable) => match std::env::var(variable) {
                Ok(text) => text,
                Err(_) => {
                    rule.unset_variables.push(variable.to_owned());
                    continue;
                }
            },
            None => text,
        };
        let mut parsed = HeaderValue::from_str(&text).map_err(|_| wrong("invalid value of a header".to_owned()))?;
        parsed.set_sensitive(true);
        rule.live_headers.push((header, parsed));
    }
    Ok(())
}

fn conditions<'t>(document: &ConfigFile<'t>, table: Table<'t>) -> Result<Conditions, Error> {
    let mut conditions = Conditions::default();
    let items = document.items(table);
    if let Some(rate) =
        items.iter().find(|item| item.name == "rate").filter(|_| items.iter().any(|item| item.name == "nth"))
    {
        return Err(document.wrong("rate", &rate.at, "`nth` and `rate` exclude each other"));
    }
    for TomlItem { name, at, value } in items {
        let span = value.span();
        match name.as_str() {
            "header" => {
                conditions.headers = tests(document, document.table(&name, value)?)?;
                if let Some((header, _)) =
                    conditions.headers.iter().find(|(header, _)| HeaderName::from_str(header).is_err())
                {
                    return Err(document.wrong(&name, &span, format!("`{header}` is not the name of a header")));
                }
            }
            "query" => conditions.query = tests(document, document.table(&name, value)?)?,
            "path" => conditions.path = tests(document, document.table(&name, value)?)?,
            "body" => conditions.body = body_tests(document, &name, value)?,
            "nth" => {
                let numbers: Option<Vec<u64>> = match document.json(value.get_ref()) {
                    Json::Array(numbers) => numbers.iter().map(Json::as_u64).collect(),
                    number => number.as_u64().map(|number| vec![number]),
                };
                let numbers = numbers.filter(|numbers| !numbers.is_empty() && !numbers.contains(&0));
                let numbers = numbers.ok_or_else(|| document.wrong(&name, &span, "expected numbers from 1 on"))?;
                conditions.occurrence = Some(Occurrence::Nth(numbers));
            }
            "rate" => {
                let rate = document.json(value.get_ref()).as_f64().filter(|rate| (0.0..=1.0).contains(rate));
                let rate =
                    rate.ok_or_else(|| document.wrong(&name, &span, "expected a share from 0 to 1, such as 0.1"))?;
                conditions.occurrence = Some(Occurrence::Rate(rate));
            }
            _ => return Err(document.unknown("option of `when`", &name, at, WHEN, None)),
        }
    }
    Ok(conditions)
}

/// Reads tests of a JSON payload, by JSON path.
pub(super) fn body_tests<'t>(
    document: &ConfigFile<'t>,
    name: &str,
    value: Value<'t>,
) -> Result<Vec<(JsonPath, ValueTest)>, Error> {
    let span = value.span();
    let each = tests(document, document.table(name, value)?)?.into_iter().map(|(path, test)| {
        let path = JsonPath::parse(&path).map_err(|error| document.wrong(name, &span, error.to_string()))?;
        Ok((path, test))
    });
    each.collect()
}

fn tests<'t>(document: &ConfigFile<'t>, table: Table<'t>) -> Result<Vec<(String, ValueTest)>, Error> {
    let each = document.items(table).into_iter().map(|TomlItem { name, value, .. }| {
        let test = match value.get_ref() {
            DeValue::Table(table) if table.is_empty() => {
                let reason = format!("expected a value, or a test such as {}", TESTS.join(", "));
                return Err(document.wrong(&name, &value.span(), reason));
            }
            DeValue::Table(_) => test(document, document.table(&name, value)?)?,
            other => ValueTest::Equals(document.json(other)),
        };
        Ok((name, test))
    });
    each.collect()
}

fn test<'t>(document: &ConfigFile<'t>, table: Table<'t>) -> Result<ValueTest, Error> {
    let mut all = Vec::new();
    for TomlItem { name, at, value } in document.items(table) {
        let json = document.json(value.get_ref());
        let number = || json.as_f64().ok_or_else(|| document.wrong(&name, &value.span(), "expected a number"));
        let text = || document.text(&name, &value);
        all.push(match name.as_str() {
            "gt" => ValueTest::GreaterThan(number()?),
            "gte" => ValueTest::AtLeast(number()?),
            "lt" => ValueTest::LessThan(number()?),
            "lte" => ValueTest::AtMost(number()?),
            "matches" => ValueTest::Matches(
                Regex::new(&text()?).map_err(|error| document.wrong(&name, &value.span(), error.to_string()))?,
            ),
            "contains" => ValueTest::Contains(text()?),
            "exists" => ValueTest::Exists(document.boolean(&name, &value)?),
            "equals" => ValueTest::Equals(json),
            _ => return Err(document.unknown("test of a value", &name, at, TESTS, None)),
        });
    }
    Ok(ValueTest::All(all))
}

fn state<'t>(document: &ConfigFile<'t>, table: Table<'t>, at: &std::ops::Range<usize>) -> Result<StateRule, Error> {
    let (mut collection, mut id, mut path) = (None, None, None);
    for TomlItem { name, at, value } in document.items(table) {
        let text = document.text(&name, &value)?;
        match name.as_str() {
            "collection" => collection = Some(text),
            "id" => match text.strip_prefix("$.").filter(|member| !member.is_empty() && !member.contains(['.', '['])) {
                Some(member) => id = Some(member.to_owned()),
                None => {
                    return Err(document.wrong(&name, &value.span(), "expected a member of the item, such as `$.id`"));
                }
            },
            "path" => {
                path = Some((
                    PathPattern::new(&text).map_err(|reason| document.wrong(&name, &value.span(), reason))?,
                    text,
                ))
            }
            _ => return Err(document.unknown("option of `state`", &name, at, ["collection", "id", "path"], None)),
        }
    }
    let wrong = |reason: &str| document.wrong("state", at, reason);
    let (path, text) = path.ok_or_else(|| wrong("`state` needs a `path`, such as `/orders/{id}`"))?;
    let (collection_path, last) = text.rsplit_once('/').unwrap_or_default();
    if !last.starts_with('{') || collection_path.contains('{') {
        return Err(wrong("the last segment of `path` alone must be variable, such as `/orders/{id}`"));
    }
    Ok(StateRule {
        collection: collection.unwrap_or_else(|| collection_path.trim_matches('/').to_owned()),
        id: id.ok_or_else(|| wrong("`state` needs an `id`, such as `$.id`"))?,
        path,
        collection_path: collection_path.to_owned(),
    })
}
