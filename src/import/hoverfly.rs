//! Simulations of Hoverfly, schema 5: the pairs whose matchers are exact.

use super::document::{SourceValue, decode_base64};
use super::exchange::{ImportedExchange, ImportedFile};
use harproxy_http::Headers;

/// Returns true if a document is a simulation.
#[must_use]
pub fn is_simulation(document: &SourceValue) -> bool {
    document.at(&["meta", "schemaVersion"]).is_some()
        && document.at(&["data", "pairs"]).is_some_and(SourceValue::is_list)
}

/// Imports a simulation.
pub fn import(document: &SourceValue, file: &mut ImportedFile<'_>) {
    let version = document.at(&["meta", "schemaVersion"]).and_then(SourceValue::as_str).unwrap_or_default();
    if !version.starts_with("v5") {
        file.lose(
            document.line,
            format!("the schema version `{version}` is not v5: matchers of other versions are not known"),
        );
    }
    for pair in document.at(&["data", "pairs"]).into_iter().flat_map(SourceValue::items) {
        match (pair.get("request"), pair.get("response")) {
            (Some(request), Some(response)) => import_pair(pair, request, response, file),
            _ => file.lose(pair.line, "a pair without a request or a response is left out"),
        }
    }
    for delay in document.at(&["data", "globalActions", "delays"]).into_iter().flat_map(SourceValue::items) {
        file.lose(delay.line, "a global delay is not carried over");
    }
}

/// Returns the value that a list of matchers accepts alone. `Err` with the name of a matcher that accepts others.
fn exact(matchers: Option<&SourceValue>) -> Result<Option<&SourceValue>, String> {
    let Some(matchers) = matchers else { return Ok(None) };
    let all: Vec<&SourceValue> = if matchers.is_list() { matchers.items().collect() } else { vec![matchers] };
    for matcher in &all {
        let name = matcher.get("matcher").and_then(SourceValue::as_str).unwrap_or("exact");
        if !matches!(name, "exact" | "json" | "xml") {
            return Err(name.to_owned());
        }
    }
    Ok(all.first().and_then(|matcher| matcher.get("value")))
}

fn import_pair(pair: &SourceValue, request: &SourceValue, response: &SourceValue, file: &mut ImportedFile<'_>) {
    let mut parts = Vec::new();
    for name in ["scheme", "destination", "path", "method"] {
        match exact(request.get(name)) {
            Ok(value) => parts.push(value.and_then(SourceValue::as_str).map(str::to_owned)),
            Err(matcher) => {
                return file.lose(
                    pair.line,
                    format!("the matcher `{matcher}` of `{name}` has no counterpart: the pair is left out"),
                );
            }
        }
    }
    let [scheme, destination, path, method] = parts.try_into().unwrap_or_default();
    let (Some(destination), Some(path)) = (destination, path) else {
        return file.lose(pair.line, "the pair matches any host or path, and is left out");
    };
    let mut url = format!("{}://{destination}{path}", scheme.as_deref().unwrap_or("http"));
    let query = query(request.get("query"));
    match query {
        Ok(query) if query.is_empty() => {}
        Ok(query) => url = format!("{url}?{query}"),
        Err(matcher) => {
            return file.lose(
                pair.line,
                format!("the matcher `{matcher}` of the query has no counterpart: the pair is left out"),
            );
        }
    }
    let mut exchange = ImportedExchange {
        method: method.unwrap_or_else(|| "GET".to_owned()),
        url,
        status: response.get("status").and_then(SourceValue::number).map_or(200, |status| status as u16),
        time: response.get("fixedDelay").and_then(SourceValue::number).unwrap_or_default(),
        response_headers: headers(response.get("headers")),
        ..ImportedExchange::default()
    };
    match exact(request.get("body")) {
        Ok(body) => {
            exchange.sent =
                body.and_then(SourceValue::as_str).map(|body| body.as_bytes().to_vec()).filter(|sent| !sent.is_empty());
        }
        Err(matcher) => file.lose(
            pair.line,
            format!("the matcher `{matcher}` of the payload is not carried over: the payload must be empty"),
        ),
    }
    for (name, matchers) in request.get("headers").into_iter().flat_map(SourceValue::members) {
        if let Ok(Some(value)) = exact(Some(matchers)) {
            exchange.request_headers.push(name, value.as_str().unwrap_or_default().to_owned());
        }
    }
    let body = response.get("body").and_then(SourceValue::as_str).unwrap_or_default();
    exchange.received = match response.get("encodedBody").is_some_and(SourceValue::is_true) {
        false => body.as_bytes().to_vec(),
        true => match decode_base64(body) {
            Some(bytes) => bytes,
            None => return file.lose(response.line, "the payload is not base64: the pair is left out"),
        },
    };
    if response.get("templated").is_some_and(SourceValue::is_true) && body.contains("{{") {
        file.lose(response.line, "the answer is a template, which does not run");
    }
    for state in ["requiresState", "transitionsState", "removesState"] {
        let value = request.get(state).or_else(|| response.get(state));
        if let Some(value) = value.filter(|value| value.members().next().is_some() || value.items().next().is_some()) {
            file.lose(
                value.line,
                format!("`{state}` is not carried over: equal requests get their answers in the order of the file"),
            );
        }
    }
    if let Some(name) = response.get("bodyFile").filter(|name| name.as_str().is_some_and(|name| !name.is_empty())) {
        return file.lose(name.line, "the payload is in another file: the pair is left out");
    }
    file.add(pair.line, exchange);
}

fn query(query: Option<&SourceValue>) -> Result<String, String> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, matchers) in query.into_iter().flat_map(SourceValue::members) {
        let value = exact(Some(matchers))?;
        let values = value.and_then(SourceValue::as_str).unwrap_or_default();
        values.split(';').for_each(|value| {
            form.append_pair(name, value);
        });
    }
    Ok(form.finish())
}

fn headers(value: Option<&SourceValue>) -> Headers {
    let mut headers = Headers::default();
    for (name, values) in value.into_iter().flat_map(SourceValue::members) {
        for value in values.items().filter_map(SourceValue::as_str) {
            headers.push(name, value.to_owned());
        }
    }
    headers
}
