//! Byte streams: what all ways upstream end in.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use ::http::Extensions;
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};

use crate::proxy::names::{Names, Pen};

/// Bytes both ways: what a tunnel copies.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// How many bytes a peek takes in: the greeting of a server that speaks first.
const PEEK: usize = 4096;

/// Bytes that are read at a time, at most: less than the 64 KiB with which hyper would ask for a buffer twice as long, up to 512 KiB. Pieces of
/// bodies wait in such buffers for the journal, and short ones are given back and had again sooner.
const MOST: u64 = (64 << 10) - 1;

/// A connection that counts what it hears, into which bytes can be put back, and whose names of fields may be spelt.
pub(super) struct Wire {
    io: Take<Box<dyn Io>>,
    /// Read already, to be read again first.
    back: Bytes,
    heard: Arc<AtomicU64>,
    names: Arc<Names>,
    pen: Pen,
    repeats: Repeats,
}

/// Whether hyper, which begins on a connection on which a request was sent before, is still to write that request.
enum Repeats {
    No,
    /// It is, and nothing is read before.
    Yet {
        reads: Option<Waker>,
    },
    /// It has written some of it.
    Under {
        reads: Option<Waker>,
    },
}

impl Wire {
    /// `back` is what was read from `io` already.
    pub(super) fn new(io: impl Io, back: Bytes) -> Self {
        Wire {
            io: (Box::new(io) as Box<dyn Io>).take(MOST),
            back,
            heard: Arc::default(),
            names: Arc::default(),
            pen: Pen::default(),
            repeats: Repeats::No,
        }
    }

    /// A request has been sent on it, and this is what was read of the answer. Who writes that request next, all of it before a flush, and reads the answer
    /// does what has been done already.
    pub(super) fn repeat(&mut self, back: Bytes) {
        self.back = back;
        self.repeats = Repeats::Yet { reads: None };
    }

    /// Counts the bytes that came.
    pub(super) fn heard(&self) -> Arc<AtomicU64> {
        self.heard.clone()
    }

    /// How names are spelt on it.
    pub(super) fn names(&self) -> Arc<Names> {
        self.names.clone()
    }

    /// Waits for bytes and keeps them for the next read; `false` at the end of the stream. Cancel safe.
    pub(super) async fn peek(&mut self) -> io::Result<bool> {
        if self.back.is_empty() {
            let mut buffer = [0; PEEK];
            self.io.set_limit(MOST);
            let read = self.io.read(&mut buffer).await?;
            self.back = Bytes::copy_from_slice(&buffer[..read]);
        }
        Ok(!self.back.is_empty())
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Repeats::Yet { reads } | Repeats::Under { reads } = &mut self.repeats {
            *reads = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = if self.back.is_empty() {
            if buf.remaining() as u64 <= MOST {
                Pin::new(self.io.get_mut()).poll_read(cx, buf)
            } else {
                self.io.set_limit(MOST);
                Pin::new(&mut self.io).poll_read(cx, buf)
            }
        } else {
            let taken = self.back.len().min(buf.remaining());
            buf.put_slice(&self.back[..taken]);
            self.back.advance(taken);
            Poll::Ready(Ok(()))
        };
        let heard = &buf.filled()[before..];
        if !heard.is_empty() {
            self.heard.fetch_add(heard.len() as u64, Ordering::Relaxed);
            self.names.read(heard);
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Repeats::Under { reads } = &mut self.repeats {
            let reads = reads.take();
            self.repeats = Repeats::No;
            // It was written as it is spelt.
            self.names.write(&Extensions::new());
            reads.into_iter().for_each(Waker::wake);
        }
        Pin::new(self.io.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.io.get_mut()).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Repeats::Yet { reads } | Repeats::Under { reads } = &mut self.repeats {
            self.repeats = Repeats::Under { reads: reads.take() };
            return Poll::Ready(Ok(bufs.iter().map(|part| part.len()).sum()));
        }
        let Wire { io, names, pen, .. } = &mut *self;
        pen.write(names, bufs, |bufs| Pin::new(io.get_mut()).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.get_ref().is_write_vectored()
    }
}

/// Reads a byte at a time, so that whoever reads a handshake through it can't swallow what follows.
pub(super) struct Sip<T>(pub(super) T);

impl<T: AsyncRead + Unpin> AsyncRead for Sip<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut byte = [0];
        let mut sip = ReadBuf::new(&mut byte);
        std::task::ready!(Pin::new(&mut self.0).poll_read(cx, &mut sip))?;
        buf.put_slice(sip.filled());
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Sip<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
