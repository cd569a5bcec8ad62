//! The properties of a request that replay needs in addition to the match key.

use std::time::SystemTime;

use ::http::{HeaderMap, Method, Version};

use harproxy_http::NormalUrl;
use harproxy_matching::asks_for_websocket;
use harproxy_proxy::Note;
use harproxy_redact::{Policy, Telling};

/// A request's head, in the terms of replay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) url: &'a NormalUrl,
    pub(super) headers: &'a HeaderMap,
    pub(super) version: Version,
    /// When it came, or is taken to have come.
    pub(super) now: SystemTime,
    /// The redaction policy for reports about the request.
    pub(super) policy: &'a Policy,
    /// Receives the provenance of the answer.
    pub(super) note: &'a Note,
}

impl Asked<'_> {
    /// The request as people name it, without its secrets.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, Telling::url(self.policy, self.headers, self.url.as_str()))
    }

    /// The request as findings number it; nothing where nobody numbers requests.
    pub(super) fn ids(&self) -> Vec<u64> {
        self.note.id().into_iter().collect()
    }

    pub(super) fn is_head(&self) -> bool {
        *self.method == Method::HEAD
    }

    /// HTTP/2 carries trailers to everybody, HTTP/1.1 to those who said `TE: trailers` (RFC 9110 section 6.5.1).
    pub(super) fn takes_trailers(&self) -> bool {
        match self.version {
            Version::HTTP_2 => true,
            Version::HTTP_11 => self.lists("te", "trailers"),
            _ => false,
        }
    }

    /// Whether a WebSocket is asked for.
    pub(super) fn is_websocket(&self) -> bool {
        asks_for_websocket(self.headers)
    }

    /// Whether a browser asks for a part of a page (or a page), and no page's code: `Sec-Fetch-Dest` is there and not
    /// `empty`.
    pub(super) fn is_subresource(&self) -> bool {
        self.headers.get("sec-fetch-dest").is_some_and(|dest| !dest.as_bytes().eq_ignore_ascii_case(b"empty"))
    }

    fn lists(&self, name: &str, item: &str) -> bool {
        let values = self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(item))
    }
}

#[cfg(test)]
impl<'a> Asked<'a> {
    /// A GET over HTTP/1.1, for tests.
    pub(super) fn get(url: &'a NormalUrl, headers: &'a HeaderMap) -> Self {
        static TABLE: std::sync::LazyLock<Policy> = std::sync::LazyLock::new(Policy::default);
        static NOTE: std::sync::LazyLock<Note> = std::sync::LazyLock::new(Note::default);
        let (version, now) = (Version::HTTP_11, SystemTime::UNIX_EPOCH);
        Asked { method: &Method::GET, url, headers, version, now, policy: &TABLE, note: &NOTE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(fields: &[(&'static str, &'static str)], version: Version, ask: impl Fn(&Asked<'_>) -> bool) -> bool {
        let url = NormalUrl::parse("http://h/").unwrap();
        let headers = fields.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        ask(&Asked { version, ..Asked::get(&url, &headers) })
    }

    #[test]
    fn trailers_go_to_http2_and_to_http11_clients_that_said_so() {
        let takes = |fields, version| with(fields, version, |asked| asked.takes_trailers());
        assert!(takes(&[], Version::HTTP_2));
        assert!(takes(&[("te", "deflate, Trailers")], Version::HTTP_11));
        assert!(!takes(&[], Version::HTTP_11));
        assert!(!takes(&[("te", "trailers")], Version::HTTP_10));
    }

    #[test]
    fn an_offer_of_h2c_is_no_websocket() {
        let asks = |fields| with(fields, Version::HTTP_11, |asked| asked.is_websocket());
        assert!(asks(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]));
        assert!(!asks(&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")]));
        assert!(!asks(&[("upgrade", "websocket")]));
    }

    #[test]
    fn a_fetch_by_code_is_no_subresource() {
        let is = |fields| with(fields, Version::HTTP_11, |asked| asked.is_subresource());
        assert!(is(&[("sec-fetch-dest", "image")]));
        assert!(!is(&[("sec-fetch-dest", "empty")]));
        assert!(!is(&[]));
    }
}
