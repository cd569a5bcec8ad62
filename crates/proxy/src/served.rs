//! The body of an answer on its way to the client: the request lasts as long as it does, and what there is of a broken one
//! gets there.

use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use ::http::Version;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::body::{Body, BoxError};
use super::idle::Busy;

/// The body of an answer, whose end is the end of the request.
///
/// When it breaks off, hyper forgets what it has not written yet. So the error waits for a flush: a client gets as much as
/// there was before its connection is cut, or its stream reset.
///
/// Over HTTP/1.1 one comes by itself when the body has nothing to give. Over HTTP/2 it takes something to write: an empty frame.
/// A flush that was under way had begun without it, so that it takes two.
pub(super) struct Served {
    body: Body,
    busy: Busy,
    broken: Option<BoxError>,
    /// Empty frames yet to be given when it is broken.
    pushes: u8,
    /// How many flushes there had been when one was waited for.
    since: Option<u64>,
}

impl Served {
    pub(super) fn new(body: Body, busy: Busy, version: Version) -> Self {
        let pushes = if version >= Version::HTTP_2 { 2 } else { 0 };
        Served { body, busy, broken: None, pushes, since: None }
    }

    fn push(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.pushes -= 1;
        // Counted before it is given: it may be written, on another thread, before this is polled again, and then nothing else is.
        self.since = Some(self.busy.0.flushes.count());
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

impl http_body::Body for Served {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.broken.is_none() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Err(error)) => this.broken = Some(error),
                frame => return Poll::Ready(frame),
            }
            if this.pushes > 0 {
                return this.push();
            }
        }
        let flushes = &this.busy.0.flushes;
        let since = *this.since.get_or_insert_with(|| flushes.count());
        ready!(flushes.poll_after(since, cx));
        if this.pushes > 0 {
            return this.push();
        }
        Poll::Ready(this.broken.take().map(Err))
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How often all that was written on a connection has been handed to the client's side, and who waits for the next time.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    count: AtomicU64,
    waiting: Mutex<Vec<Waker>>,
    any_waiting: AtomicBool,
}

impl Flushes {
    /// There was one.
    pub(super) fn flushed(&self) {
        // Counted before the flag is looked at, as the other side sets the flag before it looks at the count: one sees the other.
        self.count.fetch_add(1, SeqCst);
        if self.any_waiting.load(SeqCst) && self.any_waiting.swap(false, SeqCst) {
            let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    fn count(&self) -> u64 {
        self.count.load(SeqCst)
    }

    /// Ready when there were more than `after`.
    fn poll_after(&self, after: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        drop(waiting);
        self.any_waiting.store(true, SeqCst);
        if self.count() > after { Poll::Ready(()) } else { Poll::Pending }
    }
}
