//! `--closest`: the most similar entry of the same method and path answers a request that no entry matches.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::control::entries_of;
use super::facts::RequestFacts;
use harproxy_compare::graphql::fold_queries;
use harproxy_har::{Entry, Fixture};
use harproxy_http::NormalUrl;
use harproxy_matching::EntryRef;

/// Request headers that count, if the entry has them.
const HEADERS: [&str; 3] = ["accept", "accept-language", "content-type"];

/// An entry that answers in place of one that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosestEntry {
    pub at: EntryRef,
    /// The share of equal parts in percent: query parameters, headers, and members of a JSON payload.
    pub score: u8,
}

/// The number of equal parts of a request and an entry, and of all parts.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    equal: usize,
    all: usize,
}

impl Parts {
    fn count(&mut self, is_equal: bool) {
        self.equal += usize::from(is_equal);
        self.all += 1;
    }

    fn percent(self) -> u8 {
        let percent = (self.equal * 100).checked_div(self.all).unwrap_or(100);
        u8::try_from(percent).unwrap_or(100)
    }
}

/// Returns the most similar entry with the method and the path of a request. Of equal ones the first is returned.
#[must_use]
pub fn closest(fixtures: &[Arc<Fixture>], request: &RequestFacts) -> Option<ClosestEntry> {
    let score = |at: EntryRef| {
        let fixture = &fixtures[at.fixture];
        fixture.entry(at.entry).map_or(0, |entry| parts(fixture, at.entry, &entry, request).percent())
    };
    let mut entries = entries_of(fixtures, &request.method, &request.url);
    entries.sort_by_key(|entry| (entry.at.fixture, entry.at.entry));
    let scored = entries.into_iter().map(|entry| ClosestEntry { at: entry.at, score: score(entry.at) });
    scored.reduce(|best, next| if next.score > best.score { next } else { best })
}

fn parts(fixture: &Fixture, number: usize, entry: &Entry, request: &RequestFacts) -> Parts {
    let mut parts = Parts::default();
    if let Ok(url) = NormalUrl::parse(&entry.request.url) {
        let pairs = |url: &NormalUrl| {
            let query = url.parts().query.unwrap_or_default().to_owned();
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<(String, String)>>()
        };
        let (recorded, sent) = (pairs(&url), pairs(&request.url));
        let names: BTreeSet<&String> = recorded.iter().chain(&sent).map(|(name, _)| name).collect();
        for name in names {
            let values = |pairs: &[(String, String)]| -> Vec<String> {
                pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
            };
            parts.count(values(&recorded) == values(&sent));
        }
    }
    for name in HEADERS {
        let recorded: Vec<&[u8]> = entry.request.headers.get_all(name).collect();
        if !recorded.is_empty() {
            let sent: Vec<&[u8]> = request.headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
            parts.count(recorded == sent);
        }
    }
    let payload = entry.request.post_data.as_ref();
    let payload = payload.and_then(|body| fixture.payload(number, body).ok()?.bytes().ok()).unwrap_or_default();
    let json: Option<Value> = serde_json::from_slice(&payload).ok();
    match (json, request.json().cloned()) {
        (Some(mut recorded), Some(mut sent)) => {
            fold_queries(&mut recorded);
            fold_queries(&mut sent);
            count_members(&recorded, &sent, &mut parts);
        }
        _ if payload.is_empty() && request.payload.is_empty() => {}
        _ => parts.count(*payload == *request.payload),
    }
    parts
}

/// Counts the members of objects, and of the objects in lists. A list and an object have nothing in common.
fn count_members(recorded: &Value, sent: &Value, parts: &mut Parts) {
    match (recorded, sent) {
        (Value::Object(recorded), Value::Object(sent)) => {
            let names: BTreeSet<&String> = recorded.keys().chain(sent.keys()).collect();
            names.into_iter().for_each(|name| parts.count(recorded.get(name) == sent.get(name)));
        }
        (Value::Array(recorded), Value::Array(sent)) => {
            for at in 0..recorded.len().max(sent.len()) {
                match (recorded.get(at), sent.get(at)) {
                    (Some(recorded), Some(sent)) => count_members(recorded, sent, parts),
                    _ => parts.count(false),
                }
            }
        }
        (Value::Object(members), Value::Array(_)) | (Value::Array(_), Value::Object(members)) => {
            members.iter().for_each(|_| parts.count(false));
        }
        (recorded, sent) => parts.count(recorded == sent),
    }
}
