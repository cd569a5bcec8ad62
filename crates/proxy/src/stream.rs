//! Byte streams of clients and upstream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// Size of a read ahead: enough to detect the protocol, and for most heads, ClientHellos and greetings.
const READ_AHEAD: usize = 4 * 1024;

/// Maximum bytes of one read. hyper doubles its read buffer, up to 512 KiB, when a read fills it; payload chunks wait
/// in these buffers for the journal. A limit just below 64 KiB keeps the buffers at that size.
const MAX_READ: u64 = (64 << 10) - 1;

/// A stream with bytes that were read ahead. It counts received bytes.
pub(crate) struct ByteStream {
    io: Take<Box<dyn Io>>,
    max_read: u64,
    /// Returned by the next reads.
    ahead: BytesMut,
    received: Arc<AtomicU64>,
}

impl ByteStream {
    pub(crate) fn new(io: impl Io) -> Self {
        ByteStream {
            io: (Box::new(io) as Box<dyn Io>).take(MAX_READ),
            max_read: MAX_READ,
            ahead: BytesMut::new(),
            received: Arc::default(),
        }
    }

    /// With true, limits each read to one byte: a handshake cannot read past its end then.
    pub(crate) fn byte_at_a_time(mut self, limit: bool) -> Self {
        self.max_read = if limit { 1 } else { MAX_READ };
        self
    }

    /// Puts back bytes that were read from the stream.
    pub(crate) fn prepend(mut self, bytes: &[u8]) -> Self {
        let rest = std::mem::replace(&mut self.ahead, BytesMut::from(bytes));
        self.ahead.extend_from_slice(&rest);
        self
    }

    /// The number of bytes that reads returned.
    pub(crate) fn received(&self) -> Arc<AtomicU64> {
        self.received.clone()
    }

    /// The bytes that were read ahead.
    pub(crate) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Reads more bytes ahead. Returns their number; 0 at the end of the stream. Cancel safe.
    pub(crate) async fn read_ahead(&mut self) -> io::Result<usize> {
        self.ahead.reserve(READ_AHEAD);
        self.io.get_mut().read_buf(&mut self.ahead).await
    }
}

impl std::fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByteStream").field("received", &self.received).finish_non_exhaustive()
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.ahead.is_empty() {
            let max_read = self.max_read;
            self.io.set_limit(max_read);
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        } else {
            let n = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead[..n]);
            self.ahead.advance(n);
            if self.ahead.is_empty() {
                self.ahead = BytesMut::new();
            }
        }
        self.received.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteStream {
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
