//! One connection's requests: HTTP/1.1 by hand, so that the load costs little beside what it measures, and HTTP/2 by hyper.

use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::payload::{HOST, path};

/// A duplex stream of any kind.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Where to, and how.
#[derive(Clone)]
pub struct Target {
    pub addr: SocketAddr,
    /// By CONNECT.
    pub through: bool,
    pub tls: Option<TlsConnector>,
    pub host: String,
}

impl Target {
    /// A connection that is ready for requests.
    pub async fn connect(&self) -> std::io::Result<Box<dyn Io>> {
        let mut tcp = TcpStream::connect(self.addr).await?;
        tcp.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
        if self.through {
            let host = &self.host;
            tcp.write_all(format!("CONNECT {host}:443 HTTP/1.1\r\nhost: {host}:443\r\n\r\n").as_bytes()).await?;
            let mut read = BytesMut::new();
            head(&mut tcp, &mut read).await?;
        }
        let name = ServerName::try_from(self.host.clone()).map_err(std::io::Error::other)?;
        Ok(Box::new(tls.connect(name, tcp).await?))
    }

    /// The bytes of a request, in absolute form when it is for a proxy without TLS.
    pub fn request(&self, path: &str) -> Bytes {
        let host = &self.host;
        let target = if self.through && self.tls.is_none() { format!("http://{host}{path}") } else { path.to_owned() };
        format!(
            "GET {target} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\naccept-language: en-GB\r\nuser-agent: bench\r\n\r\n"
        )
        .into()
    }
}

/// One HTTP/1.1 connection.
pub struct H1 {
    io: Box<dyn Io>,
    read: BytesMut,
}

impl H1 {
    pub fn new(io: Box<dyn Io>) -> Self {
        H1 { io, read: BytesMut::with_capacity(64 * 1024) }
    }

    /// Sends a request and reads its answer: the status and the length of its payload.
    pub async fn ask(&mut self, request: &[u8]) -> std::io::Result<(u16, usize)> {
        self.io.write_all(request).await?;
        let (status, length) = head(&mut self.io, &mut self.read).await?;
        let Some(length) = length else { return self.chunked(status).await };
        let mut missing = length;
        loop {
            let here = missing.min(self.read.len());
            self.read.advance(here);
            missing -= here;
            if missing == 0 {
                return Ok((status, length));
            }
            fill(&mut self.io, &mut self.read).await?;
        }
    }

    async fn chunked(&mut self, status: u16) -> std::io::Result<(u16, usize)> {
        let mut length = 0;
        loop {
            let end = loop {
                match memchr::memmem::find(&self.read, b"\r\n") {
                    Some(end) => break end,
                    None => fill(&mut self.io, &mut self.read).await?,
                }
            };
            let size =
                std::str::from_utf8(&self.read[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
            let size = size.ok_or_else(|| std::io::Error::other("a chunk without a size"))?;
            self.read.advance(end + 2);
            let mut missing = size + 2;
            while missing > 0 {
                if self.read.is_empty() {
                    fill(&mut self.io, &mut self.read).await?;
                }
                let here = missing.min(self.read.len());
                self.read.advance(here);
                missing -= here;
            }
            length += size;
            if size == 0 {
                return Ok((status, length));
            }
        }
    }
}

async fn fill(io: &mut (impl AsyncRead + Unpin), read: &mut BytesMut) -> std::io::Result<()> {
    read.reserve(64 * 1024);
    match io.read_buf(read).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Reads a head and takes it off: the status, and the length of the payload unless it is chunked.
async fn head(io: &mut (impl AsyncRead + Unpin), read: &mut BytesMut) -> std::io::Result<(u16, Option<usize>)> {
    loop {
        if let Some(end) = memchr::memmem::find(read, b"\r\n\r\n") {
            let head = read.split_to(end + 4);
            let text = std::str::from_utf8(&head).map_err(std::io::Error::other)?;
            let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
            let field = |name: &str| {
                text.lines().find(|line| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name))
            };
            let length = match field("content-length:") {
                Some(line) => line[15..].trim().parse().ok(),
                None if field("transfer-encoding:").is_some() => None,
                None => Some(0),
            };
            return Ok((status, length));
        }
        fill(io, read).await?;
    }
}

/// One HTTP/2 connection.
pub async fn h2(target: &Target) -> std::io::Result<SendRequest<Empty<Bytes>>> {
    let io = TokioIo::new(target.connect().await?);
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.handshake(io).await.map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

/// A request over it.
pub async fn ask_h2(sender: &mut SendRequest<Empty<Bytes>>, n: usize) -> std::io::Result<(u16, usize)> {
    let request = http::Request::get(format!("https://{HOST}{}", path(n)))
        .header("accept", "application/json")
        .header("accept-language", "en-GB")
        .header("user-agent", "bench")
        .body(Empty::new())
        .map_err(std::io::Error::other)?;
    sender.ready().await.map_err(std::io::Error::other)?;
    let response = sender.send_request(request).await.map_err(std::io::Error::other)?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame.map_err(std::io::Error::other)?.data_ref().map_or(0, Bytes::len);
    }
    Ok((status, length))
}
