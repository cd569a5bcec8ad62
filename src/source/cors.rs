//! CORS (Fetch Standard, section 3.2). Replay generates the responses to preflights, which browsers' HAR exports leave
//! out. Refusals get headers that let a page's code read them.

use ::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, VARY,
};
use ::http::{HeaderMap, Method, Response, StatusCode};

use harproxy_har::Entry;
use harproxy_proxy::Body;
use harproxy_proxy::respond::MARK;

/// The time for which a browser may cache a generated preflight response, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const REQUESTED_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOWED_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Returns true if the request is a preflight: `OPTIONS` with `Origin` and `Access-Control-Request-Method`.
#[must_use]
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Returns the response to a preflight without an entry. It allows everything that the preflight requests.
pub(super) fn preflight(request: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    allow(request, headers);
    headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    response
}

/// Adds the headers that let the requesting page read a response, and proceed after a preflight.
pub(super) fn allow(request: &HeaderMap, response: &mut HeaderMap) {
    let Some(origin) = request.get(ORIGIN) else { return };
    response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(MARK));
    response.insert(VARY, HeaderValue::from_static("Origin"));
    let pairs = [
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
        (REQUESTED_PRIVATE_NETWORK, ALLOWED_PRIVATE_NETWORK),
    ];
    for (requested, allowed) in pairs {
        if let Some(value) = request.get(requested) {
            response.insert(allowed, value.clone());
        }
    }
}

/// Lets the requesting page read an answer of a mock server with all its headers, unless the answer says who may.
pub fn allow_page(request: &HeaderMap, response: &mut HeaderMap) {
    let Some(origin) = request.get(ORIGIN).filter(|_| !response.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)) else {
        return;
    };
    let names = response.keys().map(HeaderName::as_str).collect::<Vec<_>>().join(", ");
    response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    if let Ok(names) = HeaderValue::from_str(&format!("{names}, {MARK}")) {
        response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names);
    }
    response.append(VARY, HeaderValue::from_static("Origin"));
}

/// Returns true if the recorded response named the request's origin. Development servers and test runners choose a new
/// port for each run, so pages of other runs have other origins. The real API would name those, too.
pub(super) fn allows_requester(entry: &Entry) -> bool {
    let origin = entry.request.headers.get(ORIGIN.as_str());
    origin.is_some() && entry.response.headers.get(ACCESS_CONTROL_ALLOW_ORIGIN.as_str()) == origin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_of(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    const FULL: [(&str, &str); 3] = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "content-type,x-a"),
    ];

    #[test]
    fn preflight_is_options_with_origin_and_requested_method() {
        assert!(is_preflight(&Method::OPTIONS, &headers_of(&FULL)));
        assert!(!is_preflight(&Method::GET, &headers_of(&FULL)));
        assert!(!is_preflight(&Method::OPTIONS, &headers_of(&FULL[..1])));
        assert!(!is_preflight(&Method::OPTIONS, &headers_of(&FULL[1..])));
    }

    #[test]
    fn generated_preflight_allows_the_requested_method_and_headers_with_credentials() {
        let response = preflight(&headers_of(&FULL));
        assert_eq!(response.status(), 204);
        let get = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(get("access-control-allow-origin"), Some("https://app.example"));
        assert_eq!(get("access-control-allow-methods"), Some("PUT"));
        assert_eq!(get("access-control-allow-headers"), Some("content-type,x-a"));
        assert_eq!(get("access-control-allow-credentials"), Some("true"));
        assert_eq!(get("access-control-max-age"), Some("600"));
    }

    #[test]
    fn response_allows_its_requester_if_it_named_the_recorded_origin() {
        let entry = |origin: Option<&'static str>, allowed: &'static str| {
            let mut entry = Entry::default();
            if let Some(origin) = origin {
                entry.request.headers.push("origin", origin);
            }
            entry.response.headers.push("access-control-allow-origin", allowed);
            entry
        };
        assert!(allows_requester(&entry(Some("http://localhost:1234"), "http://localhost:1234")));
        assert!(!allows_requester(&entry(Some("http://localhost:1234"), "*")));
        assert!(!allows_requester(&entry(Some("http://localhost:1234"), "https://elsewhere.example")));
        assert!(!allows_requester(&entry(None, "https://elsewhere.example")));
    }

    #[test]
    fn page_may_read_an_answer_unless_it_says_who_may() {
        let page = headers_of(&FULL[..1]);
        let mut headers = headers_of(&[("x-total", "3"), ("vary", "accept")]);
        allow_page(&page, &mut headers);
        assert_eq!(headers["access-control-allow-origin"], "https://app.example");
        assert_eq!(headers["access-control-expose-headers"], "x-total, vary, x-harproxy");
        assert_eq!(headers.get_all("vary").iter().count(), 2);
        let mut strict = headers_of(&[("access-control-allow-origin", "https://other.example")]);
        allow_page(&page, &mut strict);
        assert_eq!(strict.len(), 1);
        let mut plain = HeaderMap::new();
        allow_page(&HeaderMap::new(), &mut plain);
        assert!(plain.is_empty());
    }

    #[test]
    fn refusal_gets_cors_headers_only_for_requests_with_an_origin() {
        let mut headers = HeaderMap::new();
        allow(&headers_of(&FULL[..1]), &mut headers);
        assert_eq!(headers["access-control-allow-origin"], "https://app.example");
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert_eq!(headers["access-control-expose-headers"], "x-harproxy");
        assert_eq!(headers["vary"], "Origin");
        let mut headers = HeaderMap::new();
        allow(&HeaderMap::new(), &mut headers);
        assert!(headers.is_empty());
    }
}
