//! Bodies with scripted frames, for tests.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The result of one `poll_frame` call. The body wakes its task after `Pending`.
pub type Step = Poll<io::Result<Frame<Bytes>>>;

/// A body that returns one step for each poll, and then ends.
pub struct Script {
    steps: VecDeque<Step>,
    /// The remaining bytes that `size_hint` reports; `None` reports an unknown size.
    length: Option<u64>,
    /// `is_end_stream` becomes true after the last step, as with hyper's bodies. Otherwise it stays false.
    knows_its_end: bool,
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(step) = self.steps.pop_front() else { return Poll::Ready(None) };
        match &step {
            Poll::Pending => cx.waker().wake_by_ref(),
            Poll::Ready(Ok(frame)) => {
                let read = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.length = self.length.map(|length| length.saturating_sub(read));
            }
            Poll::Ready(Err(_)) => {}
        }
        step.map(Some)
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

pub fn script(length: Option<u64>, knows_its_end: bool, steps: impl IntoIterator<Item = Step>) -> Script {
    Script { steps: steps.into_iter().collect(), length, knows_its_end }
}

pub fn step(frame: io::Result<Frame<Bytes>>) -> Step {
    Poll::Ready(frame)
}

pub fn data(data: impl Into<Bytes>) -> Step {
    step(Ok(Frame::data(data.into())))
}
