//! One table from what went wrong to the answer the client gets: status, problem document, mark. And what every answer has
//! to be before it goes out.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, HeaderName, PROXY_AUTHENTICATE, TE, TRANSFER_ENCODING, UPGRADE,
};
use ::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::body::Body;
use harproxy_http::problem::Problem;

/// The header that says where an answer came from.
pub const MARK: &str = "x-harproxy";

/// A problem document as a response: never cached, marked as `mark` unless it is empty.
#[must_use]
pub fn problem(problem: &Problem, mark: &str) -> Response<Body> {
    let mut response = Response::new(Body::full(problem.to_json()));
    *response.status_mut() =
        ::http::StatusCode::from_u16(problem.status).unwrap_or(::http::StatusCode::NOT_IMPLEMENTED);
    let headers = response.headers_mut();
    headers.insert("content-type", ::http::HeaderValue::from_static(Problem::MEDIA_TYPE));
    headers.insert("cache-control", ::http::HeaderValue::from_static("no-store"));
    if let Ok(mark) = ::http::HeaderValue::from_str(mark)
        && !mark.is_empty()
    {
        headers.insert(MARK, mark);
    }
    response
}

/// What the engine itself answers, before any handler sees the request.
#[derive(Debug)]
pub(super) enum Trouble {
    /// `--auth`, and the client's credentials are missing or wrong.
    Credentials,
    /// The request target can't be understood; in words.
    Target(String),
    /// A request in origin form whose Host is not ours: not a proxy request, or another site's name rebound to this address.
    Misdirected(SocketAddr),
    /// No such page of our own.
    NoPage,
    /// Our own pages can only be read.
    ReadOnly,
    /// No `--reverse` has a prefix for this path; these are the prefixes.
    NoRoute(Vec<String>),
    /// The proxy was asked to forward to itself.
    Loop(SocketAddr),
    /// A transfer coding beside `chunked`, which is all that can be taken off.
    TransferCoding,
    /// CONNECT where there is no tunnel to be had; in words.
    NoTunnel(&'static str),
}

impl Trouble {
    /// The document to answer with.
    pub(super) fn problem(&self) -> Problem {
        match self {
            Trouble::Credentials => Problem::new(
                407,
                "The proxy needs credentials",
                "Put the user name and password given to --auth into the proxy URL: http://USER:PASS@host:port. A session is \
                 named as USER+SESSION.",
            ),
            Trouble::Target(reason) => Problem::new(400, "The request target is not usable", reason),
            Trouble::Misdirected(proxy) => Problem::new(
                421,
                "This is a proxy, not a web server",
                format!(
                    "The request came in origin form for another host than this proxy. Use it as a proxy \
                     (HTTP_PROXY=http://{proxy} HTTPS_PROXY=http://{proxy}), or start harproxy with --reverse URL for \
                     clients that can't use one."
                ),
            ),
            Trouble::NoPage => Problem::new(404, "No such page", "harproxy has /, /healthz and /ca.pem."),
            Trouble::ReadOnly => Problem::new(405, "Method not allowed", "harproxy's own pages can only be read."),
            Trouble::NoRoute(prefixes) => Problem::new(
                404,
                "No --reverse has a prefix for this path",
                format!("The prefixes on this port are: {}.", prefixes.join(", ")),
            ),
            Trouble::Loop(proxy) => Problem::new(
                508,
                "The proxy was asked to forward to itself",
                format!(
                    "{proxy} is harproxy's own address. Its own pages (/, /healthz, /ca.pem) can be read; to reach a server \
                     of yours, use the server's port."
                ),
            ),
            Trouble::TransferCoding => Problem::new(
                501,
                "Transfer coding not implemented",
                "Only one `Transfer-Encoding: chunked` can be forwarded; compress with Content-Encoding instead.",
            ),
            Trouble::NoTunnel(reason) => Problem::new(400, "No tunnel can be made here", *reason),
        }
    }

    /// Whether others may see the request end elsewhere than we do: then what follows it is nobody's request.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(self, Trouble::TransferCoding)
    }

    /// The whole answer.
    pub(super) fn response(&self) -> Response<Body> {
        let mut response = problem(&self.problem(), "");
        match self {
            Trouble::Credentials => {
                let challenge = HeaderValue::from_static("Basic realm=\"harproxy\"");
                response.headers_mut().insert(PROXY_AUTHENTICATE, challenge);
            }
            Trouble::ReadOnly => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            _ => {}
        }
        response
    }
}

/// Fields of the hop before (RFC 9110 section 7.6.1). `Trailer` stays: it tells hyper which trailers to send.
const HOP_BY_HOP: [HeaderName; 4] = [TE, TRANSFER_ENCODING, UPGRADE, HeaderName::from_static("proxy-connection")];
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Makes a handler's answer fit to be sent: hop-by-hop fields go and lengths agree with the body, so that hyper frames it
/// anew for whatever version the client speaks.
pub(super) async fn tidy(response: &mut Response<Body>, method: &Method, client: Version) {
    // hyper writes the client's version whatever stands here, and panics at some.
    *response.version_mut() = Version::HTTP_11;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    remove_hop_by_hop(response.headers_mut());
    if has_no_body(response, method) {
        // In a box: few answers are such, and the others need not carry what it takes.
        return Box::pin(without_body(response, method, client)).await;
    }
    if let Some(length) = response.body().size_hint().exact()
        && response.headers().get(CONTENT_LENGTH).is_some_and(|declared| !says(declared, length))
    {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
}

/// Whether a Content-Length is this.
fn says(declared: &HeaderValue, length: u64) -> bool {
    let digits = declared.as_bytes();
    let is = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()) == Some(length);
    is && digits.iter().all(u8::is_ascii_digit)
}

/// A client whose CONNECT was refused has no use for the connection, and some read the explanation up to its end. Only the
/// demand for credentials is met on the same connection.
pub(super) fn end_refused_connect(response: &mut Response<Body>) {
    if !response.status().is_success() && response.status() != StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        end(response);
    }
}

/// Nothing more is read on this connection. HTTP/2 has no requests of the kind that calls for it.
pub(super) fn end(response: &mut Response<Body>) {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Most answers have none: one look at the names is less than a look-up of each.
    if !headers.keys().any(|name| *name == CONNECTION || *name == KEEP_ALIVE || HOP_BY_HOP.contains(name)) {
        return;
    }
    let options: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|option| option.trim().parse().ok())
        .collect();
    let is_of_hop = |name: &HeaderName| {
        *name == CONNECTION || *name == KEEP_ALIVE || HOP_BY_HOP.contains(name) || options.contains(name)
    };
    // `HeaderMap::remove` puts the last field in the place of what goes.
    let kept = headers.iter().filter(|(name, _)| !is_of_hop(name));
    *headers = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
}

fn has_no_body(response: &Response<Body>, method: &Method) -> bool {
    method == Method::HEAD || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// An answer that by its status or method has no body may still say how long it would be (RFC 9110 section 8.6), but for 204.
async fn without_body(response: &mut Response<Body>, method: &Method, client: Version) {
    if response.status() == StatusCode::NO_CONTENT {
        response.headers_mut().remove(CONTENT_LENGTH);
    } else if method == Method::HEAD
        && let Some(length @ 1..) = response.body().size_hint().exact()
        && !response.headers().contains_key(CONTENT_LENGTH)
    {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    // To its end, and not dropped: whoever watches it must see that nothing is missing.
    let mut body = std::mem::take(response.body_mut());
    while let Some(Ok(_)) = body.frame().await {}
    // Of an empty body hyper's HTTP/1 takes every length but HEAD's for a mistake and leaves it out.
    if response.status() == StatusCode::NOT_MODIFIED
        && method != Method::HEAD
        && client < Version::HTTP_2
        && let Some(length) = response.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok())
    {
        *response.body_mut() = Body::boxed(Unsent(length));
    }
}

/// A body that is never sent, of which only the length is told.
struct Unsent(u64);

impl http_body::Body for Unsent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn tidied(method: &Method, status: u16, headers: &[(&str, &str)], body: Body) -> Response<Body> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let mut response = response.body(body).unwrap();
        tidy(&mut response, method, Version::HTTP_11).now_or_never().unwrap();
        response
    }

    fn names(response: &Response<Body>) -> Vec<&str> {
        response.headers().keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn fields_of_the_other_hop_go() {
        let headers = [
            ("connection", "X-Gone, close"),
            ("x-gone", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("trailer", "x-sum"),
            ("x-stays", "1"),
        ];
        assert_eq!(names(&tidied(&Method::GET, 200, &headers, Body::full("x"))), ["trailer", "x-stays"]);
        let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
        assert_eq!(names(&tidied(&Method::GET, 101, &upgrade, Body::Empty)), ["connection", "upgrade"]);
    }

    #[test]
    fn a_length_that_the_body_does_not_have_goes() {
        let length = |method, status, declared, body| {
            let response = tidied(method, status, &[("content-length", declared)], body);
            response.headers().get(CONTENT_LENGTH).map(|v| v.to_str().unwrap().to_owned())
        };
        assert_eq!(length(&Method::GET, 200, "1", Body::full("x")).as_deref(), Some("1"));
        assert_eq!(length(&Method::GET, 200, "2", Body::full("x")), None);
        assert_eq!(length(&Method::HEAD, 200, "77", Body::Empty).as_deref(), Some("77"));
        assert_eq!(length(&Method::HEAD, 200, "77", Body::full("x")).as_deref(), Some("77"));
        assert_eq!(length(&Method::GET, 304, "77", Body::Empty).as_deref(), Some("77"));
        assert_eq!(length(&Method::GET, 204, "0", Body::Empty), None);
        let head = tidied(&Method::HEAD, 200, &[], Body::full("four"));
        assert_eq!(head.headers()[CONTENT_LENGTH], "4");
        assert!(head.body().is_end_stream());
    }
}
