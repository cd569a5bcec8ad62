//! A cache of redacted URLs and headers: a client sends the same headers with every request, and tests repeat URLs.

use std::borrow::Cow;
use std::sync::Arc;

use ::http::HeaderMap;
use quick_cache::sync::Cache;

use super::event::LogRedaction;
use harproxy_http::Headers;

/// The number of header lists and of URLs that are kept.
const CAPACITY: usize = 2048;
/// The length of the longest key that is kept, in bytes.
const MAX_KEY: usize = 4096;

/// Keeps the results of a redaction that depends on its arguments alone, as a policy does. A recording can't use it,
/// since it redacts more as it finds secrets.
pub struct RedactionCache {
    redaction: Arc<dyn LogRedaction>,
    headers: Cache<Vec<u8>, Headers>,
    /// The keys are the headers of a request and its URL. `None` is a URL without secrets.
    urls: Cache<Vec<u8>, Option<String>>,
}

impl RedactionCache {
    /// An empty cache in front of this redaction.
    #[must_use]
    pub fn new(redaction: Arc<dyn LogRedaction>) -> Self {
        RedactionCache { redaction, headers: Cache::new(CAPACITY), urls: Cache::new(CAPACITY) }
    }
}

impl LogRedaction for RedactionCache {
    fn redact_url<'u>(&self, headers: &HeaderMap, url: &'u str) -> Cow<'u, str> {
        let key = key(headers, url);
        if let Some(redacted) = self.urls.get(&key) {
            return redacted.map_or(Cow::Borrowed(url), Cow::Owned);
        }
        let redacted = self.redaction.redact_url(headers, url);
        if key.len() <= MAX_KEY {
            self.urls.insert(key, (*redacted != *url).then(|| redacted.to_string()));
        }
        redacted
    }

    fn redact_headers(&self, headers: &HeaderMap) -> Headers {
        let key = key(headers, "");
        if let Some(redacted) = self.headers.get(&key) {
            return redacted;
        }
        let redacted = self.redaction.redact_headers(headers);
        if key.len() <= MAX_KEY {
            self.headers.insert(key, redacted.clone());
        }
        redacted
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
    use harproxy_redact::Policy;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn cache_returns_the_results_of_its_redaction_for_new_and_repeated_requests() {
        let (policy, cache) = (Policy::default(), RedactionCache::new(Arc::new(Policy::default())));
        let requests = [
            (headers(&[("a", "1"), ("b", "2")]), "https://a.test/abcdefgh1234"),
            (headers(&[("b", "2"), ("a", "1")]), "https://a.test/abcdefgh1234"),
            (headers(&[("authorization", "Bearer abcdefgh1234")]), "https://a.test/abcdefgh1234"),
            (headers(&[("authorization", "Bearer abcdefgh1234")]), "https://a.test/x?token=secret"),
        ];
        for (headers, url) in requests.iter().chain(&requests) {
            assert_eq!(cache.redact_headers(headers), policy.redact_headers(headers));
            assert_eq!(cache.redact_url(headers, url), policy.redact_url(headers, url));
        }
        assert_eq!((cache.headers.len(), cache.urls.len()), (3, 4));
    }

    #[test]
    fn cache_passes_on_long_headers_and_urls_without_keeping_them() {
        let cache = RedactionCache::new(Arc::new(Policy::default()));
        let mut long = headers(&[("authorization", "Bearer abcdefgh1234")]);
        long.insert("x", HeaderValue::from_str(&"x".repeat(MAX_KEY)).unwrap());
        let url = format!("https://a.test/abcdefgh1234/{}", "x".repeat(MAX_KEY));
        assert_eq!(cache.redact_headers(&long), Policy::default().redact_headers(&long));
        assert!(cache.redact_url(&long, "https://a.test/abcdefgh1234").ends_with("/REDACTED-authorization"));
        assert!(cache.redact_url(&HeaderMap::new(), &url).contains("/abcdefgh1234/"));
        assert_eq!((cache.headers.len(), cache.urls.len()), (0, 0));
    }
}
