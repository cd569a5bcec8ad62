//! The body of a response on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::Version;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::futures::OwnedNotified;

use super::idle::Busy;
use crate::body::{Body, BoxError};

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

impl http_body::Body for ResponseBody {
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
