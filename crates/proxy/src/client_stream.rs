//! The byte stream of a client connection: TCP or TLS, with bytes that were read early.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::limits::ClientTimeouts;
use crate::sniff::{self, Protocol};

/// Size of the first read: enough to detect the protocol, and for most heads and ClientHellos.
const FIRST_READ: usize = 4 * 1024;

/// A client stream. Bytes that were read early are read again first.
pub(crate) struct ClientStream {
    early: BytesMut,
    transport: Transport,
}

/// TCP, or TLS inside another client stream.
type Transport = Either<TcpStream, Box<TlsStream<ClientStream>>>;

impl From<TcpStream> for ClientStream {
    fn from(tcp: TcpStream) -> Self {
        ClientStream { early: BytesMut::new(), transport: Either::Left(tcp) }
    }
}

impl From<TlsStream<ClientStream>> for ClientStream {
    fn from(tls: TlsStream<ClientStream>) -> Self {
        ClientStream { early: BytesMut::new(), transport: Either::Right(Box::new(tls)) }
    }
}

impl ClientStream {
    /// Detects the protocol by the first bytes, which stay to be read.
    ///
    /// Returns `None` if the client closes, or sends no byte within the idle timeout. The protocol is unknown if it is still
    /// undecided after the head timeout. Cancel safe.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(crate) async fn detect(&mut self, timeouts: ClientTimeouts) -> io::Result<Option<Protocol>> {
        if self.early.is_empty() && !matches!(timeout(timeouts.idle, self.read_more()).await, Ok(Ok(1..))) {
            return Ok(None);
        }
        let detected = async {
            loop {
                if let Some(protocol) = sniff::detect(&self.early) {
                    return Ok(protocol);
                }
                if self.read_more().await? == 0 {
                    return Ok(Protocol::Unknown);
                }
            }
        };
        timeout(timeouts.head, detected).await.unwrap_or(Ok(Protocol::Unknown)).map(Some)
    }

    /// Puts back bytes that were read from this stream.
    pub(crate) fn prepend(self, early: &[u8]) -> ClientStream {
        let mut all = BytesMut::from(early);
        all.extend_from_slice(&self.early);
        ClientStream { early: all, ..self }
    }

    async fn read_more(&mut self) -> io::Result<usize> {
        self.early.reserve(FIRST_READ);
        self.transport.read_buf(&mut self.early).await
    }
}

impl AsyncRead for ClientStream {
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

impl AsyncWrite for ClientStream {
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
