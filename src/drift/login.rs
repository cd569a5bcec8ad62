//! The login of a drift run: recorded requests that are sent first, and values of their answers for later headers.

use std::collections::BTreeMap;

use ::http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::client::DriftClient;
use super::evidence::AnswerPayload;
use super::request::{self, CredentialHeader, RequestRules};
use harproxy_har::Fixture;
use harproxy_json::JsonPath;
use harproxy_matching::RequestPattern;

/// A value of `[drift]`: a variable of the environment, or a text with `{name}` for captured values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// `env:NAME`
    Variable(String),
    /// A text with `{name}` for captured values.
    Text(String),
    Literal(String),
}

impl ValueSource {
    /// Parses a value as the configuration spells it.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text.strip_prefix("env:") {
            Some(name) if name.is_empty() || name.contains(['=', '\0']) => {
                Err("expected the name of a variable after `env:`, such as `env:API_TOKEN`")
            }
            Some(name) => Ok(ValueSource::Variable(name.to_owned())),
            None => Ok(ValueSource::Text(text.to_owned())),
        }
    }

    /// Returns the value.
    ///
    /// # Errors
    /// The variable that is not set, or the captured value that does not exist.
    pub fn resolve(&self, captured: &BTreeMap<String, String>) -> Result<String, MissingValue> {
        match self {
            ValueSource::Variable(name) => {
                let value = std::env::var(name).ok().filter(|value| !value.is_empty());
                value.ok_or_else(|| MissingValue::Variable(name.clone()))
            }
            ValueSource::Text(text) => fill(text, captured),
            ValueSource::Literal(text) => Ok(text.clone()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissingValue {
    #[error("the environment variable `{0}` is not set")]
    Variable(String),
    #[error("`{{{0}}}` is not a value that [drift.login] captures")]
    Capture(String),
}

impl MissingValue {
    /// Returns the next step.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            MissingValue::Variable(name) => format!("set it: `{name}=… harproxy drift`"),
            MissingValue::Capture(name) => {
                format!("capture it: `[drift.login]` with `capture = {{ {name} = \"$.{name}\" }}`")
            }
        }
    }
}

fn fill(text: &str, captured: &BTreeMap<String, String>) -> Result<String, MissingValue> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, inside)) = rest.split_once('{') {
        let Some((name, after)) = inside.split_once('}') else { break };
        let value = captured.get(name).ok_or_else(|| MissingValue::Capture(name.to_owned()))?;
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    Ok(filled + rest)
}

/// `[drift.login]`: the entries that log in, and the values that later requests need.
#[derive(Clone, Debug, Default)]
pub struct LoginPlan {
    /// `send`: requests of the fixtures, in order.
    pub send: Vec<RequestPattern>,
    /// `capture`: names, and JSON paths into the answers. A later answer replaces the value of an earlier one.
    pub capture: Vec<(String, JsonPath)>,
}

/// A login that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    #[error("[drift.login]: no entry matches request {0} of `send`")]
    NoEntry(usize),
    /// The request can't be made, or has no answer.
    #[error("[drift.login]: {request}: {reason}")]
    NoAnswer { request: String, reason: String },
    #[error("[drift.login]: {request} answers {status}")]
    Refused { request: String, status: u16 },
    #[error("[drift.login]: no answer has a value for `{0}`")]
    NotCaptured(String),
}

/// Sends the requests of the plan and returns the captured values.
///
/// # Errors
/// [`LoginError`]
pub async fn log_in(
    plan: &LoginPlan,
    fixtures: &[Fixture],
    client: &DriftClient,
    rules: &RequestRules,
) -> Result<BTreeMap<String, String>, LoginError> {
    let mut captured = BTreeMap::new();
    for (number, pattern) in plan.send.iter().enumerate() {
        let entries = fixtures.iter().flat_map(|fixture| fixture.heads().iter().map(move |head| (fixture, head)));
        let mut matching = entries.filter(|(_, head)| pattern.matches(head.method, head.url));
        let (fixture, head) = matching.next().ok_or(LoginError::NoEntry(number + 1))?;
        let request = format!("{} {}", head.method, head.url);
        let failed = |reason| LoginError::NoAnswer { request: request.clone(), reason };
        let live = request::make(fixture, head.entry, rules).map_err(failed)?;
        let answer = client.send(&live).await.map_err(|no_answer| {
            let advice = no_answer.advice.map(|advice| format!(": {advice}")).unwrap_or_default();
            failed(no_answer.reason + &advice)
        })?;
        if answer.status >= 400 {
            return Err(LoginError::Refused { request, status: answer.status });
        }
        if let AnswerPayload::Bytes(payload) = &answer.payload
            && let Ok(value) = serde_json::from_slice::<Value>(payload)
        {
            for (name, path) in &plan.capture {
                match path.select(&value).first() {
                    Some(Value::String(text)) => drop(captured.insert(name.clone(), text.clone())),
                    Some(scalar @ (Value::Number(_) | Value::Bool(_))) => {
                        captured.insert(name.clone(), scalar.to_string());
                    }
                    _ => {}
                }
            }
        }
    }
    match plan.capture.iter().find(|(name, _)| !captured.contains_key(name)) {
        Some((name, _)) => Err(LoginError::NotCaptured(name.clone())),
        None => Ok(captured),
    }
}

/// A header of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderPlan {
    /// The origin that gets it. `None` for the one whose requests were recorded with it.
    pub origin: Option<String>,
    pub name: HeaderName,
    pub value: ValueSource,
}

/// Returns the headers of the configuration with their values and origins. `recorded` returns the selected origins
/// whose requests were recorded with a header, and `origins` are all origins of the fixtures.
///
/// # Errors
/// [`HeaderError`]
pub fn headers(
    configured: &[HeaderPlan],
    captured: &BTreeMap<String, String>,
    origins: &[String],
    recorded: &dyn Fn(&HeaderName) -> Vec<String>,
) -> Result<Vec<CredentialHeader>, HeaderError> {
    let each = configured.iter().map(|HeaderPlan { origin, name, value }| {
        let value = value.resolve(captured)?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| HeaderError::Invalid(name.clone()))?;
        let origin = match (origin, &recorded(name)[..], origins) {
            (Some(origin), ..) => origin.clone(),
            (None, [recorded], _) => recorded.clone(),
            (None, [], [only]) => only.clone(),
            (None, recorded, _) => {
                let among = if recorded.is_empty() { origins } else { recorded };
                return Err(HeaderError::Origin { name: name.clone(), origins: among.to_vec() });
            }
        };
        Ok(CredentialHeader { origin, name: name.clone(), value })
    });
    each.collect()
}

#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    #[error(transparent)]
    Missing(#[from] MissingValue),
    #[error("the value of `{0}` is not valid in a header")]
    Invalid(HeaderName),
    /// A credential must not go to another host.
    #[error("`{name}` could be meant for {}", origins.join(", "))]
    Origin { name: HeaderName, origins: Vec<String> },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_values_fill_texts() {
        let captured = BTreeMap::from([("token".to_owned(), "t1".to_owned())]);
        let resolve = |text: &str| ValueSource::parse(text).unwrap().resolve(&captured);
        assert_eq!(resolve("Bearer {token}").unwrap(), "Bearer t1");
        assert_eq!(resolve("plain").unwrap(), "plain");
        assert_eq!(resolve("{other}"), Err(MissingValue::Capture("other".to_owned())));
        let missing = MissingValue::Variable("HARPROXY_NOT_SET_HERE".to_owned());
        assert_eq!(resolve("env:HARPROXY_NOT_SET_HERE"), Err(missing));
        assert!(ValueSource::parse("env:").is_err());
    }
}
