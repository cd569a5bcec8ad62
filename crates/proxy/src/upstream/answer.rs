//! An answer, and what becomes of its connection when its body is through.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::{Http1, InUse};
use super::pool::{Kept, WeakConnections};
use super::upload::UploadHandle;
use crate::body::{BoxError, Gathered};
use crate::handler::Origin;

/// How long the phases of making a connection took; `None` where there was none (a literal address, no TLS).
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectTimings {
    /// Name resolution.
    pub dns: Option<Duration>,
    /// TCP (and the upstream proxy's handshake).
    pub tcp: Option<Duration>,
    /// TLS.
    pub tls: Option<Duration>,
}

/// An answer from upstream, its body not read yet.
#[derive(Debug)]
pub struct Answer {
    /// The response as received; extensions carry the reason phrase and header case, and of a 101 the connection
    /// (`hyper::upgrade::on`).
    pub response: Response<AnswerBody>,
    /// Which connection it came on: counts connections opened, from 1.
    pub connection: u64,
    /// Who answered; `None` through an upstream proxy.
    pub remote: Option<SocketAddr>,
    /// The phases of the connection, when it was opened for this exchange; `None` on a reused one.
    pub connect: Option<ConnectTimings>,
    /// How long the exchange waited for a connection beyond `connect`.
    pub blocked: Duration,
    /// When the head of the request had been handed to the connection.
    pub sent_at: Instant,
    /// When the head of the answer had been read.
    pub answered_at: Instant,
    /// 1xx answers before it, 100 included. hyper reports none over HTTP/2.
    pub informational: Vec<(StatusCode, HeaderMap)>,
}

/// The interim answers whose heads these are, read as hyper reads them.
pub(super) fn informational(mut heads: &[u8]) -> Vec<(StatusCode, HeaderMap)> {
    let mut parser = httparse::ParserConfig::default();
    parser.allow_obsolete_multiline_headers_in_responses(true).allow_spaces_after_header_name_in_responses(true);
    let mut fields = vec![httparse::EMPTY_HEADER; memchr::memchr_iter(b'\n', heads).count()];
    let mut answers = Vec::new();
    loop {
        let mut answer = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(len)) = parser.parse_response(&mut answer, heads) else { return answers };
        let Some(Ok(status)) = answer.code.map(StatusCode::from_u16) else { return answers };
        let named = answer.headers.iter().filter_map(|field| {
            // A value that went on in another line has its end still in it.
            let value: Vec<u8> =
                field.value.iter().map(|byte| if byte.is_ascii_whitespace() { b' ' } else { *byte }).collect();
            Some((field.name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(&value).ok()?))
        });
        let mut headers = HeaderMap::new();
        for (name, value) in named {
            headers.append(name, value);
        }
        answers.push((status, headers));
        heads = &heads[len..];
    }
}

/// The body of an answer. With its end the connection is free for the next request, before the last frame is handed out: a
/// client that answers at once finds it.
#[derive(Debug)]
pub struct AnswerBody {
    inner: Gathered<Incoming>,
    lease: Option<Box<Lease>>,
}

impl AnswerBody {
    pub(super) fn new(inner: Incoming, lease: Lease) -> Self {
        let mut body = AnswerBody { inner: Gathered::new(inner), lease: Some(Box::new(lease)) };
        if body.inner.is_end_stream() {
            body.ended();
        }
        body
    }

    fn ended(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.complete();
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(None) => self.ended(),
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() || self.inner.is_end_stream() => self.ended(),
            Poll::Ready(Some(Err(_))) => self.lease = None,
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What an answer has of its connection as long as its body is not through. Dropped before that it cuts the upload, and a
/// connection of its own is closed.
pub(super) struct Lease {
    pub(super) upload: Option<UploadHandle>,
    pub(super) hold: Hold,
    /// How long an upload may go on when its answer is complete.
    pub(super) upload_timeout: Duration,
}

/// The part of it that depends on the protocol.
pub(super) enum Hold {
    /// A whole connection, which goes back where it came from.
    Http1 { connection: Box<Http1>, in_use: InUse, to: Origin, own: WeakConnections },
    /// One of several streams.
    Http2 { _in_use: InUse },
    /// Nothing: the connection now speaks another protocol.
    Upgraded,
}

impl Lease {
    fn complete(mut self) {
        let upload = self.upload.take();
        match &upload {
            // Upstream did not want it.
            Some(upload) if upload.abandoned() => return upload.cut(),
            Some(upload) if !upload.ended() => return cut_later(upload.clone(), self.upload_timeout),
            _ => {}
        }
        if let Hold::Http1 { connection, in_use, to, own } = std::mem::replace(&mut self.hold, Hold::Upgraded) {
            drop(in_use);
            if let Some(own) = own.upgrade()
                && !connection.send.is_closed()
            {
                own.put(&to, Kept::Http1(connection));
            }
        }
    }
}

/// An upload whose answer is complete already may go on for a while; hyper by itself would let it hang.
fn cut_later(upload: UploadHandle, timeout: Duration) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move {
            tokio::time::sleep(timeout).await;
            upload.cut();
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            upload.cut();
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}
