//! Looking up requests in the fixture of a stranger.

use std::fs;
use std::sync::Arc;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use harproxy_glob::Globs;
use harproxy_har::Fixture;
use harproxy_http::NormalUrl;
use harproxy_matching::{Matcher, Options, Outcome, Query};

use super::support::{check_message, open};

/// The number of entries whose requests are looked up.
const MAX_REQUESTS: usize = 16;

/// The bytes are a HAR. Each of its requests is looked up, and one beside it, which is a miss or another entry.
pub fn check(data: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.har");
    fs::write(&path, data).unwrap();
    let Some(fixture) = open(&path) else { return };
    let requests = requests(&fixture);
    let matcher = match Matcher::new(vec![Arc::new(fixture)], Some(Globs::default()), Options::default()) {
        Ok(matcher) => matcher,
        Err(error) => return check_message(&error),
    };
    for (method, url, headers, body) in &requests {
        for url in [url.clone(), format!("{url}/beside?x=1")] {
            let Ok(url) = NormalUrl::parse_any(&url) else { continue };
            match matcher.answer(&Query::new(method, &url, headers, body.as_deref()), None) {
                Outcome::Miss(_) => {}
                Outcome::Serve(chosen) | Outcome::Redirect(chosen) | Outcome::Abort(chosen) => {
                    assert!(chosen.at.entry < matcher.fixtures()[chosen.at.fixture].entries());
                }
            }
        }
    }
}

type Request = (String, String, HeaderMap, Option<Vec<u8>>);

fn requests(fixture: &Fixture) -> Vec<Request> {
    let entries = (0..fixture.entries().min(MAX_REQUESTS)).filter_map(|at| Some((at, fixture.entry(at).ok()?)));
    let request = |(at, entry): (usize, _)| {
        let entry: Arc<harproxy_har::Entry> = entry;
        let mut headers = HeaderMap::new();
        for header in entry.request.headers.iter() {
            let name = HeaderName::from_bytes(header.name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&header.value)) {
                let _ = headers.try_append(name, value);
            }
        }
        let body = entry.request.post_data.as_ref().and_then(|body| fixture.payload(at, body).ok()?.bytes().ok());
        let body = body.map(|body| body.to_vec());
        (entry.request.method.to_string(), entry.request.url.to_string(), headers, body)
    };
    entries.map(request).collect()
}
