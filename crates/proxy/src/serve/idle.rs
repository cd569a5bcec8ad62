//! Tracks when a client connection is idle, for the idle and head timeouts.
//!
//! hyper's own head timeout also runs between requests. Here a connection may be idle for `--idle-timeout`, and a head
//! must be complete within `--head-timeout` of its first byte.

use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::limits::ClientTimeouts;
use crate::stream::ByteStream;

/// A client that closes its connection within this time of the TLS handshake, without a request, has rejected the
/// certificate: Node.js and some others complete the handshake first and send no alert.
const REJECTS_WITHIN: Duration = Duration::from_secs(1);

/// The reason in the event of such a client.
pub(crate) const CLOSED_AFTER_HANDSHAKE: &str = "the client closed the connection when it had seen the certificate";

/// The next event on an inactive connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitingFor {
    /// The first byte of a request.
    Request,
    /// The rest of a head.
    Head,
}

/// The state of one connection, updated by its reads and its requests.
///
/// Times are milliseconds since `created`. The reads and requests of a connection run in one task, over HTTP/2 in a
/// few, so `Relaxed` is sufficient.
#[derive(Debug)]
pub(crate) struct IdleTracker {
    created: Instant,
    /// Number of requests that began, and of requests that ended.
    begun: AtomicU64,
    ended: AtomicU64,
    idle_since: AtomicU64,
    /// When the first byte of an incomplete head was received; 0 if there is none.
    head_since: AtomicU64,
    /// The TLS alert with which the client closed the connection before its first request.
    alert: OnceLock<String>,
    /// When the client closed the connection without a request.
    closed: OnceLock<u64>,
    /// Notified by every flush of the connection.
    flushed: Arc<Notify>,
    /// Set when the handler took the connection over by an Upgrade: the token that ends it, and the task that the drain
    /// waits for.
    lent: OnceLock<(CancellationToken, TaskTrackerToken)>,
}

impl IdleTracker {
    pub(crate) fn new() -> Self {
        IdleTracker {
            created: Instant::now(),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            alert: OnceLock::new(),
            closed: OnceLock::new(),
            flushed: Arc::default(),
            lent: OnceLock::new(),
        }
    }

    /// Begins a request. It ends when the guard is dropped.
    pub(crate) fn begin(self: Arc<Self>) -> Busy {
        self.begun.fetch_add(1, Relaxed);
        self.head_since.store(0, Relaxed);
        Busy(self)
    }

    fn end(&self) {
        self.idle_since.store(self.now(), Relaxed);
        self.ended.fetch_add(1, Relaxed);
    }

    fn is_busy(&self) -> bool {
        self.begun.load(Relaxed) != self.ended.load(Relaxed)
    }

    /// Returns true if the client ever sent a request.
    pub(crate) fn had_request(&self) -> bool {
        self.begun.load(Relaxed) > 0
    }

    /// The reason if the client rejected the certificate after the handshake.
    pub(crate) fn tls_rejection(&self) -> Option<&str> {
        let soon = || self.closed.get().is_some_and(|closed| u128::from(*closed) < REJECTS_WITHIN.as_millis());
        match self.alert.get() {
            Some(alert) => Some(alert),
            None if !self.had_request() && soon() => Some(CLOSED_AFTER_HANDSHAKE),
            None => None,
        }
    }

    /// The event that the connection waits for, and the time limit; `None` while a request is being answered.
    pub(crate) fn waiting(&self, timeouts: ClientTimeouts) -> Option<(WaitingFor, Instant)> {
        if self.is_busy() {
            return None;
        }
        Some(match self.head_since.load(Relaxed) {
            0 => (WaitingFor::Request, self.at(self.idle_since.load(Relaxed)) + timeouts.idle),
            since => (WaitingFor::Head, self.at(since) + timeouts.head),
        })
    }

    /// Gives the connection to the handler. It ends when `end` is cancelled and nothing can be read or written.
    pub(crate) fn lend(&self, end: CancellationToken, tracked: TaskTrackerToken) {
        let _ = self.lent.set((end, tracked));
    }

    fn on_head_bytes(&self) {
        if !self.is_busy() && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.now().max(1), Relaxed);
        }
    }

    fn on_error(&self, error: &io::Error) {
        let alert = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(alert @ rustls::Error::AlertReceived(_)) = alert
            && !self.had_request()
        {
            let _ = self.alert.set(alert.to_string());
        } else {
            self.on_close();
        }
    }

    fn on_close(&self) {
        if !self.had_request() {
            let _ = self.closed.set(self.now());
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.created.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn at(&self, moment: u64) -> Instant {
        self.created + Duration::from_millis(moment)
    }
}

/// Marks a connection as busy until it is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<IdleTracker>);

impl Busy {
    /// Resolves after the next flush of the connection, also if that comes before the first poll.
    pub(super) fn next_flush(&self) -> OwnedNotified {
        self.0.flushed.clone().notified_owned()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A stream that reports reads and flushes to its [`IdleTracker`].
pub(crate) struct TrackedStream {
    io: ByteStream,
    idle: Arc<IdleTracker>,
    /// Bytes between two requests begin a head. Over HTTP/2 they can be any frame.
    has_heads: bool,
    /// Resolves when a lent connection is to end.
    end: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl TrackedStream {
    pub(crate) fn new(io: ByteStream, idle: Arc<IdleTracker>, has_heads: bool) -> Self {
        TrackedStream { io, idle, has_heads, end: None }
    }

    pub(crate) fn into_inner(self) -> ByteStream {
        self.io
    }

    /// Turns a pending read or write of a lent connection into an error when the connection is to end.
    fn or_end<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some((end, _)) = self.idle.lent.get().filter(|_| polled.is_pending()) else { return polled };
        let end = self.end.get_or_insert_with(|| Box::pin(end.clone().cancelled_owned()));
        end.as_mut().poll(cx).map(|()| Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        match &read {
            Poll::Ready(Ok(())) if buf.filled().len() == before => self.idle.on_close(),
            Poll::Ready(Ok(())) if self.has_heads => self.idle.on_head_bytes(),
            Poll::Ready(Ok(())) | Poll::Pending => {}
            Poll::Ready(Err(error)) => self.idle.on_error(error),
        }
        self.or_end(read, cx)
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.or_end(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.or_end(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.idle.flushed.notify_waiters();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: ClientTimeouts = ClientTimeouts { head: Duration::from_secs(15), idle: Duration::from_secs(60) };

    fn waiting(idle: &IdleTracker) -> Option<WaitingFor> {
        idle.waiting(TIMEOUTS).map(|(waiting, _)| waiting)
    }

    #[test]
    fn tracker_applies_idle_timeout_between_requests_and_head_timeout_within_heads() {
        let idle = IdleTracker::new();
        assert_eq!(idle.waiting(TIMEOUTS), Some((WaitingFor::Request, idle.created + TIMEOUTS.idle)));
        idle.on_head_bytes();
        let first = idle.waiting(TIMEOUTS).unwrap();
        assert_eq!(first.0, WaitingFor::Head);
        assert!(first.1 < idle.created + TIMEOUTS.idle);
        idle.on_head_bytes();
        assert_eq!(idle.waiting(TIMEOUTS).unwrap(), first, "later bytes do not extend the limit");
    }

    #[test]
    fn tracker_applies_no_timeout_while_requests_are_answered() {
        let idle = Arc::new(IdleTracker::new());
        idle.on_head_bytes();
        let first = idle.clone().begin();
        let second = idle.clone().begin();
        idle.on_head_bytes();
        drop(first);
        assert_eq!(waiting(&idle), None, "one of two requests is in progress");
        drop(second);
        assert_eq!(waiting(&idle), Some(WaitingFor::Request), "bytes during a request begin no head");
    }
}
