//! The proxy's own web pages: a start page, a health check and the certificate of the CA.
//!
//! The pages change nothing, and other sites cannot read them: Host and Origin must name the proxy. The health check
//! says no more than that the proxy answers, so any Host is allowed: a container knows the proxy as a service.

use std::net::SocketAddr;

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use ::http::uri::Authority;
use ::http::{HeaderMap, HeaderValue, Method, Request, Response};

use super::refusal::Refusal;
use crate::body::Body;
use crate::engine::{ClientConnection, OwnPort};

/// Answers a request to the proxy itself.
pub(super) fn page<B>(request: &Request<B>, client: &ClientConnection) -> Response<Body> {
    let engine = &client.engine;
    let proxy = engine.proxy;
    let is_own = |authority: &Authority| {
        let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
        let port = authority.port_u16().unwrap_or(80);
        matches!(engine.own_port(client.local, &host, port), Some(OwnPort::Proxy))
    };
    let headers = request.headers();
    let is_health = request.uri().path() == "/healthz";
    if !(is_health || host(headers).is_some_and(|host| is_own(&host))) || !is_own_origin(headers, is_own) {
        return Refusal::Misdirected(proxy).response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Refusal::ReadOnlyPage.response();
    }
    match request.uri().path() {
        "/" => answer("text/html; charset=utf-8", index(proxy)),
        "/healthz" => answer("application/json", "{\"status\":\"ok\"}\n".to_owned()),
        "/ca.pem" => answer("application/x-x509-ca-cert", engine.authority.cert_pem().to_owned()),
        _ => Refusal::UnknownPage.response(),
    }
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next()?;
    if hosts.next().is_some() { None } else { Authority::try_from(host.as_bytes()).ok() }
}

fn is_own_origin(headers: &HeaderMap, is_own: impl Fn(&Authority) -> bool) -> bool {
    headers.get_all(ORIGIN).iter().all(|origin| {
        let authority = origin.as_bytes().strip_prefix(b"http://").and_then(|rest| Authority::try_from(rest).ok());
        authority.is_some_and(|authority| is_own(&authority))
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
