//! `template`: answers with values of the request, by minijinja.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value as Jinja};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, UndefinedBehavior};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::facts::RequestFacts;
use harproxy_json::JsonPath;
use harproxy_json::text::quote;
use harproxy_matching::PathPattern;
use harproxy_tls::provider::random;

/// The number of instructions that a template may run.
const FUEL: u64 = 200_000;

/// Values of `[vars]` and `--vars`.
pub type Variables = BTreeMap<String, Value>;

/// Renders a text with values of a request. In JSON, values are escaped as inside a string.
///
/// # Errors
/// The line and the reason, such as a variable that does not exist.
pub fn render(
    text: &str,
    is_json: bool,
    request: &RequestFacts,
    path: Option<&PathPattern>,
    variables: &Variables,
) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.map_err(|error| error.to_string())?);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(move |out, _, value| format_value(out, is_json, value));
    environment.add_function("uuid", uuid);
    environment.add_function("now", now);
    environment.add_function("env", env);
    let body = request.json().cloned();
    environment.add_function("body", move |path: String| select(body.as_ref(), &path));
    let context = json!({ "request": facts(request, path), "vars": variables });
    environment.render_str(text, Jinja::from(Serde(&context))).map_err(|error| {
        let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
        let part =
            error.range().and_then(|range| text.get(range)).map(|part| format!("`{part}`: ")).unwrap_or_default();
        let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        format!("{line}{part}{}{detail}", error.kind())
    })
}

/// Checks the syntax of a text.
///
/// # Errors
/// The line and the reason.
pub fn check(text: &str) -> Result<(), String> {
    let error = Environment::new().template_from_str(text).err();
    error.map_or(Ok(()), |error| {
        let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        Err(format!("the template is not valid: line {}: {}{detail}", error.line().unwrap_or(1), error.kind()))
    })
}

/// Returns the request as templates see it.
fn facts(request: &RequestFacts, path: Option<&PathPattern>) -> Value {
    let path_values: BTreeMap<_, _> =
        path.map(|path| request.path_values(path)).unwrap_or_default().into_iter().collect();
    let query: BTreeMap<String, String> = request.query_pairs().into_iter().rev().collect();
    let headers: BTreeMap<String, String> = request
        .headers
        .keys()
        .filter_map(|name| Some((name.to_string(), request.header(name.as_str()).into_iter().next()?)))
        .collect();
    json!({
        "method": request.method.as_str(),
        "url": request.url.as_str(),
        "path": path_values,
        "query": query,
        "headers": headers,
        "body": request.json().cloned().unwrap_or_else(|| Value::from(String::from_utf8_lossy(&request.payload).into_owned())),
    })
}

/// Writes a value. In JSON, a text is escaped without its quotes, and other values are JSON.
fn format_value(out: &mut Output<'_>, is_json: bool, value: &Jinja) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "the value does not exist"));
    }
    let text = match (is_json, value.as_str()) {
        (true, Some(text)) => {
            let quoted = quote(text);
            quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
        }
        (_, Some(text)) => text.to_owned(),
        (_, None) if value.is_none() => "null".to_owned(),
        (_, None) => serde_json::to_string(value).unwrap_or_else(|_| value.to_string()),
    };
    out.write_str(&text).map_err(Error::from)
}

/// Returns the first value of the request's payload that a JSON path selects.
fn select(body: Option<&Value>, path: &str) -> Result<Jinja, Error> {
    let parsed = JsonPath::parse(path).map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    let found = body.and_then(|body| parsed.select(body).first().copied().map(|found| Jinja::from(Serde(found))));
    found.ok_or_else(|| Error::new(ErrorKind::UndefinedError, format!("the payload has no value at `{path}`")))
}

/// Returns a random UUID (RFC 9562, version 4).
fn uuid() -> Result<String, Error> {
    let bytes = random().ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "no random numbers"))?;
    Ok(format_uuid(bytes))
}

/// Formats random bytes as a UUID of version 4.
#[must_use]
pub fn format_uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        let separator = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
        // Writing to a string never fails.
        let _ = write!(text, "{separator}{byte:02x}");
    }
    text
}

/// Returns a new random UUID, or a fixed one if the system has no random numbers.
#[must_use]
pub fn new_uuid() -> String {
    format_uuid(random().unwrap_or_default())
}

/// Returns the time as RFC 3339.
fn now() -> String {
    OffsetDateTime::now_utc().replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok()).unwrap_or_default()
}

fn env(name: String) -> Result<String, Error> {
    let missing = || Error::new(ErrorKind::UndefinedError, format!("the environment variable `{name}` is not set"));
    std::env::var(&name).map_err(|_| missing())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use harproxy_http::NormalUrl;

    fn rendered(text: &str) -> Result<String, String> {
        let url = NormalUrl::parse("https://a.test/orders/7?name=%22Ada%22").unwrap();
        let payload = Bytes::from_static(br#"{"items":[{"sku":"x"}],"n":2}"#);
        let request = RequestFacts::new(::http::Method::POST, url, Default::default(), payload, None);
        let variables = Variables::from([("tier".to_owned(), json!("gold"))]);
        render(text, true, &request, Some(&PathPattern::new("/orders/{id}").unwrap()), &variables)
    }

    #[test]
    fn values_are_escaped_for_json() {
        assert_eq!(rendered(r#"{"id":"{{ request.path.id }}"}"#).unwrap(), r#"{"id":"7"}"#);
        assert_eq!(rendered(r#"{"n":"{{ request.query.name }}"}"#).unwrap(), r#"{"n":"\"Ada\""}"#);
        assert_eq!(
            rendered(r#"{"n":{{ request.body.n }},"i":{{ request.body.items }}}"#).unwrap(),
            r#"{"n":2,"i":[{"sku":"x"}]}"#
        );
        assert_eq!(rendered(r#"{{ body("$.items[0].sku") }} {{ vars.tier }}"#).unwrap(), "x gold");
        assert_eq!(rendered("{{ uuid() }}").unwrap().len(), 36);
        assert_eq!(rendered("plain\n").unwrap(), "plain\n");
    }

    #[test]
    fn missing_values_and_endless_templates_are_errors() {
        for text in
            ["{{ request.path.other }}", "{{ vars.none }}", "{{ body('$.x') }}", "{{ env('HARPROXY_NONE') }}", "{{"]
        {
            assert!(rendered(text).is_err(), "{text}");
        }
        assert!(rendered("{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}").is_err());
    }
}
