//! The proxy's own address as a web server: a small page, a health check and the CA's certificate. Nothing here changes
//! anything, and no other site can read it: Host and Origin must be ours. The health check says no more than that something
//! answers, so that it may be asked by any name: a container knows this one as a service.

use std::net::SocketAddr;

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use ::http::uri::Authority;
use ::http::{HeaderMap, HeaderValue, Method, Request, Response};

use super::body::Body;
use super::respond::Trouble;

/// Answers a request to the proxy itself. `ours` tells whether `host:port` is it.
pub(super) fn page<B>(
    request: &Request<B>,
    proxy: SocketAddr,
    ca_pem: &str,
    ours: impl Fn(&Authority) -> bool,
) -> Response<Body> {
    let headers = request.headers();
    let is_health = request.uri().path() == "/healthz";
    if !(is_health || host(headers).is_some_and(|host| ours(&host))) || !origin_is_ours(headers, &ours) {
        return Trouble::Misdirected(proxy).response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Trouble::ReadOnly.response();
    }
    match request.uri().path() {
        "/" => answer("text/html; charset=utf-8", index(proxy)),
        "/healthz" => answer("application/json", "{\"status\":\"ok\"}\n".to_owned()),
        "/ca.pem" => answer("application/x-x509-ca-cert", ca_pem.to_owned()),
        _ => Trouble::NoPage.response(),
    }
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next()?;
    if hosts.next().is_some() { None } else { Authority::try_from(host.as_bytes()).ok() }
}

fn origin_is_ours(headers: &HeaderMap, ours: impl Fn(&Authority) -> bool) -> bool {
    headers.get_all(ORIGIN).iter().all(|origin| {
        let authority = origin.as_bytes().strip_prefix(b"http://").and_then(|rest| Authority::try_from(rest).ok());
        authority.is_some_and(|authority| ours(&authority))
    })
}

fn answer(content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    headers.insert(
        HeaderName::from_static("content-security-policy"),
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    response
}

fn index(proxy: SocketAddr) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>harproxy</title>\n<h1>harproxy</h1>\n<p>This is a proxy. Clients reach it as</p>\n\
         <pre>HTTP_PROXY=http://{proxy} HTTPS_PROXY=http://{proxy}</pre>\n\
         <p>and must trust <a href=\"/ca.pem\">its certificate authority</a>. Version {version}. \
         <a href=\"/healthz\">Health</a>.</p>\n</html>\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}
