//! `when`: the conditions under which a route rule applies.

use std::collections::HashMap;
use std::sync::Mutex;

use regex::Regex;
use serde_json::Value;

use super::facts::RequestFacts;
use harproxy_json::JsonPath;
use harproxy_matching::PathPattern;
use harproxy_support::sync::lock;

/// The number of sessions whose requests are counted. With more of them, all counts start again.
const MAX_SESSIONS: usize = 10_000;

/// The conditions of a rule. All of them must hold.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    pub headers: Vec<(String, ValueTest)>,
    pub query: Vec<(String, ValueTest)>,
    /// Of variable segments of the rule's `path`.
    pub path: Vec<(String, ValueTest)>,
    pub body: Vec<(JsonPath, ValueTest)>,
    pub occurrence: Option<Occurrence>,
}

/// Which of the requests that fulfil the other conditions the rule applies to.
#[derive(Clone, Debug, PartialEq)]
pub enum Occurrence {
    /// `nth`: these ones, from 1, in each session.
    Nth(Vec<u64>),
    /// `rate`: this share, spread evenly.
    Rate(f64),
}

/// A test of a value.
#[derive(Clone, Debug)]
pub enum ValueTest {
    Equals(Value),
    GreaterThan(f64),
    AtLeast(f64),
    LessThan(f64),
    AtMost(f64),
    Matches(Regex),
    Contains(String),
    Exists(bool),
    /// All of several tests.
    All(Vec<ValueTest>),
}

impl ValueTest {
    /// Returns true if one of the values passes. `Exists(false)` needs that there is none.
    fn passes(&self, values: &[Value]) -> bool {
        match self {
            ValueTest::Exists(expected) => values.is_empty() != *expected,
            ValueTest::All(tests) => tests.iter().all(|test| test.passes(values)),
            test => values.iter().any(|value| test.passes_value(value)),
        }
    }

    fn passes_value(&self, value: &Value) -> bool {
        let number = || match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let text = || match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match self {
            ValueTest::Equals(expected) => {
                value == expected
                    || (!value.is_string() && !expected.is_string() && is_equal_number(value, expected))
                    || (value.is_string() && !expected.is_string() && *expected == text_as_json(&text()))
            }
            ValueTest::GreaterThan(limit) => number().is_some_and(|number| number > *limit),
            ValueTest::AtLeast(limit) => number().is_some_and(|number| number >= *limit),
            ValueTest::LessThan(limit) => number().is_some_and(|number| number < *limit),
            ValueTest::AtMost(limit) => number().is_some_and(|number| number <= *limit),
            ValueTest::Matches(pattern) => pattern.is_match(&text()),
            ValueTest::Contains(part) => text().contains(part),
            ValueTest::Exists(_) | ValueTest::All(_) => self.passes(std::slice::from_ref(value)),
        }
    }
}

/// Returns the JSON value that a text spells: `7` for `"7"`.
fn text_as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// `1` and `1.0` are equal.
fn is_equal_number(a: &Value, b: &Value) -> bool {
    let is_integer = |value: &Value| value.is_i64() || value.is_u64();
    // Large integers are not exact as floating-point numbers.
    !(is_integer(a) && is_integer(b))
        && matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a.to_bits() == b.to_bits())
}

impl Conditions {
    #[must_use]
    pub fn needs_payload(&self) -> bool {
        !self.body.is_empty()
    }

    /// Returns true if the request fulfils the conditions. The occurrence is not among them.
    #[must_use]
    pub fn hold(&self, request: &RequestFacts, path: Option<&PathPattern>) -> bool {
        self.failing(request, path).is_none()
    }

    /// Returns the first condition that the request does not fulfil, such as `query.page`.
    #[must_use]
    pub fn failing(&self, request: &RequestFacts, path: Option<&PathPattern>) -> Option<String> {
        let path_values = match path {
            Some(pattern) if !self.path.is_empty() => request.path_values(pattern),
            _ => Vec::new(),
        };
        let of_path = |name: &str| {
            let found = path_values.iter().filter(|(known, _)| known == name);
            found.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        first_failing("header", &self.headers, |name| request.header(name))
            .or_else(|| first_failing("query", &self.query, |name| request.query(name)))
            .or_else(|| first_failing("path", &self.path, of_path))
            .or_else(|| {
                let has_tests = !self.body.is_empty();
                let path = has_tests.then(|| failing_path(&self.body, request.json())).flatten()?;
                Some(format!("body.\"{path}\""))
            })
    }
}

fn first_failing(table: &str, tests: &[(String, ValueTest)], values: impl Fn(&str) -> Vec<String>) -> Option<String> {
    let fails = |(name, test): &&(String, ValueTest)| {
        let values: Vec<Value> = values(name).into_iter().map(Value::from).collect();
        !test.passes(&values)
    };
    tests.iter().find(fails).map(|(name, _)| format!("{table}.{name}"))
}

/// Returns the path of the first test that a payload does not pass. `json` is `None` for a payload that is not JSON.
pub(super) fn failing_path<'b>(body: &'b [(JsonPath, ValueTest)], json: Option<&Value>) -> Option<&'b JsonPath> {
    let selected = |path: &JsonPath| {
        json.map(|json| path.select(json).into_iter().cloned().collect::<Vec<_>>()).unwrap_or_default()
    };
    body.iter().find(|(path, test)| !test.passes(&selected(path))).map(|(path, _)| path)
}

/// The number of requests that fulfilled the conditions of a rule, in each session.
#[derive(Debug, Default)]
pub struct OccurrenceCounter(Mutex<HashMap<Option<String>, u64>>);

impl OccurrenceCounter {
    /// Counts a request, and returns true if the rule applies to it.
    pub fn count(&self, occurrence: Option<&Occurrence>, session: Option<&str>) -> bool {
        let Some(occurrence) = occurrence else { return true };
        // A share is that of all sessions together.
        let key = if let Occurrence::Nth(_) = occurrence { session.map(str::to_owned) } else { None };
        let mut counts = lock(&self.0);
        // Clients choose the names of their sessions.
        if counts.len() >= MAX_SESSIONS && !counts.contains_key(&key) {
            counts.clear();
        }
        let count = counts.entry(key).or_default();
        *count += 1;
        match occurrence {
            Occurrence::Nth(wanted) => wanted.contains(count),
            Occurrence::Rate(rate) => (*count as f64 * rate).floor() > ((*count - 1) as f64 * rate).floor(),
        }
    }

    /// Starts to count again in some sessions.
    pub fn reset(&self, is_reset: impl Fn(Option<&str>) -> bool) {
        lock(&self.0).retain(|session, _| !is_reset(session.as_deref()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use harproxy_http::NormalUrl;
    use serde_json::json;

    fn request() -> RequestFacts {
        let mut headers = ::http::HeaderMap::new();
        headers.insert("authorization", "Bearer expired".parse().unwrap());
        let url = NormalUrl::parse("https://a.test/orders/7?page=9&page=10").unwrap();
        let payload = Bytes::from_static(br#"{"amount":120.5,"items":[{"sku":"a"},{"sku":"b"}]}"#);
        RequestFacts::new(::http::Method::POST, url, headers, payload, None)
    }

    fn path(text: &str) -> JsonPath {
        JsonPath::parse(text).unwrap()
    }

    #[test]
    fn conditions_look_at_all_parts_of_a_request() {
        let pattern = PathPattern::new("/orders/{id}").unwrap();
        let hold = |conditions: Conditions| conditions.hold(&request(), Some(&pattern));
        let body = |at: &str, test| Conditions { body: vec![(path(at), test)], ..Conditions::default() };
        assert!(hold(Conditions {
            headers: vec![("authorization".into(), ValueTest::Equals(json!("Bearer expired")))],
            query: vec![("page".into(), ValueTest::Equals(json!("10")))],
            path: vec![("id".into(), ValueTest::Equals(json!(7)))],
            body: vec![(path("$.amount"), ValueTest::GreaterThan(100.0))],
            ..Conditions::default()
        }));
        assert!(hold(body("$.items[*].sku", ValueTest::Equals(json!("b")))));
        assert!(hold(body("$.amount", ValueTest::All(vec![ValueTest::AtLeast(120.5), ValueTest::LessThan(121.0)]))));
        assert!(hold(body("$.none", ValueTest::Exists(false))) && !hold(body("$.none", ValueTest::Exists(true))));
        assert!(hold(body("$.items[0].sku", ValueTest::Matches(Regex::new("^[a-z]$").unwrap()))));
        assert!(!hold(body("$.amount", ValueTest::GreaterThan(120.5))));
        let query = |test| Conditions { query: vec![("page".into(), test)], ..Conditions::default() };
        assert!(hold(query(ValueTest::Equals(json!(9)))) && !hold(query(ValueTest::Equals(json!(8)))));
    }

    #[test]
    fn occurrences_are_counted_in_each_session_and_shares_evenly() {
        let counter = OccurrenceCounter::default();
        let third = Occurrence::Nth(vec![3]);
        let count = |session| counter.count(Some(&third), session);
        let applied: Vec<bool> = (0..4).map(|_| count(None)).collect();
        assert_eq!(applied, [false, false, true, false]);
        assert!(!count(Some("other")));
        counter.reset(|_| true);
        assert_eq!([count(None), count(None), count(None)], [false, false, true]);
        let counter = OccurrenceCounter::default();
        let tenth = Occurrence::Rate(0.1);
        assert_eq!((0..1000).filter(|_| counter.count(Some(&tenth), None)).count(), 100);
        assert!(counter.count(None, None));
    }
}
