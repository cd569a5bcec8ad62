//! Cassettes of VCR for Ruby, vcrpy and betamax, as YAML or JSON. They have one structure: a list of interactions, each
//! with a request and a response.

use std::borrow::Cow;

use encoding_rs::Encoding;

use super::document::{SourceValue, decode_base64};
use super::exchange::{ImportedExchange, ImportedFile, parse_time};
use harproxy_http::Headers;

/// Returns the interactions if a document is a cassette. VCR before version 2, and vcrpy before version 1, wrote the
/// list alone.
#[must_use]
pub fn interactions(document: &SourceValue) -> Option<&SourceValue> {
    let list = document.get("http_interactions").or_else(|| document.get("interactions")).unwrap_or(document);
    let is_interaction = |item: &SourceValue| item.get("request").is_some() && item.get("response").is_some();
    let is_cassette = match list.items().next() {
        Some(first) => is_interaction(first),
        None => document.get("recorded_with").is_some() || document.get("version").is_some() && list.is_list(),
    };
    (is_cassette && (list.is_list())).then_some(list)
}

/// Imports a cassette.
pub fn import(interactions: &SourceValue, file: &mut ImportedFile<'_>) {
    for interaction in interactions.items() {
        let (Some(request), Some(response)) = (interaction.get("request"), interaction.get("response")) else {
            file.lose(interaction.line, "an interaction without a request or a response is left out");
            continue;
        };
        import_interaction(interaction, request, response, file);
    }
}

fn import_interaction(
    interaction: &SourceValue,
    request: &SourceValue,
    response: &SourceValue,
    file: &mut ImportedFile<'_>,
) {
    let text = |value: Option<&SourceValue>| value.and_then(SourceValue::as_str).map(str::to_owned);
    let sent = payload(request.get("body").filter(|body| !is_empty(body)), "request", file);
    // vcrpy stores responses of httpx as `content`.
    let received = payload(response.get("body").or_else(|| response.get("content")), "response", file);
    let (Some(sent), Some(received)) = (sent, received) else { return };
    let status = response.at(&["status", "code"]).or_else(|| response.get("status_code"));
    let method = text(request.get("method")).unwrap_or_else(|| "GET".to_owned());
    let exchange = ImportedExchange {
        started: interaction.get("recorded_at").and_then(SourceValue::as_str).and_then(parse_time),
        method: method.trim_start_matches(':').to_ascii_uppercase(),
        url: text(request.get("uri")).unwrap_or_else(|| url_of_parts(request)),
        http_version: text(response.get("http_version")).map(|version| protocol(&version)).unwrap_or_default(),
        request_headers: headers(request.get("headers")),
        sent: Some(sent).filter(|sent| !sent.is_empty()),
        status: status.and_then(SourceValue::number).map_or(0, |code| code as u16),
        reason: text(response.at(&["status", "message"])).unwrap_or_default(),
        response_headers: headers(response.get("headers")),
        received,
        ..ImportedExchange::default()
    };
    if exchange.url.contains("<%") || exchange.received.windows(3).any(|window| window == b"<%=") {
        file.lose(interaction.line, "the cassette is a template (ERB): its tags are imported as they are written");
    }
    file.add(interaction.line, exchange);
}

fn is_empty(body: &SourceValue) -> bool {
    body.as_str() == Some("") || body.get("string").is_some_and(|text| text.as_str() == Some(""))
}

/// Returns a payload: a text, base64 with the tag `binary`, or a map with `string` or `base64_string`. `None` if it
/// can't be read, which is then lost with its exchange.
fn payload(body: Option<&SourceValue>, message: &str, file: &mut ImportedFile<'_>) -> Option<Vec<u8>> {
    let Some(body) = body else { return Some(Vec::new()) };
    let encoding = body.get("encoding").and_then(SourceValue::as_str);
    if let Some(base64) = body.get("base64_string").and_then(SourceValue::as_str) {
        return decode_base64(base64).or_else(|| lost(body.line, "invalid base64", message, file));
    }
    let inside = body.get("string").or_else(|| body.get("content")).unwrap_or(body);
    if let Some(bytes) = inside.bytes() {
        return Some(if inside.tag() == Some("binary") {
            bytes.into_owned()
        } else {
            encode(&bytes, encoding).into_owned()
        });
    }
    // vcrpy pickles a stream: `!!python/object/new:_io.BytesIO` with a state whose first item is the content.
    let state = inside.get("state").unwrap_or(inside);
    match state.items().next().and_then(SourceValue::bytes) {
        Some(bytes) => Some(bytes.into_owned()),
        None if inside.is_map() && inside.members().next().is_none() => Some(Vec::new()),
        None if inside.is_null() || body.is_map() && body.get("string").is_none() => Some(Vec::new()),
        None => lost(inside.line, "neither text nor base64", message, file),
    }
}

fn lost(line: usize, reason: &str, message: &str, file: &mut ImportedFile<'_>) -> Option<Vec<u8>> {
    file.lose(line, format!("the payload of the {message} is {reason}: the exchange is left out"));
    None
}

/// Returns the bytes of a text in the encoding that VCR gives, such as `ISO-8859-1`.
fn encode<'t>(text: &'t [u8], encoding: Option<&str>) -> Cow<'t, [u8]> {
    let encoding = encoding.and_then(|label| Encoding::for_label(label.as_bytes()));
    match (encoding, std::str::from_utf8(text)) {
        (Some(encoding), Ok(text)) if encoding != encoding_rs::UTF_8 => {
            let (bytes, _, has_errors) = encoding.encode(text);
            if has_errors { Cow::Borrowed(text.as_bytes()) } else { Cow::Owned(bytes.into_owned()) }
        }
        _ => Cow::Borrowed(text),
    }
}

/// Returns headers: a map of lists or texts, a list of `name: value`, or a list of pairs.
fn headers(value: Option<&SourceValue>) -> Headers {
    let mut headers = Headers::default();
    let Some(value) = value else { return headers };
    for (name, value) in value.members() {
        match value.is_list() {
            true => value.items().for_each(|value| add(&mut headers, name, value)),
            false => add(&mut headers, name, value),
        }
    }
    for item in value.items() {
        // A set of pairs is a list in a list.
        let pairs = if item.items().any(SourceValue::is_list) { item.items().collect() } else { vec![item] };
        for pair in pairs {
            let mut parts = pair.items();
            if let (Some(name), Some(value)) = (parts.next().and_then(SourceValue::as_str), parts.next()) {
                add(&mut headers, name, value);
            } else if let Some((name, value)) = pair.as_str().and_then(|line| line.split_once(':')) {
                headers.push(name.trim(), value.trim().to_owned());
            }
        }
    }
    headers
}

fn add(headers: &mut Headers, name: &str, value: &SourceValue) {
    if let Some(bytes) = value.bytes() {
        headers.push(name, bytes.trim_ascii().to_vec());
    }
}

/// Returns the URL that vcrpy before version 1 stored in parts.
fn url_of_parts(request: &SourceValue) -> String {
    let part = |name: &str| request.get(name).and_then(SourceValue::as_str).unwrap_or_default();
    format!("{}://{}:{}{}", part("protocol"), part("host"), part("port"), part("path"))
}

/// Returns the protocol of `http_version`, which is a text such as `1.1`, or a number such as 11 in Python.
fn protocol(version: &str) -> String {
    match version.trim_start_matches("HTTP/") {
        "2" | "2.0" | "20" => "HTTP/2".to_owned(),
        "1.0" | "10" => "HTTP/1.0".to_owned(),
        _ => "HTTP/1.1".to_owned(),
    }
}
