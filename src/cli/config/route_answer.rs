//! `respond`, `patch`, `delay`, `rate` and `fault` of `[[route]]`.

use std::str::FromStr as _;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value as Json;

use super::document::{ConfigFile, Error, Table, TomlItem, Value};
use crate::cli::args::values::{parse_duration, parse_size};
use crate::serve::delay::Delay;
use crate::serve::fault::Fault;
use crate::serve::patch::PatchOperation;
use crate::serve::rule::{Respond, RespondPayload};
use harproxy_json::JsonPath;

/// The longest `retry-after`: a year.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(31_536_000);
const RETRY_AFTER: &str = "`retry-after` must be a duration of at most a year";
const PAYLOADS: [&str; 4] = ["json", "text", "file", "example"];
const RESPOND: [&str; 6] = ["status", "headers", "json", "text", "file", "example"];

pub(super) fn respond<'t>(document: &ConfigFile<'t>, table: Table<'t>) -> Result<Respond, Error> {
    let mut respond = Respond::default();
    let items = document.items(table);
    let mut payloads = items.iter().filter(|item| PAYLOADS.contains(&item.name.as_str()));
    if let (Some(first), Some(second)) = (payloads.next(), payloads.next()) {
        let reason = format!("`{}` and `{}` exclude each other: both are the payload", first.name, second.name);
        return Err(document.wrong(&second.name, &second.at, reason));
    }
    for TomlItem { name, at, value } in items {
        match name.as_str() {
            "status" => respond.status = Some(status(document, &name, &value)?),
            "headers" => respond.headers = headers(document, document.table(&name, value)?)?,
            "json" => respond.payload = RespondPayload::Json(document.json(value.get_ref()).to_string()),
            "text" => respond.payload = RespondPayload::Text(document.text(&name, &value)?),
            "example" => respond.payload = RespondPayload::Example(document.text(&name, &value)?),
            "file" => {
                let given = document.text(&name, &value)?;
                document.check_inside("respond.file", &given, &value.span())?;
                let path = document.path(&given);
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

pub(super) fn patches<'t>(
    document: &ConfigFile<'t>,
    name: &str,
    value: &Value<'t>,
) -> Result<Vec<PatchOperation>, Error> {
    document.list(value).into_iter().map(|item| patch(document, name, item)).collect()
}

fn patch(document: &ConfigFile<'_>, name: &str, item: &Value<'_>) -> Result<PatchOperation, Error> {
    let json = document.json(item.get_ref());
    let wrong = |reason: &str| document.wrong(name, &item.span(), reason);
    let text = |member: &str| json.get(member).and_then(Json::as_str);
    if let Json::Object(members) = &json {
        let known: &[&str] = match text("op") {
            Some("replace") => &["op", "path", "value"],
            Some("add") => &["op", "path", "value", "name"],
            Some("remove") => &["op", "path"],
            Some("header") => &["op", "name", "value"],
            Some("remove-header") => &["op", "name"],
            Some("status") => &["op", "value"],
            _ => &["op", "path", "value", "name"],
        };
        known_members(members, known).map_err(|reason| wrong(&reason))?;
    }
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
        Some("add") => match text("name") {
            Some(name) => PatchOperation::AddMember { path: path()?, name: name.to_owned(), value: value()? },
            None => {
                PatchOperation::Push { path: path()?, value: value()?, member: text("path").and_then(split_member) }
            }
        },
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
            let status = status
                .filter(|status| (200..600).contains(status))
                .and_then(|status| StatusCode::from_u16(status).ok());
            PatchOperation::Status(status.ok_or_else(|| wrong("`value` must be a status from 200 to 599"))?)
        }
        _ => return Err(wrong("expected `op` = replace, add, remove, header, remove-header or status")),
    })
}

/// Splits a path into the objects and the name of a member, as in `$.order.stock` and `$.order['in stock']`.
fn split_member(path: &str) -> Option<(JsonPath, String)> {
    let bracketed = |quote: char| {
        let inner = path.strip_suffix(']')?.strip_suffix(quote)?;
        inner.rsplit_once(&format!("[{quote}")).filter(|(_, name)| !name.contains(['\\', quote]))
    };
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let dotted = || path.rsplit_once('.').filter(|(_, name)| is_name(name));
    let (parent, name) = bracketed('\'').or_else(|| bracketed('"')).or_else(dotted)?;
    Some((JsonPath::parse(parent).ok()?, name.to_owned()))
}

pub(super) fn delay(document: &ConfigFile<'_>, name: &str, value: &Value<'_>) -> Result<Delay, Error> {
    let wrong = |reason: String| document.wrong(name, &value.span(), reason);
    match document.json(value.get_ref()) {
        Json::String(text) => parse_delay(&text).map_err(wrong),
        Json::Object(range) => {
            known_members(&range, &["min", "max", "seed"]).map_err(wrong)?;
            let limit = |member: &str| {
                let text = range.get(member).and_then(Json::as_str);
                let text = text.ok_or_else(|| wrong(format!("a range needs `{member}`, such as `\"100ms\"`")))?;
                parse_duration(text).map_err(wrong)
            };
            let (min, max) = (limit("min")?, limit("max")?);
            if min > max {
                return Err(wrong("`min` is greater than `max`".to_owned()));
            }
            let seed = match range.get("seed") {
                None => 0,
                Some(seed) => seed.as_u64().ok_or_else(|| wrong("`seed` must be a positive integer".to_owned()))?,
            };
            Ok(Delay::Range { min, max, seed })
        }
        _ => Err(wrong("expected a duration, `recorded`, or `{ min, max, seed }`".to_owned())),
    }
}

/// Checks that a table has no other members.
fn known_members(members: &serde_json::Map<String, Json>, known: &[&str]) -> Result<(), String> {
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(format!("unknown option `{name}`; known are {}", known.join(", "))),
    }
}

/// Parses a duration or `recorded`.
fn parse_delay(text: &str) -> Result<Delay, String> {
    if text == "recorded" { Ok(Delay::Recorded) } else { parse_duration(text).map(Delay::Fixed) }
}

/// Parses `64KiB/s`.
pub(super) fn rate(text: &str) -> Result<u64, String> {
    let rate = text.strip_suffix("/s").map(parse_size).transpose()?.filter(|rate| *rate > 0);
    rate.ok_or_else(|| "expected bytes in a second, such as `64KiB/s`".to_owned())
}

pub(super) fn fault(document: &ConfigFile<'_>, name: &str, value: &Value<'_>) -> Result<Fault, Error> {
    parse_fault(&document.json(value.get_ref())).map_err(|reason| document.wrong(name, &value.span(), reason))
}

/// Parses a fault: its kind, or an object with its kind and its settings.
fn parse_fault(json: &Json) -> Result<Fault, String> {
    let kind = json.as_str().or_else(|| json.get("kind")?.as_str());
    if let Json::Object(members) = json {
        let known: &[&str] = match kind {
            Some("status") => &["kind", "status", "retry-after"],
            Some("slow") => &["kind", "rate"],
            _ => &["kind"],
        };
        known_members(members, known)?;
    }
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
                Some(other) => Some(Duration::from_secs(other.as_u64().ok_or(RETRY_AFTER)?)),
            };
            if retry_after.is_some_and(|wait| wait > LONGEST_RETRY_AFTER) {
                return Err(RETRY_AFTER.to_owned());
            }
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
