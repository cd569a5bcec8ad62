//! The named differences between harproxy's and Playwright's responses. Each difference must have a name.

use std::sync::Arc;

use harproxy_har::{Entry, Fixture};
use harproxy_http::NormalUrl;

use super::Reply;
use super::case::{Case, Request};

/// The reasons for differences, in the order in which they are tested. docs/reference/matching.md lists them.
pub const DIFFERENCES: &[(&str, Explains)] = &[
    ("pw-bug: the corpus says that Playwright's answer is a defect", |d| d.case.bug.is_some()),
    ("URLs are compared in normal form, as browsers send them", |d| {
        d.case.tags.iter().any(|tag| tag == "raw-string")
            && (d.url.as_str() != d.request.url
                || d.reaches(|entry| entry.request.url != d.url.as_str() && is_of(entry, d.url)))
    }),
    ("body-ignored: payloads are compared for every method", |d| d.quirk("body-ignored")),
    ("bodyless-request-matched-body: a request without a payload has its own entries", |d| {
        d.quirk("bodyless-request-matched-body")
    }),
    ("redirect-target-missing: the redirect itself is served", |d| d.quirk("redirect-target-missing")),
    ("cycle-though-later-answer-recorded: no entry is passed twice", |d| d.quirk("cycle-though-later-answer-recorded")),
    ("served-304: only to who validates; else 200 with the cached body, when nothing better is there", |d| {
        d.quirk("served-304") || d.reaches(|entry| entry.response.status == 304)
    }),
    ("failures close the connection, and only when nothing answered", |d| {
        d.quirk("hangs-in-browser") || d.reaches(|entry| !(100..=599).contains(&entry.response.status))
    }),
    ("a body that was not kept is no empty body", |d| d.reply.remedy.as_deref() == Some("--missing-body empty")),
    ("payloads are compared for every method, a payload of zero bytes is none", |d| {
        d.reaches(|entry| entry.request.post_data.is_some()) || d.reaches_dropped_payload()
    }),
    ("a navigation is sent to the next hop, also when that is its own URL", |d| d.request.is_navigation),
    ("a redirect to what is no URL is served as it is", |d| {
        d.request.expect.error_kind.as_deref() == Some("invalid-location")
    }),
    ("reading: a HAR without `log` is read", |d| d.case.tags.iter().any(|tag| tag == "load")),
    ("reading: a `text` that is a number is the text of that number", |d| d.har_says(r#""text":0"#)),
];

/// Returns true if a difference has this reason.
pub type Explains = fn(&Difference<'_>) -> bool;

/// A response that differs.
pub struct Difference<'a> {
    pub case: &'a Case,
    pub request: &'a Request,
    pub url: &'a NormalUrl,
    pub fixture: &'a Fixture,
    pub reply: &'a Reply,
}

impl Difference<'_> {
    fn quirk(&self, name: &str) -> bool {
        self.request.quirks.iter().any(|quirk| quirk == name)
    }

    fn har_says(&self, text: &str) -> bool {
        self.case.har.as_ref().is_some_and(|har| har.get().contains(text))
    }

    /// Returns true if an entry that the request can reach, directly or by redirects, fulfils the condition.
    fn reaches(&self, is_so: impl Fn(&Entry) -> bool) -> bool {
        self.reachable().iter().any(|entry| is_so(entry))
    }

    /// Returns true if an entry had a payload that was not stored. The reader leaves out such a `postData`.
    fn reaches_dropped_payload(&self) -> bool {
        self.har_says(r#""text":"","params""#) && self.request.body().is_some()
    }

    fn reachable(&self) -> Vec<Arc<Entry>> {
        let fixture = self.fixture;
        let entries: Vec<_> = fixture.heads().iter().filter_map(|head| fixture.entry(head.entry).ok()).collect();
        let mut urls = vec![self.url.clone()];
        let mut seen = 0;
        while seen < urls.len() {
            let from = urls[seen].clone();
            seen += 1;
            for entry in entries.iter().filter(|entry| is_of(entry, &from)) {
                let location = entry.response.headers.get_str("location").and_then(|location| from.join(location).ok());
                urls.extend(location.filter(|url| !urls.contains(url)));
            }
        }
        entries.into_iter().filter(|entry| urls.iter().any(|url| is_of(entry, url))).collect()
    }
}

fn is_of(entry: &Entry, url: &NormalUrl) -> bool {
    NormalUrl::parse_any(&entry.request.url).is_ok_and(|recorded| recorded == *url)
}
