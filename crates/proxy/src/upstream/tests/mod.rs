//! Tests against scripted origins in this process, byte for byte where bytes matter.

mod expect;
mod http1;
mod http2;
mod proxies;
mod reuse;
mod secure;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{HeaderMap, Request, Response, Uri, Version};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::body::Body;
use crate::origin::Scheme;

const LONG: Duration = Duration::from_secs(30);

/// A direct plan with the authority of the test certificates among its roots.
fn plan() -> UpstreamPlan {
    UpstreamPlan {
        proxy: UpstreamProxy::Direct,
        extra_roots: vec![pki("ca.pem")],
        timeouts: Timeouts { connect: LONG, idle: LONG, answer: LONG },
        ..UpstreamPlan::default()
    }
}

fn upstream() -> Upstream {
    Upstream::anywhere(plan()).unwrap()
}

fn pki(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../certs").join(file)
}

fn map(host: &str, to: SocketAddr) -> Vec<Mapping> {
    vec![Mapping { host: host.into(), port: None, to_host: to.ip().to_string(), to_port: Some(to.port()) }]
}

fn at(scheme: Scheme, host: &str, port: u16) -> Origin {
    Origin { scheme, host: host.into(), port }
}

fn http(addr: SocketAddr) -> Origin {
    at(Scheme::Http, &addr.ip().to_string(), addr.port())
}

fn https(addr: SocketAddr) -> Origin {
    at(Scheme::Https, &addr.ip().to_string(), addr.port())
}

/// A client connection that sends requests to one origin.
struct TestClient {
    upstream: Arc<Upstream>,
    pool: ClientPool,
    to: Origin,
}

impl TestClient {
    fn new(upstream: impl Into<Arc<Upstream>>, to: Origin) -> Self {
        TestClient { upstream: upstream.into(), pool: ClientPool::default(), to }
    }

    fn plain(addr: SocketAddr) -> Self {
        TestClient::new(upstream(), http(addr))
    }

    /// Another client connection.
    fn another(&self) -> Self {
        TestClient::new(self.upstream.clone(), self.to.clone())
    }

    async fn send<B>(&self, request: Request<B>) -> Result<Answer, SendError>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<crate::body::BoxError>,
    {
        self.upstream.send(&self.pool, &self.to, request.map(Body::boxed)).await
    }

    fn request(&self, method: &str, path: &str) -> ::http::request::Builder {
        Request::builder().method(method).uri(format!("{}{path}", self.to))
    }

    async fn get(&self, path: &str) -> Result<ReadAnswer, SendError> {
        Ok(ReadAnswer::read(self.send(self.request("GET", path).body(empty()).unwrap()).await?).await)
    }

    async fn get2(&self, path: &str) -> Result<ReadAnswer, SendError> {
        let request = self.request("GET", path).version(Version::HTTP_2).body(empty()).unwrap();
        Ok(ReadAnswer::read(self.send(request).await?).await)
    }

    async fn negotiate(&self, alpn: &[&str]) -> Alpn {
        let alpn: Vec<_> = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self.upstream.negotiate(&self.pool, &self.to, &alpn, None).await
    }

    /// Sends bytes as an HTTP/1.1 client and returns the bytes that it receives, through hyper on both sides as in the
    /// engine.
    async fn through(&self, sent: &str) -> String {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let (upstream, pool, to) = (self.upstream.clone(), self.pool.clone(), self.to.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (upstream, pool, to) = (upstream.clone(), pool.clone(), to.clone());
            async move {
                if request.uri().scheme().is_none() {
                    let uri: Uri = format!("{to}{}", request.uri()).parse().unwrap();
                    *request.uri_mut() = uri;
                    request.extensions_mut().insert(HostStays);
                }
                let answer = upstream.send(&pool, &to, request.map(Body::boxed)).await?;
                Ok::<_, SendError>(answer.response.map(Body::boxed))
            }
        });
        let serving = tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .half_close(true)
                .auto_date_header(false)
                .max_headers(crate::limits::MAX_HEADERS)
                .max_buf_size(crate::limits::MAX_HEAD)
                .preserve_header_case(true)
                .serve_connection(TokioIo::new(server), service),
        );
        client.write_all(sent.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = String::new();
        client.read_to_string(&mut got).await.unwrap();
        let _ = serving.await.unwrap();
        got
    }
}

fn empty() -> Empty<Bytes> {
    Empty::new()
}

/// An answer with its body read.
#[derive(Debug)]
struct ReadAnswer {
    head: ::http::response::Parts,
    body: Result<Bytes, String>,
    trailers: Option<HeaderMap>,
    connection: u64,
    reused: bool,
    informational: Vec<(::http::StatusCode, HeaderMap)>,
}

impl ReadAnswer {
    async fn read(answer: Answer) -> ReadAnswer {
        let Answer { response, connection, connect, informational, .. } = answer;
        let (head, body) = response.into_parts();
        let collected = body.collect().await;
        let trailers = collected.as_ref().ok().and_then(|collected| collected.trailers().cloned());
        let body = collected.map(|collected| collected.to_bytes()).map_err(|error| format!("{error:?}"));
        ReadAnswer { head, body, trailers, connection, reused: connect.is_none(), informational }
    }
}

/// Serves each connection by `script`, which gets its number, from 0.
async fn scripted<F, S>(script: S) -> SocketAddr
where
    S: Fn(TcpStream, usize) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(script(stream, number));
        }
    });
    addr
}

/// Answers every request with the same bytes and keeps the connection. The log has the requests.
async fn canned(answer: &'static str) -> (SocketAddr, Log) {
    let log = Log::default();
    let shared = log.clone();
    let addr = scripted(move |mut stream, _| {
        let log = shared.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                log.push(request);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (addr, log)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn push(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn only(&self) -> String {
        let all = self.all();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].clone()
    }
}

/// Reads a head, up to its empty line; `None` at the end of the stream.
async fn read_head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Reads a request with its body, as it is on the wire.
async fn read_request(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<String> {
    let mut request = read_head(stream).await?;
    let lower = request.to_ascii_lowercase();
    if let Some((_, rest)) = lower.split_once("content-length: ") {
        let mut body = vec![0; rest.lines().next().unwrap().parse().unwrap()];
        stream.read_exact(&mut body).await.ok()?;
        request.push_str(std::str::from_utf8(&body).unwrap());
    } else if lower.contains("transfer-encoding: chunked") {
        while !(request.ends_with("\r\n0\r\n\r\n") || request.contains("\r\n0\r\n") && request.ends_with("\r\n\r\n")) {
            request.push(stream.read_u8().await.ok()?.into());
        }
    }
    Some(request)
}

/// A TLS acceptor with one of the test certificates.
fn acceptor(certificate: &str, alpn: &[&str], client_ca: bool) -> TlsAcceptor {
    let certs =
        CertificateDer::pem_file_iter(pki(&format!("{certificate}.pem"))).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(pki(&format!("{certificate}-key.pem"))).unwrap();
    let provider = harproxy_tls::provider::provider();
    let builder =
        rustls::ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = if client_ca {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(pki("ca.pem")).unwrap()).unwrap();
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(certs, key).unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A TLS origin for both protocols that answers with its connection number, SNI, version, method, target and headers.
async fn tls_origin(certificate: &'static str, alpn: &'static [&'static str]) -> SocketAddr {
    let acceptor = acceptor(certificate, alpn, false);
    scripted(move |stream, number| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let sni = stream.get_ref().1.server_name().unwrap_or("-").to_owned();
            let service = service_fn(move |request| describe(request, format!("{number} {sni}")));
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await
}

async fn describe(request: Request<Incoming>, prefix: String) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let mut text = format!("{prefix} {:?} {} {}\n", head.version, head.method, head.uri);
    for (name, value) in &head.headers {
        text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
    }
    if let Ok(body) = body.collect().await {
        if let Some(trailers) = body.trailers() {
            text.push_str(&format!("trailers: {trailers:?}\n"));
        }
        text.push_str(std::str::from_utf8(&body.to_bytes()).unwrap());
    }
    Ok(Response::new(Full::new(text.into())))
}

fn text(got: &ReadAnswer) -> &str {
    std::str::from_utf8(got.body.as_ref().unwrap()).unwrap()
}

#[track_caller]
fn kind(result: Result<ReadAnswer, SendError>) -> &'static str {
    match result {
        Err(SendError::Upstream(error)) => error.kind(),
        Err(SendError::Stale) => "stale",
        Ok(got) => panic!("answered {:?}", got),
    }
}
