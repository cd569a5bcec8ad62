//! The canonical form of an entry: members in a fixed order, header names in lower case and together, numbers that are
//! stable, what can be derived derived.

use serde_json::{Map, Number, Value, json};

use super::model::{Body, Entry, Request, Response, Stored, Timings, Truncated};
use crate::http::{Headers, cookies, headers::to_chars};

type Object = Map<String, Value>;

/// The JSON of an entry as it stands in `log.entries`, without the indentation of its surroundings.
pub(super) fn entry(entry: &Entry) -> Value {
    let mut extras = entry.extras.clone();
    let mut out = Object::new();
    move_to(&mut out, &mut extras, "pageref");
    put(&mut out, "startedDateTime", &*entry.started);
    put(&mut out, "time", millis(entry.time));
    put(&mut out, "request", request(&entry.request));
    put(&mut out, "response", response(&entry.response));
    let cache = extras.shift_remove("cache").filter(Value::is_object);
    put(&mut out, "cache", cache.unwrap_or_else(|| json!({})));
    put(&mut out, "timings", timings(&entry.timings));
    put_some(&mut out, "serverIPAddress", entry.server_ip.as_deref());
    put_some(&mut out, "connection", entry.connection.as_deref());
    move_to(&mut out, &mut extras, "comment");
    put_some(&mut out, "_harproxy", entry.harproxy.clone());
    out.extend(extras);
    Value::Object(out)
}

/// Pretty-printed with two spaces a level.
pub(super) fn print(value: &Value) -> String {
    format!("{value:#}")
}

/// `request.queryString`: names and values of the URL's query, decoded.
pub(super) fn query_string(url: &str) -> Vec<Value> {
    let url = url.split('#').next().unwrap_or_default();
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

fn request(request: &Request) -> Value {
    let mut extras = request.extras.clone();
    let mut out = Object::new();
    put(&mut out, "method", &*request.method);
    put(&mut out, "url", &*request.url);
    put(&mut out, "httpVersion", &*request.http_version);
    let cookies = extras.shift_remove("cookies");
    put(&mut out, "cookies", cookies.unwrap_or_else(|| cookies::sent(&request.headers).into()));
    put(&mut out, "headers", headers(&request.headers));
    let query = extras.shift_remove("queryString");
    put(&mut out, "queryString", query.unwrap_or_else(|| query_string(&request.url).into()));
    put_some(&mut out, "postData", request.post_data.as_ref().map(post_data));
    put(&mut out, "headersSize", request.headers_size);
    put(&mut out, "bodySize", request.body_size);
    move_to(&mut out, &mut extras, "comment");
    out.extend(extras);
    Value::Object(out)
}

fn response(response: &Response) -> Value {
    let mut extras = response.extras.clone();
    let mut out = Object::new();
    put(&mut out, "status", response.status);
    put(&mut out, "statusText", &*response.status_text);
    put(&mut out, "httpVersion", &*response.http_version);
    let cookies = extras.shift_remove("cookies");
    put(&mut out, "cookies", cookies.unwrap_or_else(|| cookies::set(&response.headers).into()));
    put(&mut out, "headers", headers(&response.headers));
    put(&mut out, "content", content(&response.content));
    put(&mut out, "redirectURL", &*response.redirect_url);
    put(&mut out, "headersSize", response.headers_size);
    put(&mut out, "bodySize", response.body_size);
    move_to(&mut out, &mut extras, "comment");
    if !response.trailers.is_empty() {
        put(&mut out, "_trailers", headers(&response.trailers));
    }
    out.extend(extras);
    Value::Object(out)
}

fn content(body: &Body) -> Value {
    let mut extras = body.extras.clone();
    let mut out = Object::new();
    let unknown = if body.stored == Stored::Nowhere { 0 } else { -1 };
    put(&mut out, "size", body.size.unwrap_or(unknown));
    move_to(&mut out, &mut extras, "compression");
    put(&mut out, "mimeType", &*body.mime_type);
    stored(&mut out, body, extras);
    Value::Object(out)
}

fn post_data(body: &Body) -> Value {
    let mut extras = body.extras.clone();
    let mut out = Object::new();
    put(&mut out, "mimeType", &*body.mime_type);
    move_to(&mut out, &mut extras, "params");
    if matches!(body.stored, Stored::Nowhere | Stored::File(_)) {
        put(&mut out, "text", "");
    }
    stored(&mut out, body, extras);
    Value::Object(out)
}

/// Where the bytes are, and what is to be known of them.
fn stored(out: &mut Object, body: &Body, mut extras: Object) {
    match &body.stored {
        Stored::Nowhere => {}
        Stored::Text(text) => put(out, "text", &**text),
        Stored::Base64(text) => {
            put(out, "text", &**text);
            put(out, "encoding", "base64");
        }
        Stored::File(file) => put(out, "_file", &**file),
    }
    move_to(out, &mut extras, "comment");
    for (name, set) in [("_compact", body.compact), ("_encoded", body.encoded)] {
        if set {
            put(out, name, true);
        }
    }
    put_some(out, "_truncated", body.truncated.as_ref().map(truncated));
    out.extend(extras);
}

fn truncated(truncated: &Truncated) -> Value {
    let mut out = Object::new();
    put(&mut out, "reason", &*truncated.reason);
    put(&mut out, "kept", truncated.kept);
    put_some(&mut out, "total", truncated.total);
    Value::Object(out)
}

/// Names in lower case in order of first appearance, every value of a repeated name behind its first.
fn headers(headers: &Headers) -> Value {
    let mut grouped: indexmap::IndexMap<String, Vec<&[u8]>> = indexmap::IndexMap::new();
    for header in headers {
        grouped.entry(header.name.to_ascii_lowercase()).or_default().push(&header.value);
    }
    let fields = grouped
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| json!({ "name": name, "value": to_chars(value) })));
    fields.collect()
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

fn move_to(out: &mut Object, extras: &mut Object, name: &str) {
    put_some(out, name, extras.shift_remove(name));
}
