//! Makes the answers of handlers valid responses for the client's HTTP version.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::header::{CONTENT_LENGTH, PROXY_AUTHENTICATE};
use ::http::{HeaderValue, Method, Response, StatusCode, Version};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::futures::OwnedNotified;

use super::idle::Busy;
use crate::body::{Body, BoxError};
use harproxy_http::headers::remove_connection_fields;

/// Removes hop-by-hop headers and a Content-Length that contradicts the body, so that hyper can frame the response.
pub(super) async fn prepare(response: &mut Response<Body>, method: &Method, client: Version) {
    // hyper writes the client's version and panics on some others.
    *response.version_mut() = Version::HTTP_11;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let is_challenge = response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED;
    let headers = response.headers_mut();
    let challenges = headers.get_all(PROXY_AUTHENTICATE).iter().filter(|_| is_challenge).cloned().collect::<Vec<_>>();
    remove_connection_fields(headers);
    // A 407 must have a challenge (RFC 9110 section 15.5.8), also a 407 of an upstream proxy.
    for challenge in challenges {
        headers.append(PROXY_AUTHENTICATE, challenge);
    }
    if method == Method::HEAD || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return prepare_bodiless(response, method, client).await;
    }
    if let Some(length) = response.body().size_hint().exact()
        && response.headers().get(CONTENT_LENGTH).is_some_and(|declared| !is_number(declared, length))
    {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
}

fn is_number(value: &HeaderValue, number: u64) -> bool {
    let digits = value.as_bytes();
    let parsed = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    parsed == Some(number) && digits.iter().all(u8::is_ascii_digit)
}

/// A response without a body by its status or method may declare a length (RFC 9110 section 8.6), except a 204.
async fn prepare_bodiless(response: &mut Response<Body>, method: &Method, client: Version) {
    if response.status() == StatusCode::NO_CONTENT {
        response.headers_mut().remove(CONTENT_LENGTH);
    } else if method == Method::HEAD
        && let Some(length @ 1..) = response.body().size_hint().exact()
        && !response.headers().contains_key(CONTENT_LENGTH)
    {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    // Read to the end instead of dropped, so that an observer sees a complete body.
    let mut body = std::mem::take(response.body_mut());
    while let Some(Ok(_)) = body.frame().await {}
    // Over HTTP/1, hyper removes the Content-Length of an empty body unless the method is HEAD.
    if response.status() == StatusCode::NOT_MODIFIED
        && method != Method::HEAD
        && client < Version::HTTP_2
        && let Some(length) = response.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok())
    {
        *response.body_mut() = Body::boxed(LengthOnly(length));
    }
}

/// A body that declares a length and is never sent.
struct LengthOnly(u64);

impl HttpBody for LengthOnly {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

/// The body of a response. The request ends when it is dropped.
///
/// When a body fails, hyper discards what it has not written yet. So the error is held back until a flush: the client
/// gets all the data before its connection is closed, or its stream reset.
///
/// Over HTTP/1.1 hyper flushes when the body is pending. Over HTTP/2 it flushes only after writing something: an empty
/// frame. A flush that was in progress began without that frame, so two are needed.
pub(super) struct ResponseBody {
    body: Body,
    busy: Busy,
    error: Option<BoxError>,
    /// Empty frames still to be sent before the error.
    empty_frames: u8,
    flush: Option<Pin<Box<OwnedNotified>>>,
}

impl ResponseBody {
    pub(super) fn new(body: Body, busy: Busy, version: Version) -> Self {
        let empty_frames = if version >= Version::HTTP_2 { 2 } else { 0 };
        ResponseBody { body, busy, error: None, empty_frames, flush: None }
    }

    fn empty_frame(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.empty_frames -= 1;
        // Created before the frame is returned: another thread may flush it before this body is polled again.
        self.flush = Some(Box::pin(self.busy.next_flush()));
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.error.is_none() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Err(error)) => this.error = Some(error),
                frame => return Poll::Ready(frame),
            }
            if this.empty_frames > 0 {
                return this.empty_frame();
            }
        }
        let flush = this.flush.get_or_insert_with(|| Box::pin(this.busy.next_flush()));
        ready!(flush.as_mut().poll(cx));
        if this.empty_frames > 0 {
            return this.empty_frame();
        }
        Poll::Ready(this.error.take().map(Err))
    }

    fn is_end_stream(&self) -> bool {
        self.error.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use ::http::HeaderName;
    use futures_util::FutureExt as _;

    use super::*;

    fn prepared(method: &Method, status: u16, headers: &[(&str, &str)], body: Body) -> Response<Body> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let mut response = response.body(body).unwrap();
        prepare(&mut response, method, Version::HTTP_11).now_or_never().unwrap();
        response
    }

    fn names(response: &Response<Body>) -> Vec<&str> {
        response.headers().keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn hop_by_hop_headers_are_removed() {
        let headers = [
            ("connection", "X-Gone, close"),
            ("x-gone", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("trailer", "x-sum"),
            ("x-stays", "1"),
        ];
        assert_eq!(names(&prepared(&Method::GET, 200, &headers, Body::full("x"))), ["trailer", "x-stays"]);
        let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
        assert_eq!(names(&prepared(&Method::GET, 101, &upgrade, Body::default())), ["connection", "upgrade"]);
    }

    #[test]
    fn content_length_that_contradicts_the_body_is_removed() {
        let length = |method, status, declared, body| {
            let response = prepared(method, status, &[("content-length", declared)], body);
            response.headers().get(CONTENT_LENGTH).map(|v| v.to_str().unwrap().to_owned())
        };
        assert_eq!(length(&Method::GET, 200, "1", Body::full("x")).as_deref(), Some("1"));
        assert_eq!(length(&Method::GET, 200, "2", Body::full("x")), None);
        assert_eq!(length(&Method::HEAD, 200, "77", Body::default()).as_deref(), Some("77"));
        assert_eq!(length(&Method::HEAD, 200, "77", Body::full("x")).as_deref(), Some("77"));
        assert_eq!(length(&Method::GET, 304, "77", Body::default()).as_deref(), Some("77"));
        assert_eq!(length(&Method::GET, 204, "0", Body::default()), None);
        let head = prepared(&Method::HEAD, 200, &[], Body::full("four"));
        assert_eq!(head.headers()[CONTENT_LENGTH], "4");
        assert!(head.body().is_end_stream());
    }
}
