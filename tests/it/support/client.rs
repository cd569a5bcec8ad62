//! A client that uses the proxy and returns complete responses: reason, all headers, trailers.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use bytes::Bytes;
use harproxy_http::coding;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::block_on;

/// The HTTP version of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proto {
    H1,
    H2,
}

/// A client of one proxy.
#[derive(Clone, Debug)]
pub struct Client {
    pub proxy: SocketAddr,
    /// PEM of the CA it trusts.
    pub ca: String,
    pub proto: Proto,
    /// The user name in the proxy URL.
    pub user: Option<String>,
}

/// A response as the client received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResponse {
    pub status: u16,
    pub reason: String,
    /// Headers in order, with lower-case names and without hop-by-hop and framing headers.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl TestResponse {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body without its content codings, or unchanged if it cannot be decoded.
    pub fn decoded(&self) -> Vec<u8> {
        let values = self.header("content-encoding").map(str::as_bytes);
        let Some(codings) = coding::codings(values) else { return self.body.clone() };
        let mut plain = Vec::new();
        match coding::decoder(&codings, Box::new(&self.body[..])).read_to_end(&mut plain) {
            Ok(_) => plain,
            Err(_) => self.body.clone(),
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The decoded response without `x-harproxy` and `date`, for a comparison with the live response.
    pub fn unmarked(mut self) -> Self {
        self.body = self.decoded();
        self.headers.retain(|(name, _)| name != "x-harproxy" && name != "date");
        self
    }
}

/// A request to send.
#[derive(Clone, Debug)]
pub struct TestRequest {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

impl TestRequest {
    pub fn new(method: &str, url: &str) -> Self {
        TestRequest { method: method.into(), url: url.into(), headers: Vec::new(), body: None }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }
}

impl Client {
    pub fn new(proxy: SocketAddr, ca: String, proto: Proto) -> Self {
        Client { proxy, ca, proto, user: None }
    }

    pub fn get(&self, url: &str) -> TestResponse {
        self.send(TestRequest::new("GET", url))
    }

    /// Sends one request on a connection of its own.
    #[track_caller]
    pub fn send(&self, request: TestRequest) -> TestResponse {
        self.try_send(request.clone()).unwrap_or_else(|e| panic!("{} {}: {e}", request.method, request.url))
    }

    /// Like [`Client::send`], but returns errors.
    pub fn try_send(&self, request: TestRequest) -> Result<TestResponse, Box<dyn std::error::Error + Send + Sync>> {
        block_on(self.exchange(request))
    }

    async fn exchange(&self, test: TestRequest) -> Result<TestResponse, Box<dyn std::error::Error + Send + Sync>> {
        let url: url::Url = test.url.parse()?;
        let tcp = TcpStream::connect(self.proxy).await?;
        let request = self.request(&test, &url)?;
        let response = match (url.scheme(), self.proto) {
            ("http", Proto::H1) => h1(tcp, request).await?,
            ("http", Proto::H2) => h2(self.tunnel(tcp, &url).await?, request).await?,
            (_, proto) => {
                let tunnel = self.tunnel(tcp, &url).await?;
                let tls = self.tls(tunnel, &url).await?;
                match proto {
                    Proto::H1 => h1(tls, request).await?,
                    Proto::H2 => h2(tls, request).await?,
                }
            }
        };
        gather(response).await
    }

    fn request(&self, test: &TestRequest, url: &url::Url) -> Result<Request<Full<Bytes>>, http::Error> {
        let absolute = url.scheme() == "http" || self.proto == Proto::H2;
        let target = if absolute { url.as_str() } else { &url[url::Position::BeforePath..url::Position::AfterQuery] };
        let mut request = Request::builder().method(test.method.as_str()).uri(target);
        if self.proto == Proto::H1 {
            request = request.header("host", &url[url::Position::BeforeHost..url::Position::AfterPort]);
            if let (Some(user), "http") = (&self.user, url.scheme()) {
                request = request.header("proxy-authorization", basic(user));
            }
        }
        for (name, value) in &test.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(Bytes::from(test.body.clone().unwrap_or_default())))
    }

    /// Opens a CONNECT tunnel.
    pub async fn tunnel(&self, mut tcp: TcpStream, url: &url::Url) -> std::io::Result<TcpStream> {
        let port = url.port_or_known_default().unwrap();
        let host = url.host_str().unwrap();
        let auth = self.user.as_ref().map(|u| format!("Proxy-Authorization: {}\r\n", basic(u))).unwrap_or_default();
        tcp.write_all(format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{auth}\r\n").as_bytes())
            .await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tcp.read_u8().await?);
        }
        if !head.starts_with(b"HTTP/1.1 200") {
            let said = String::from_utf8_lossy(&head).to_lowercase();
            let length = said.split("content-length:").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
            let mut rest = vec![0; length.unwrap_or(0)];
            tcp.read_exact(&mut rest).await?;
            head.extend(rest);
            return Err(std::io::Error::other(String::from_utf8_lossy(&head).into_owned()));
        }
        Ok(tcp)
    }

    /// Starts TLS with the CA of this client as the only root.
    pub async fn tls<S>(&self, stream: S, url: &url::Url) -> std::io::Result<tokio_rustls::client::TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut roots = rustls::RootCertStore::empty();
        for cert in CertificateDer::pem_slice_iter(self.ca.as_bytes()) {
            roots.add(cert.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = match self.proto {
            Proto::H1 => vec![b"http/1.1".to_vec()],
            Proto::H2 => vec![b"h2".to_vec()],
        };
        let host = url.host_str().unwrap().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

fn basic(user: &str) -> String {
    let user = if user.contains(':') { user.to_owned() } else { format!("{user}:x") };
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user))
}

async fn h1<S>(io: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(connection);
    send.send_request(request).await
}

async fn h2<S>(io: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut send, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await?;
    tokio::spawn(connection);
    send.send_request(request).await
}

async fn gather(response: Response<Incoming>) -> Result<TestResponse, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = response.into_parts();
    let reason = parts.extensions.get::<hyper::ext::ReasonPhrase>().map_or_else(
        || parts.status.canonical_reason().unwrap_or_default().to_owned(),
        |reason| String::from_utf8_lossy(reason.as_bytes()).into_owned(),
    );
    let body = body.collect().await?;
    let trailers = body.trailers().map(list).unwrap_or_default();
    Ok(TestResponse {
        status: parts.status.as_u16(),
        reason,
        headers: list(&parts.headers),
        body: body.to_bytes().to_vec(),
        trailers,
    })
}

/// Headers whose bytes are converted to one character each, as in a HAR.
fn list(map: &HeaderMap) -> Vec<(String, String)> {
    const FRAMING: [&str; 4] = ["connection", "keep-alive", "transfer-encoding", "content-length"];
    map.iter()
        .filter(|(name, _)| !FRAMING.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.as_bytes().iter().map(|&b| char::from(b)).collect()))
        .collect()
}
