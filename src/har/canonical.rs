//! The canonical form of an entry: members in a fixed order, header names in lower case and together, numbers that are
//! stable, what can be derived derived.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Number, Value, json};

use super::model::{Body, Entry, Request, Response, Stored, Timings, Truncated};
use super::raw::{Member, Node, is_named, unquoted};
use crate::http::{Headers, cookies, headers::to_chars};

type Object = Map<String, Value>;

/// The members of `log` that stand before `entries`: in this order, then any other as it came.
const LOG: &[&str] = &["version", "creator", "browser", "pages", "comment", "_harproxy"];
/// Members of an entry and its parts in this order, then any other as it came.
const ENTRY: &[&str] = &[
    "pageref",
    "startedDateTime",
    "time",
    "request",
    "response",
    "cache",
    "timings",
    "serverIPAddress",
    "connection",
    "comment",
    "_harproxy",
];
const REQUEST: &[&str] = &[
    "method",
    "url",
    "httpVersion",
    "cookies",
    "headers",
    "queryString",
    "postData",
    "headersSize",
    "bodySize",
    "comment",
];
const RESPONSE: &[&str] = &[
    "status",
    "statusText",
    "httpVersion",
    "cookies",
    "headers",
    "content",
    "redirectURL",
    "headersSize",
    "bodySize",
    "comment",
    "_trailers",
];
const BODY: &[&str] = &[
    "size",
    "compression",
    "mimeType",
    "params",
    "text",
    "encoding",
    "_file",
    "comment",
    "_compact",
    "_encoded",
    "_truncated",
];
const TIMINGS: &[&str] = &["blocked", "dns", "connect", "ssl", "send", "wait", "receive", "comment"];
const HEADER: &[&str] = &["name", "value", "comment"];

/// The JSON of an entry as it stands in `log.entries`.
pub(super) fn entry(entry: &Entry) -> Node<'static> {
    let mut out = Object::new();
    put(&mut out, "startedDateTime", &*entry.started);
    put(&mut out, "time", millis(entry.time));
    put(&mut out, "request", request(&entry.request));
    put(&mut out, "response", response(&entry.response));
    put(&mut out, "cache", json!({}));
    put(&mut out, "timings", timings(&entry.timings));
    put_some(&mut out, "serverIPAddress", entry.server_ip.as_deref());
    put_some(&mut out, "connection", entry.connection.as_deref());
    put_some(&mut out, "_harproxy", entry.harproxy.clone());
    add_extras(&mut out, &entry.extras);
    let mut node = Node::from(Value::Object(out));
    arrange(&mut node);
    node
}

/// Puts the members of an entry, whoever wrote it, in their order, and its headers in canonical form. No value changes but
/// the case of header names.
pub(super) fn arrange(entry: &mut Node<'_>) {
    reorder(entry, ENTRY);
    for (name, order) in [("request", REQUEST), ("response", RESPONSE), ("timings", TIMINGS)] {
        for part in entry.all_mut(name) {
            reorder(part, order);
            for name in ["headers", "_trailers"] {
                part.all_mut(name).for_each(group);
            }
            for name in ["content", "postData"] {
                part.all_mut(name).for_each(|body| reorder(body, BODY));
            }
        }
    }
}

/// The `_file` members of an entry's payloads.
pub(super) fn files_mut<'n, 'a>(entry: &'n mut Node<'a>) -> Vec<&'n mut Node<'a>> {
    bodies_mut(entry).into_iter().flat_map(|body| body.all_mut("_file")).collect()
}

/// `postData` and `content` of an entry.
pub(super) fn bodies_mut<'n, 'a>(entry: &'n mut Node<'a>) -> Vec<&'n mut Node<'a>> {
    let Node::Object(members) = entry else { return Vec::new() };
    let parts = members.iter_mut().filter_map(|(name, part)| {
        let body =
            [("request", "postData"), ("response", "content")].into_iter().find(|(part, _)| is_named(name, part));
        body.map(|(_, body)| (part, body))
    });
    parts.flat_map(|(part, body)| part.all_mut(body)).collect()
}

/// Puts the members of `log` but `entries` in their order.
pub(super) fn arrange_log(members: &mut [Member<'_>]) {
    sort(members, LOG);
}

fn reorder(node: &mut Node<'_>, order: &[&str]) {
    if let Node::Object(members) = node {
        sort(members, order);
    }
}

fn sort(members: &mut [Member<'_>], order: &[&str]) {
    let rank = |name: &str| order.iter().position(|known| is_named(name, known)).unwrap_or(order.len());
    if !members.is_sorted_by_key(|(name, _)| rank(name)) {
        members.sort_by_key(|(name, _)| rank(name));
    }
}

/// Header names in lower case in order of first appearance, every value of a repeated name behind its first.
fn group(list: &mut Node<'_>) {
    let Node::Array(list) = list else { return };
    for field in &mut *list {
        reorder(field, HEADER);
        for name in field.all_mut("name") {
            if let Node::Leaf(text) = name
                && text.bytes().any(|byte| byte.is_ascii_uppercase())
                && let Some(name) = unquoted(text).map(|name| name.to_ascii_lowercase())
            {
                *text = super::raw::quoted(&name).into();
            }
        }
    }
    let mut firsts: HashMap<Cow<'_, str>, usize> = HashMap::new();
    let names = list.iter().map(|field| field.get("name").and_then(Node::as_text).unwrap_or_default());
    let places: Vec<usize> = names.enumerate().map(|(at, name)| *firsts.entry(name).or_insert(at)).collect();
    if !places.is_sorted() {
        let mut placed: Vec<_> = places.into_iter().zip(std::mem::take(list)).collect();
        placed.sort_by_key(|(place, _)| *place);
        list.extend(placed.into_iter().map(|(_, field)| field));
    }
}

/// `request.queryString`: names and values of the URL's query, decoded.
pub(super) fn query_string(url: &str) -> Vec<Value> {
    let url = url.split('#').next().unwrap_or_default();
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

fn request(request: &Request) -> Value {
    let mut out = Object::new();
    put(&mut out, "method", &*request.method);
    put(&mut out, "url", &*request.url);
    put(&mut out, "httpVersion", &*request.http_version);
    put(&mut out, "cookies", cookies::sent(&request.headers));
    put(&mut out, "headers", headers(&request.headers));
    put(&mut out, "queryString", query_string(&request.url));
    put_some(&mut out, "postData", request.post_data.as_ref().map(post_data));
    put(&mut out, "headersSize", request.headers_size);
    put(&mut out, "bodySize", request.body_size);
    add_extras(&mut out, &request.extras);
    Value::Object(out)
}

fn response(response: &Response) -> Value {
    let mut out = Object::new();
    put(&mut out, "status", response.status);
    put(&mut out, "statusText", &*response.status_text);
    put(&mut out, "httpVersion", &*response.http_version);
    put(&mut out, "cookies", cookies::set(&response.headers));
    put(&mut out, "headers", headers(&response.headers));
    put(&mut out, "content", content(&response.content));
    put(&mut out, "redirectURL", &*response.redirect_url);
    put(&mut out, "headersSize", response.headers_size);
    put(&mut out, "bodySize", response.body_size);
    if !response.trailers.is_empty() {
        put(&mut out, "_trailers", headers(&response.trailers));
    }
    add_extras(&mut out, &response.extras);
    Value::Object(out)
}

fn content(body: &Body) -> Value {
    let mut out = Object::new();
    let unknown = if body.stored == Stored::Nowhere { 0 } else { -1 };
    put(&mut out, "size", body.size.unwrap_or(unknown));
    stored(&mut out, body);
    Value::Object(out)
}

fn post_data(body: &Body) -> Value {
    let mut out = Object::new();
    if matches!(body.stored, Stored::Nowhere | Stored::File(_)) {
        put(&mut out, "text", "");
    }
    stored(&mut out, body);
    Value::Object(out)
}

/// What the bytes are, where they are, and what is to be known of them.
fn stored(out: &mut Object, body: &Body) {
    put(out, "mimeType", &*body.mime_type);
    match &body.stored {
        Stored::Nowhere => {}
        Stored::Text(text) => put(out, "text", &**text),
        Stored::Base64(text) => {
            put(out, "text", &**text);
            put(out, "encoding", "base64");
        }
        Stored::File(file) => put(out, "_file", &**file),
    }
    for (name, set) in [("_compact", body.compact), ("_encoded", body.encoded)] {
        if set {
            put(out, name, true);
        }
    }
    put_some(out, "_truncated", body.truncated.as_ref().map(truncated));
    add_extras(out, &body.extras);
}

fn truncated(truncated: &Truncated) -> Value {
    let mut out = Object::new();
    put(&mut out, "reason", &*truncated.reason);
    put(&mut out, "kept", truncated.kept);
    put_some(&mut out, "total", truncated.total);
    Value::Object(out)
}

fn headers(headers: &Headers) -> Value {
    headers.iter().map(|field| json!({ "name": field.name, "value": to_chars(&field.value) })).collect()
}

/// `send`, `wait` and `receive` are not optional in HAR 1.2, so unknown is 0 there and -1 elsewhere.
fn timings(timings: &Timings) -> Value {
    let mut out = Object::new();
    let optional =
        [("blocked", timings.blocked), ("dns", timings.dns), ("connect", timings.connect), ("ssl", timings.ssl)];
    for (name, phase) in optional {
        put(&mut out, name, phase.map_or(json!(-1), millis));
    }
    for (name, phase) in [("send", timings.send), ("wait", timings.wait), ("receive", timings.receive)] {
        put(&mut out, name, millis(phase.unwrap_or_default()));
    }
    Value::Object(out)
}

/// Milliseconds to the microsecond; whole numbers without a fraction.
fn millis(ms: f64) -> Value {
    let rounded = (ms * 1000.0).round() / 1000.0;
    #[expect(clippy::cast_possible_truncation, reason = "integral and below 2^53")]
    let whole = (rounded.fract() == 0.0 && rounded.abs() < 9e15).then_some(rounded as i64);
    match whole {
        Some(whole) => whole.into(),
        None => Number::from_f64(rounded).map_or(json!(-1), Value::Number),
    }
}

fn put(out: &mut Object, name: &str, value: impl Into<Value>) {
    out.insert(name.to_owned(), value.into());
}

fn put_some(out: &mut Object, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        put(out, name, value);
    }
}

/// What other tools wrote; where a list could not be derived, theirs stands instead of ours.
fn add_extras(out: &mut Object, extras: &Object) {
    out.extend(extras.iter().map(|(name, value)| (name.clone(), value.clone())));
}
