//! The canonical form of an entry: members in a fixed order, grouped lower-case header names, stable numbers, and
//! derived lists (cookies, query string).

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Number, Value, json};

use crate::model::{Body, Entry, LAYOUT, Request, Response, Storage, Timings, Truncated};
use harproxy_http::{Headers, cookies, headers::to_chars};
use harproxy_json::text::{is_name, quote, unquote};
use harproxy_json::{LineRules, Spacing, TextMember, TextValue};

type Object = Map<String, Value>;

/// The order of the members of `log` before `entries`. Other members follow in their original order.
const LOG: &str = "version creator browser pages comment _harproxy";
/// The order of the members of an entry and its parts. Other members follow in their original order.
const ENTRY: &str = "pageref startedDateTime time request response cache timings serverIPAddress connection comment \
    _harproxy";
const REQUEST: &str = "method url httpVersion cookies headers queryString postData headersSize bodySize comment";
const RESPONSE: &str = "status statusText httpVersion cookies headers content redirectURL headersSize bodySize comment \
    _trailers";
const BODY: &str = "size compression mimeType params text encoding _file comment _compact _encoded _truncated";
const TIMINGS: &str = "blocked dns connect ssl send wait receive comment";
const HEADER: &str = "name value comment";
/// Members that continue the line of the one before them, if that is this one.
const LINES: [(&str, &str); 8] = [
    ("startedDateTime", "time"),
    ("method", "url"),
    ("url", "httpVersion"),
    ("status", "statusText"),
    ("statusText", "httpVersion"),
    ("redirectURL", "headersSize"),
    ("headersSize", "bodySize"),
    ("serverIPAddress", "connection"),
];
/// Objects with more members are written over several lines.
const MAX_ON_LINE: usize = 10;

/// A member with a constant name.
macro_rules! member {
    ($name:literal, $value:expr) => {
        (Cow::Borrowed(concat!("\"", $name, "\"")), TextValue::from($value))
    };
}

/// The lines of layout 2.
struct Layout2Lines;

impl LineRules for Layout2Lines {
    /// Small objects of scalars: headers, cookies, parameters, `timings`. A payload inside the HAR has its own line.
    fn is_on_one_line(&self, members: &[TextMember<'_>]) -> bool {
        let is_small = |(name, value): &TextMember<'_>| match value {
            TextValue::Scalar(text) => text == "\"\"" || !is_name(name, "text"),
            _ => false,
        };
        members.len() <= MAX_ON_LINE && members.iter().all(is_small)
    }

    fn shares_line(&self, (before, first): &TextMember<'_>, (name, second): &TextMember<'_>) -> bool {
        let are_scalars = matches!((first, second), (TextValue::Scalar(_), TextValue::Scalar(_)));
        are_scalars && LINES.iter().any(|pair| is_name(before, pair.0) && is_name(name, pair.1))
    }
}

/// The text of a part of a HAR. Every line but the first gets `margin` spaces more.
pub(crate) fn text(part: &TextValue<'_>, margin: usize) -> String {
    part.indented(margin, &Layout2Lines)
}

/// The canonical JSON of an entry.
pub(crate) fn entry(entry: &Entry) -> TextValue<'static> {
    let mut out = Vec::with_capacity(11);
    out.push(member!("startedDateTime", &*entry.started));
    out.push(member!("time", millis(entry.time)));
    out.push(member!("request", request(&entry.request)));
    out.push(member!("response", response(&entry.response)));
    out.push(member!("cache", TextValue::Object(Vec::new())));
    out.push(member!("timings", timings(&entry.timings)));
    out.extend(entry.server_ip.as_deref().map(|ip| member!("serverIPAddress", ip)));
    out.extend(entry.connection.as_deref().map(|connection| member!("connection", connection)));
    out.extend(entry.harproxy.clone().map(|own| member!("_harproxy", Value::Object(own))));
    let mut node = with_extras(out, &entry.extras);
    arrange(&mut node);
    node
}

/// Sorts the members of an entry of any tool and groups its headers. Values stay unchanged, except for the case of
/// header names.
pub(crate) fn arrange(entry: &mut TextValue<'_>) {
    reorder(entry, ENTRY);
    for (name, order) in [("request", REQUEST), ("response", RESPONSE), ("timings", TIMINGS)] {
        for part in entry.values_mut(name) {
            reorder(part, order);
            for name in ["headers", "_trailers"] {
                part.values_mut(name).for_each(group_headers);
            }
            for name in ["content", "postData"] {
                part.values_mut(name).for_each(|body| reorder(body, BODY));
            }
        }
    }
}

/// The `_file` members of an entry's payloads.
pub(crate) fn files_mut<'n, 'a>(entry: &'n mut TextValue<'a>) -> Vec<&'n mut TextValue<'a>> {
    bodies_mut(entry).into_iter().flat_map(|body| body.values_mut("_file")).collect()
}

/// `postData` and `content` of an entry.
pub(crate) fn bodies_mut<'n, 'a>(entry: &'n mut TextValue<'a>) -> Vec<&'n mut TextValue<'a>> {
    let TextValue::Object(members) = entry else { return Vec::new() };
    let parts = members.iter_mut().filter_map(|(name, part)| {
        let body = [("request", "postData"), ("response", "content")].into_iter().find(|(part, _)| is_name(name, part));
        body.map(|(_, body)| (part, body))
    });
    parts.flat_map(|(part, body)| part.values_mut(body)).collect()
}

/// Sorts the members of `log` except `entries`, and states the layout in a fixture of harproxy.
pub(crate) fn arrange_log(members: &mut [TextMember<'_>]) {
    sort(members, LOG);
    for (_, own) in members.iter_mut().filter(|(name, _)| is_name(name, "_harproxy")) {
        if let TextValue::Object(own) = own {
            own.retain(|(name, _)| !is_name(name, "format") && !is_name(name, "version"));
            own.insert(0, member!("version", Value::from(LAYOUT)));
        }
    }
}

fn reorder(node: &mut TextValue<'_>, order: &str) {
    if let TextValue::Object(members) = node {
        sort(members, order);
    }
}

/// Sorts members by the names in `order`, which spaces separate.
fn sort(members: &mut [TextMember<'_>], order: &str) {
    let rank = |name: &str| order.split(' ').position(|known| is_name(name, known)).unwrap_or(usize::MAX);
    if !members.is_sorted_by_key(|(name, _)| rank(name)) {
        members.sort_by_key(|(name, _)| rank(name));
    }
}

/// Converts header names to lower case, and moves repeated names behind their first occurrence.
fn group_headers(list: &mut TextValue<'_>) {
    let TextValue::Array(list) = list else { return };
    for field in &mut *list {
        reorder(field, HEADER);
        for name in field.values_mut("name") {
            if let TextValue::Scalar(text) = name
                && text.bytes().any(|byte| byte.is_ascii_uppercase())
                && let Some(name) = unquote(text).map(|name| name.to_ascii_lowercase())
            {
                *text = quote(&name).into();
            }
        }
    }
    let names: Vec<_> =
        list.iter().map(|field| field.get("name").and_then(TextValue::as_str).unwrap_or_default()).collect();
    let firsts = first_indexes(&names);
    if !firsts.is_sorted() {
        let mut indexed: Vec<_> = firsts.into_iter().zip(std::mem::take(list)).collect();
        indexed.sort_by_key(|(first, _)| *first);
        list.extend(indexed.into_iter().map(|(_, field)| field));
    }
}

/// For each name, the index of its first occurrence.
fn first_indexes(names: &[Cow<'_, str>]) -> Vec<usize> {
    let mut firsts: HashMap<&str, usize> = HashMap::new();
    names.iter().enumerate().map(|(at, name)| *firsts.entry(name).or_insert(at)).collect()
}

/// `request.queryString`: the decoded names and values of the query.
pub(crate) fn query_string(url: &str) -> Vec<Value> {
    query(url).map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

fn query(url: &str) -> url::form_urlencoded::Parse<'_> {
    let url = url.split('#').next().unwrap_or_default();
    let query = url.split_once('?').map_or("", |(_, query)| query);
    url::form_urlencoded::parse(query.as_bytes())
}

fn request(request: &Request) -> TextValue<'static> {
    let mut out = Vec::with_capacity(10);
    out.push(member!("method", &*request.method));
    out.push(member!("url", &*request.url));
    out.push(member!("httpVersion", &*request.http_version));
    out.push(member!("cookies", values(cookies::request_cookies(&request.headers))));
    out.push(member!("headers", headers(&request.headers)));
    out.push(member!(
        "queryString",
        TextValue::Array(query(&request.url).map(|(name, value)| pair(&name, &value)).collect())
    ));
    out.extend(request.post_data.as_ref().map(|body| member!("postData", post_data(body))));
    out.push(member!("headersSize", Value::from(request.headers_size)));
    out.push(member!("bodySize", Value::from(request.body_size)));
    with_extras(out, &request.extras)
}

fn response(response: &Response) -> TextValue<'static> {
    let mut out = Vec::with_capacity(10);
    out.push(member!("status", Value::from(response.status)));
    out.push(member!("statusText", &*response.status_text));
    out.push(member!("httpVersion", &*response.http_version));
    out.push(member!("cookies", values(cookies::response_cookies(&response.headers))));
    out.push(member!("headers", headers(&response.headers)));
    out.push(member!("content", content(&response.content)));
    out.push(member!("redirectURL", &*response.redirect_url));
    out.push(member!("headersSize", Value::from(response.headers_size)));
    out.push(member!("bodySize", Value::from(response.body_size)));
    if !response.trailers.is_empty() {
        out.push(member!("_trailers", headers(&response.trailers)));
    }
    with_extras(out, &response.extras)
}

fn content(body: &Body) -> TextValue<'static> {
    let unknown = if body.stored == Storage::Nowhere { 0 } else { -1 };
    body_members(vec![member!("size", Value::from(body.size.unwrap_or(unknown)))], body)
}

/// `postData` has a `text` even if the payload is in a file, because HAR 1.2 requires it.
fn post_data(body: &Body) -> TextValue<'static> {
    let is_outside = matches!(body.stored, Storage::Nowhere | Storage::File(_));
    body_members(Vec::from_iter(is_outside.then(|| member!("text", ""))), body)
}

fn body_members(mut out: Vec<TextMember<'static>>, body: &Body) -> TextValue<'static> {
    out.push(member!("mimeType", &*body.mime_type));
    match &body.stored {
        Storage::Nowhere => {}
        Storage::Text(text) => out.push(member!("text", &**text)),
        Storage::Base64(text) => {
            out.push(member!("text", &**text));
            out.push(member!("encoding", "base64"));
        }
        Storage::File(file) => out.push(member!("_file", &**file)),
    }
    out.extend(body.compact.map(|spacing| match spacing {
        Spacing::Compact => member!("_compact", Value::from(true)),
        Spacing::Spaced => member!("_compact", "spaced"),
    }));
    out.extend(body.encoded.then(|| member!("_encoded", Value::from(true))));
    out.extend(body.truncated.as_ref().map(|cut| member!("_truncated", truncated(cut))));
    with_extras(out, &body.extras)
}

fn truncated(truncated: &Truncated) -> TextValue<'static> {
    let mut out = vec![member!("reason", &*truncated.reason), member!("kept", Value::from(truncated.kept))];
    out.extend(truncated.total.map(|total| member!("total", Value::from(total))));
    TextValue::Object(out)
}

fn headers(headers: &Headers) -> TextValue<'static> {
    TextValue::Array(headers.iter().map(|field| pair(&field.name, &to_chars(&field.value))).collect())
}

fn pair(name: &str, value: &str) -> TextValue<'static> {
    TextValue::Object(vec![member!("name", name), member!("value", value)])
}

fn values(list: Vec<Value>) -> TextValue<'static> {
    TextValue::Array(list.into_iter().map(TextValue::from).collect())
}

/// Unknown phases are -1, except `send`, `wait` and `receive`, which HAR 1.2 requires: they are 0.
fn timings(timings: &Timings) -> TextValue<'static> {
    let optional = |phase: Option<f64>| phase.map_or(Value::from(-1), millis);
    let always = |phase: Option<f64>| millis(phase.unwrap_or_default());
    TextValue::Object(vec![
        member!("blocked", optional(timings.blocked)),
        member!("dns", optional(timings.dns)),
        member!("connect", optional(timings.connect)),
        member!("ssl", optional(timings.ssl)),
        member!("send", always(timings.send)),
        member!("wait", always(timings.wait)),
        member!("receive", always(timings.receive)),
    ])
}

/// Milliseconds with at most three decimals, and none for whole numbers.
fn millis(ms: f64) -> Value {
    let rounded = (ms * 1000.0).round() / 1000.0;
    #[expect(clippy::cast_possible_truncation, reason = "integral and below 2^53")]
    let whole = (rounded.fract() == 0.0 && rounded.abs() < 9e15).then_some(rounded as i64);
    match whole {
        Some(whole) => whole.into(),
        None => Number::from_f64(rounded).map_or(json!(-1), Value::Number),
    }
}

/// Adds the members of other tools. They replace derived lists that were different.
fn with_extras(members: Vec<TextMember<'static>>, extras: &Object) -> TextValue<'static> {
    let mut object = TextValue::Object(members);
    for (name, value) in extras {
        object.set(name, TextValue::from(value.clone()));
    }
    object
}
