//! Verification: `--expect` and `[[expect]]` say how often a request comes, with which payload and in which order.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;

use super::condition::{ValueTest, failing_path};
use crate::verdict::{CheckId, Finding, Severity};
use harproxy_json::JsonPath;
use harproxy_matching::RequestPattern;
use harproxy_support::sync::lock;

/// The number of different requests that are kept as candidates for the nearest one.
const MAX_LINES: usize = 1000;
/// The number of nearest requests in a finding.
const MAX_NEAREST: usize = 3;
/// The similarity from which a request is near, from 0 to 1.
const NEAR: f64 = 0.75;

/// The number of requests that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub min: u64,
    /// `None` without a limit.
    pub max: Option<u64>,
}

impl Times {
    pub const AT_LEAST_ONCE: Times = Times { min: 1, max: None };
    pub const NEVER: Times = Times { min: 0, max: Some(0) };

    /// Exactly this number.
    #[must_use]
    pub fn exactly(number: u64) -> Self {
        Times { min: number, max: Some(number) }
    }

    /// Parses `1`, `never`, `1..3` or `2..`.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected a number of requests, such as `1`, `never`, `1..3` or `2..`";
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| EXPECTED);
        let times = match text.trim().split_once("..") {
            _ if text.trim() == "never" => Times::NEVER,
            None => Times::exactly(number(text)?),
            Some((min, "")) => Times { min: number(min)?, max: None },
            Some((min, max)) => Times { min: number(min)?, max: Some(number(max)?) },
        };
        if times.max.is_some_and(|max| max < times.min) {
            return Err("the second number is less than the first");
        }
        Ok(times)
    }

    fn include(self, count: u64) -> bool {
        count >= self.min && self.max.is_none_or(|max| count <= max)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (self.min, self.max) {
            (_, Some(0)) => "never".to_owned(),
            (1, Some(1)) => "once".to_owned(),
            (min, Some(max)) if min == max => format!("{min} times"),
            (min, Some(max)) => format!("{min} to {max} times"),
            (1, None) => "at least once".to_owned(),
            (min, None) => format!("at least {min} times"),
        };
        f.pad(&text)
    }
}

/// A request that is expected.
#[derive(Clone, Debug)]
pub struct Expectation {
    pub pattern: RequestPattern,
    pub times: Times,
    /// Conditions of its payload, which is JSON.
    pub body: Vec<(JsonPath, ValueTest)>,
    /// The first request comes before the first one of this pattern.
    pub before: Option<RequestPattern>,
}

impl Expectation {
    /// Parses `POST https://api.example.com/orders = 1`. Without ` = ` the request comes at least once.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (pattern, times) = match text.rsplit_once(" = ") {
            Some((pattern, times)) => (pattern, Times::parse(times)?),
            None => (text, Times::AT_LEAST_ONCE),
        };
        if let Some((glob, times)) = pattern.rsplit_once('=')
            && !glob.contains('?')
            && Times::parse(times).is_ok()
        {
            return Err(format!("write the number behind ` = `: `{} = {}`", glob.trim_end(), times.trim()));
        }
        Ok(Expectation { pattern: RequestPattern::parse(pattern)?, times, body: Vec::new(), before: None })
    }
}

/// The requests that an expectation has seen.
#[derive(Clone, Debug, Default)]
struct Tally {
    count: u64,
    /// The number of the first request that matched, from 1.
    first: Option<u64>,
    first_of_before: Option<u64>,
    /// Requests whose payload differs, by the path of the first difference.
    differing: BTreeMap<String, u64>,
}

/// The requests that expectations are compared with.
#[derive(Debug, Default)]
pub struct RequestTally {
    number: u64,
    tallies: Vec<Tally>,
    /// Requests without secrets, and how often they came.
    lines: IndexMap<String, u64>,
}

/// The expectations of a run, and the requests that they are compared with.
#[derive(Debug, Default)]
pub struct Verification {
    expectations: Vec<Expectation>,
    /// Whether an expectation that is not met fails the run, whatever `--fail-on` says: the user has named it.
    is_error: bool,
    seen: Mutex<RequestTally>,
}

impl Verification {
    #[must_use]
    pub fn new(expectations: Vec<Expectation>, is_error: bool) -> Self {
        Verification { expectations, is_error, seen: Mutex::default() }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expectations.is_empty()
    }

    /// Returns true if an expectation looks at the payload of this request.
    #[must_use]
    pub fn needs_payload(&self, method: &str, url: &str) -> bool {
        let mut with_payload = self.expectations.iter().filter(|expectation| !expectation.body.is_empty());
        with_payload.any(|expectation| expectation.pattern.matches(method, url))
    }

    /// Counts a request. `json` is its payload, `line` the request as messages show it.
    pub fn note(&self, method: &str, url: &str, json: Option<&Value>, line: String) {
        let mut seen = lock(&self.seen);
        let number = seen.number + 1;
        seen.note(&self.expectations, number, method, url, || json, line);
    }

    /// Starts to count again.
    pub fn reset(&self) {
        *lock(&self.seen) = RequestTally::default();
    }

    /// Returns the result of each expectation so far.
    #[must_use]
    pub fn results(&self) -> Vec<ExpectationResult> {
        lock(&self.seen).results(&self.expectations)
    }

    /// Returns a finding for each expectation that is not met so far.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let severity = if self.is_error { Severity::Error } else { Severity::Warning };
        let finding = |text| Finding::new(CheckId::EXPECTATION_NOT_MET, severity, text);
        self.results().into_iter().filter_map(|result| result.difference).map(finding).collect()
    }
}

/// The result of an expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExpectationResult {
    #[serde(rename = "match")]
    pub pattern: String,
    /// The number that is expected, in words.
    pub times: String,
    /// The number of requests that came.
    pub count: u64,
    pub met: bool,
    /// How the requests differ; `None` if they meet the expectation.
    pub difference: Option<String>,
}

impl RequestTally {
    /// Counts a request with its number in the run. `json` returns its payload.
    pub fn note<'j>(
        &mut self,
        expectations: &[Expectation],
        number: u64,
        method: &str,
        url: &str,
        json: impl Fn() -> Option<&'j Value>,
        line: String,
    ) {
        self.number = number;
        self.tallies.resize(expectations.len(), Tally::default());
        for (expectation, tally) in expectations.iter().zip(&mut self.tallies) {
            if expectation.before.as_ref().is_some_and(|before| before.matches(method, url)) {
                tally.first_of_before.get_or_insert(number);
            }
            if !expectation.pattern.matches(method, url) {
                continue;
            }
            let json = if expectation.body.is_empty() { None } else { json() };
            if let Some(path) = failing_path(&expectation.body, json) {
                *tally.differing.entry(path.to_string()).or_default() += 1;
                continue;
            }
            tally.count += 1;
            tally.first.get_or_insert(number);
        }
        if self.lines.len() < MAX_LINES || self.lines.contains_key(&line) {
            *self.lines.entry(line).or_default() += 1;
        }
    }

    /// Returns the result of each expectation.
    #[must_use]
    pub fn results(&self, expectations: &[Expectation]) -> Vec<ExpectationResult> {
        let none = Tally::default();
        let result = |(index, expectation): (usize, &Expectation)| {
            let tally = self.tallies.get(index).unwrap_or(&none);
            let difference = difference(expectation, tally, &self.lines);
            ExpectationResult {
                pattern: expectation.pattern.to_string(),
                times: expectation.times.to_string(),
                count: tally.count,
                met: difference.is_none(),
                difference,
            }
        };
        expectations.iter().enumerate().map(result).collect()
    }
}

/// Describes how the requests differ from the expectation; `None` if they meet it.
fn difference(expectation: &Expectation, tally: &Tally, lines: &IndexMap<String, u64>) -> Option<String> {
    let Expectation { pattern, times, before, .. } = expectation;
    if !times.include(tally.count) {
        let came = match tally.count {
            0 => "no such request came".to_owned(),
            1 => "1 request came".to_owned(),
            count => format!("{count} requests came"),
        };
        let mut text = format!("expected `{pattern}` {times}, and {came}");
        for (path, count) in &tally.differing {
            let differ = if *count == 1 { "differs" } else { "differ" };
            text.push_str(&format!("\n{} {differ} at `{path}` of the payload", requests(*count)));
        }
        if tally.count < times.min && tally.differing.is_empty() {
            let nearest = nearest(&pattern.to_string(), lines);
            nearest.iter().for_each(|(line, count)| text.push_str(&format!("\nnear: `{line}` ({})", requests(*count))));
        }
        return Some(text);
    }
    let (before, first) = (before.as_ref()?, tally.first_of_before?);
    match tally.first {
        Some(own) if own < first => None,
        Some(own) => Some(format!(
            "expected `{pattern}` before `{before}`, and the order was the reverse: requests {own} and {first} of the run"
        )),
        // The number of requests may be 0.
        None => None,
    }
}

fn requests(count: u64) -> String {
    if count == 1 { "1 request".to_owned() } else { format!("{count} requests") }
}

/// Returns the requests whose line is most similar to the pattern.
fn nearest<'l>(pattern: &str, lines: &'l IndexMap<String, u64>) -> Vec<(&'l str, u64)> {
    let mut scored: Vec<_> = lines
        .iter()
        .map(|(line, count)| (strsim::jaro_winkler(pattern, line), line.as_str(), *count))
        .filter(|(similarity, ..)| *similarity >= NEAR)
        .collect();
    scored.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
    scored.into_iter().take(MAX_NEAREST).map(|(_, line, count)| (line, count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(expectation: Expectation, requests: &[(&str, &str, Value)]) -> Vec<String> {
        let verification = Verification::new(vec![expectation], true);
        for (method, url, json) in requests {
            verification.note(method, url, Some(json), format!("{method} {url}"));
        }
        verification.findings().into_iter().map(|finding| finding.text).collect()
    }

    fn expect(text: &str) -> Expectation {
        Expectation::parse(text).unwrap()
    }

    const ORDERS: &str = "https://api.test/orders";

    #[test]
    fn counts_are_compared() {
        let post = ("POST", ORDERS, json!({}));
        for (times, count, is_met) in [
            ("POST https://api.test/orders", 0, false),
            ("POST https://api.test/orders", 2, true),
            ("POST https://api.test/orders = 1", 1, true),
            ("POST https://api.test/orders = 1", 2, false),
            ("POST https://api.test/orders = never", 0, true),
            ("POST https://api.test/orders = never", 1, false),
            ("POST https://api.test/orders = 1..2", 2, true),
            ("POST https://api.test/orders = 1..2", 3, false),
            ("POST https://api.test/orders = 2..", 1, false),
        ] {
            let requests = vec![post.clone(); count];
            assert_eq!(texts(expect(times), &requests).is_empty(), is_met, "{times}: {count}");
        }
    }

    #[test]
    fn invalid_expectations_are_errors() {
        for text in ["POST https://a.test/x = many", "POST https://a.test/x = 3..1", "", "G?T https://a.test = 1"] {
            assert!(Expectation::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn finding_names_the_nearest_requests() {
        let requests = [("POST", "https://api.test/order", json!({})), ("GET", "https://other.test/health", json!({}))];
        let found = texts(expect("POST https://api.test/orders = 1"), &requests);
        assert_eq!(
            found,
            [
                "expected `POST https://api.test/orders` once, and no such request came\nnear: `POST https://api.test/order` (1 request)"
            ]
        );
    }

    #[test]
    fn payloads_and_order_are_compared() {
        let currency = JsonPath::parse("$.currency").unwrap();
        let expectation = Expectation {
            body: vec![(currency, ValueTest::Equals(json!("EUR")))],
            before: Some(RequestPattern::parse("GET **/orders/*").unwrap()),
            ..expect("POST **/orders = 1")
        };
        let (read, euro, dollar) = (
            ("GET", "https://api.test/orders/1", json!(null)),
            ("POST", ORDERS, json!({ "currency": "EUR" })),
            ("POST", ORDERS, json!({ "currency": "USD" })),
        );
        assert_eq!(texts(expectation.clone(), &[euro.clone(), read.clone()]), <[&str; 0]>::default());
        assert_eq!(
            texts(expectation.clone(), &[dollar, read.clone()]),
            [
                "expected `POST **/orders` once, and no such request came\n1 request differs at `$.currency` of the payload"
            ]
        );
        assert_eq!(
            texts(expectation, &[read, euro]),
            [
                "expected `POST **/orders` before `GET **/orders/*`, and the order was the reverse: requests 2 and 1 of the run"
            ]
        );
    }
}
