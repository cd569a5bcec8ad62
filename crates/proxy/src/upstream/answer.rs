//! An answer from upstream, and the return of its connection to the pool.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::{ConnectTimings, RequestConnection};
use super::pool::OwnConnections;
use super::upload::UploadHandle;
use crate::body::BoxError;
use crate::origin::Origin;
use harproxy_support::sync::lock;

/// An answer from upstream. Its body is still to be read.
#[derive(Debug)]
pub struct Answer {
    /// The response as received. Extensions have the reason phrase and the header case, and for a 101 the connection
    /// (`hyper::upgrade::on`).
    pub response: Response<AnswerBody>,
    /// The number of the connection: counts opened connections, from 1.
    pub connection: u64,
    /// The address of the origin; `None` through an upstream proxy.
    pub remote: Option<SocketAddr>,
    /// Durations of the connection's phases, if it was opened for this exchange.
    pub connect: Option<ConnectTimings>,
    /// Time that the request waited for a connection, without `connect`.
    pub blocked: Duration,
    /// When the head of the request was passed to the connection.
    pub sent_at: Instant,
    /// When the head of the answer had been read.
    pub answered_at: Instant,
    /// The 1xx answers before it, 100 included. hyper reports none over HTTP/2.
    pub informational: Vec<(StatusCode, HeaderMap)>,
}

/// The body of an answer. At its end the connection goes back to the pool, before the last frame is returned: a client
/// that sends its next request at once finds it there.
#[derive(Debug)]
pub struct AnswerBody {
    inner: Incoming,
    lease: Option<Box<Lease>>,
}

impl AnswerBody {
    pub(super) fn new(inner: Incoming, lease: Lease) -> Self {
        let mut body = AnswerBody { inner, lease: Some(Box::new(lease)) };
        if body.inner.is_end_stream() {
            body.end_lease();
        }
        body
    }

    fn end_lease(&mut self) {
        if let Some(mut lease) = self.lease.take() {
            lease.is_over = true;
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx).map_err(BoxError::from);
        match &polled {
            Poll::Ready(None) => self.end_lease(),
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() || self.inner.is_end_stream() => self.end_lease(),
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

/// An answer's claim on its connection until the body ends. Dropped before that, it aborts the upload and closes an
/// HTTP/1.1 connection.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) upload: UploadHandle,
    /// `None` if an Upgrade took the connection.
    pub(super) connection: Option<RequestConnection>,
    pub(super) to: Origin,
    pub(super) pool: Weak<Mutex<OwnConnections>>,
    /// Time limit for an upload whose answer is complete.
    pub(super) upload_timeout: Duration,
    /// The body was read to its end.
    pub(super) is_over: bool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.is_over || self.upload.is_abandoned() {
            self.upload.abort();
        } else if !self.upload.is_complete() {
            abort_later(self.upload.clone(), self.upload_timeout);
        } else if let Some(connection) = self.connection.take()
            && let Some(pool) = self.pool.upgrade()
        {
            lock(&pool).release(&self.to, connection);
        }
    }
}

/// Aborts an upload that continues after its answer is complete. hyper itself has no limit for it.
fn abort_later(upload: UploadHandle, timeout: Duration) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move {
            tokio::time::sleep(timeout).await;
            upload.abort();
        });
    }
}
