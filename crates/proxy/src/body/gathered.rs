//! Long bodies in pieces worth a write.
//!
//! hyper gives what it reads a chunk at a time, in memory that it can't read into again while a piece is around. Passed on like that, each
//! chunk of an answer is a TLS record and a write of its own, and as a recorder keeps pieces until they are in its journal, megabytes are gone
//! through that no cache holds. Here what comes of a long body is copied while it is warm, into a few buffers that are used again and again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use super::BoxError;

/// A body is long from so many bytes on. Pieces of shorter ones pass as they come.
const LONG: u64 = 64 << 10;

/// Bytes of a piece, at most, and of a buffer.
pub const PIECE: usize = 256 << 10;

/// Buffers that are kept to be used again, and the one that is filled.
const BUFFERS: usize = 9;

/// How often it is left for later what to do when nothing has come: hyper asks twice before another task has its turn, which may be the one
/// that reads.
const TRIES: u8 = 2;

/// How often it is left for later in all until what came first is passed on: as often as it takes to fill a buffer when much comes, a few bytes
/// at a time for ever do not keep the first of them.
const TURNS: u8 = 40;

/// Buffers that are kept when there is nothing to do.
const IDLE: usize = 2;

/// A body whose frames are gathered once it is long. What there is waits for no more than what is at hand.
#[derive(Debug)]
pub struct Gathered<B> {
    inner: B,
    seen: u64,
    long: Option<Box<Long>>,
}

/// What of a long body was taken and not passed on.
#[derive(Debug, Default)]
struct Long {
    /// The last is being filled; its capacity ends where the memory of what was passed on began. Pieces of the others may be around.
    buffers: VecDeque<BytesMut>,
    /// What did not fit.
    rest: Bytes,
    /// What came behind, and is no data.
    next: Option<Option<Result<Frame<Bytes>, BoxError>>>,
    /// How often there was nothing after the newest bytes.
    in_vain: u8,
    /// How often since the first of them came.
    turns: u8,
}

impl<B: Body<Data = Bytes>> Gathered<B> {
    /// Gathers what `inner` gives.
    pub fn new(inner: B) -> Self {
        Gathered { inner, seen: 0, long: None }
    }
}

impl Long {
    /// Bytes that are in the buffer.
    fn filled(&self) -> usize {
        self.buffers.back().map_or(0, BytesMut::len)
    }

    fn room(&self) -> usize {
        self.buffers.back().map_or(0, |buffer| buffer.capacity() - buffer.len())
    }

    fn is_full(&self) -> bool {
        self.filled() > 0 && self.room() == 0
    }

    /// Copies what there is room for. `left` is what may still come, if that is known.
    fn fill(&mut self, left: Option<u64>) {
        if self.room() == 0 {
            let left = left.and_then(|left| usize::try_from(left).ok()).unwrap_or(PIECE);
            self.renew(left.saturating_add(self.rest.len()).min(PIECE));
        }
        let now = self.rest.split_to(self.room().min(self.rest.len()));
        if let Some(buffer) = self.buffers.back_mut() {
            buffer.extend_from_slice(&now);
        }
        self.in_vain = 0;
    }

    /// Goes on in a buffer of which nothing is around: the one that was filled last is warmest.
    fn renew(&mut self, enough: usize) {
        let free = (0..self.buffers.len()).rev().find(|free| self.buffers[*free].try_reclaim(PIECE));
        let free = free.and_then(|free| self.buffers.remove(free));
        self.buffers.push_back(free.unwrap_or_else(|| BytesMut::with_capacity(enough)));
        if self.buffers.len() > BUFFERS {
            self.buffers.pop_front();
        }
    }

    /// Gives back buffers that were needed when more came than was taken on.
    fn ease(&mut self) {
        let mut idle = 0;
        self.buffers.retain_mut(|buffer| {
            let is_free = buffer.try_reclaim(PIECE);
            idle += usize::from(is_free);
            !is_free || idle <= IDLE
        });
    }

    fn piece(&mut self) -> Frame<Bytes> {
        self.turns = 0;
        Frame::data(self.buffers.back_mut().map(BytesMut::split).unwrap_or_default().freeze())
    }
}

impl<B> Body for Gathered<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Gathered { inner, seen, long } = &mut *self;
        if *seen < LONG {
            let frame = ready!(Pin::new(inner).poll_frame(cx)).map(|frame| frame.map_err(Into::into));
            if let Some(Ok(frame)) = &frame {
                *seen += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            return Poll::Ready(frame);
        }
        let long = long.get_or_insert_default();
        loop {
            if long.is_full() {
                return Poll::Ready(Some(Ok(long.piece())));
            }
            if !long.rest.is_empty() {
                long.fill(inner.size_hint().upper());
                continue;
            }
            if long.filled() == 0 {
                if let Some(next) = long.next.take() {
                    return Poll::Ready(next);
                }
            } else if long.next.is_some() || inner.is_end_stream() {
                return Poll::Ready(Some(Ok(long.piece())));
            }
            match Pin::new(&mut *inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => long.rest = data,
                    Err(frame) => long.next = Some(Some(Ok(frame))),
                },
                Poll::Ready(Some(Err(error))) => long.next = Some(Some(Err(error.into()))),
                Poll::Ready(None) => long.next = Some(None),
                Poll::Pending if long.filled() == 0 => {
                    long.ease();
                    return Poll::Pending;
                }
                Poll::Pending if long.in_vain == TRIES || long.turns == TURNS => {
                    return Poll::Ready(Some(Ok(long.piece())));
                }
                Poll::Pending => {
                    long.in_vain += 1;
                    long.turns += 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let has_more =
            self.long.as_ref().is_some_and(|long| long.filled() > 0 || !long.rest.is_empty() || long.next.is_some());
        !has_more && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        let Some(long) = &self.long else { return hint };
        let here = (long.filled() + long.rest.len()) as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + here);
        }
        hint.set_lower(hint.lower() + here);
        hint
    }
}

#[cfg(test)]
mod tests;
