//! A request as replay reads it.

use std::time::SystemTime;

use ::http::{HeaderMap, Method, Version};

use crate::pipeline::{Exchange, Outcome, RunRedaction};
use harproxy_http::NormalUrl;
use harproxy_matching::asks_for_websocket;

/// The head of a request with a valid URL.
#[derive(Clone, Copy)]
pub(super) struct RequestView<'a> {
    /// The id in events and reports.
    pub(super) id: u64,
    pub(super) method: &'a Method,
    pub(super) url: &'a NormalUrl,
    pub(super) headers: &'a HeaderMap,
    pub(super) version: Version,
    /// The present: when the request came, or what `--now` says.
    pub(super) now: SystemTime,
    pub(super) redaction: &'a RunRedaction,
    /// False if no source may forward the request.
    pub(super) may_forward: bool,
}

impl<'a> RequestView<'a> {
    /// Returns the head of a request, and its outcome. `None` if the URL is invalid.
    pub(super) fn of(exchange: &'a mut Exchange<'_>, now: Option<SystemTime>) -> Option<(Self, &'a mut Outcome)> {
        let (id, now, may_forward) = (exchange.id(), now.unwrap_or(exchange.started), exchange.may_forward);
        let (url, request, redaction, outcome) = exchange.split();
        let url = url.as_ref().ok()?;
        let (method, headers, version) = (request.method(), request.headers(), request.version());
        Some((RequestView { id, method, url, headers, version, now, redaction, may_forward }, outcome))
    }

    /// Returns `METHOD URL` without secrets.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.redaction.redact_url(self.headers, self.url.as_str()))
    }

    /// Returns true if the client accepts trailers: over HTTP/2 every client does, over HTTP/1.1 those that send
    /// `TE: trailers` (RFC 9110 section 6.5.1).
    pub(super) fn takes_trailers(&self) -> bool {
        match self.version {
            Version::HTTP_2 => true,
            Version::HTTP_11 => {
                let values = self.headers.get_all("te").iter().filter_map(|value| value.to_str().ok());
                values.flat_map(|value| value.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
            }
            _ => false,
        }
    }

    /// Returns true if the request asks for a WebSocket.
    pub(super) fn is_websocket(&self) -> bool {
        asks_for_websocket(self.headers)
    }

    /// Returns true if a browser requests a page or a part of one (an image, a script), and not the page's code:
    /// `Sec-Fetch-Dest` is present and not `empty`.
    pub(super) fn is_subresource(&self) -> bool {
        self.headers.get("sec-fetch-dest").is_some_and(|dest| !dest.as_bytes().eq_ignore_ascii_case(b"empty"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<'a> RequestView<'a> {
        /// A GET over HTTP/1.1, for tests.
        pub(in crate::source) fn get(url: &'a NormalUrl, headers: &'a HeaderMap) -> Self {
            static REDACTION: std::sync::LazyLock<RunRedaction> =
                std::sync::LazyLock::new(|| RunRedaction::new(std::sync::Arc::default()));
            let (version, now) = (Version::HTTP_11, SystemTime::UNIX_EPOCH);
            let (id, method, redaction) = (1, &Method::GET, &*REDACTION);
            RequestView { id, method, url, headers, version, now, redaction, may_forward: true }
        }
    }

    fn with(fields: &[(&'static str, &'static str)], version: Version, ask: impl Fn(&RequestView<'_>) -> bool) -> bool {
        let url = NormalUrl::parse("http://h/").unwrap();
        let headers = fields.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        ask(&RequestView { version, ..RequestView::get(&url, &headers) })
    }

    #[test]
    fn trailers_are_for_http2_and_for_http11_clients_that_accept_them() {
        let takes = |fields, version| with(fields, version, |request| request.takes_trailers());
        assert!(takes(&[], Version::HTTP_2));
        assert!(takes(&[("te", "deflate, Trailers")], Version::HTTP_11));
        assert!(!takes(&[], Version::HTTP_11));
        assert!(!takes(&[("te", "trailers")], Version::HTTP_10));
    }

    #[test]
    fn offer_of_h2c_is_not_a_websocket() {
        let asks = |fields| with(fields, Version::HTTP_11, |request| request.is_websocket());
        assert!(asks(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]));
        assert!(!asks(&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")]));
        assert!(!asks(&[("upgrade", "websocket")]));
    }

    #[test]
    fn request_of_page_code_is_not_a_subresource() {
        let is = |fields| with(fields, Version::HTTP_11, |request| request.is_subresource());
        assert!(is(&[("sec-fetch-dest", "image")]));
        assert!(!is(&[("sec-fetch-dest", "empty")]));
        assert!(!is(&[]));
    }
}
