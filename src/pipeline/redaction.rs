//! The redaction of requests in a run. It remembers redacted URLs and headers: a client sends the same headers with
//! every request, and tests repeat URLs.

use std::borrow::Cow;
use std::sync::Arc;

use ::http::{HeaderMap, Uri};
use quick_cache::sync::Cache;

use harproxy_http::Headers;
use harproxy_redact::RedactionView;

/// The number of header lists and of URLs that are kept.
const CAPACITY: usize = 2048;
/// The length of the longest key that is kept, in bytes.
const MAX_KEY: usize = 4096;

/// Redacts requests for logs, refusals and reports.
#[derive(Debug)]
pub struct RunRedaction {
    view: Arc<RedactionView>,
    headers: Cache<Vec<u8>, Headers>,
    /// The keys are the headers of a request and its URL. `None` is a URL without secrets.
    urls: Cache<Vec<u8>, Option<String>>,
}

impl RunRedaction {
    #[must_use]
    pub fn new(view: Arc<RedactionView>) -> Self {
        RunRedaction { view, headers: Cache::new(CAPACITY), urls: Cache::new(CAPACITY) }
    }

    #[must_use]
    pub fn view(&self) -> &RedactionView {
        &self.view
    }

    /// Returns the URL without its secrets, those of the headers, and values that are known from other requests.
    #[must_use]
    pub fn redact_url<'u>(&self, headers: &HeaderMap, url: &'u str) -> Cow<'u, str> {
        match self.cached_url(key(headers, url), headers, url) {
            Some(redacted) => self.view.redact_known(&redacted).into_owned().into(),
            None => self.view.redact_known(url),
        }
    }

    fn cached_url(&self, key: Vec<u8>, headers: &HeaderMap, url: &str) -> Option<String> {
        if let Some(redacted) = self.urls.get(&key) {
            return redacted;
        }
        let redacted = self.view.redact_url(headers, url);
        let redacted = (*redacted != *url).then(|| redacted.into_owned());
        if key.len() <= MAX_KEY {
            self.urls.insert(key, redacted.clone());
        }
        redacted
    }

    /// Returns the headers without their secrets. Values that become known later are redacted in the report.
    #[must_use]
    pub fn redact_headers(&self, headers: &HeaderMap) -> Headers {
        let key = key(headers, "");
        self.headers.get(&key).unwrap_or_else(|| self.cache_headers(&key, headers))
    }

    fn cache_headers(&self, key: &[u8], headers: &HeaderMap) -> Headers {
        let redacted = self.view.redact_headers(headers);
        if key.len() <= MAX_KEY {
            self.headers.insert(key.to_vec(), redacted.clone());
        }
        redacted
    }

    /// Remembers the secrets of a request, so that they are redacted in what is shown of others. Named places of a URL
    /// are in its query and user information.
    pub fn learn(&self, headers: &HeaderMap, url: &Uri) {
        if self.view.policy().is_off() {
            return;
        }
        let mut key = key(headers, "");
        if !self.headers.contains_key(&key) {
            self.cache_headers(&key, headers);
        }
        if url.query().is_some() || url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            let url = url.to_string();
            key.extend_from_slice(url.as_bytes());
            self.cached_url(key, headers, &url);
        }
    }
}

/// Headers in their order, and a URL. None of them contains NUL or line feeds.
fn key(headers: &HeaderMap, url: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(512);
    for (name, value) in headers {
        [name.as_str().as_bytes(), b"\0", value.as_bytes(), b"\n"].iter().for_each(|part| key.extend_from_slice(part));
    }
    key.extend_from_slice(url.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::{HeaderName, HeaderValue};

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn repeated_requests_are_redacted_like_new_ones() {
        let requests = [
            (headers(&[("a", "1"), ("b", "2")]), "https://a.test/abcdefgh"),
            (headers(&[("b", "2"), ("a", "1")]), "https://a.test/abcdefgh"),
            (headers(&[("authorization", "Bearer abcdefgh1234")]), "https://a.test/abcdefgh1234"),
            (headers(&[("authorization", "Bearer abcdefgh1234")]), "https://a.test/x?token=secret"),
        ];
        let redaction = RunRedaction::new(Arc::default());
        for (headers, url) in requests.iter().chain(&requests) {
            let alone = RedactionView::default();
            assert_eq!(redaction.redact_headers(headers), alone.redact_headers(headers));
            assert_eq!(redaction.redact_url(headers, url), alone.redact_url(headers, url));
        }
        assert_eq!((redaction.headers.len(), redaction.urls.len()), (3, 4));
    }

    #[test]
    fn values_of_other_requests_are_redacted_also_in_repeated_urls() {
        let redaction = RunRedaction::new(Arc::default());
        let url = "https://a.test/abcdefgh1234";
        assert_eq!(redaction.redact_url(&HeaderMap::new(), url), url);
        let other = Uri::from_static("https://a.test/");
        redaction.learn(&headers(&[("authorization", "Bearer abcdefgh1234")]), &other);
        assert_eq!(redaction.redact_url(&HeaderMap::new(), url), "https://a.test/REDACTED-authorization");
    }

    #[test]
    fn long_headers_and_urls_are_redacted_and_not_kept() {
        let redaction = RunRedaction::new(Arc::default());
        let mut long = headers(&[("authorization", "Bearer abcdefgh1234")]);
        long.insert("x", HeaderValue::from_str(&"x".repeat(MAX_KEY)).unwrap());
        assert!(redaction.redact_url(&long, "https://a.test/abcdefgh1234").ends_with("/REDACTED-authorization"));
        assert_eq!(redaction.redact_headers(&long), RedactionView::default().redact_headers(&long));
        assert_eq!((redaction.headers.len(), redaction.urls.len()), (0, 0));
    }
}
