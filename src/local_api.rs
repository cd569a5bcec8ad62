//! HTTP/1.1 servers for JSON on this machine: the control socket of a run, and the admin API of a mock server.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderValue, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::sleep;

use harproxy_http::problem::Problem;
use harproxy_proxy::{Body, respond};

/// The length of the longest request payload, in bytes.
const MAX_PAYLOAD: usize = 16 << 20;
/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket that accepts connections.
pub trait AcceptSocket {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept_stream(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl AcceptSocket for tokio::net::TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn accept_stream(&self) -> io::Result<Self::Stream> {
        Ok(self.accept().await?.0)
    }
}

#[cfg(unix)]
impl AcceptSocket for tokio::net::UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn accept_stream(&self) -> io::Result<Self::Stream> {
        Ok(self.accept().await?.0)
    }
}

/// Answers the requests of a server.
pub trait AnswerRequest: Send + Sync + 'static {
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;
}

/// Serves connections until the future is dropped. `name` is that of the server in logs.
pub async fn serve(socket: &impl AcceptSocket, service: Arc<impl AnswerRequest>, name: &'static str) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match socket.accept_stream().await {
            Ok(stream) => _ = connections.spawn(serve_connection(stream, service.clone(), name)),
            // No descriptors are left.
            Err(error) => {
                tracing::warn!(%error, "{name}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    service: Arc<impl AnswerRequest>,
    name: &'static str,
) {
    let answer = service_fn(|request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let served = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to {name}");
    }
}

/// Reads the payload of a request as JSON. An empty one is `null`.
///
/// # Errors
/// A problem document for the client.
pub async fn read_json<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Problem> {
    let refused = |detail: String| Problem::new(400, "the payload is not valid", detail);
    let payload = Limited::new(request.into_body(), MAX_PAYLOAD).collect().await;
    let payload = payload.map_err(|error| match error.is::<LengthLimitError>() {
        true => Problem::new(413, "the payload is too long", format!("it may have {MAX_PAYLOAD} bytes")),
        false => refused(format!("it can't be read: {error}")),
    })?;
    let payload = payload.to_bytes();
    if payload.trim_ascii_start().starts_with(b"[") {
        return Err(refused("expected an object".to_owned()));
    }
    let json = if payload.trim_ascii().is_empty() { &b"null"[..] } else { &payload };
    serde_json::from_slice(json).map_err(|error| refused(error.to_string()))
}

/// Returns a response with JSON, and a line end for terminals.
pub fn reply(status: StatusCode, members: &impl Serialize) -> Response<Body> {
    // Plain data with string keys can always be written.
    json_response(status, serde_json::to_string(members).unwrap_or_default() + "\n")
}

/// Returns a response with JSON.
pub fn json_response(status: StatusCode, json: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(json));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Returns a response with a problem document.
#[must_use]
pub fn refuse(problem: &Problem) -> Response<Body> {
    respond::problem(problem, "")
}
