//! CORS (Fetch Standard, section 3.2): browsers don't show preflights to recorders, so replay makes them up; and what is
//! refused carries headers that let the page's code read why.

use ::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, VARY,
};
use ::http::{HeaderMap, Method, Response, StatusCode};

use harproxy_har::Entry;
use harproxy_proxy::Body;
use harproxy_proxy::respond::MARK;

/// How long a browser may keep a made-up preflight, seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const ASKS_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOWS_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Whether the request is a preflight: `OPTIONS` with `Origin` and `Access-Control-Request-Method`.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight that has no entry: what it asks for is allowed.
pub(super) fn preflight(request: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    allow(request, headers);
    headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    response
}

/// Lets the page that asked read this answer, and go on if it is a preflight.
pub(super) fn allow(request: &HeaderMap, response: &mut HeaderMap) {
    let Some(origin) = request.get(ORIGIN) else { return };
    response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(MARK));
    response.insert(VARY, HeaderValue::from_static("Origin"));
    let asked = [
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
        (ASKS_PRIVATE_NETWORK, ALLOWS_PRIVATE_NETWORK),
    ];
    for (asks, allows) in asked {
        if let Some(value) = request.get(asks) {
            response.insert(allows, value.clone());
        }
    }
}

/// Whether the recorded answer allowed the page that asked by name. Development servers and test runners pick a port anew
/// each time, so the page of another run has another origin; the real API would have named that one.
pub(super) fn allows_requester(entry: &Entry) -> bool {
    let origin = entry.request.headers.get(ORIGIN.as_str());
    origin.is_some() && entry.response.headers.get(ACCESS_CONTROL_ALLOW_ORIGIN.as_str()) == origin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    const FULL: [(&str, &str); 3] = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "content-type,x-a"),
    ];

    #[test]
    fn a_preflight_is_options_with_origin_and_the_method_asked_for() {
        assert!(is_preflight(&Method::OPTIONS, &asked(&FULL)));
        assert!(!is_preflight(&Method::GET, &asked(&FULL)));
        assert!(!is_preflight(&Method::OPTIONS, &asked(&FULL[..1])));
        assert!(!is_preflight(&Method::OPTIONS, &asked(&FULL[1..])));
    }

    #[test]
    fn a_made_up_preflight_allows_what_was_asked_with_credentials() {
        let response = preflight(&asked(&FULL));
        assert_eq!(response.status(), 204);
        let get = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(get("access-control-allow-origin"), Some("https://app.example"));
        assert_eq!(get("access-control-allow-methods"), Some("PUT"));
        assert_eq!(get("access-control-allow-headers"), Some("content-type,x-a"));
        assert_eq!(get("access-control-allow-credentials"), Some("true"));
        assert_eq!(get("access-control-max-age"), Some("600"));
    }

    #[test]
    fn an_answer_that_named_the_asker_names_the_next_one_too() {
        let entry = |asked: Option<&'static str>, allowed: &'static str| {
            let mut entry = Entry::default();
            if let Some(asked) = asked {
                entry.request.headers.push("origin", asked);
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
    fn a_refusal_can_be_read_by_the_page_and_others_get_nothing_added() {
        let mut headers = HeaderMap::new();
        allow(&asked(&FULL[..1]), &mut headers);
        assert_eq!(headers["access-control-allow-origin"], "https://app.example");
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert_eq!(headers["access-control-expose-headers"], "x-harproxy");
        assert_eq!(headers["vary"], "Origin");
        let mut headers = HeaderMap::new();
        allow(&HeaderMap::new(), &mut headers);
        assert!(headers.is_empty());
    }
}
