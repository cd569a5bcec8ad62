//! Parses the JSON of one entry into the model.
//!
//! Entries of other tools are translated, so that all entries have one meaning: headers, payload bytes and sizes as
//! on the wire. Guesses and losses are noted.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::foreign::translate::translate;
use crate::foreign::{Dialect, charset};
use crate::model::{Body, Entry, Extras, Request, Response, Storage, Timings, Truncated, spacing_of};
use crate::write::canonical::query_string;
use harproxy_http::{Header, Headers, cookies, headers::from_chars};
use harproxy_json::text::replace_lone_surrogates;
use harproxy_json::{Spacing, TextValue};

/// Parses an entry. The error is the reason why it is unusable; `notes` gets the guesses and losses.
pub(crate) fn parse(json: &[u8], dialect: Dialect, notes: &mut Vec<String>) -> Result<Entry, String> {
    let mut map = object_of(json, dialect)?;
    let request = object(&mut map, "request").ok_or("it has no `request` object")?;
    let mut entry = Entry {
        started: text_of(map.shift_remove("startedDateTime")),
        time: float(map.shift_remove("time")).unwrap_or_default(),
        request: request_of(request)?,
        response: response_of(object(&mut map, "response").unwrap_or_default()),
        timings: timings_of(map.shift_remove("timings")),
        server_ip: optional(map.shift_remove("serverIPAddress")),
        connection: optional(map.shift_remove("connection")),
        harproxy: object(&mut map, "_harproxy"),
        extras: map,
    };
    translate(&mut entry, dialect, notes);
    Ok(entry)
}

/// The members of an entry.
fn object_of(json: &[u8], dialect: Dialect) -> Result<Map<String, Value>, String> {
    let text = utf8(json)?;
    let value = serde_json::from_str(text).or_else(|_| {
        let escaped = if dialect == Dialect::Own { None } else { charset::keep_escaped_bytes(text) };
        serde_json::from_str(&escaped.map_or_else(|| replace_lone_surrogates(text), Into::into))
    });
    match value {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err("it is not an object".to_owned()),
        Err(error) => Err(format!("it is not JSON: {error}")),
    }
}

/// The JSON of an entry as UTF-8.
pub(crate) fn utf8(json: &[u8]) -> Result<&str, String> {
    let not_utf8 = |error: std::str::Utf8Error| {
        format!("its byte {} is not UTF-8; convert the file to UTF-8", error.valid_up_to())
    };
    std::str::from_utf8(json).map_err(not_utf8)
}

/// The JSON of an entry as a tree.
pub(crate) fn tree(json: &[u8]) -> Result<TextValue<'_>, String> {
    TextValue::parse(utf8(json)?).map_err(|error| error.to_string())
}

fn request_of(mut map: Map<String, Value>) -> Result<Request, String> {
    let url = text_of(map.shift_remove("url"));
    if url.is_empty() {
        return Err("its request has no `url`".to_owned());
    }
    let headers = headers_of(map.shift_remove("headers"));
    let body_size = integer(map.shift_remove("bodySize")).unwrap_or(-1);
    let mut request = Request {
        method: Some(text_of(map.shift_remove("method"))).filter(|m| !m.is_empty()).unwrap_or_else(|| "GET".to_owned()),
        http_version: text_of(map.shift_remove("httpVersion")),
        post_data: object(&mut map, "postData").map(body_of),
        headers_size: integer(map.shift_remove("headersSize")).unwrap_or(-1),
        body_size,
        extras: Extras::new(),
        url,
        headers,
    };
    drop_derived(&mut map, "cookies", &cookies::request_cookies(&request.headers));
    drop_derived(&mut map, "queryString", &query_string(&request.url));
    request.extras = map;
    Ok(request)
}

fn response_of(mut map: Map<String, Value>) -> Response {
    let headers = headers_of(map.shift_remove("headers"));
    drop_derived(&mut map, "cookies", &cookies::response_cookies(&headers));
    Response {
        status: integer(map.shift_remove("status")).and_then(|n| i32::try_from(n).ok()).unwrap_or_default(),
        status_text: text_of(map.shift_remove("statusText")),
        http_version: text_of(map.shift_remove("httpVersion")),
        content: object(&mut map, "content").map(body_of).unwrap_or_default(),
        redirect_url: text_of(map.shift_remove("redirectURL")),
        headers_size: integer(map.shift_remove("headersSize")).unwrap_or(-1),
        body_size: integer(map.shift_remove("bodySize")).unwrap_or(-1),
        trailers: headers_of(map.shift_remove("_trailers")),
        headers,
        extras: map,
    }
}

fn body_of(mut map: Map<String, Value>) -> Body {
    let file = optional(map.shift_remove("_file")).filter(|file| !file.is_empty());
    let text = map.shift_remove("text");
    // Only in lower case, as all known tools write it and Playwright reads it.
    let base64 = map.get("encoding").and_then(Value::as_str) == Some("base64");
    let stored = match (file, text) {
        (Some(file), _) => Storage::File(file),
        (None, Some(text @ (Value::String(_) | Value::Number(_) | Value::Bool(_)))) if base64 => {
            map.shift_remove("encoding");
            Storage::Base64(text_of(Some(text)))
        }
        (None, Some(Value::Null) | None) => Storage::Nowhere,
        (None, Some(text)) => Storage::Text(text_of(Some(text))),
    };
    Body {
        mime_type: text_of(map.shift_remove("mimeType")),
        size: integer(map.shift_remove("size")),
        stored,
        compact: spacing(&mut map),
        encoded: flag(&mut map, "_encoded"),
        truncated: object(&mut map, "_truncated").map(truncated_of),
        kept_as_utf8: None,
        is_rebuilt: false,
        extras: map,
    }
}

fn spacing(map: &mut Map<String, Value>) -> Option<Spacing> {
    let spacing = spacing_of(&map.get("_compact")?.to_string())?;
    map.shift_remove("_compact");
    Some(spacing)
}

fn truncated_of(mut map: Map<String, Value>) -> Truncated {
    Truncated {
        reason: text_of(map.shift_remove("reason")),
        kept: map.get("kept").and_then(Value::as_u64).unwrap_or_default(),
        total: map.get("total").and_then(Value::as_u64),
    }
}

fn timings_of(value: Option<Value>) -> Timings {
    let Some(Value::Object(mut map)) = value else { return Timings::default() };
    let mut phase = |name| float(map.shift_remove(name)).filter(|&ms| ms >= 0.0);
    Timings {
        blocked: phase("blocked"),
        dns: phase("dns"),
        connect: phase("connect"),
        ssl: phase("ssl"),
        send: phase("send"),
        wait: phase("wait"),
        receive: phase("receive"),
    }
}

/// Headers as on the wire: without pseudo headers, and with joined values (`\n`, or Polly's arrays) split.
fn headers_of(value: Option<Value>) -> Headers {
    let Some(Value::Array(items)) = value else { return Headers::default() };
    let mut headers = Vec::with_capacity(items.len());
    for item in items {
        let Value::Object(mut item) = item else { continue };
        let name = text_of(item.shift_remove("name"));
        if name.is_empty() || name.starts_with(':') {
            continue;
        }
        let values = match item.shift_remove("value") {
            Some(Value::Array(values)) => values.into_iter().map(|value| text_of(Some(value))).collect(),
            value => vec![text_of(value)],
        };
        for line in values.iter().flat_map(|value| value.split('\n')) {
            let line = line.trim_matches([' ', '\t', '\r']);
            let value = charset::escaped_bytes(line).unwrap_or_else(|| from_chars(line));
            headers.push(Header { name: name.clone(), value: value.into() });
        }
    }
    headers.into_iter().collect()
}

/// Removes a list that equals the one derived from headers or URL. It is derived again when the entry is written.
fn drop_derived(map: &mut Map<String, Value>, name: &str, derived: &[Value]) {
    let is_derived = match map.get(name) {
        Some(Value::Array(items)) => items == derived,
        Some(Value::Null) => true,
        _ => false,
    };
    if is_derived {
        map.shift_remove(name);
    }
}

fn object(map: &mut Map<String, Value>, name: &str) -> Option<Map<String, Value>> {
    match map.shift_remove(name) {
        Some(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// Removes `name` if it is `true`. Any other value stays.
fn flag(map: &mut Map<String, Value>, name: &str) -> bool {
    map.get(name) == Some(&Value::Bool(true)) && map.shift_remove(name).is_some()
}

fn text_of(value: Option<Value>) -> String {
    match value {
        Some(Value::String(text)) => text,
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        _ => String::new(),
    }
}

fn optional(value: Option<Value>) -> Option<String> {
    value.filter(|value| !value.is_null()).map(|value| text_of(Some(value)))
}

fn float(value: Option<Value>) -> Option<f64> {
    match value? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates; real sizes are smaller")]
fn integer(value: Option<Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|n| n as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The `_file` members of an entry. Empty if the JSON is malformed.
pub(crate) fn payload_files(json: &[u8]) -> Vec<String> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Files {
        request: Option<Box<Files>>,
        response: Option<Box<Files>>,
        content: Option<Box<Files>>,
        post_data: Option<Box<Files>>,
        #[serde(rename = "_file")]
        file: Option<String>,
    }
    fn collect(files: Files, into: &mut Vec<String>) {
        into.extend(files.file);
        for part in [files.request, files.response, files.content, files.post_data].into_iter().flatten() {
            collect(*part, into);
        }
    }
    let mut found = Vec::new();
    collect(serde_json::from_slice(json).unwrap_or_default(), &mut found);
    found
}
