//! Stub mappings of WireMock, with payloads in `__files`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::document::{SourceValue, decode_base64};
use super::exchange::{ImportLoss, Imported, ImportedExchange, ImportedFile, StubRank};
use super::pattern::PathSample;
use harproxy_http::Headers;

/// Returns the mappings if a document has some: a mapping, or a list as `mappings`.
#[must_use]
pub fn mappings(document: &SourceValue) -> Option<Vec<&SourceValue>> {
    const URLS: [&str; 5] = ["url", "urlPath", "urlPattern", "urlPathPattern", "urlPathTemplate"];
    let is_mapping = |value: &&SourceValue| {
        let request = value.get("request");
        request.is_some_and(|request| request.is_map() && URLS.iter().any(|name| request.get(name).is_some()))
            && value.get("response").is_some()
    };
    match document.get("mappings") {
        Some(list) if list.is_list() => {
            let all: Vec<_> = list.items().collect();
            all.iter().any(is_mapping).then_some(all)
        }
        _ => is_mapping(&document).then(|| vec![document]),
    }
}

/// The priority of a mapping that states none.
const DEFAULT_PRIORITY: i64 = 5;

/// The URLs that a rule covers, and whether every mapping of them accepts any payload.
type AnyPayload = HashMap<String, bool>;

/// Imports mappings. Those of a scenario come in the order of its states.
pub fn import(mut mappings: Vec<&SourceValue>, file: &mut ImportedFile<'_>) {
    sort_scenarios(&mut mappings, file);
    let mut any_payload = AnyPayload::new();
    for mapping in mappings {
        let (Some(request), Some(response)) = (mapping.get("request"), mapping.get("response")) else {
            file.lose(mapping.line, "a mapping without a request or a response is left out");
            continue;
        };
        import_mapping(mapping, request, response, &mut any_payload, file);
    }
    for (glob, _) in any_payload.into_iter().filter(|(_, is_any)| *is_any) {
        file.rule(glob, None).ignore_payload = true;
    }
}

/// Removes the exchanges of mappings whose requests equal those of another mapping that comes first, and lists them. As
/// entries they would become a sequence. Mappings of scenarios stay.
pub fn remove_shadowed(result: &mut Imported) {
    let mut first: HashMap<_, (usize, &StubRank)> = HashMap::new();
    let mut requests = Vec::new();
    for (at, exchange) in result.exchanges.iter().enumerate() {
        let Some(stub) = &exchange.stub else { continue };
        let headers = exchange.request_headers.iter();
        let mut headers: Vec<_> = headers.map(|header| (header.name.to_ascii_lowercase(), &header.value)).collect();
        headers.sort();
        let request = (&exchange.method, &exchange.url, &exchange.sent, headers);
        let best = first.entry(request.clone()).or_insert((at, stub));
        if stub.priority <= best.1.priority {
            *best = (at, stub);
        }
        requests.push((at, stub, request));
    }
    let mut shadowed = HashSet::new();
    for (at, stub, request) in requests {
        let (best_at, best) = first[&request];
        if at != best_at {
            let other = format!("{}:{}", best.file.display(), best.line);
            let text = format!(
                "the mapping is left out: a fixture cannot tell its requests from those of {other}, which comes first"
            );
            result.losses.push(ImportLoss { file: stub.file.clone(), line: Some(stub.line), text });
            shadowed.insert(at);
        }
    }
    let mut at = 0..;
    result.exchanges.retain(|_| at.next().is_none_or(|at| !shadowed.contains(&at)));
}

/// Sorts the mappings of each scenario by its states, from `Started` on. Other mappings keep their places.
fn sort_scenarios(mappings: &mut [&SourceValue], file: &mut ImportedFile<'_>) {
    let text = |mapping: &SourceValue, name: &str| mapping.get(name).and_then(SourceValue::as_str).map(str::to_owned);
    let mut scenarios: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, mapping) in mappings.iter().enumerate() {
        if let Some(name) = text(mapping, "scenarioName") {
            scenarios.entry(name).or_default().push(at);
        }
    }
    for (name, places) in scenarios {
        let mut left: Vec<&SourceValue> = places.iter().map(|at| mappings[*at]).collect();
        let (mut state, mut sorted) = ("Started".to_owned(), Vec::new());
        while !left.is_empty() {
            let is_next = |mapping: &&SourceValue| {
                text(mapping, "requiredScenarioState").unwrap_or_else(|| "Started".to_owned()) == state
            };
            let (in_state, others): (Vec<_>, Vec<_>) = left.into_iter().partition(is_next);
            left = others;
            let next = in_state.iter().find_map(|mapping| text(mapping, "newScenarioState"));
            sorted.extend(in_state);
            match next.filter(|next| *next != state) {
                Some(next) => state = next,
                None => {
                    if let Some(first) = left.first() {
                        file.lose(first.line, format!("the scenario `{name}` does not reach this state in a row"));
                    }
                    sorted.append(&mut left);
                }
            }
        }
        places.into_iter().zip(sorted).for_each(|(at, mapping)| mappings[at] = mapping);
    }
}

fn import_mapping(
    mapping: &SourceValue,
    request: &SourceValue,
    response: &SourceValue,
    any_payload: &mut AnyPayload,
    file: &mut ImportedFile<'_>,
) {
    for (member, reason) in [("proxyBaseUrl", "a proxy"), ("fault", "a fault")] {
        if let Some(value) = response.get(member) {
            return file.lose(value.line, format!("the answer is {reason}, and the mapping is left out"));
        }
    }
    let method = request.get("method").and_then(SourceValue::as_str).filter(|method| *method != "ANY");
    if method.is_none() {
        file.lose(request.line, "the mapping answers every method; only GET is imported");
    }
    let Some(base) = file.settings.base_url.clone() else { return };
    let Some(target) = target(request, file) else { return };
    let mut exchange = ImportedExchange {
        name: mapping.get("name").and_then(SourceValue::as_str).map(str::to_owned),
        method: method.unwrap_or("GET").to_ascii_uppercase(),
        url: format!("{}{}", base.as_str().trim_end_matches('/'), target.target),
        status: response.get("status").and_then(SourceValue::number).map_or(200, |status| status as u16),
        reason: response.get("statusMessage").and_then(SourceValue::as_str).unwrap_or_default().to_owned(),
        time: response.get("fixedDelayMilliseconds").and_then(SourceValue::number).unwrap_or_default(),
        response_headers: response_headers(response.get("headers")),
        stub: mapping.get("scenarioName").is_none().then(|| StubRank {
            priority: mapping.get("priority").and_then(SourceValue::number).map_or(DEFAULT_PRIORITY, |it| it as i64),
            file: file.path.to_owned(),
            line: mapping.line,
        }),
        ..ImportedExchange::default()
    };
    let base = base.as_str().trim_end_matches('/').to_owned();
    let path = target.target.split('?').next().unwrap_or_default();
    let glob = format!("{}{{,?**}}", harproxy_glob::escaped(&format!("{base}{path}")));
    if let Some(path) = target.path {
        file.rule(format!("{base}/**"), Some(path));
    }
    let ignored = query(request, &mut exchange, file);
    if !ignored.is_empty() {
        file.rule(glob.clone(), None).ignore_query.extend(ignored);
    }
    for name in request_headers(request, &mut exchange, file) {
        file.rule(glob.clone(), None).match_header.insert(name);
    }
    let accepts_any = request_payload(request, &mut exchange, file);
    if request.get("bodyPatterns").into_iter().flat_map(SourceValue::items).any(|it| it.get("equalToJson").is_some()) {
        file.rule(glob.clone(), None).json_payload = true;
    }
    if !matches!(&*exchange.method, "GET" | "HEAD" | "DELETE" | "OPTIONS") {
        let all = any_payload.entry(glob).or_insert(true);
        *all &= accepts_any;
    }
    let Some(received) = response_payload(response, &mut exchange, file) else { return };
    exchange.received = received;
    for member in ["delayDistribution", "chunkedDribbleDelay"] {
        if let Some(delay) = response.get(member) {
            file.lose(delay.line, format!("`{member}` is not carried over"));
        }
    }
    for transformer in response.get("transformers").into_iter().flat_map(SourceValue::items) {
        let is_template = transformer.as_str() == Some("response-template");
        if !is_template || exchange.received.windows(2).any(|pair| pair == b"{{") {
            let name = transformer.as_str().unwrap_or_default();
            file.lose(
                transformer.line,
                format!("the transformer `{name}` does not run: the answer is the text of its template"),
            );
        }
    }
    file.add(mapping.line, exchange);
}

/// The target of a mapping's request.
struct Target {
    /// Path and query.
    target: String,
    /// The value of `path` in a rule, if segments vary.
    path: Option<String>,
}

/// Returns the target. `None` if its pattern has no counterpart, and the mapping is lost.
fn target(request: &SourceValue, file: &mut ImportedFile<'_>) -> Option<Target> {
    let text = |name: &str| request.get(name).and_then(|value| Some((value.as_str()?.to_owned(), value.line)));
    if let Some((url, _)) = text("url") {
        return Some(Target { target: url, path: None });
    }
    let (sample, line, pattern) = if let Some((path, line)) = text("urlPath") {
        (PathSample { template: path.clone(), path: path.clone(), is_exact: true }, line, path)
    } else if let Some((template, line)) = text("urlPathTemplate") {
        (PathSample::of_template(&template), line, template)
    } else {
        let (pattern, line) = text("urlPathPattern").or_else(|| text("urlPattern"))?;
        let Some(sample) = PathSample::of_regex(&pattern) else {
            file.lose(line, format!("the pattern `{pattern}` has no counterpart: the mapping is left out"));
            return None;
        };
        (sample, line, pattern)
    };
    if !sample.is_exact {
        file.lose(line, format!("the rule for `{pattern}` accepts any text in the segments that vary"));
    }
    if request.get("queryParameters").is_none() && request.get("urlPattern").is_none() {
        file.lose(line, format!("`{pattern}` with a query is a miss now: name its parameters in `ignore-query`"));
    }
    let path = (sample.template != sample.path).then_some(sample.template);
    Some(Target { target: sample.path, path })
}

/// Adds the query parameters. Returns the names of those that may have any value.
fn query(request: &SourceValue, exchange: &mut ImportedExchange, file: &mut ImportedFile<'_>) -> Vec<String> {
    let mut ignored = Vec::new();
    for (name, matcher) in request.get("queryParameters").into_iter().flat_map(SourceValue::members) {
        let (value, is_exact) = sample_of(matcher, file, &format!("query parameter `{name}`"));
        let Some(value) = value else { continue };
        let separator = if exchange.url.contains('?') { '&' } else { '?' };
        let pair: String = url::form_urlencoded::Serializer::new(String::new()).append_pair(name, &value).finish();
        exchange.url = format!("{}{separator}{pair}", exchange.url);
        if !is_exact {
            ignored.push(name.to_owned());
        }
    }
    ignored
}

/// Returns a value that a matcher accepts, and whether it is the only one. `None` if the value must be absent.
fn sample_of(matcher: &SourceValue, file: &mut ImportedFile<'_>, place: &str) -> (Option<String>, bool) {
    if matcher.get("absent").is_some_and(SourceValue::is_true) {
        return (None, true);
    }
    if let Some(value) = matcher.get("equalTo").and_then(SourceValue::as_str) {
        return (Some(value.to_owned()), true);
    }
    if let Some(value) = matcher.get("contains").and_then(SourceValue::as_str) {
        file.lose(matcher.line, format!("the {place} may have any value, not only those with `{value}`"));
        return (Some(value.to_owned()), false);
    }
    if let Some(pattern) = matcher.get("matches").and_then(SourceValue::as_str) {
        if !matches!(pattern, ".*" | ".+") {
            file.lose(matcher.line, format!("the {place} may have any value, not only those of `{pattern}`"));
        }
        return (Some("any".to_owned()), false);
    }
    let name = matcher.members().next().map_or("a matcher", |(name, _)| name).to_owned();
    file.lose(matcher.line, format!("`{name}` of the {place} is not carried over: it may have any value"));
    (Some("any".to_owned()), false)
}

/// Adds the headers, cookies and credentials. Returns the names of headers that must be equal.
fn request_headers(request: &SourceValue, exchange: &mut ImportedExchange, file: &mut ImportedFile<'_>) -> Vec<String> {
    let mut required = Vec::new();
    for (name, matcher) in request.get("headers").into_iter().flat_map(SourceValue::members) {
        match matcher.get("equalTo").and_then(SourceValue::as_str) {
            Some(value) => {
                exchange.request_headers.push(name, value.to_owned());
                required.push(name.to_ascii_lowercase());
            }
            None if matcher.get("absent").is_some() => {}
            None => {
                let matcher_name = matcher.members().next().map_or("a matcher", |(name, _)| name).to_owned();
                file.lose(matcher.line, format!("`{matcher_name}` of the header `{name}` is not carried over"));
            }
        }
    }
    let cookies: Vec<String> = request
        .get("cookies")
        .into_iter()
        .flat_map(SourceValue::members)
        .filter_map(|(name, matcher)| Some(format!("{name}={}", matcher.get("equalTo")?.as_str()?)))
        .collect();
    if !cookies.is_empty() {
        exchange.request_headers.push("cookie", cookies.join("; "));
    }
    if let Some(basic) = request.get("basicAuth").or_else(|| request.get("basicAuthCredentials")) {
        let part = |name: &str| basic.get(name).and_then(SourceValue::as_str).unwrap_or_default();
        let pair = BASE64_STANDARD.encode(format!("{}:{}", part("username"), part("password")));
        exchange.request_headers.push("authorization", format!("Basic {pair}"));
    }
    required
}

/// Adds the payload of the request. Returns true if any payload is accepted.
fn request_payload(request: &SourceValue, exchange: &mut ImportedExchange, file: &mut ImportedFile<'_>) -> bool {
    let patterns: Vec<_> = request.get("bodyPatterns").into_iter().flat_map(SourceValue::items).collect();
    let mut is_any = true;
    for pattern in &patterns {
        let exact = pattern.get("equalTo").or_else(|| pattern.get("equalToXml"));
        if let Some(json) = pattern.get("equalToJson") {
            let text = json.as_str().map_or_else(|| json.to_json().to_string(), str::to_owned);
            exchange.sent = Some(text.into_bytes());
            exchange.set_content_type("application/json");
            is_any = false;
            for (option, meaning) in [("ignoreExtraElements", "more members"), ("ignoreArrayOrder", "another order")] {
                if pattern.get(option).is_some_and(SourceValue::is_true) {
                    file.lose(pattern.line, format!("`{option}`: a payload with {meaning} is a miss now"));
                }
            }
        } else if let Some(text) = exact.and_then(SourceValue::as_str) {
            exchange.sent = Some(text.as_bytes().to_vec());
            is_any = false;
        } else if let Some(bytes) = pattern.get("binaryEqualTo").and_then(SourceValue::as_str).and_then(decode_base64) {
            exchange.sent = Some(bytes);
            is_any = false;
        } else {
            let name = pattern.members().next().map_or("a matcher", |(name, _)| name).to_owned();
            file.lose(pattern.line, format!("`{name}` of the payload is not carried over: any payload is accepted"));
        }
    }
    is_any
}

fn response_headers(value: Option<&SourceValue>) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in value.into_iter().flat_map(SourceValue::members) {
        let values: Vec<&SourceValue> = if value.is_list() { value.items().collect() } else { vec![value] };
        for value in values.into_iter().filter_map(SourceValue::as_str) {
            headers.push(name, value.to_owned());
        }
    }
    headers
}

fn response_payload(
    response: &SourceValue,
    exchange: &mut ImportedExchange,
    file: &mut ImportedFile<'_>,
) -> Option<Vec<u8>> {
    if let Some(json) = response.get("jsonBody") {
        if !exchange.response_headers.contains("content-type") {
            exchange.response_headers.push("content-type", "application/json");
        }
        return Some(json.to_json().to_string().into_bytes());
    }
    if let Some(base64) = response.get("base64Body") {
        let bytes = base64.as_str().and_then(decode_base64);
        if bytes.is_none() {
            file.lose(base64.line, "`base64Body` is invalid: the mapping is left out");
        }
        return bytes;
    }
    let Some(name) = response.get("bodyFileName") else {
        return Some(response.get("body").and_then(SourceValue::as_str).unwrap_or_default().as_bytes().to_vec());
    };
    let found = name.as_str().and_then(|name| payload_file(file.path, name));
    let read = found.and_then(|path| fs::read(path).ok());
    if read.is_none() {
        let shown = name.as_str().unwrap_or_default();
        file.lose(name.line, format!("`__files/{shown}` can't be read: the mapping is left out"));
    }
    read
}

/// Returns the path of a payload file: in `__files` beside the folder `mappings`.
fn payload_file(mapping: &Path, name: &str) -> Option<PathBuf> {
    let is_inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let folders = mapping.ancestors().skip(1).map(|folder| folder.join("__files"));
    is_inside.then(|| folders.filter(|folder| folder.is_dir()).map(|folder| folder.join(name)).next()).flatten()
}
