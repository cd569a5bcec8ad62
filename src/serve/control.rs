//! `x-mock-…` headers, with which a client chooses an answer, and API keys.

use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Method};
use subtle::ConstantTimeEq as _;

use harproxy_har::Fixture;
use harproxy_http::NormalUrl;
use harproxy_matching::EntryRef;
use harproxy_redact::Secret;

const CODE: &str = "x-mock-response-code";
const NAME: &str = "x-mock-response-name";
const DELAY: &str = "x-mock-response-delay";
const MATCH_BODY: &str = "x-mock-match-request-body";
const MATCH_HEADERS: &str = "x-mock-match-request-headers";
const ALL: [&str; 5] = [CODE, NAME, DELAY, MATCH_BODY, MATCH_HEADERS];
/// The header of an API key.
pub const API_KEY: &str = "x-api-key";

/// The longest delay that a client can ask for.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// The choice of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlHeaders {
    pub code: Option<u16>,
    pub name: Option<String>,
    pub delay: Option<Duration>,
    /// The request headers that must be equal to those of the entry.
    pub match_headers: Vec<String>,
}

/// A control header with an invalid value, for a 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` expects {expected}")]
pub struct ControlError {
    pub name: &'static str,
    pub expected: &'static str,
}

impl ControlHeaders {
    /// Returns true if a request has a control header.
    #[must_use]
    pub fn are_in(headers: &HeaderMap) -> bool {
        ALL.iter().any(|name| headers.contains_key(*name))
    }

    /// Removes the control headers of a request.
    pub fn remove(headers: &mut HeaderMap) {
        ALL.iter().for_each(|name| drop(headers.remove(*name)));
    }

    /// Takes the control headers out of a request.
    ///
    /// # Errors
    /// [`ControlError`]
    pub fn take(headers: &mut HeaderMap) -> Result<Self, ControlError> {
        let mut take = |name: &'static str| {
            let value = headers.remove(name);
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
        };
        let [code, name, delay, body, match_headers] = ALL.map(&mut take);
        let integer = |name, value: Option<String>| match value {
            None => Ok(None),
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| ControlError { name, expected: "an integer" }),
        };
        let code = match integer(CODE, code)? {
            None => None,
            Some(code @ 100..=999) => u16::try_from(code).ok(),
            Some(_) => return Err(ControlError { name: CODE, expected: "a status from 100 to 999" }),
        };
        if body.is_some_and(|body| body != "true") {
            return Err(ControlError { name: MATCH_BODY, expected: "true: payloads are always compared" });
        }
        let delay = integer(DELAY, delay)?.map(|delay| Duration::from_millis(delay).min(LONGEST_DELAY));
        let match_headers = match_headers.unwrap_or_default();
        let match_headers = match_headers.split(',').map(|name| name.trim().to_ascii_lowercase());
        Ok(ControlHeaders { code, name, delay, match_headers: match_headers.filter(|name| !name.is_empty()).collect() })
    }
}

/// The entries of a method and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedEntry {
    pub at: EntryRef,
    pub status: u16,
    pub name: Option<String>,
    /// The number of query parameters that it has in common with the request, less those that differ.
    similarity: i64,
}

/// The reason why no entry fits the control headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoEntry {
    /// The statuses and names that there are.
    NotFound { statuses: Vec<u16>, names: Vec<String> },
    /// The entry with this name has another status.
    Contradiction { name: String, status: u16 },
}

/// Returns the entries of a method and a path, those with the most similar query first.
#[must_use]
pub fn entries_of(fixtures: &[std::sync::Arc<Fixture>], method: &Method, url: &NormalUrl) -> Vec<NamedEntry> {
    let wanted = url.parts();
    let mut found = Vec::new();
    for (number, fixture) in fixtures.iter().enumerate() {
        for head in fixture.heads().iter().filter(|head| head.method == method.as_str() && !head.websocket) {
            let Ok(recorded) = NormalUrl::parse(head.url) else { continue };
            let parts = recorded.parts();
            if parts.path != wanted.path || parts.site() != wanted.site() {
                continue;
            }
            let at = EntryRef { fixture: number, entry: head.entry };
            let similarity = similarity(parts.query.unwrap_or_default(), wanted.query.unwrap_or_default());
            let status = u16::try_from(head.status).unwrap_or_default();
            found.push(NamedEntry { at, status, name: name_of(fixture, head.entry), similarity });
        }
    }
    found.sort_by_key(|entry| std::cmp::Reverse(entry.similarity));
    found
}

/// Returns the name of an entry: `_harproxy.name`, else its `comment`.
#[must_use]
pub fn name_of(fixture: &Fixture, entry: usize) -> Option<String> {
    let entry = fixture.entry(entry).ok()?;
    let own = entry.harproxy.as_ref().and_then(|own| own.get("name")?.as_str());
    let comment = || entry.extras.get("comment")?.as_str();
    own.or_else(comment).filter(|name| !name.is_empty()).map(str::to_owned)
}

fn similarity(a: &str, b: &str) -> i64 {
    let pairs =
        |query: &str| -> Vec<(String, String)> { url::form_urlencoded::parse(query.as_bytes()).into_owned().collect() };
    let (a, b) = (pairs(a), pairs(b));
    let common = a.iter().filter(|pair| b.contains(pair)).count() as i64;
    common * 2 - (a.len() + b.len()) as i64
}

/// Chooses an entry by status and name.
///
/// # Errors
/// [`NoEntry`]
pub fn choose(entries: &[NamedEntry], control: &ControlHeaders) -> Result<EntryRef, NoEntry> {
    let fits = |entry: &&NamedEntry| control.code.is_none_or(|code| entry.status == code);
    if let Some(name) = &control.name {
        let named = entries.iter().filter(|entry| entry.name.as_ref() == Some(name));
        if let Some(entry) = named.clone().find(fits) {
            return Ok(entry.at);
        }
        if let Some(other) = named.clone().next() {
            return Err(NoEntry::Contradiction { name: name.clone(), status: other.status });
        }
    } else if let Some(entry) = entries.iter().find(fits) {
        return Ok(entry.at);
    }
    let mut statuses: Vec<u16> = entries.iter().map(|entry| entry.status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    Err(NoEntry::NotFound { statuses, names: entries.iter().filter_map(|entry| entry.name.clone()).collect() })
}

/// The keys of `--api-key`.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys(pub Vec<Secret>);

impl ApiKeys {
    /// Takes the key out of a request, and returns true if it is one of these. The comparison takes the same time for
    /// every value of the same length.
    pub fn accept(&self, headers: &mut HeaderMap) -> bool {
        let given: Option<HeaderValue> = headers.remove(API_KEY);
        let given = given.as_ref().map(HeaderValue::as_bytes).unwrap_or_default();
        let is_equal = |key: &Secret| bool::from(key.reveal().as_bytes().ct_eq(given));
        // No early end: the position of the key among several must not show.
        self.0.iter().fold(self.0.is_empty(), |accepted, key| accepted | is_equal(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn control_headers_are_taken_out_of_the_request() {
        let mut fields =
            headers(&[(CODE, "404"), (NAME, "E2"), (DELAY, "800"), (MATCH_HEADERS, "A, b"), ("accept", "x")]);
        let control = ControlHeaders::take(&mut fields).unwrap();
        assert_eq!((control.code, control.name.as_deref()), (Some(404), Some("E2")));
        assert_eq!(control.delay, Some(Duration::from_millis(800)));
        assert_eq!(control.match_headers, ["a", "b"]);
        assert_eq!(fields.len(), 1);
        for (name, value) in [(CODE, "many"), (CODE, "7"), (DELAY, "-1"), (MATCH_BODY, "false")] {
            let error = ControlHeaders::take(&mut headers(&[(name, value)])).unwrap_err();
            assert_eq!(error.name, name);
        }
        let long = ControlHeaders::take(&mut headers(&[(DELAY, "99999999")])).unwrap();
        assert_eq!(long.delay, Some(LONGEST_DELAY));
    }

    #[test]
    fn name_wins_over_the_code_unless_they_contradict() {
        let entry = |entry, status, name: &str| NamedEntry {
            at: EntryRef { fixture: 0, entry },
            status,
            name: Some(name.to_owned()),
            similarity: 0,
        };
        let entries = [entry(0, 200, "E1"), entry(1, 404, "E2")];
        let choose = |code, name: Option<&str>| {
            let control = ControlHeaders { code, name: name.map(str::to_owned), ..ControlHeaders::default() };
            choose(&entries, &control).map(|at| at.entry)
        };
        assert_eq!(choose(Some(404), None), Ok(1));
        assert_eq!(choose(None, Some("E2")), Ok(1));
        assert_eq!(choose(Some(200), Some("E2")), Err(NoEntry::Contradiction { name: "E2".into(), status: 404 }));
        let none = NoEntry::NotFound { statuses: vec![200, 404], names: vec!["E1".into(), "E2".into()] };
        assert_eq!(choose(Some(500), None), Err(none.clone()));
        assert_eq!(choose(None, Some("E9")), Err(none));
    }

    #[test]
    fn one_of_several_keys_is_accepted_and_removed() {
        let keys = ApiKeys(vec!["first".into(), "second".into()]);
        let mut request = headers(&[(API_KEY, "second")]);
        assert!(keys.accept(&mut request) && request.is_empty());
        assert!(!keys.accept(&mut headers(&[(API_KEY, "third")])) && !keys.accept(&mut headers(&[])));
        assert!(ApiKeys::default().accept(&mut headers(&[])));
    }
}
