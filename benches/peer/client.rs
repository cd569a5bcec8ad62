//! Client connections: HTTP/1.1 by hand, so that the load generator takes little of the processor, and HTTP/2 by hyper.

use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::mix::HOST;

/// A duplex byte stream: TCP or TLS.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// The server or proxy that requests are sent to.
#[derive(Clone)]
pub struct Target {
    pub addr: SocketAddr,
    /// `addr` is a proxy.
    pub is_proxy: bool,
    pub tls: Option<TlsConnector>,
}

/// Status and payload length of a response.
pub type Received = (u16, usize);

impl Target {
    /// Opens a connection, with CONNECT and TLS where needed.
    pub async fn connect(&self) -> std::io::Result<Box<dyn Io>> {
        let mut tcp = TcpStream::connect(self.addr).await?;
        tcp.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
        if self.is_proxy {
            tcp.write_all(format!("CONNECT {HOST}:443 HTTP/1.1\r\nhost: {HOST}:443\r\n\r\n").as_bytes()).await?;
            read_head(&mut tcp, &mut BytesMut::new()).await?;
        }
        let name = ServerName::try_from(HOST).map_err(std::io::Error::other)?;
        Ok(Box::new(tls.connect(name, tcp).await?))
    }

    /// Opens an HTTP/2 connection.
    pub async fn connect_h2(&self) -> std::io::Result<SendRequest<Full<Bytes>>> {
        let io = TokioIo::new(self.connect().await?);
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.handshake(io).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// The bytes of a request, in absolute form if it is for a proxy without TLS.
    pub fn encode_request(&self, method: &str, path: &str, payload: Option<&str>) -> String {
        let origin = if self.is_proxy && self.tls.is_none() { format!("http://{HOST}") } else { String::new() };
        let head = format!(
            "{method} {origin}{path} HTTP/1.1\r\nhost: {HOST}\r\naccept: application/json\r\naccept-language: en-GB\r\nuser-agent: bench\r\n"
        );
        match payload {
            None => head + "\r\n",
            Some(payload) => {
                let length = payload.len();
                format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{payload}")
            }
        }
    }
}

/// An HTTP/1.1 connection.
pub struct Http1 {
    io: Box<dyn Io>,
    buffer: BytesMut,
}

impl Http1 {
    pub fn new(io: Box<dyn Io>) -> Self {
        Http1 { io, buffer: BytesMut::with_capacity(64 * 1024) }
    }

    /// Sends a request and reads its response.
    pub async fn send(&mut self, request: &[u8]) -> std::io::Result<Received> {
        self.io.write_all(request).await?;
        let (status, length) = read_head(&mut self.io, &mut self.buffer).await?;
        let Some(length) = length else { return Ok((status, self.read_chunks().await?)) };
        self.skip(length).await?;
        Ok((status, length))
    }

    /// Reads a chunked payload and returns its length.
    async fn read_chunks(&mut self) -> std::io::Result<usize> {
        let mut length = 0;
        loop {
            let end = loop {
                match memchr::memmem::find(&self.buffer, b"\r\n") {
                    Some(end) => break end,
                    None => fill(&mut self.io, &mut self.buffer).await?,
                }
            };
            let line = std::str::from_utf8(&self.buffer[..end]).map_err(std::io::Error::other)?;
            let size = usize::from_str_radix(line, 16).map_err(std::io::Error::other)?;
            self.skip(end + 2).await?;
            self.skip(size + 2).await?;
            length += size;
            if size == 0 {
                return Ok(length);
            }
        }
    }

    /// Reads and drops so many bytes.
    async fn skip(&mut self, mut missing: usize) -> std::io::Result<()> {
        loop {
            let buffered = missing.min(self.buffer.len());
            self.buffer.advance(buffered);
            missing -= buffered;
            if missing == 0 {
                return Ok(());
            }
            fill(&mut self.io, &mut self.buffer).await?;
        }
    }
}

async fn fill(io: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> std::io::Result<()> {
    buffer.reserve(64 * 1024);
    match io.read_buf(buffer).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Reads a response head: the status, and the length of the payload unless it is chunked.
async fn read_head(io: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> std::io::Result<(u16, Option<usize>)> {
    let end = loop {
        match memchr::memmem::find(buffer, b"\r\n\r\n") {
            Some(end) => break end,
            None => fill(io, buffer).await?,
        }
    };
    let head = buffer.split_to(end + 4);
    let text = std::str::from_utf8(&head).map_err(std::io::Error::other)?;
    let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.split_at_checked(name.len()).filter(|(start, _)| start.eq_ignore_ascii_case(name)))
    };
    let length = match value("content-length:") {
        Some((_, length)) => length.trim().parse().ok(),
        None if value("transfer-encoding:").is_some() => None,
        None => Some(0),
    };
    Ok((status, length))
}

/// Sends a request over HTTP/2 and reads its response.
pub async fn send_h2(
    sender: &mut SendRequest<Full<Bytes>>,
    method: &str,
    path: &str,
    payload: Option<String>,
) -> std::io::Result<Received> {
    let builder = http::Request::builder()
        .method(method)
        .uri(format!("https://{HOST}{path}"))
        .header("accept", "application/json")
        .header("accept-language", "en-GB")
        .header("user-agent", "bench");
    let request = match payload {
        None => builder.body(Full::default()),
        Some(payload) => builder.header("content-type", "application/json").body(Full::from(payload)),
    };
    sender.ready().await.map_err(std::io::Error::other)?;
    let response = sender.send_request(request.map_err(std::io::Error::other)?).await.map_err(std::io::Error::other)?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame.map_err(std::io::Error::other)?.data_ref().map_or(0, Bytes::len);
    }
    Ok((status, length))
}
