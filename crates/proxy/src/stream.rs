//! Byte streams of clients and upstream.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::request_target;
use crate::serve::idle::IdleTracker;

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// Size of a read ahead: enough to detect the protocol, and for most heads, ClientHellos and greetings.
const READ_AHEAD: usize = 4 * 1024;

/// Maximum bytes of one read. hyper doubles its read buffer, up to 512 KiB, when a read fills it; payload chunks wait
/// in these buffers for the journal. A limit just below 64 KiB keeps the buffers at that size.
const MAX_READ: u64 = (64 << 10) - 1;

/// A stream with bytes that were read ahead. It counts received bytes, and tells an [`IdleTracker`] about its reads and
/// flushes while it serves HTTP.
pub(crate) struct ByteStream {
    io: Take<Box<dyn Io>>,
    max_read: u64,
    /// Returned by the next reads.
    ahead: BytesMut,
    received: Arc<AtomicU64>,
    first_byte: Arc<OnceLock<u8>>,
    idle: Option<Arc<IdleTracker>>,
    /// Bytes between two requests begin a head. Over HTTP/2 they can be any frame.
    has_heads: bool,
    /// Resolves when a connection that was lent to the handler is to end.
    end: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl ByteStream {
    pub(crate) fn new(io: impl Io) -> Self {
        ByteStream {
            io: (Box::new(io) as Box<dyn Io>).take(MAX_READ),
            max_read: MAX_READ,
            ahead: BytesMut::new(),
            received: Arc::default(),
            first_byte: Arc::default(),
            idle: None,
            has_heads: false,
            end: None,
        }
    }

    /// Begins to report to `idle`.
    pub(crate) fn track(mut self, idle: Arc<IdleTracker>, has_heads: bool) -> Self {
        (self.idle, self.has_heads) = (Some(idle), has_heads);
        self
    }

    /// Ends the reports.
    pub(crate) fn untrack(mut self) -> Self {
        self.idle = None;
        self
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

    /// The first byte that a read returned.
    pub(crate) fn first_byte(&self) -> Arc<OnceLock<u8>> {
        self.first_byte.clone()
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

    /// Turns a pending read or write of a lent connection into an error when the connection is to end.
    fn or_end<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let lent = self.idle.as_ref().and_then(|idle| idle.lent.get());
        let Some((end, _)) = lent.filter(|_| polled.is_pending()) else { return polled };
        let end = self.end.get_or_insert_with(|| Box::pin(end.clone().cancelled_owned()));
        end.as_mut().poll(cx).map(|()| Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl std::fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByteStream").field("received", &self.received).finish_non_exhaustive()
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = if this.ahead.is_empty() {
            this.io.set_limit(this.max_read);
            Pin::new(&mut this.io).poll_read(cx, buf)
        } else {
            let n = this.ahead.len().min(buf.remaining());
            buf.put_slice(&this.ahead.split_to(n));
            Poll::Ready(Ok(()))
        };
        if this.ahead.is_empty() {
            // Frees the memory: many connections are idle from now on.
            this.ahead = BytesMut::new();
        }
        let received = buf.filled().len() - before;
        if let Some(first) = buf.filled().get(before) {
            this.first_byte.get_or_init(|| *first);
        }
        this.received.fetch_add(received as u64, Ordering::Relaxed);
        match (&this.idle, &read) {
            (Some(idle), Poll::Ready(Ok(()))) if received == 0 => idle.on_close(None),
            (Some(idle), Poll::Ready(Ok(()))) if this.has_heads => {
                if idle.is_before_head() {
                    let bytes = &buf.filled()[before..];
                    let encoded = request_target::encode(bytes);
                    if let Some(character) = request_target::invalid_character(encoded.as_deref().unwrap_or(bytes)) {
                        let _ = idle.invalid_character.set(character);
                    }
                    if let Some(encoded) = encoded {
                        buf.set_filled(before);
                        let (now, later) = encoded.split_at(encoded.len().min(buf.remaining()));
                        buf.put_slice(now);
                        let rest = std::mem::replace(&mut this.ahead, BytesMut::from(later));
                        this.ahead.extend_from_slice(&rest);
                    }
                }
                idle.on_bytes(&buf.filled()[before..]);
            }
            (Some(idle), Poll::Ready(Err(error))) => idle.on_close(Some(error)),
            _ => {}
        }
        this.or_end(read, cx)
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(self.io.get_mut()).poll_write(cx, buf);
        self.or_end(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(self.io.get_mut()).poll_write_vectored(cx, bufs);
        self.or_end(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(self.io.get_mut()).poll_flush(cx))?;
        if let Some(idle) = &self.idle {
            idle.flushed.notify_waiters();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.io.get_mut()).poll_shutdown(cx)
    }
}
