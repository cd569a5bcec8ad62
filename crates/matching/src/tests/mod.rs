//! The rules of matching that Playwright's corpus lacks, through fixtures that are read from disk as any is.

mod choosing;
mod contesting;
mod explaining;
mod following;
mod keys;
mod properties;
mod redacted;
mod redacting;
mod remedies;

use std::sync::Arc;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::*;
use harproxy_har::Fixture;

/// An entry that is being written down.
struct Recorded(Value);

fn get(url: &str) -> Recorded {
    asked("GET", url)
}

fn post(url: &str, body: &str) -> Recorded {
    asked("POST", url).sent("application/json", body)
}

fn asked(method: &str, url: &str) -> Recorded {
    Recorded(json!({
        "startedDateTime": "2024-01-01T00:00:00.000Z", "time": 1, "cache": {}, "timings": {"send": 0, "wait": 0, "receive": 0},
        "request": {"method": method, "url": url, "httpVersion": "HTTP/1.1", "cookies": [], "headers": [], "queryString": [],
            "headersSize": -1, "bodySize": -1},
        "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [], "headers": [],
            "content": {"size": 2, "mimeType": "text/plain", "text": "ok"}, "redirectURL": "", "headersSize": -1, "bodySize": -1},
    }))
}

impl Recorded {
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

/// Whose fixture it is.
#[derive(Clone, Copy, PartialEq)]
enum Whose {
    Own,
    Foreign,
}
use Whose::{Foreign, Own};

/// A matcher over fixtures on disk.
struct Shelf {
    folder: tempfile::TempDir,
    matcher: Matcher,
}

fn shelf(whose: Whose, entries: impl IntoIterator<Item = Recorded>, options: Options) -> Shelf {
    shelf_of(vec![(whose, entries.into_iter().collect())], options).unwrap()
}

fn shelf_of(fixtures: Vec<(Whose, Vec<Recorded>)>, options: Options) -> Result<Shelf, Error> {
    let folder = tempfile::tempdir().unwrap();
    let opened = fixtures.into_iter().enumerate().map(|(n, (whose, entries))| {
        let entries: Vec<Value> = entries.into_iter().map(|entry| entry.0).collect();
        let mut log = json!({"version": "1.2", "creator": {"name": "t", "version": "1"}, "entries": entries});
        if whose == Own {
            log["_harproxy"] = json!({"version": 1, "scope": ["https://*.test/**", "!**/health"]});
        }
        let path = folder.path().join(format!("{n}.har"));
        std::fs::write(&path, json!({"log": log}).to_string()).unwrap();
        Arc::new(Fixture::open(&path).unwrap())
    });
    let opened = opened.collect();
    Ok(Shelf { matcher: Matcher::new(opened, None, options)?, folder })
}

/// A request.
#[derive(Clone, Default)]
struct Ask {
    method: String,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

fn ask(method: &str, url: &str) -> Ask {
    Ask { method: method.to_owned(), url: url.to_owned(), ..Ask::default() }
}

impl Ask {
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

impl Shelf {
    fn answer(&self, ask: &Ask) -> Outcome {
        self.answer_to(ask, None)
    }

    fn answer_to(&self, ask: &Ask, session: Option<&str>) -> Outcome {
        let url = NormalUrl::parse(&ask.url).unwrap();
        let query = Query { method: &ask.method, url: &url, headers: &ask.headers, body: Some(&ask.body) };
        let trial = self.matcher.would_answer(&query, session);
        let found = self.matcher.find(query.method, query.url);
        let payload = Payload::Held(&ask.body);
        let outcome = self.matcher.choose_found(&found, query.headers, payload, session).unwrap_or_else(|kind| {
            Outcome::Miss(Box::new(self.matcher.explain_found(&found, query.headers, payload, kind)))
        });
        assert_eq!(brief(&trial), brief(&outcome), "the trial said otherwise");
        outcome
    }

    /// Which entry answers; `None` is a miss.
    fn entry(&self, ask: &Ask) -> Option<usize> {
        chosen(&self.answer(ask)).map(|chosen| chosen.at.entry)
    }

    fn miss(&self, ask: &Ask) -> Miss {
        match self.answer(ask) {
            Outcome::Miss(miss) => *miss,
            other => panic!("{} {} is answered: {}", ask.method, ask.url, brief(&other)),
        }
    }
}

fn chosen(outcome: &Outcome) -> Option<&Chosen> {
    match outcome {
        Outcome::Serve(chosen) | Outcome::Redirect(chosen) | Outcome::Abort(chosen) => Some(chosen),
        Outcome::Miss(_) => None,
    }
}

/// An outcome in a few words: `serve 0.3 200`.
fn brief(outcome: &Outcome) -> String {
    let told = |word: &str, chosen: &Chosen| {
        let hops: String = chosen.followed.iter().map(|at| format!(" via {}", at.entry)).collect();
        format!("{word} {}.{} {}{hops}", chosen.at.fixture, chosen.at.entry, chosen.status)
    };
    match outcome {
        Outcome::Serve(chosen) => told("serve", chosen),
        Outcome::Redirect(chosen) => told("redirect", chosen),
        Outcome::Abort(chosen) => told("abort", chosen),
        Outcome::Miss(miss) => format!("miss {:?}", miss.kind),
    }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}
