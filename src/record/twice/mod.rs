//! Learns volatile values from two recordings of the same program (`record --twice`), and writes them as policy rules.

mod policy;
mod toml;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use policy::{LearnedPolicy, LearnedRule, RuleScope};
pub use toml::{WriteError, add_to, to_toml};

use super::entry_view;
use harproxy_compare::{
    Body, BodyLocation, Difference, DifferenceKind, Exchange, Location, Projection, VolatileRules, diff, pair_exchanges,
};
use harproxy_glob::escaped;
use harproxy_har::{Entry, Error, Fixture};
use harproxy_http::url::{Parts, is_loopback_host};
use harproxy_http::volatile::is_volatile;
use harproxy_json::{Pointer, is_valid};
use harproxy_redact::placeholder;

/// Minimum length in bytes of a value that counts as echoed; shorter values repeat by chance.
const MIN_ECHOED: usize = 4;

/// Compares two recordings of the same program and returns the learned rules.
///
/// # Errors
/// Fails if an entry or a payload of either recording cannot be read.
pub fn learn(first: &Fixture, second: &Fixture) -> Result<LearnedPolicy, Error> {
    let entries = [entries(first)?, entries(second)?];
    let (first, second) = (exchanges(first, &entries[0])?, exchanges(second, &entries[1])?);
    let projection = Projection { volatile: VolatileRules::none(), request_headers: false };
    let pairing = pair_exchanges(&first, &second, &projection);
    let mut policy = LearnedPolicy::default();
    for (a, b) in pairing.pairs() {
        PairLearner::new(&mut policy, &first[a], &second[b]).learn();
    }
    for (free, exchanges, run) in [(pairing.free_left(), &first, "first"), (pairing.free_right(), &second, "second")] {
        for at in free {
            policy.unexplained.push(format!("{} was seen in the {run} run only", request_line(&exchanges[at])));
        }
    }
    Ok(policy)
}

/// Reads the entries that have a response.
fn entries(fixture: &Fixture) -> Result<Vec<(usize, Arc<Entry>)>, Error> {
    let with_response = fixture.heads().iter().filter(|head| head.status > 0).map(|head| head.entry);
    with_response.map(|at| Ok((at, fixture.entry(at)?))).collect()
}

fn exchanges<'e>(fixture: &Fixture, entries: &'e [(usize, Arc<Entry>)]) -> Result<Vec<Exchange<'e>>, Error> {
    let exchange = |(at, entry): &'e (usize, Arc<Entry>)| {
        let mut request = entry_view::request(entry, entry_view::request_body(fixture, *at, entry)?);
        let mut response = entry_view::response(entry, entry_view::response_body(fixture, *at, entry)?);
        // The beginnings of truncated payloads are compared.
        (request.body.cut, response.body.cut) = (None, None);
        Ok(Exchange { request, response })
    };
    entries.iter().map(exchange).collect()
}

/// Returns method and URL for messages, such as `GET https://api.example.com/x`.
fn request_line(exchange: &Exchange<'_>) -> String {
    format!("{} {}", exchange.request.method, exchange.request.url)
}

/// A request value that differs between the recordings, with its location in `echo` syntax.
struct VaryingValue {
    location: String,
    first: String,
    second: String,
}

/// Derives the rules that ignore the differences of two paired exchanges.
struct PairLearner<'a> {
    policy: &'a mut LearnedPolicy,
    first: &'a Exchange<'a>,
    second: &'a Exchange<'a>,
    scope: RuleScope,
    varying: Vec<VaryingValue>,
    /// The locations of the varying values that the response repeats.
    echoed: BTreeSet<String>,
}

impl<'a> PairLearner<'a> {
    fn new(policy: &'a mut LearnedPolicy, first: &'a Exchange<'a>, second: &'a Exchange<'a>) -> Self {
        let (scope, varying) = (RuleScope::default(), Vec::new());
        PairLearner { policy, first, second, scope, varying, echoed: BTreeSet::new() }
    }

    fn learn(mut self) {
        self.learn_url();
        let differences = diff(self.first, self.second, &Projection::all());
        self.learn_request(&differences);
        let [first, second] = [self.first, self.second].map(|exchange| exchange.response.status);
        if first != second {
            self.add_unexplained(&format!("was answered {first} and then {second}"));
            return;
        }
        self.learn_response(&differences);
        if !self.echoed.is_empty() {
            self.policy.rule(&self.scope).echo.extend(self.echoed);
        }
    }

    /// Finds the URLs that the rules apply to. Varying segments and origins become rules.
    fn learn_url(&mut self) {
        let [a, b] = [self.first, self.second].map(|exchange| Parts::of(&exchange.request.url));
        let (mut glob, mut pattern) = (String::new(), String::new());
        let mut ids = 0;
        for (one, other) in a.segments().zip(b.segments()) {
            if placeholder::mask(one.as_bytes()) == placeholder::mask(other.as_bytes()) {
                glob += &format!("/{}", escaped(one));
                pattern += &format!("/{one}");
                continue;
            }
            ids += 1;
            let name = if ids == 1 { "id".to_owned() } else { format!("id{ids}") };
            glob += "/*";
            pattern += &format!("/{{{name}}}");
            self.add_varying(format!("path:{{{name}}}"), one, other);
        }
        // A port chosen by the operating system differs in each run.
        let origin = if is_loopback_host(a.host()) { "**".into() } else { a.site() };
        let has_query = [a, b].iter().any(|parts| parts.query.is_some_and(|query| !query.is_empty()));
        self.scope.glob = format!("{origin}{glob}{}", if has_query { "*" } else { "" });
        if ids > 0 {
            self.scope.path = Some(pattern);
            self.policy.rule(&self.scope);
        }
        if a.site() != b.site() {
            self.policy.add_same_host(&a.site());
        }
    }

    fn learn_request(&mut self, differences: &[Difference<'_>]) {
        let bodies = [&self.first.request.body, &self.second.request.body];
        let mut values = JsonValues::new();
        for difference in differences {
            let [first, second] = texts(difference);
            match &difference.location {
                Location::Parameter(name) => {
                    self.policy.rule(&self.scope).ignore_query.insert(name.clone());
                    self.add_varying(format!("query:{name}"), first, second);
                }
                Location::RequestHeader(name) => {
                    let has_placeholder = placeholder::occurs_in(first.as_bytes());
                    if difference.kind == DifferenceKind::Changed && !has_placeholder {
                        self.add_varying(format!("header:{name}"), first, second);
                    }
                }
                Location::RequestBody(BodyLocation::Json(pointer)) => add_json_value(&mut values, pointer, difference),
                Location::RequestBody(_) if !is_same_json(difference, bodies) => {
                    self.policy.rule(&self.scope).ignore_payload = true;
                }
                _ => {}
            }
        }
        for (path, [first, second]) in values {
            self.policy.rule(&self.scope).ignore_body.insert(path.clone());
            self.add_varying(format!("json:{path}"), &first, &second);
        }
    }

    fn learn_response(&mut self, differences: &[Difference<'_>]) {
        let bodies = [&self.first.response.body, &self.second.response.body];
        let (mut values, mut has_other_bytes) = (JsonValues::new(), false);
        for difference in differences {
            let [first, second] = texts(difference);
            match &difference.location {
                Location::ResponseHeader(name) if name != "set-cookie" => {
                    self.add_echoes(first, second);
                    if !is_volatile(name) && name != "content-length" {
                        add_example(&mut self.policy.volatile_headers, name, first, second);
                    }
                }
                Location::ResponseBody(BodyLocation::Whole) if is_same_json(difference, bodies) => {}
                Location::ResponseBody(BodyLocation::Whole) if are_json(bodies) => {
                    self.add_unexplained("was answered with something else altogether");
                }
                Location::ResponseBody(BodyLocation::Whole) => {
                    self.add_echoes(first, second);
                    has_other_bytes = true;
                }
                Location::ResponseBody(BodyLocation::Json(pointer)) => add_json_value(&mut values, pointer, difference),
                Location::ResponseBody(BodyLocation::Field(_)) => has_other_bytes = true,
                _ => {}
            }
        }
        for (path, [first, second]) in values {
            self.add_echoes(&first, &second);
            add_example(&mut self.policy.volatile_json, &path, &first, &second);
        }
        if has_other_bytes {
            self.add_unexplained("was answered with other bytes, which are not JSON");
        }
    }

    fn add_varying(&mut self, location: String, first: &str, second: &str) {
        self.varying.push(VaryingValue { location, first: first.to_owned(), second: second.to_owned() });
    }

    /// Records the varying request values that the response repeats in both recordings.
    fn add_echoes(&mut self, first: &str, second: &str) {
        let is_long = |value: &VaryingValue| value.first.len() >= MIN_ECHOED && value.second.len() >= MIN_ECHOED;
        for value in self.varying.iter().filter(|value| is_long(value)) {
            if first.contains(&value.first) && second.contains(&value.second) {
                self.echoed.insert(value.location.clone());
            }
        }
    }

    fn add_unexplained(&mut self, difference: &str) {
        self.policy.unexplained.push(format!("{} {difference}", request_line(self.first)));
    }
}

fn texts<'d>(difference: &'d Difference<'_>) -> [&'d str; 2] {
    [&difference.left, &difference.right].map(|text| text.as_deref().unwrap_or_default())
}

/// The values that differ in a JSON payload, by JSON path. The elements of an array share one path.
type JsonValues = BTreeMap<String, [String; 2]>;

fn add_json_value(values: &mut JsonValues, pointer: &Pointer<'_>, difference: &Difference<'_>) {
    let texts = [&difference.left, &difference.right].map(|text| text.as_deref().unwrap_or("nothing").to_owned());
    values.insert(pointer.to_wildcard_path(), texts);
}

/// Adds a volatile value. The first two differing values stay as its example.
fn add_example(volatile: &mut BTreeMap<String, (String, String)>, name: &str, first: &str, second: &str) {
    volatile.entry(name.to_owned()).or_insert_with(|| (first.to_owned(), second.to_owned()));
}

/// Returns true if two payloads are the same JSON value in another spelling.
fn is_same_json(difference: &Difference<'_>, bodies: [&Body<'_>; 2]) -> bool {
    difference.kind == DifferenceKind::Spelling && are_json(bodies)
}

fn are_json(bodies: [&Body<'_>; 2]) -> bool {
    bodies.iter().all(|body| body.text().is_some_and(|text| is_valid(text.as_bytes())))
}
