//! A client's connection: the socket, and the bytes that were read from it too early.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::idle::Limits;
use super::sniff::{self, Opening};

/// Enough to tell what a client speaks, and then most heads and ClientHellos in the same read.
const FIRST_READ: usize = 4 * 1024;

/// Bytes both ways; what was read ahead comes first.
pub(super) struct Wire {
    early: BytesMut,
    transport: Transport,
}

/// TCP, or TLS inside a wire.
type Transport = Either<TcpStream, Box<TlsStream<Wire>>>;

impl From<TcpStream> for Wire {
    fn from(tcp: TcpStream) -> Self {
        Wire { early: BytesMut::new(), transport: Either::Left(tcp) }
    }
}

impl From<TlsStream<Wire>> for Wire {
    fn from(tls: TlsStream<Wire>) -> Self {
        Wire { early: BytesMut::new(), transport: Either::Right(Box::new(tls)) }
    }
}

impl Wire {
    /// Looks at the first bytes; they stay to be read. `None` when the client closes, or the time for an idle connection
    /// passes, without one. What is still undecided when the time for a head has passed is unknown. Cancel safe.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(super) async fn opening(&mut self, limits: Limits) -> io::Result<Option<Opening>> {
        if self.early.is_empty() && !matches!(timeout(limits.idle, self.read_more()).await, Ok(Ok(1..))) {
            return Ok(None);
        }
        let decided = async {
            loop {
                if let Some(opening) = sniff::opening(&self.early) {
                    return Ok(opening);
                }
                if self.read_more().await? == 0 {
                    return Ok(Opening::Unknown);
                }
            }
        };
        timeout(limits.head, decided).await.unwrap_or(Ok(Opening::Unknown)).map(Some)
    }

    /// With what was read from it already, to be read again.
    pub(super) fn after(self, early: &[u8]) -> Wire {
        let mut all = BytesMut::from(early);
        all.extend_from_slice(&self.early);
        Wire { early: all, ..self }
    }

    async fn read_more(&mut self) -> io::Result<usize> {
        self.early.reserve(FIRST_READ);
        self.transport.read_buf(&mut self.early).await
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.transport).poll_read(cx, buf);
        }
        let n = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early[..n]);
        self.early.advance(n);
        if self.early.is_empty() {
            self.early = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}
