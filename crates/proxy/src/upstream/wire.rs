//! Byte streams: what all ways upstream end in.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};

use ::http::Extensions;
use bytes::{Buf, Bytes};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};

use crate::names::{Names, Pen};

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
    repeats: Option<Box<Repeats>>,
    /// To be written before anything else.
    rest: Bytes,
    /// What is found behind what is to be read again.
    failed: Option<io::Error>,
    takes_leave: bool,
}

/// A request that was sent before hyper began on the connection, and that hyper is still to write.
struct Repeats {
    head: Bytes,
    begun: bool,
    /// Who waits to read.
    reads: Option<Waker>,
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
            repeats: None,
            rest: Bytes::new(),
            failed: None,
            takes_leave: false,
        }
    }

    /// Whether nobody shuts it down before he lets go of it.
    pub(super) fn takes_leave(&mut self, takes_leave: bool) {
        self.takes_leave = takes_leave;
    }

    /// So much of a request has been written to it, and this is what was read of the answer, and what ended that. Who writes that request next, all of it
    /// before a flush, and reads the answer does what has been done already.
    pub(super) fn repeat(&mut self, head: Bytes, written: usize, back: Bytes, failed: Option<io::Error>) {
        self.rest = head.slice(written..);
        (self.back, self.failed) = (back, failed);
        self.repeats = Some(Box::new(Repeats { head, begun: false, reads: None }));
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            match ready!(Pin::new(self.io.get_mut()).poll_write(cx, &self.rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.rest.advance(written),
            }
        }
        Poll::Ready(Ok(()))
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

/// TLS is ended as it should be, as far as that needs not be waited for.
impl Drop for Wire {
    fn drop(&mut self) {
        if self.takes_leave {
            let _ = Pin::new(self.io.get_mut()).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl Repeats {
    /// By its first line.
    fn is_begun_by(&self, bytes: &[u8]) -> bool {
        memchr(b'\n', &self.head).is_some_and(|end| bytes.starts_with(&self.head[..=end]))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(repeats) = &mut self.repeats {
            repeats.reads = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = if self.back.is_empty() {
            if let Some(error) = self.failed.take() {
                return Poll::Ready(Err(error));
            }
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
        if let Some(repeats) = self.repeats.take_if(|repeats| repeats.begun) {
            // It was written as it is spelt.
            self.names.write(&Extensions::new());
            repeats.reads.into_iter().for_each(Waker::wake);
        }
        ready!(self.poll_rest(cx))?;
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
        if let Some(repeats) = &mut self.repeats {
            let parts = bufs.iter().filter(|part| !part.is_empty());
            if !repeats.begun && !parts.clone().next().is_some_and(|part| repeats.is_begun_by(part)) {
                return Poll::Ready(Err(io::Error::other("another request is under way on the connection")));
            }
            repeats.begun = true;
            return Poll::Ready(Ok(parts.map(|part| part.len()).sum()));
        }
        ready!(self.poll_rest(cx))?;
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
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut sip))?;
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// A connection to which 15 bytes of `head` have been written, and whose other end reads the rest and answers behind `back`.
    fn repeating(head: &'static str, back: &'static str) -> (Wire, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(4);
        let mut wire = Wire::new(near, Bytes::new());
        wire.repeat(Bytes::from_static(head.as_bytes()), 15, Bytes::from_static(back.as_bytes()), None);
        (wire, far)
    }

    #[tokio::test]
    async fn what_was_written_of_a_request_is_not_written_again_and_the_rest_is() {
        let (mut wire, mut far) = repeating("GET /a HTTP/1.1\r\nHost: a.test\r\nX-A: 1\r\n\r\n", "HTTP/1.1 2");
        let (mut answer, mut heard) = ([0; 19], [0; 26]);
        {
            let mut read = Box::pin(wire.read_exact(&mut answer));
            let polled = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending(), "nothing is read before it is written");
        }
        let near = async {
            for part in ["GET /a HTTP/1.1\r\nx-a: 1\r\nhost:", " a.test\r\n\r\n"] {
                wire.write_all(part.as_bytes()).await.unwrap();
            }
            wire.flush().await.unwrap();
            wire.read_exact(&mut answer).await.unwrap();
            // What follows is written as ever.
            wire.write_all(b"next").await.unwrap();
        };
        let far = async {
            far.read_exact(&mut heard).await.unwrap();
            far.write_all(b"00 OK\r\n\r\n").await.unwrap();
            let mut next = [0; 4];
            far.read_exact(&mut next).await.unwrap();
            next
        };
        let ((), next) = futures_util::future::join(near, far).await;
        assert_eq!(&heard, b"\r\nHost: a.test\r\nX-A: 1\r\n\r\n");
        assert_eq!((&answer, &next), (b"HTTP/1.1 200 OK\r\n\r\n", b"next"));
    }

    #[tokio::test]
    async fn another_request_than_the_one_under_way_is_not_taken_for_it() {
        let (mut wire, _far) = repeating("GET /a HTTP/1.1\r\n\r\n", "");
        wire.write_all(b"GET /ab HTTP/1.1\r\n\r\n").await.unwrap_err();
    }
}
