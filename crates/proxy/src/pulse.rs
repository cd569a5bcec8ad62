//! Whether a client's connection is busy, and since when it is not: what the time limits of the client side go by.
//!
//! hyper's own limit on heads runs while a connection is idle, too. Here an idle connection may wait long for its next request,
//! and the head of one that has begun must come soon.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::names::{Names, Pen};
use super::served::Flushes;

/// A client that closes its connection so soon and has asked for nothing looked at our certificate and did not like it:
/// Node.js and some others finish the handshake of TLS first, and say nothing.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What is said of that.
pub(super) const LEFT: &str = "the client closed the connection when it had seen the certificate";

/// A moment that is looked up in the clock when somebody asks for it: most heads come whole.
const JUST_NOW: u64 = u64::MAX;

/// How long the client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// For a request's head, from its first byte; for a TLS handshake, from its first byte.
    pub(super) head: Duration,
    /// Between requests, and for the first byte.
    pub(super) idle: Duration,
}

/// What a connection on which nothing happens waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The first byte of a request.
    Request,
    /// The rest of a head.
    Head,
}

/// The state of one connection, told by its reads and its requests. Moments are milliseconds since `born`; one connection's
/// reads and requests happen in one task, or in HTTP/2 in a few, so that nothing more than `Relaxed` is needed.
#[derive(Debug)]
pub(super) struct Pulse {
    born: Instant,
    begun: AtomicU64,
    ended: AtomicU64,
    quiet_since: AtomicU64,
    /// The first byte of a head that is not complete; 0 is none, [`JUST_NOW`] one that nobody has asked for yet.
    head_since: AtomicU64,
    /// A request has come whole and is held for a turn, or while it is passed on without hyper.
    holds: AtomicBool,
    /// The connection has not been asked to end.
    may_hold: AtomicBool,
    refused: OnceLock<String>,
    /// When the client closed the connection without having asked for anything.
    left: OnceLock<u64>,
    pub(super) flushes: Flushes,
    /// Names of fields go on as they are spelt.
    keeps_case: bool,
    pub(super) names: Names,
    /// Set when the handler has taken the connection over by an Upgrade: when to take it back, and what the drain waits for.
    lent: OnceLock<(CancellationToken, TaskTrackerToken)>,
}

impl Pulse {
    pub(super) fn new(keeps_case: bool) -> Self {
        Pulse {
            born: Instant::now(),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            quiet_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            holds: AtomicBool::new(false),
            may_hold: AtomicBool::new(true),
            refused: OnceLock::new(),
            left: OnceLock::new(),
            flushes: Flushes::default(),
            keeps_case,
            names: Names::default(),
            lent: OnceLock::new(),
        }
    }

    /// A request has begun; it lasts until the answer is dropped.
    pub(super) fn begin(self: Arc<Self>) -> Busy {
        self.begun.fetch_add(1, Relaxed);
        self.head_since.store(0, Relaxed);
        Busy(self)
    }

    /// Whether a request that came whole may be held for a turn, or while it is passed on. Then it is, until it is released, and the client is not late
    /// meanwhile.
    pub(super) fn hold(&self) -> bool {
        let may = self.may_hold();
        if may {
            self.holds.store(true, Relaxed);
            self.head_since.store(0, Relaxed);
        }
        may
    }

    /// Whether a request that came whole may be held, or may go on being.
    pub(super) fn may_hold(&self) -> bool {
        self.may_hold.load(Relaxed)
    }

    /// Whether one is.
    pub(super) fn holds(&self) -> bool {
        self.holds.load(Relaxed)
    }

    /// What was held has gone on to hyper.
    pub(super) fn release(&self) {
        self.holds.store(false, Relaxed);
    }

    /// What was held has its answer.
    pub(super) fn answered_held(&self) {
        self.release();
        self.begun.fetch_add(1, Relaxed);
        self.end();
    }

    /// From now on nothing is held but what is. Whether something is.
    pub(super) fn hold_no_more(&self) -> bool {
        self.may_hold.store(false, Relaxed);
        self.holds()
    }

    /// A request has its answer where it was read.
    pub(super) fn answered(&self) {
        self.begun.fetch_add(1, Relaxed);
        self.head_since.store(0, Relaxed);
        self.end();
    }

    /// Whether there were so many requests, and each has its answer.
    pub(super) fn has_answered(&self, requests: u64) -> bool {
        self.begun.load(Relaxed) == requests && self.ended.load(Relaxed) == requests
    }

    fn end(&self) {
        self.quiet_since.store(self.now(), Relaxed);
        self.ended.fetch_add(1, Relaxed);
    }

    /// Whether there was a request at all.
    pub(super) fn ever_asked(&self) -> bool {
        self.begun.load(Relaxed) > 0 || self.holds.load(Relaxed)
    }

    /// What the client's TLS said when it broke off before the first request, or that it left without a word.
    pub(super) fn refused(&self) -> Option<&str> {
        let at_once = || self.left.get().is_some_and(|left| u128::from(*left) < AT_ONCE.as_millis());
        match self.refused.get() {
            Some(alert) => Some(alert),
            None if !self.ever_asked() && at_once() => Some(LEFT),
            None => None,
        }
    }

    /// What is being waited for, and until when; `None` while a request is being answered, or held. It is asked whenever the connection has done
    /// what it could.
    pub(super) fn waiting(&self, limits: Limits) -> Option<(Waiting, Instant)> {
        if self.begun.load(Relaxed) != self.ended.load(Relaxed) || self.holds() {
            return None;
        }
        Some(match self.head_since.load(Relaxed) {
            0 => (Waiting::Request, self.at(self.quiet_since.load(Relaxed)) + limits.idle),
            JUST_NOW => {
                let now = self.now().max(1);
                self.head_since.store(now, Relaxed);
                (Waiting::Head, self.at(now) + limits.head)
            }
            since => (Waiting::Head, self.at(since) + limits.head),
        })
    }

    /// The handler takes the connection over. It ends when `end` says so and nothing can be read or written.
    pub(super) fn lend(&self, end: CancellationToken, tracked: TaskTrackerToken) {
        let _ = self.lent.set((end, tracked));
    }

    fn heard(&self, bytes: &[u8]) {
        if self.begun.load(Relaxed) != self.ended.load(Relaxed) {
            return;
        }
        let is_first = self.head_since.load(Relaxed) == 0;
        if is_first {
            self.head_since.store(JUST_NOW, Relaxed);
        }
        if self.keeps_case {
            // What was read before and was no head may have been the rest of an upload that has its answer.
            if is_first || !self.names.reads() {
                self.names.begin();
            }
            self.names.read(bytes);
        }
    }

    fn failed(&self, error: &io::Error) {
        let alert = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(alert @ rustls::Error::AlertReceived(_)) = alert
            && !self.ever_asked()
        {
            let _ = self.refused.set(alert.to_string());
        } else {
            self.closed();
        }
    }

    fn closed(&self) {
        if !self.ever_asked() {
            let _ = self.left.set(self.now());
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn at(&self, moment: u64) -> Instant {
        self.born + Duration::from_millis(moment)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Busy(pub(super) Arc<Pulse>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A connection whose reads are noticed.
pub(super) struct Noticed<I> {
    io: I,
    pulse: Arc<Pulse>,
    /// Whether bytes between two requests begin a head. In HTTP/2 they may be anything.
    heads: bool,
    /// Fires when a connection that was lent is to end.
    end: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    pen: Pen,
}

impl<I> Noticed<I> {
    pub(super) fn http1(io: I, pulse: Arc<Pulse>) -> Self {
        Noticed { io, pulse, heads: true, end: None, pen: Pen::default() }
    }

    pub(super) fn http2(io: I, pulse: Arc<Pulse>) -> Self {
        Noticed { io, pulse, heads: false, end: None, pen: Pen::default() }
    }

    pub(super) fn into_inner(self) -> I {
        self.io
    }

    /// What a read or write that must wait is answered: a lent connection may have come to its end.
    fn or_end<T>(&mut self, done: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some((end, _)) = self.pulse.lent.get().filter(|_| done.is_pending()) else { return done };
        let end = self.end.get_or_insert_with(|| Box::pin(end.clone().cancelled_owned()));
        end.as_mut().poll(cx).map(|()| Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Noticed<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        match &read {
            Poll::Ready(Ok(())) if buf.filled().len() == before => self.pulse.closed(),
            Poll::Ready(Ok(())) if self.heads => self.pulse.heard(&buf.filled()[before..]),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => self.pulse.failed(error),
            Poll::Pending => {}
        }
        self.or_end(read, cx)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Noticed<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Noticed { io, pulse, pen, .. } = &mut *self;
        let written = pen.write(&pulse.names, bufs, |bufs| Pin::new(io).poll_write_vectored(cx, bufs));
        self.or_end(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.pulse.flushes.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head: Duration::from_secs(15), idle: Duration::from_secs(60) };

    fn kind(pulse: &Pulse) -> Option<Waiting> {
        pulse.waiting(LIMITS).map(|(waiting, _)| waiting)
    }

    #[test]
    fn an_idle_connection_waits_long_and_a_begun_head_short() {
        let pulse = Arc::new(Pulse::new(true));
        assert_eq!(pulse.waiting(LIMITS), Some((Waiting::Request, pulse.born + LIMITS.idle)));
        pulse.heard(b"GET /");
        let first = pulse.waiting(LIMITS).unwrap();
        assert_eq!(first.0, Waiting::Head);
        assert!(first.1 < pulse.born + LIMITS.idle);
        pulse.heard(b"GET /");
        assert_eq!(pulse.waiting(LIMITS).unwrap(), first, "later bytes buy no time");
    }

    #[test]
    fn nothing_is_waited_for_while_a_request_is_being_answered() {
        let pulse = Arc::new(Pulse::new(true));
        pulse.heard(b"GET /");
        let first = pulse.clone().begin();
        let second = pulse.clone().begin();
        pulse.heard(b"GET /");
        drop(first);
        assert_eq!(kind(&pulse), None, "one of two is still being answered");
        drop(second);
        assert_eq!(kind(&pulse), Some(Waiting::Request), "what came meanwhile is no begun head");
    }

    #[test]
    fn a_request_that_is_held_is_not_late_and_none_is_held_when_the_end_is_near() {
        let pulse = Arc::new(Pulse::new(true));
        pulse.heard(b"GET /");
        assert!(pulse.hold());
        assert_eq!(kind(&pulse), None, "all of it is there");
        pulse.heard(b"GET /");
        assert_eq!(kind(&pulse), None, "the next one waits behind it");
        pulse.answered_held();
        assert_eq!(kind(&pulse), Some(Waiting::Head), "and is to come now");
        assert!(pulse.has_answered(1));
        assert!(pulse.hold() && pulse.hold_no_more());
        pulse.release();
        assert!(!pulse.hold() && !pulse.hold_no_more());
    }
}
