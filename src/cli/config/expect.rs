//! `[[expect]]`: the requests that a run must send.

use serde_json::Value as Json;
use toml::de::DeValue;

use super::document::{ConfigFile, Error, Table, TomlItem, Value};
use super::route::body_tests;
use crate::serve::expect::{Expectation, Times};
use harproxy_matching::RequestPattern;

pub(super) const KEYS: [&str; 4] = ["match", "times", "body", "before"];

pub(super) fn expectations<'t>(document: &ConfigFile<'t>, value: Value<'t>) -> Result<Vec<Expectation>, Error> {
    let span = value.span();
    let DeValue::Array(tables) = value.into_inner() else {
        return Err(document.wrong("expect", &span, "expected a list of requests, each under `[[expect]]`"));
    };
    let one = |value: Value<'t>| {
        let span = value.span();
        expectation(document, document.table("[expect]", value)?, &span)
    };
    tables.into_iter().map(one).collect()
}

fn expectation<'t>(
    document: &ConfigFile<'t>,
    table: Table<'t>,
    span: &std::ops::Range<usize>,
) -> Result<Expectation, Error> {
    let (mut pattern, mut times, mut body, mut before) = (None, Times::AT_LEAST_ONCE, Vec::new(), None);
    for TomlItem { name, at, value } in document.items(table) {
        let wrong = |reason: String| document.wrong(&name, &value.span(), reason);
        match name.as_str() {
            "match" => pattern = Some(RequestPattern::parse(&document.text(&name, &value)?).map_err(wrong)?),
            "before" => before = Some(RequestPattern::parse(&document.text(&name, &value)?).map_err(wrong)?),
            "times" => times = number(&document.json(value.get_ref())).map_err(wrong)?,
            "body" => body = body_tests(document, &name, value)?,
            _ => return Err(document.unknown("option of [[expect]]", &name, at, KEYS, None)),
        }
    }
    let pattern = pattern
        .ok_or_else(|| document.wrong("expect", span, "an expectation needs `match`, such as `POST **/orders`"))?;
    Ok(Expectation { pattern, times, body, before })
}

/// Reads `1`, `"never"`, `"1..3"` or `{ min = 1, max = 3 }`.
fn number(json: &Json) -> Result<Times, String> {
    const EXPECTED: &str = "expected a number, `\"never\"`, or `{ min = 1, max = 3 }`";
    match json {
        Json::String(text) => Times::parse(text).map_err(str::to_owned),
        Json::Number(number) => number.as_u64().map(Times::exactly).ok_or_else(|| EXPECTED.to_owned()),
        Json::Object(range) if range.keys().all(|key| ["min", "max"].contains(&key.as_str())) => {
            let limit = |name: &str| match range.get(name) {
                None => Ok(None),
                Some(value) => value.as_u64().map(Some).ok_or_else(|| EXPECTED.to_owned()),
            };
            let (min, max) = (limit("min")?.unwrap_or_default(), limit("max")?);
            if range.is_empty() {
                return Err(EXPECTED.to_owned());
            }
            if max.is_some_and(|max| max < min) {
                return Err("`max` is less than `min`".to_owned());
            }
            Ok(Times { min, max })
        }
        _ => Err(EXPECTED.to_owned()),
    }
}
