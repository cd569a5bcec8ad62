//! `[[route]]`: rules for the answers of `serve` and `replay`.

use std::str::FromStr as _;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, StatusCode};
use regex::Regex;
use serde_json::Value as Json;
use toml::de::DeValue;

use super::document::{ConfigFile, Error, Table, TomlItem, Value};
use crate::cli::args::values::{parse_duration, parse_size};
use crate::serve::condition::{Conditions, Occurrence, ValueTest};
use crate::serve::delay::Delay;
use crate::serve::fault::Fault;
use crate::serve::patch::PatchOperation;
use crate::serve::rule::{Fallback, Respond, RespondPayload, RouteRule, SourceName, SourceRule};
use crate::serve::state::StateRule;
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
    "shadow",
    "state",
];
const WHEN: [&str; 6] = ["header", "query", "path", "body", "nth", "rate"];
const RESPOND: [&str; 6] = ["status", "headers", "json", "text", "file", "example"];
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
            "name" => rule.id = document.text(&name, &value)?,
            "path" => rule.path = Some(PathPattern::new(&document.text(&name, &value)?).map_err(wrong)?),
            "when" => rule.when = conditions(document, document.table(&name, value)?)?,
            "source" => source.sources = document.each(&name, &value, source_name)?,
            "fallback-on" => source.fallback_on = document.each(&name, &value, fallback)?,
            "split" => split(document, document.table(&name, value)?, &mut source)?,
            "headers" => rule.live_headers = live_headers(document, document.table(&name, value)?)?,
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
    let has_split = source.live_share.is_some();
    if has_split && source.sources.is_empty() {
        source.sources = vec![SourceName::Live, SourceName::Fixture];
    }
    if !source.sources.is_empty() {
        rule.source = Some(source);
    } else if !source.fallback_on.is_empty() {
        return Err(document.wrong("fallback-on", span, "a rule with `fallback-on` needs `source`"));
    }
    Ok(rule)
}

/// Parses the name of a source.
pub fn source_name(text: &str) -> Result<SourceName, String> {
    let found = SourceName::NAMES.iter().find(|(name, _)| *name == text).map(|(_, source)| *source);
    found.ok_or_else(|| "expected fixture, live, local or none".to_owned())
}

fn fallback(text: &str) -> Result<Fallback, &'static str> {
    Ok(match text {
        "miss" => Fallback::Miss,
        "4xx" => Fallback::ClientError,
        "5xx" => Fallback::ServerError,
        "timeout" => Fallback::Timeout,
        "connect" => Fallback::Connect,
        status => match status.parse() {
            Ok(status @ 100..=599) => Fallback::Status(status),
            _ => return Err("expected miss, 4xx, 5xx, a status, timeout or connect"),
        },
    })
}

fn split<'t>(document: &ConfigFile<'t>, table: Table<'t>, source: &mut SourceRule) -> Result<(), Error> {
    for TomlItem { name, at, value } in document.items(table) {
        match name.as_str() {
            "live" => {
                let share = document.json(value.get_ref()).as_f64().filter(|share| (0.0..=100.0).contains(share));
                let share =
                    share.ok_or_else(|| document.wrong(&name, &value.span(), "expected a percentage from 0 to 100"))?;
                source.live_share = Some(share / 100.0);
            }
            "by" => source.split_by = Some(header_name(document, &name, &value)?),
            _ => return Err(document.unknown("option of `split`", &name, at, ["live", "by"], None)),
        }
    }
    Ok(())
}

fn header_name(document: &ConfigFile<'_>, name: &str, value: &Value<'_>) -> Result<HeaderName, Error> {
    let text = document.text(name, value)?;
    HeaderName::from_str(&text).map_err(|_| document.wrong(name, &value.span(), "expected the name of a header"))
}

fn headers<'t>(document: &ConfigFile<'t>, table: Table<'t>) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let each = document.items(table).into_iter().map(|TomlItem { name, at, value }| {
        let header =
            HeaderName::from_str(&name).map_err(|_| document.wrong(&name, &at, "expected the name of a header"))?;
        let text = document.text(&name, &value)?;
        let value = HeaderValue::from_str(&text)
            .map_err(|_| document.wrong(&name, &value.span(), "invalid value of a header"))?;
        Ok((header, value))
    });
    each.collect()
}

/// Reads credentials, whose values may be variables of the environment. One that is not set is an error.
fn live_headers<'t>(document: &ConfigFile<'t>, table: Table<'t>) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let each = document.items(table).into_iter().map(|TomlItem { name, at, value }| {
        let header =
            HeaderName::from_str(&name).map_err(|_| document.wrong(&name, &at, "expected the name of a header"))?;
        let wrong = |reason: String| document.wrong(&name, &value.span(), reason);
        let text = document.text(&name, &value)?;
        let text = match text.strip_prefix("env:") {
            Some(variable) => {
                std::env::var(variable).map_err(|_| wrong(format!("the variable `{variable}` is not set")))?
            }
            None => text,
        };
        let mut parsed = HeaderValue::from_str(&text).map_err(|_| wrong("invalid value of a header".to_owned()))?;
        parsed.set_sensitive(true);
        Ok((header, parsed))
    });
    each.collect()
}

fn conditions<'t>(document: &ConfigFile<'t>, table: Table<'t>) -> Result<Conditions, Error> {
    let mut conditions = Conditions::default();
    for TomlItem { name, at, value } in document.items(table) {
        let span = value.span();
        match name.as_str() {
            "header" => conditions.headers = tests(document, document.table(&name, value)?)?,
            "query" => conditions.query = tests(document, document.table(&name, value)?)?,
            "path" => conditions.path = tests(document, document.table(&name, value)?)?,
            "body" => {
                for (path, test) in tests(document, document.table(&name, value)?)? {
                    let path =
                        JsonPath::parse(&path).map_err(|error| document.wrong("body", &span, error.to_string()))?;
                    conditions.body.push((path, test));
                }
            }
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

fn tests<'t>(document: &ConfigFile<'t>, table: Table<'t>) -> Result<Vec<(String, ValueTest)>, Error> {
    let each = document.items(table).into_iter().map(|TomlItem { name, value, .. }| {
        let test = match value.get_ref() {
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

fn respond<'t>(document: &ConfigFile<'t>, table: Table<'t>) -> Result<Respond, Error> {
    let mut respond = Respond::default();
    for TomlItem { name, at, value } in document.items(table) {
        match name.as_str() {
            "status" => respond.status = Some(status(document, &name, &value)?),
            "headers" => respond.headers = headers(document, document.table(&name, value)?)?,
            "json" => respond.payload = RespondPayload::Json(document.json(value.get_ref()).to_string()),
            "text" => respond.payload = RespondPayload::Text(document.text(&name, &value)?),
            "example" => respond.payload = RespondPayload::Example(document.text(&name, &value)?),
            "file" => {
                let path = document.path(&document.text(&name, &value)?);
                let bytes = std::fs::read(&path)
                    .map_err(|error| document.wrong(&name, &value.span(), format!("{path}: {error}")))?;
                let content_type = match path.rsplit_once('.').map(|(_, ending)| ending) {
                    Some("json") => "application/json",
                    Some("html") => "text/html; charset=utf-8",
                    Some("txt") => "text/plain; charset=utf-8",
                    Some("xml") => "application/xml",
                    _ => "application/octet-stream",
                };
                respond.payload = RespondPayload::File { bytes: bytes.into(), content_type: content_type.to_owned() };
            }
            _ => return Err(document.unknown("option of `respond`", &name, at, RESPOND, None)),
        }
    }
    Ok(respond)
}

fn status(document: &ConfigFile<'_>, name: &str, value: &Value<'_>) -> Result<StatusCode, Error> {
    let number = document.json(value.get_ref()).as_u64().and_then(|number| u16::try_from(number).ok());
    let status =
        number.filter(|number| (200..600).contains(number)).and_then(|number| StatusCode::from_u16(number).ok());
    status.ok_or_else(|| document.wrong(name, &value.span(), "expected a status from 200 to 599"))
}

fn patches<'t>(document: &ConfigFile<'t>, name: &str, value: &Value<'t>) -> Result<Vec<PatchOperation>, Error> {
    document.list(value).into_iter().map(|item| patch(document, name, item)).collect()
}

fn patch(document: &ConfigFile<'_>, name: &str, item: &Value<'_>) -> Result<PatchOperation, Error> {
    let json = document.json(item.get_ref());
    let wrong = |reason: &str| document.wrong(name, &item.span(), reason);
    let text = |member: &str| json.get(member).and_then(Json::as_str);
    let path = || {
        let text = text("path").ok_or_else(|| wrong("the operation needs a `path`, such as `$.items[0].price`"))?;
        JsonPath::parse(text).map_err(|error| wrong(&error.to_string()))
    };
    let value = || json.get("value").cloned().ok_or_else(|| wrong("the operation needs a `value`"));
    let header = || {
        text("name")
            .and_then(|name| HeaderName::from_str(name).ok())
            .ok_or_else(|| wrong("the operation needs the `name` of a header"))
    };
    Ok(match text("op") {
        Some("replace") => PatchOperation::Replace { path: path()?, value: value()? },
        Some("add") => PatchOperation::Add { path: path()?, name: text("name").map(str::to_owned), value: value()? },
        Some("remove") => PatchOperation::Remove { path: path()? },
        Some("header") => {
            let value = text("value").and_then(|value| HeaderValue::from_str(value).ok());
            PatchOperation::SetHeader {
                name: header()?,
                value: value.ok_or_else(|| wrong("the operation needs a `value`"))?,
            }
        }
        Some("remove-header") => PatchOperation::RemoveHeader { name: header()? },
        Some("status") => {
            let status = value()?.as_u64().and_then(|status| u16::try_from(status).ok());
            let status = status.and_then(|status| StatusCode::from_u16(status).ok());
            PatchOperation::Status(status.ok_or_else(|| wrong("`value` must be a status"))?)
        }
        _ => return Err(wrong("expected `op` = replace, add, remove, header, remove-header or status")),
    })
}

fn delay(document: &ConfigFile<'_>, name: &str, value: &Value<'_>) -> Result<Delay, Error> {
    let wrong = |reason: String| document.wrong(name, &value.span(), reason);
    match document.json(value.get_ref()) {
        Json::String(text) => parse_delay(&text).map_err(wrong),
        Json::Object(range) => {
            let limit = |member: &str| {
                let text = range.get(member).and_then(Json::as_str);
                let text = text.ok_or_else(|| wrong(format!("a range needs `{member}`, such as `\"100ms\"`")))?;
                parse_duration(text).map_err(wrong)
            };
            let (min, max) = (limit("min")?, limit("max")?);
            if min > max {
                return Err(wrong("`min` is greater than `max`".to_owned()));
            }
            Ok(Delay::Range { min, max, seed: range.get("seed").and_then(Json::as_u64).unwrap_or_default() })
        }
        _ => Err(wrong("expected a duration, `recorded`, or `{ min, max, seed }`".to_owned())),
    }
}

/// Parses a duration or `recorded`.
pub fn parse_delay(text: &str) -> Result<Delay, String> {
    if text == "recorded" { Ok(Delay::Recorded) } else { parse_duration(text).map(Delay::Fixed) }
}

/// Parses `64KiB/s`.
fn rate(text: &str) -> Result<u64, String> {
    let rate = text.strip_suffix("/s").map(parse_size).transpose()?.filter(|rate| *rate > 0);
    rate.ok_or_else(|| "expected bytes in a second, such as `64KiB/s`".to_owned())
}

fn fault(document: &ConfigFile<'_>, name: &str, value: &Value<'_>) -> Result<Fault, Error> {
    parse_fault(&document.json(value.get_ref())).map_err(|reason| document.wrong(name, &value.span(), reason))
}

/// Parses a fault: its kind, or an object with its kind and its settings.
pub fn parse_fault(json: &Json) -> Result<Fault, String> {
    let kind = json.as_str().or_else(|| json.get("kind")?.as_str());
    let number = |member: &str| json.get(member).and_then(Json::as_u64);
    Ok(match kind {
        Some("status") => {
            let status = number("status").and_then(|status| u16::try_from(status).ok());
            let status = status
                .filter(|status| (400..600).contains(status))
                .and_then(|status| StatusCode::from_u16(status).ok());
            let retry_after = match json.get("retry-after") {
                None => None,
                Some(Json::String(text)) => Some(parse_duration(text)?),
                Some(other) => Some(Duration::from_secs(other.as_u64().ok_or("`retry-after` must be a duration")?)),
            };
            Fault::Status { status: status.ok_or("`status` must be from 400 to 599")?, retry_after }
        }
        Some("timeout") => Fault::Timeout,
        Some("reset") => Fault::Reset,
        Some("empty") => Fault::Empty,
        Some("truncate") => Fault::Truncate,
        Some("malformed-json") => Fault::MalformedJson,
        Some("empty-set") => Fault::EmptySet,
        Some("slow") => match json.get("rate") {
            None => Fault::Slow(1024),
            Some(Json::String(text)) => Fault::Slow(rate(text)?),
            Some(_) => return Err("`rate` must be bytes in a second, such as `1KiB/s`".to_owned()),
        },
        _ => return Err(format!("expected a `kind` of {}", Fault::KINDS.join(", "))),
    })
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
