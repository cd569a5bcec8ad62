//! The tee: a recorder sees every frame of a body, and exactly one end.
//!
//! hyper drops a body as soon as it needs no more of it: a body of known length is never polled to its `None`, one with
//! trailers neither, and one whose receiver went away not at all. So the end is decided here, in `poll_frame` and in `Drop`,
//! and what would tell the receiver about it is held back until the watcher has done its work.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::http::HeaderMap;
use bytes::Bytes;
use futures_util::FutureExt;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use super::BoxError;

/// How a watched body ended. Exactly one of these is reported for each body, whatever hyper does with it.
#[derive(Debug)]
pub enum End {
    /// All of it came, with these trailers.
    Complete(Option<HeaderMap>),
    /// The sending side broke off.
    Failed(BoxError),
    /// The receiving side went away before the end.
    Cancelled,
}

/// What watches a body. Calls come in order; `end` is the last.
pub trait Watch: Send + 'static {
    /// Asked before more of the body is polled: pending holds the body back until the watcher has room again.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Bytes that passed. Cloning them only counts a reference.
    fn data(&mut self, data: &Bytes);

    /// How much of the rest is worth reading when the receiver is gone before the end: many a client looks at the head of an
    /// answer and leaves. Without one the body was cancelled.
    fn allowance(&self) -> Option<Allowance> {
        None
    }

    /// The body ended. What tells the receiver so is held back until the future is done: the journal holds the exchange
    /// before the client can know that it is complete. On [`End::Cancelled`] nobody waits; the future is spawned.
    fn end(self: Box<Self>, end: End) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// What may still be read of a body that nobody receives.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// At most so many bytes.
    pub bytes: u64,
    /// At most so long.
    pub time: Duration,
}

type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A body with a [`Watch`] on it. It passes frames on as they come, without copying, except for what completes the body:
///
/// - of a body of known length the last data frame (and its trailers, if it has any),
/// - else the trailers, or the closing chunk, END_STREAM or close that stand for the `None` at the end
///
/// are held back until [`Watch::end`]'s future is done. A body that breaks off hands its error on, also after
/// [`Watch::end`], so that the receiver's connection is cut (over HTTP/2: its stream reset) and it can't take what it has
/// for the whole.
pub struct Watched<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Taken out when the receiver is gone and the rest is read without it.
    inner: Option<B>,
    watch: Option<Box<dyn Watch>>,
    /// Declared bytes that have not come yet; `None` where no length is declared.
    missing: Option<u64>,
    /// Taken ahead of being asked for.
    ahead: VecDeque<Bytes>,
    /// The frame that may be the last one.
    held: Option<Bytes>,
    state: State,
}

/// Bytes that are taken ahead.
const AHEAD: usize = 64 << 10;

enum State {
    Streaming,
    /// The end was reported; the watcher is at work.
    Ending(Ending, Last),
    /// The watcher is done: what was held goes out.
    Releasing(Last),
    Over,
}

/// What stands at the end of a body.
enum Last {
    Nothing,
    Trailers(HeaderMap),
    Error(BoxError),
}

/// Why a body that its sender ended is not complete.
#[derive(Debug, thiserror::Error)]
#[error("the body ended {missing} bytes short of its declared length")]
struct Short {
    missing: u64,
}

/// One error for two: the watcher and hyper.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the body broke off")]
struct Broken(#[source] Arc<dyn std::error::Error + Send + Sync>);

impl<B> Watched<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Puts `watch` on a body. Of one that is empty from the start the end is reported here, but not waited for: who sends its head calls
    /// [`Watched::ahead`] first.
    pub fn new(inner: B, watch: Box<dyn Watch>) -> Self {
        let missing = inner.size_hint().exact();
        if inner.is_end_stream() || missing == Some(0) {
            let mut over = Watched::streaming(inner, None, Some(0));
            over.state = State::Ending(watch.end(End::Complete(None)), Last::Nothing);
            return over;
        }
        Watched::streaming(inner, Some(watch), missing)
    }

    /// Takes what there is already before the head goes out. A body that is all there is completed, so that it and its head
    /// are one write and not two: of most answers that is so. The head of a message without a body is what completes it, so for a body that is
    /// empty this waits for [`Watch::end`].
    pub async fn ahead(mut self) -> Self {
        poll_fn(|cx| {
            let mut taken = 0;
            while matches!(self.state, State::Streaming) && taken < AHEAD {
                let Poll::Ready(frame) = self.poll_inner(cx) else { return Poll::Ready(()) };
                if let Some(data) = self.take(frame) {
                    taken += data.len();
                    self.ahead.push_back(data);
                }
            }
            self.poll_ending(cx)
        })
        .await;
        self
    }

    /// As the body of an answer: of one that is over but for its only piece, that piece; and of an empty one none.
    pub fn into_body(mut self) -> super::Body {
        let only = match self.state {
            State::Releasing(Last::Nothing) if self.missing == Some(0) && self.ahead.is_empty() => self.held.take(),
            State::Over if self.ahead.is_empty() => return super::Body::Empty,
            _ => None,
        };
        only.map_or_else(|| super::Body::boxed(self), super::Body::full)
    }

    fn streaming(inner: B, watch: Option<Box<dyn Watch>>, missing: Option<u64>) -> Self {
        let (ahead, held, state) = (VecDeque::new(), None, State::Streaming);
        Watched { inner: Some(inner), watch, missing, ahead, held, state }
    }

    /// Ready when the watcher is not at work.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let State::Ending(ending, last) = &mut self.state {
            ready!(ending.as_mut().poll(cx));
            self.state = match std::mem::replace(last, Last::Nothing) {
                Last::Nothing if self.missing == Some(0) && self.held.is_none() => State::Over,
                last => State::Releasing(last),
            };
        }
        Poll::Ready(())
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(watch) = &mut self.watch {
            ready!(watch.poll_room(cx));
        }
        self.inner.as_mut().map_or(Poll::Ready(None), |inner| Pin::new(inner).poll_frame(cx))
    }

    /// Reports the end. `last` is what the receiver gets once the watcher is done.
    fn finish(&mut self, end: End, last: Last) {
        self.state = match self.watch.take() {
            Some(watch) => State::Ending(watch.end(end), last),
            None => State::Releasing(last),
        };
    }

    fn complete(&mut self, trailers: Option<HeaderMap>) {
        let last = trailers.clone().map_or(Last::Nothing, Last::Trailers);
        self.finish(End::Complete(trailers), last);
    }

    fn fail(&mut self, error: BoxError) {
        let broken = Broken(error.into());
        self.finish(End::Failed(Box::new(broken.clone())), Last::Error(Box::new(broken)));
    }

    /// Takes in what the body gave; returns what can be passed on.
    fn take(&mut self, frame: Option<Result<Frame<Bytes>, B::Error>>) -> Option<Bytes> {
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => return self.data(data),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.complete(Some(trailers));
                    }
                }
            },
            Some(Err(error)) => self.fail(error.into()),
            None => match self.missing {
                Some(missing) if missing > 0 => self.fail(Box::new(Short { missing })),
                _ => self.complete(None),
            },
        }
        None
    }

    /// Takes in a data frame; returns the one to pass on, if it can't be the last.
    fn data(&mut self, data: Bytes) -> Option<Bytes> {
        if let Some(watch) = &mut self.watch {
            watch.data(&data);
        }
        if let Some(missing) = &mut self.missing {
            *missing = missing.saturating_sub(data.len() as u64);
        }
        if self.inner.as_ref().is_none_or(Body::is_end_stream) {
            let earlier = self.held.replace(data);
            self.complete(None);
            earlier
        } else if self.missing == Some(0) {
            // All declared bytes are there, but trailers may follow (HTTP/2): what comes next decides.
            self.held.replace(data)
        } else {
            Some(data)
        }
    }
}

impl<B> Body for Watched<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(data) = this.ahead.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        loop {
            match &mut this.state {
                State::Streaming => {
                    let frame = ready!(this.poll_inner(cx));
                    if let Some(data) = this.take(frame) {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                State::Ending(..) => ready!(this.poll_ending(cx)),
                State::Releasing(last) => {
                    if let Some(held) = this.held.take() {
                        if matches!(last, Last::Nothing) {
                            this.state = State::Over;
                        }
                        return Poll::Ready(Some(Ok(Frame::data(held))));
                    }
                    let last = std::mem::replace(last, Last::Nothing);
                    this.state = State::Over;
                    return Poll::Ready(match last {
                        Last::Nothing => None,
                        Last::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
                        Last::Error(error) => Some(Err(error)),
                    });
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }

    /// Never true while something is held back: hyper would end the message early.
    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Over) && self.ahead.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.missing {
            Some(missing) => {
                let here = self.ahead.iter().chain(&self.held).map(|data| data.len() as u64);
                SizeHint::with_exact(missing + here.sum::<u64>())
            }
            // What is known by now was not declared.
            None => SizeHint::default(),
        }
    }
}

/// A body that is dropped before its end was cancelled by its receiver, unless the watcher has an allowance to read the rest;
/// and a watcher that is still at work then is let finish.
impl<B> Drop for Watched<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        let ending = match (self.watch.take(), std::mem::replace(&mut self.state, State::Over)) {
            (Some(watch), _) => match (watch.allowance(), self.inner.take(), &runtime) {
                (Some(allowance), Some(inner), Ok(_)) => {
                    let rest = Watched::streaming(inner, Some(Box::new(Unreceived(watch))), self.missing);
                    Box::pin(rest.read_on(allowance))
                }
                _ => watch.end(End::Cancelled),
            },
            (None, State::Ending(ending, _)) => ending,
            _ => return,
        };
        match runtime {
            Ok(runtime) => crate::endings::spawn_on(&runtime, ending),
            // Without a runtime nothing can wake the future; what it does at once is done.
            Err(_) => drop(ending.now_or_never()),
        }
    }
}

/// The watcher of a body that nobody receives any more: what it does not get to see within its allowance, nobody will.
struct Unreceived(Box<dyn Watch>);

impl Watch for Unreceived {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_room(cx)
    }

    fn data(&mut self, data: &Bytes) {
        self.0.data(data);
    }

    fn end(self: Box<Self>, end: End) -> Ending {
        self.0.end(end)
    }
}

impl<B> Watched<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Reads the rest in place of the receiver. Beyond the allowance it is dropped, and so cancelled.
    async fn read_on(mut self, allowance: Allowance) {
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

#[cfg(test)]
mod tests;
