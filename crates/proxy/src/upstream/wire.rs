//! Byte streams to upstream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// Bytes that a peek reads: the greeting of a server that speaks first.
const PEEK: usize = 4096;

/// Maximum bytes of one read. hyper doubles its read buffer, up to 512 KiB, when a read fills it; payload chunks wait in
/// these buffers for the journal. A limit just below 64 KiB keeps the buffers at that size.
const MAX_READ: u64 = (64 << 10) - 1;

/// An upstream connection that counts received bytes, and into which bytes that were read early can be put back.
pub(super) struct UpstreamStream {
    io: Take<Box<dyn Io>>,
    /// Bytes that were read early; the next read returns them first.
    early: Bytes,
    received: Arc<AtomicU64>,
}

impl UpstreamStream {
    /// `early` was read from `io` already.
    pub(super) fn new(io: impl Io, early: Bytes) -> Self {
        UpstreamStream { io: (Box::new(io) as Box<dyn Io>).take(MAX_READ), early, received: Arc::default() }
    }

    /// The counter of received bytes.
    pub(super) fn received(&self) -> Arc<AtomicU64> {
        self.received.clone()
    }

    /// Waits for bytes and keeps them for the next read; `false` at the end of the stream. Cancel safe.
    pub(super) async fn peek(&mut self) -> io::Result<bool> {
        if self.early.is_empty() {
            let mut buffer = [0; PEEK];
            let read = self.io.get_mut().read(&mut buffer).await?;
            self.early = Bytes::copy_from_slice(&buffer[..read]);
        }
        Ok(!self.early.is_empty())
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.early.is_empty() {
            self.io.set_limit(MAX_READ);
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        } else {
            let n = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early[..n]);
            self.early.advance(n);
        }
        self.received.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.io.get_mut()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.io.get_mut()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.io.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.io.get_mut()).poll_shutdown(cx)
    }
}

/// Limits each read to one byte, so that a SOCKS handshake cannot read past its end.
pub(super) struct ByteAtATime<T>(pub(super) T);

impl<T: AsyncRead + Unpin> AsyncRead for ByteAtATime<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut one))?;
        buf.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for ByteAtATime<T> {
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
