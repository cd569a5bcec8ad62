//! An answer, and what becomes of its connection when its body is through.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::{Http1, InUse};
use super::pool::{IdleConnection, WeakPool};
use super::upload::UploadHandle;
use crate::body::BoxError;
use crate::origin::Origin;

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

/// The body of an answer. With its end the connection is free for the next request, before the last frame is handed out: a
/// client that answers at once finds it.
#[derive(Debug)]
pub struct AnswerBody {
    inner: Incoming,
    lease: Option<Box<Lease>>,
}

impl AnswerBody {
    pub(super) fn new(inner: Incoming, lease: Lease) -> Self {
        let mut body = AnswerBody { inner, lease: Some(Box::new(lease)) };
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
        let polled = Pin::new(&mut self.inner).poll_frame(cx).map_err(BoxError::from);
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
    Http1 { connection: Box<Http1>, in_use: InUse, to: Origin, pool: WeakPool },
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
        if let Hold::Http1 { connection, in_use, to, pool } = std::mem::replace(&mut self.hold, Hold::Upgraded) {
            drop(in_use);
            if let Some(pool) = pool.upgrade()
                && !connection.send.is_closed()
            {
                pool.put(&to, IdleConnection::Http1(connection));
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
