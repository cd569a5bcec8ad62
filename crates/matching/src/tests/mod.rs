//! Tests of matching rules that Playwright's corpus does not cover, with fixtures on disk.

mod choosing;
mod contenders;
mod exact_payload;
mod explaining;
mod following;
mod ignored;
mod keys;
mod placeholders;
mod properties;
mod redaction_properties;
mod remedies;

use std::sync::Arc;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::*;
use harproxy_har::Fixture;

#[derive(Clone)]
struct EntryJson(Value);

fn get(url: &str) -> EntryJson {
    entry_json("GET", url)
}

fn post(url: &str, body: &str) -> EntryJson {
    entry_json("POST", url).sent("application/json", body)
}

fn entry_json(method: &str, url: &str) -> EntryJson {
    EntryJson(json!({
        "startedDateTime": "2024-01-01T00:00:00.000Z", "time": 1, "cache": {}, "timings": {"send": 0, "wait": 0, "receive": 0},
        "request": {"method": method, "url": url, "httpVersion": "HTTP/1.1", "cookies": [], "headers": [], "queryString": [],
            "headersSize": -1, "bodySize": -1},
        "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [], "headers": [],
            "content": {"size": 2, "mimeType": "text/plain", "text": "ok"}, "redirectURL": "", "headersSize": -1, "bodySize": -1},
    }))
}

impl EntryJson {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.0["request"]["headers"].as_array_mut().unwrap().push(json!({"name": name, "value": value}));
        self
    }

    fn sent(mut self, mime_type: &str, body: &str) -> Self {
        self.0["request"]["postData"] = json!({"mimeType": mime_type, "text": body});
        self.with("content-type", mime_type)
    }

    fn status(mut self, status: i32) -> Self {
        self.0["response"]["status"] = status.into();
        self
    }

    fn to(mut self, status: i32, location: &str) -> Self {
        self.0["response"]["headers"].as_array_mut().unwrap().push(json!({"name": "Location", "value": location}));
        self.status(status)
    }

    fn recorded_by(mut self, test: &str) -> Self {
        self.0["_harproxy"]["session"] = test.into();
        self
    }

    fn sets(mut self, cookie: &str) -> Self {
        self.0["response"]["headers"].as_array_mut().unwrap().push(json!({"name": "Set-Cookie", "value": cookie}));
        self
    }

    fn content(mut self, content: Value) -> Self {
        self.0["response"]["content"] = content;
        self
    }

    fn http2(mut self) -> Self {
        self.0["response"]["httpVersion"] = "HTTP/2".into();
        self
    }
}

#[derive(Clone, Copy, PartialEq)]
enum FixtureKind {
    Own,
    Foreign,
}
use FixtureKind::{Foreign, Own};

/// A matcher over fixtures on disk.
struct TestMatcher {
    folder: tempfile::TempDir,
    matcher: Matcher,
}

fn matcher_over(kind: FixtureKind, entries: impl IntoIterator<Item = EntryJson>, options: Options) -> TestMatcher {
    try_matcher_over(vec![(kind, entries.into_iter().collect())], options).unwrap()
}

fn try_matcher_over(fixtures: Vec<(FixtureKind, Vec<EntryJson>)>, options: Options) -> Result<TestMatcher, Error> {
    let folder = tempfile::tempdir().unwrap();
    let opened = fixtures.into_iter().enumerate().map(|(n, (kind, entries))| {
        let entries: Vec<Value> = entries.into_iter().map(|entry| entry.0).collect();
        let mut log = json!({"version": "1.2", "creator": {"name": "t", "version": "1"}, "entries": entries});
        if kind == Own {
            log["_harproxy"] = json!({"version": 1, "scope": ["https://*.test/**", "!**/health"]});
        }
        let path = folder.path().join(format!("{n}.har"));
        std::fs::write(&path, json!({"log": log}).to_string()).unwrap();
        Arc::new(Fixture::open(&path).unwrap())
    });
    let opened = opened.collect();
    Ok(TestMatcher { matcher: Matcher::new(opened, None, options)?, folder })
}

impl TestMatcher {
    /// How often each entry was served.
    fn served(&self) -> Vec<u32> {
        self.matcher.served().map(|(_, times)| times).collect()
    }
}

/// A live request.
#[derive(Clone, Default)]
struct TestRequest {
    method: String,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

fn request(method: &str, url: &str) -> TestRequest {
    TestRequest { method: method.to_owned(), url: url.to_owned(), ..TestRequest::default() }
}

impl TestRequest {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
        self
    }

    fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.with("content-type", content_type)
    }

    fn json(self, body: &str) -> Self {
        self.body("application/json", body)
    }
}

impl TestMatcher {
    fn answer(&self, request: &TestRequest) -> Outcome {
        self.answer_to(request, None)
    }

    fn answer_to<'s>(&self, request: &TestRequest, session: impl Into<RequestSession<'s>>) -> Outcome {
        let url = NormalUrl::parse(&request.url).unwrap();
        let query = Query::new(&request.method, &url, &request.headers, Some(&request.body));
        self.matcher.answer(&query, session)
    }

    /// Returns the number of the entry that answers; `None` for a miss.
    fn entry(&self, request: &TestRequest) -> Option<usize> {
        chosen(&self.answer(request)).map(|chosen| chosen.at.entry)
    }

    fn miss(&self, request: &TestRequest) -> Miss {
        match self.answer(request) {
            Outcome::Miss(miss) => *miss,
            other => panic!("{} {} is answered: {}", request.method, request.url, brief(&other)),
        }
    }
}

fn chosen(outcome: &Outcome) -> Option<&Chosen> {
    match outcome {
        Outcome::Serve(chosen) | Outcome::Redirect(chosen) | Outcome::Abort(chosen) => Some(chosen),
        Outcome::Miss(_) => None,
    }
}

/// Formats an outcome: `serve 0.3 200`.
fn brief(outcome: &Outcome) -> String {
    let format = |word: &str, chosen: &Chosen| {
        let hops: String = chosen.followed.iter().map(|at| format!(" via {}", at.entry)).collect();
        format!("{word} {}.{} {}{hops}", chosen.at.fixture, chosen.at.entry, chosen.status)
    };
    match outcome {
        Outcome::Serve(chosen) => format("serve", chosen),
        Outcome::Redirect(chosen) => format("redirect", chosen),
        Outcome::Abort(chosen) => format("abort", chosen),
        Outcome::Miss(miss) => format!("miss {:?}", miss.kind),
    }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}
