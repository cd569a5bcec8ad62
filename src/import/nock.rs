//! Recordings of nock: `nockBack` fixtures, and `nock.recorder` with `output_objects`.

use super::document::SourceValue;
use super::exchange::{ImportedExchange, ImportedFile};
use harproxy_http::Headers;

/// Returns true if a document is a recording.
#[must_use]
pub fn is_recording(document: &SourceValue) -> bool {
    let is_scope =
        |item: &SourceValue| item.get("scope").is_some() && item.get("path").is_some() && item.get("status").is_some();
    document.is_list() && document.items().next().is_some_and(is_scope)
}

/// Imports a recording.
pub fn import(document: &SourceValue, file: &mut ImportedFile<'_>) {
    for item in document.items() {
        let text = |name: &str| item.get(name).and_then(SourceValue::as_str).unwrap_or_default();
        let response_headers = headers(item.get("rawHeaders").or_else(|| item.get("headers")));
        let received = match item.get("response") {
            None => Some(Vec::new()),
            Some(response) => payload(response, text("responseIsBinary") == "true"),
        };
        let sent = item.get("body").and_then(|body| payload(body, false)).filter(|sent| !sent.is_empty());
        let Some(received) = received else {
            file.lose(item.line, "the payload of the response is not hexadecimal: the exchange is left out");
            continue;
        };
        let mut exchange = ImportedExchange {
            method: text("method").to_ascii_uppercase(),
            url: format!("{}{}", text("scope").trim_end_matches('/'), text("path")),
            request_headers: headers(item.get("reqheaders")),
            sent,
            status: item.get("status").and_then(SourceValue::number).map_or(0, |status| status as u16),
            response_headers,
            received,
            ..ImportedExchange::default()
        };
        if item.get("body").is_some_and(|body| body.is_map() || body.is_list()) {
            exchange.set_content_type("application/json");
        }
        file.add(item.line, exchange);
    }
}

/// Returns a payload: a text, JSON, or the chunks of a payload with a content coding in hexadecimal. `None` if a
/// chunk is invalid.
fn payload(value: &SourceValue, is_binary: bool) -> Option<Vec<u8>> {
    if let Some(text) = value.as_str() {
        return if is_binary { decode_hex(text) } else { Some(text.as_bytes().to_vec()) };
    }
    let decode = |chunk: &SourceValue| decode_hex(chunk.as_str().filter(|_| chunk.is_quoted())?);
    let chunks: Option<Vec<Vec<u8>>> = value.items().map(decode).collect();
    match chunks.filter(|chunks| value.is_list() && !chunks.is_empty()) {
        Some(chunks) => Some(chunks.concat()),
        None if value.is_null() => Some(Vec::new()),
        None => Some(value.to_json().to_string().into_bytes()),
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.len().is_multiple_of(2).then(|| text.as_bytes().chunks(2).map(pair).collect()).flatten()
}

/// Returns headers: a map, or a list of names and values in turn.
fn headers(value: Option<&SourceValue>) -> Headers {
    let mut headers = Headers::default();
    let Some(value) = value else { return headers };
    for (name, value) in value.members() {
        let values: Vec<&SourceValue> = if value.is_list() { value.items().collect() } else { vec![value] };
        for value in values.into_iter().filter_map(SourceValue::as_str) {
            headers.push(name, value.to_owned());
        }
    }
    let flat: Vec<&str> = value.items().filter_map(SourceValue::as_str).collect();
    for pair in flat.chunks_exact(2) {
        headers.push(pair[0], pair[1].to_owned());
    }
    headers
}
