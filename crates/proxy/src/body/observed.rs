//! A body with an observer, which sees every frame and exactly one end.
//!
//! hyper drops a body as soon as it needs no more of it. It never polls a body of known length, or one with trailers,
//! to its `None`, and it does not poll a body whose receiver left. So the end is detected here, in `poll_frame` and in
//! `Drop`. The frame that completes the body for the receiver is held back until the observer has finished.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::http::HeaderMap;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use super::{Body, BoxError};
use crate::background;

/// The end of an observed body. An observer gets exactly one.
#[derive(Debug)]
pub enum BodyEnd {
    /// The body is complete, with these trailers.
    Complete(Option<HeaderMap>),
    /// The sender aborted the body.
    Failed(BoxError),
    /// The receiver left before the end.
    Cancelled,
}

/// Observes a body. Calls come in the order of the body; `end` is the last.
pub trait BodyObserver: Send + 'static {
    /// Called before more of the body is polled. `Pending` holds the body back until the observer has room again.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Receives the bytes of a frame. Cloning them does not copy.
    fn data(&mut self, data: &Bytes);

    /// Returns how much of the rest to read if the receiver leaves before the end: many clients look at the head of an
    /// answer and leave. With `None` the body is cancelled.
    fn allowance(&self) -> Option<ReadAllowance> {
        None
    }

    /// Receives the end of the body.
    ///
    /// The receiver gets the end of the body after the future completes, so that the journal has the exchange before
    /// the client can see that it is complete. After [`BodyEnd::Cancelled`] the future runs in the background.
    fn end(self: Box<Self>, end: BodyEnd) -> BoxFuture<'static, ()>;
}

/// Limits for reading the rest of a body without its receiver.
#[derive(Clone, Copy, Debug)]
pub struct ReadAllowance {
    pub bytes: u64,
    pub time: Duration,
}

/// A body with a [`BodyObserver`]. It passes frames on as they come, without copying.
///
/// The end of the body is held back until the future of [`BodyObserver::end`] completes:
///
/// - for a body of known length, the last data frame and the trailers,
/// - for other bodies, the trailers or the `None` (closing chunk, END_STREAM, close).
///
/// An aborted body passes its error on after [`BodyObserver::end`]. The receiver's connection is then closed, or its
/// HTTP/2 stream reset, so that it cannot take the partial body for a complete one.
pub struct ObservedBody {
    /// Taken when the receiver leaves and the rest is read without it.
    inner: Option<Body>,
    observer: Option<Box<dyn BodyObserver>>,
    /// Bytes of the declared length that have not come yet; `None` without a declared length.
    missing: Option<u64>,
    /// Frames that were read before the receiver polled.
    buffered: VecDeque<Bytes>,
    /// The data frame that may be the last one.
    held: Option<Bytes>,
    /// False when the rest is read without a receiver, which has no further allowance.
    has_receiver: bool,
    phase: Phase,
}

/// Bytes that [`ObservedBody::buffer`] reads before the head is sent.
const MAX_BUFFERED: usize = 64 << 10;

enum Phase {
    Streaming,
    /// The observer has the end and works on it.
    Ending(BoxFuture<'static, ()>, Tail),
    /// The observer has finished: the held frame and the tail are passed on.
    Releasing(Tail),
    Over,
}

/// The end of a body after its data: trailers, an error or nothing.
type Tail = Option<Result<Frame<Bytes>, BoxError>>;

/// The error of a body that is shorter than declared.
#[derive(Debug, thiserror::Error)]
#[error("the body ended {missing} bytes short of its declared length")]
struct ShortBody {
    missing: u64,
}

/// The error of an aborted body, shared by the observer and hyper.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the body broke off")]
struct AbortedBody(#[source] Arc<dyn std::error::Error + Send + Sync>);

impl ObservedBody {
    /// Puts an observer on a body.
    ///
    /// An empty body is reported as complete here, but its head does not wait for the observer: call
    /// [`ObservedBody::buffer`] before sending the head.
    pub fn new(inner: Body, observer: Box<dyn BodyObserver>) -> Self {
        let missing = inner.size_hint().exact();
        let is_empty = inner.is_end_stream() || missing == Some(0);
        let mut body = ObservedBody::streaming(inner, observer, if is_empty { Some(0) } else { missing });
        if is_empty {
            body.complete(None);
        }
        body
    }

    /// Reads what is available before the head is sent.
    ///
    /// A small body is completed here, so that it is sent in one write with its head. The head of a message with an
    /// empty body completes it, so for such a body this waits for [`BodyObserver::end`].
    pub async fn buffer(mut self) -> Self {
        poll_fn(|cx| {
            let mut read = 0;
            while matches!(self.phase, Phase::Streaming) && read < MAX_BUFFERED {
                let Poll::Ready(frame) = self.poll_inner(cx) else { return Poll::Ready(()) };
                if let Some(data) = self.observe(frame) {
                    read += data.len();
                    self.buffered.push_back(data);
                }
            }
            self.poll_ending(cx)
        })
        .await;
        self
    }

    fn streaming(inner: Body, observer: Box<dyn BodyObserver>, missing: Option<u64>) -> Self {
        let (buffered, held, phase) = (VecDeque::new(), None, Phase::Streaming);
        let (inner, observer) = (Some(inner), Some(observer));
        ObservedBody { inner, observer, missing, buffered, held, has_receiver: true, phase }
    }

    /// Ready when the observer has finished, or has not been given an end yet.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Phase::Ending(ending, tail) = &mut self.phase {
            ready!(ending.as_mut().poll(cx));
            self.phase = match tail.take() {
                None if self.missing == Some(0) && self.held.is_none() => Phase::Over,
                tail => Phase::Releasing(tail),
            };
        }
        Poll::Ready(())
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(observer) = &mut self.observer {
            ready!(observer.poll_room(cx));
        }
        self.inner.as_mut().map_or(Poll::Ready(None), |inner| Pin::new(inner).poll_frame(cx))
    }

    /// Reports the end. `tail` goes to the receiver when the observer has finished.
    fn finish(&mut self, end: BodyEnd, tail: Tail) {
        self.phase = match self.observer.take() {
            Some(observer) => Phase::Ending(observer.end(end), tail),
            None => Phase::Releasing(tail),
        };
    }

    fn complete(&mut self, trailers: Option<HeaderMap>) {
        let tail = trailers.clone().map(|trailers| Ok(Frame::trailers(trailers)));
        self.finish(BodyEnd::Complete(trailers), tail);
    }

    fn fail(&mut self, error: BoxError) {
        let error = AbortedBody(error.into());
        self.finish(BodyEnd::Failed(Box::new(error.clone())), Some(Err(Box::new(error))));
    }

    /// Reports a frame to the observer and returns the data that can be passed on.
    fn observe(&mut self, frame: Option<Result<Frame<Bytes>, BoxError>>) -> Option<Bytes> {
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => return self.observe_data(data),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.complete(Some(trailers));
                    }
                }
            },
            Some(Err(error)) => self.fail(error),
            None => match self.missing {
                Some(missing) if missing > 0 => self.fail(Box::new(ShortBody { missing })),
                _ => self.complete(None),
            },
        }
        None
    }

    /// Reports a data frame and returns the frame to pass on, unless that can be the last one.
    fn observe_data(&mut self, data: Bytes) -> Option<Bytes> {
        if let Some(observer) = &mut self.observer {
            observer.data(&data);
        }
        if let Some(missing) = &mut self.missing {
            *missing = missing.saturating_sub(data.len() as u64);
        }
        if self.inner.as_ref().is_none_or(HttpBody::is_end_stream) {
            let earlier = self.held.replace(data);
            self.complete(None);
            earlier
        } else if self.missing == Some(0) {
            // All declared bytes have come, but trailers may follow (HTTP/2): the next frame decides.
            self.held.replace(data)
        } else {
            Some(data)
        }
    }

    /// Reads the rest without the receiver. Beyond the allowance the body is dropped, and so cancelled.
    async fn read_rest(mut self, allowance: ReadAllowance) {
        let mut left = allowance.bytes;
        let rest = async {
            while let Some(Ok(frame)) = self.frame().await {
                left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
                if left == 0 {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(allowance.time, rest).await;
    }
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(data) = this.buffered.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        loop {
            match &mut this.phase {
                Phase::Streaming => {
                    let frame = ready!(this.poll_inner(cx));
                    if let Some(data) = this.observe(frame) {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Phase::Ending(..) => ready!(this.poll_ending(cx)),
                Phase::Releasing(tail) => {
                    let held = this.held.take().map(|held| Ok(Frame::data(held)));
                    let frame = held.or_else(|| tail.take());
                    if tail.is_none() {
                        this.phase = Phase::Over;
                    }
                    return Poll::Ready(frame);
                }
                Phase::Over => return Poll::Ready(None),
            }
        }
    }

    /// False while a frame is held back: hyper would end the message early.
    fn is_end_stream(&self) -> bool {
        matches!(self.phase, Phase::Over) && self.buffered.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.missing {
            Some(missing) => {
                let here = self.buffered.iter().chain(&self.held).map(|data| data.len() as u64);
                SizeHint::with_exact(missing + here.sum::<u64>())
            }
            // Without a declared length the receiver must not learn one from the frames that are here.
            None => SizeHint::default(),
        }
    }
}

/// A body that is dropped before its end was cancelled by its receiver, unless the observer has an allowance to read
/// the rest. An observer that is working on the end completes in the background.
impl Drop for ObservedBody {
    fn drop(&mut self) {
        let can_read_rest = self.has_receiver && tokio::runtime::Handle::try_current().is_ok();
        let ending = match (self.observer.take(), std::mem::replace(&mut self.phase, Phase::Over)) {
            (Some(observer), _) => match (observer.allowance(), self.inner.take()) {
                (Some(allowance), Some(inner)) if can_read_rest => {
                    let mut rest = ObservedBody::streaming(inner, observer, self.missing);
                    rest.has_receiver = false;
                    Box::pin(rest.read_rest(allowance))
                }
                _ => observer.end(BodyEnd::Cancelled),
            },
            (None, Phase::Ending(ending, _)) => ending,
            _ => return,
        };
        background::spawn(ending);
    }
}

#[cfg(test)]
mod tests;
