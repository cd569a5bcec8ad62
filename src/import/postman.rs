//! Postman collections 2.0 and 2.1: the saved examples of their requests. Environments give values of variables.

use super::document::SourceValue;
use super::exchange::{ImportedExchange, ImportedFile};
use super::variables::Variables;
use harproxy_http::Headers;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Returns true if a document is a collection.
#[must_use]
pub fn is_collection(document: &SourceValue) -> bool {
    let schema = document.at(&["info", "schema"]).and_then(SourceValue::as_str).unwrap_or_default();
    schema.contains("/collection/v2") && document.get("item").is_some_and(SourceValue::is_list)
}

/// Returns the variables if a document is an environment.
#[must_use]
pub fn environment(document: &SourceValue) -> Option<Vec<(String, String)>> {
    let is_environment = document.get("_postman_variable_scope").is_some()
        || document.get("values").is_some_and(SourceValue::is_list) && document.get("item").is_none();
    is_environment.then(|| pairs(document.get("values")))
}

/// Returns name and value of the pairs in a list that are not disabled.
fn pairs(list: Option<&SourceValue>) -> Vec<(String, String)> {
    let is_enabled = |pair: &&SourceValue| {
        !pair.get("disabled").is_some_and(SourceValue::is_true) && pair.get("enabled").is_none_or(SourceValue::is_true)
    };
    let pair = |pair: &SourceValue| {
        let name = pair.get("key").or_else(|| pair.get("id")).or_else(|| pair.get("name"))?.as_str()?;
        Some((name.to_owned(), pair.get("value").and_then(SourceValue::as_str).unwrap_or_default().to_owned()))
    };
    list.into_iter().flat_map(SourceValue::items).filter(is_enabled).filter_map(pair).collect()
}

/// Imports the examples of a collection.
pub fn import(document: &SourceValue, file: &mut ImportedFile<'_>) {
    let mut variables = Variables::default();
    for (name, value) in file.settings.variables.iter().cloned().chain(pairs(document.get("variable"))) {
        variables.add(name, value);
    }
    if let Some(base) = &file.settings.base_url {
        for name in ["baseUrl", "base_url", "url", "host"] {
            variables.add(name, base.as_str().trim_end_matches('/'));
        }
    }
    let auth = document.get("auth");
    for item in document.get("item").into_iter().flat_map(SourceValue::items) {
        import_item(item, auth, &variables, file, 0);
    }
}

/// The depth to which folders are nested.
const MAX_FOLDERS: usize = 64;

fn import_item<'v>(
    item: &'v SourceValue,
    auth: Option<&'v SourceValue>,
    variables: &Variables,
    file: &mut ImportedFile<'_>,
    depth: usize,
) {
    let auth = item.get("auth").or(auth);
    if let Some(folder) = item.get("item").filter(|_| depth < MAX_FOLDERS) {
        folder.items().for_each(|item| import_item(item, auth, variables, file, depth + 1));
        return;
    }
    let name = item.get("name").and_then(SourceValue::as_str).unwrap_or("a request").to_owned();
    let examples: Vec<&SourceValue> = item.get("response").into_iter().flat_map(SourceValue::items).collect();
    if examples.is_empty() {
        file.lose(item.line, format!("`{name}` has no saved example"));
    }
    for example in examples {
        let Some(request) = example.get("originalRequest").or_else(|| item.get("request")) else {
            file.lose(example.line, format!("an example of `{name}` has no request"));
            continue;
        };
        let auth = request.get("auth").or_else(|| item.at(&["request", "auth"])).or(auth);
        import_example(example, request, auth, variables, file);
    }
}

fn import_example(
    example: &SourceValue,
    request: &SourceValue,
    auth: Option<&SourceValue>,
    variables: &Variables,
    file: &mut ImportedFile<'_>,
) {
    let mut resolver = VariableResolver { variables, missing: Vec::new() };
    let text = |value: Option<&SourceValue>| value.and_then(SourceValue::as_str).unwrap_or_default().to_owned();
    let status = example.get("code").and_then(SourceValue::number);
    let mut exchange = ImportedExchange {
        name: example.get("name").and_then(SourceValue::as_str).map(str::to_owned),
        method: request.get("method").and_then(SourceValue::as_str).unwrap_or("GET").to_ascii_uppercase(),
        url: url(request, &mut resolver),
        request_headers: headers(request.get("header"), &mut resolver),
        status: status.map_or(0, |code| code as u16),
        reason: text(example.get("status")),
        time: example.get("responseTime").and_then(SourceValue::number).unwrap_or_default(),
        response_headers: headers(example.get("header"), &mut resolver),
        received: text(example.get("body")).into_bytes(),
        ..ImportedExchange::default()
    };
    add_payload(request.get("body"), &mut exchange, &mut resolver, file);
    add_credentials(auth, &mut exchange, &mut resolver, file);
    if status.is_none() {
        return file.lose(example.line, "an example without a status code is left out");
    }
    let missing = resolver.missing;
    let rest = exchange.url.split_once("://").map_or(&*exchange.url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if let Some(name) = missing.iter().find(|name| authority.contains(&format!("{{{{{name}}}}}"))) {
        let text = format!("the URL has no value for `{name}`: add `--variable {name}=…` or an environment file");
        return file.lose(request.line, format!("{text}; the example is left out"));
    }
    for name in missing {
        file.lose(
            request.line,
            format!("the variable `{name}` has no value and stays as `{{{{{name}}}}}`: add `--variable {name}=…`"),
        );
    }
    file.add(example.line, exchange);
}

/// Replaces variables, and collects those without a value.
struct VariableResolver<'v> {
    variables: &'v Variables,
    missing: Vec<String>,
}

impl VariableResolver<'_> {
    fn resolve(&mut self, text: &str) -> String {
        let (text, missing) = self.variables.resolve(text);
        for name in missing {
            if !self.missing.contains(&name) {
                self.missing.push(name);
            }
        }
        text
    }
}

/// Returns the URL, which is a text or an object. Segments such as `:id` have their values in `variable`.
fn url(request: &SourceValue, resolver: &mut VariableResolver<'_>) -> String {
    let Some(url) = request.get("url") else { return String::new() };
    let raw = url.as_str().or_else(|| url.get("raw")?.as_str()).map_or_else(|| assembled(url), str::to_owned);
    let (path, query) = raw.split_once('?').map_or((&*raw, None), |(path, query)| (path, Some(query)));
    let values = pairs(url.get("variable"));
    let segment =
        |segment: &str| match segment.strip_prefix(':').and_then(|name| values.iter().find(|(known, _)| known == name))
        {
            Some((_, value)) if !value.is_empty() => value.clone(),
            _ => segment.to_owned(),
        };
    let path: Vec<String> = path.split('/').map(segment).collect();
    // Disabled parameters are in the raw URL of some versions.
    let query = match url.get("query") {
        Some(list) => {
            let pair = |(name, value): (String, String)| format!("{name}={value}");
            pairs(Some(list)).into_iter().map(pair).collect::<Vec<_>>().join("&")
        }
        None => query.unwrap_or_default().to_owned(),
    };
    let separator = if query.is_empty() { "" } else { "?" };
    let url = resolver.resolve(&format!("{}{separator}{query}", path.join("/")));
    if url.contains("://") || url.starts_with("{{") { url } else { format!("http://{url}") }
}

/// Joins the parts of a URL without `raw`.
fn assembled(url: &SourceValue) -> String {
    let joined = |name: &str, separator: &str| match url.get(name) {
        Some(list) if list.is_list() => {
            list.items().filter_map(SourceValue::as_str).collect::<Vec<_>>().join(separator)
        }
        Some(text) => text.as_str().unwrap_or_default().to_owned(),
        None => String::new(),
    };
    let (protocol, host, path) = (joined("protocol", ""), joined("host", "."), joined("path", "/"));
    let protocol = if protocol.is_empty() { String::new() } else { format!("{protocol}://") };
    let port = url.get("port").and_then(SourceValue::as_str).map(|port| format!(":{port}")).unwrap_or_default();
    format!("{protocol}{host}{port}/{}", path.trim_start_matches('/'))
}

/// Returns headers: a list of pairs, or lines of text.
fn headers(value: Option<&SourceValue>, resolver: &mut VariableResolver<'_>) -> Headers {
    let mut headers = Headers::default();
    let lines = value.and_then(SourceValue::as_str).unwrap_or_default().lines();
    let lines = lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_owned(), value.to_owned()));
    for (name, value) in lines.chain(pairs(value)) {
        headers.push(resolver.resolve(name.trim()), resolver.resolve(value.trim()));
    }
    headers
}

fn add_payload(
    body: Option<&SourceValue>,
    exchange: &mut ImportedExchange,
    resolver: &mut VariableResolver<'_>,
    file: &mut ImportedFile<'_>,
) {
    let Some(body) = body.filter(|body| !body.get("disabled").is_some_and(SourceValue::is_true)) else { return };
    match body.get("mode").and_then(SourceValue::as_str) {
        Some("raw") => {
            let text = body.get("raw").and_then(SourceValue::as_str).unwrap_or_default();
            exchange.sent = Some(resolver.resolve(text).into_bytes()).filter(|sent| !sent.is_empty());
            let language = body.at(&["options", "raw", "language"]).and_then(SourceValue::as_str);
            let media = match language {
                Some("json") => Some("application/json"),
                Some("xml") => Some("application/xml"),
                Some("html") => Some("text/html"),
                _ => None,
            };
            if let Some(media) = media.filter(|_| exchange.sent.is_some()) {
                exchange.set_content_type(media);
            }
        }
        Some("urlencoded") => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in pairs(body.get("urlencoded")) {
                form.append_pair(&resolver.resolve(&name), &resolver.resolve(&value));
            }
            exchange.sent = Some(form.finish().into_bytes());
            exchange.set_content_type("application/x-www-form-urlencoded");
        }
        Some("graphql") => {
            let part = |name: &str| body.at(&["graphql", name]).and_then(SourceValue::as_str).unwrap_or_default();
            let (query, variables) = (resolver.resolve(part("query")), resolver.resolve(part("variables")));
            let variables =
                serde_json::from_str::<serde_json::Value>(&variables).unwrap_or_else(|_| serde_json::json!({}));
            exchange.sent =
                Some(serde_json::json!({ "query": query, "variables": variables }).to_string().into_bytes());
            exchange.set_content_type("application/json");
        }
        Some("formdata") => {
            let list = body.get("formdata");
            for field in list.into_iter().flat_map(SourceValue::items).filter(|field| field.get("src").is_some()) {
                file.lose(field.line, "the file of a form field is not in the collection: the field is left out");
            }
            let is_file = |name: &str| {
                list.into_iter().flat_map(SourceValue::items).any(|field| {
                    field.get("src").is_some() && field.get("key").and_then(SourceValue::as_str) == Some(name)
                })
            };
            let mut text = String::new();
            for (name, value) in pairs(list).into_iter().filter(|(name, _)| !is_file(name)) {
                let (name, value) = (resolver.resolve(&name), resolver.resolve(&value));
                text += &format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            }
            exchange.sent = Some(format!("{text}--{BOUNDARY}--\r\n").into_bytes());
            exchange.request_headers.retain(|header| !header.name.eq_ignore_ascii_case("content-type"));
            exchange.request_headers.push("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
        }
        Some(mode @ "file") => {
            file.lose(body.line, format!("the payload of the mode `{mode}` is not in the collection"))
        }
        _ => {}
    }
}

/// The boundary of imported multipart payloads. Replay compares the parts, whatever the boundary is.
const BOUNDARY: &str = "harproxy-imported-boundary";

fn add_credentials(
    auth: Option<&SourceValue>,
    exchange: &mut ImportedExchange,
    resolver: &mut VariableResolver<'_>,
    file: &mut ImportedFile<'_>,
) {
    let Some(auth) = auth else { return };
    let kind = auth.get("type").and_then(SourceValue::as_str).unwrap_or("noauth");
    let list = pairs(auth.get(kind));
    let mut part = |name: &str| {
        let value = list.iter().find(|(known, _)| known == name).map(|(_, value)| &**value).unwrap_or_default();
        resolver.resolve(value)
    };
    match kind {
        "noauth" => {}
        _ if exchange.request_headers.contains("authorization") => {}
        "bearer" => {
            let token = part("token");
            exchange.request_headers.push("authorization", format!("Bearer {token}"));
        }
        "basic" => {
            let pair = BASE64_STANDARD.encode(format!("{}:{}", part("username"), part("password")));
            exchange.request_headers.push("authorization", format!("Basic {pair}"));
        }
        "apikey" if part("in") != "query" => {
            let (name, value) = (part("key"), part("value"));
            exchange.request_headers.push(name, value);
        }
        "apikey" => {
            let separator = if exchange.url.contains('?') { '&' } else { '?' };
            exchange.url = format!("{}{separator}{}={}", exchange.url, part("key"), part("value"));
        }
        kind => {
            file.lose(auth.line, format!("the authorization `{kind}` is computed for each request, and is left out"))
        }
    }
}
