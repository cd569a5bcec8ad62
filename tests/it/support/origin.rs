//! An HTTP origin over TLS (HTTP/1.1 and HTTP/2 by ALPN) and cleartext, whose API has every kind of response.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::repo;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Reply = Response<BoxBody<Bytes, Error>>;

/// A request that reached the origin.
pub struct OriginRequest {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// `:authority`, or the Host header.
    pub host: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// A response that a test defines.
#[derive(Clone, Debug, Default)]
pub struct OriginResponse {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(&'static str, &'static str)>,
}

type Extra = Arc<dyn Fn(&OriginRequest) -> Option<OriginResponse> + Send + Sync>;

/// A running origin; dropping it stops it.
pub struct Origin {
    pub http: SocketAddr,
    pub https: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Origin {
    /// Starts an origin with a valid certificate for `api.test`, `app.test`, `localhost` and the loopback addresses.
    pub fn start() -> Self {
        Origin::with_certificate("origin")
    }

    /// Starts an origin with one of the certificates in certs/.
    pub fn with_certificate(name: &str) -> Self {
        Origin::begin(server_config(name, false), Arc::new(|_| None))
    }

    /// Starts an origin that requires a client certificate of the test CA.
    pub fn for_known_clients() -> Self {
        Origin::begin(server_config("origin", true), Arc::new(|_| None))
    }

    /// Starts an origin whose API is preceded by responses of the test.
    pub fn answering(extra: impl Fn(&OriginRequest) -> Option<OriginResponse> + Send + Sync + 'static) -> Self {
        Origin::begin(server_config("origin", false), Arc::new(extra))
    }

    fn begin(tls: rustls::ServerConfig, extra: Extra) -> Self {
        let tls = Arc::new(tls);
        let (sender, receiver) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            super::block_on(async move {
                let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let https = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send((http.local_addr().unwrap(), https.local_addr().unwrap())).unwrap();
                tokio::select! {
                    () = serve(http, None, extra.clone()) => {}
                    () = serve(https, Some(tls), extra.clone()) => {}
                    _ = stopped => {}
                }
            });
        });
        let (http, https) = receiver.recv().unwrap();
        Origin { http, https, stop: Some(stop), thread: Some(thread) }
    }

    /// The options that map `api.test` to this origin and trust its certificate.
    pub fn args(&self) -> Vec<String> {
        vec![
            "--map".into(),
            format!("api.test:443={}", self.https),
            "--map".into(),
            format!("api.test:80={}", self.http),
            "--upstream-ca".into(),
            repo("certs/ca.pem").display().to_string(),
        ]
    }

    /// Stops listening and drops every connection.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.end();
    }
}

fn server_config(name: &str, known_clients: bool) -> rustls::ServerConfig {
    let certs = CertificateDer::pem_file_iter(repo(&format!("certs/{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(repo(&format!("certs/{name}-key.pem"))).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = if known_clients {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(repo("certs/ca.pem")).unwrap()).unwrap();
        WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap()
    } else {
        WebPkiClientVerifier::no_client_auth()
    };
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(certs.map(Result::unwrap).collect(), key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

async fn serve(listener: TcpListener, tls: Option<Arc<rustls::ServerConfig>>, extra: Extra) {
    loop {
        let Ok((tcp, _)) = listener.accept().await else { return };
        let (tls, extra) = (tls.clone(), extra.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, extra.clone()));
            let server = auto::Builder::new(TokioExecutor::new());
            match tls {
                None => drop(server.serve_connection_with_upgrades(TokioIo::new(tcp), service).await),
                Some(tls) => {
                    let Ok(stream) = tokio_rustls::TlsAcceptor::from(tls).accept(tcp).await else { return };
                    drop(server.serve_connection_with_upgrades(TokioIo::new(stream), service).await);
                }
            }
        });
    }
}

async fn answer(mut request: Request<Incoming>, extra: Extra) -> Result<Reply, Error> {
    if request.headers().contains_key("upgrade") {
        return Ok(upgrade(request));
    }
    let body = match request.uri().path() {
        // The response is sent before the upload is read.
        "/api/refuse-upload" => Vec::new(),
        _ => request.body_mut().collect().await?.to_bytes().to_vec(),
    };
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let (method, headers) = (request.method().to_string(), request.headers().clone());
    let host = headers.get("host").map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let host = host.or_else(|| request.uri().authority().map(ToString::to_string)).unwrap_or_default();
    let asked = OriginRequest { method, path, host, headers, body };
    match extra(&asked) {
        Some(page) => Ok(page.reply()),
        None => route(&asked).await,
    }
}

impl OriginResponse {
    fn reply(self) -> Reply {
        let mut response = reply(self.status, &[], Vec::new());
        *response.body_mut() = match self.trailers[..] {
            [] => Full::new(Bytes::from(self.body)).map_err(|e: Infallible| match e {}).boxed(),
            _ => {
                let trailers =
                    self.trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
                streamed(&[], vec![self.body], Some(trailers.collect())).into_body()
            }
        };
        for (name, value) in &self.headers {
            response.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
        }
        response
    }
}

/// The paths of the API. Other paths are a 404.
async fn route(request: &OriginRequest) -> Result<Reply, Error> {
    let path = request.path.split('?').next().unwrap_or_default();
    let query = request.path.split_once('?').map_or("", |(_, query)| query);
    let json = |text: &str| reply(200, &[("content-type", "application/json")], text.as_bytes().to_vec());
    Ok(match path {
        "/api/json" => json(r#"{"user":{"id":7,"name":"Ada"},"tags":["a","b"],"ratio":1.50}"#),
        "/api/echo" => json(&echo(request)),
        "/api/poll" => json(&format!("{{\"path\":\"{}\"}}", request.path)),
        "/api/items" if request.method == "POST" => reply(
            201,
            &[("content-type", "application/json"), ("location", "/api/items/9")],
            echo(request).into_bytes(),
        ),
        "/api/items" => json(&format!("{{\"query\":\"{query}\"}}")),
        "/api/duplicates" => reply(
            200,
            &[("x-one", "1"), ("set-cookie", "a=1; Path=/"), ("x-two", "2"), ("set-cookie", "b=2; HttpOnly")],
            b"dup".to_vec(),
        ),
        "/api/latin1-header" => {
            let mut response = reply(200, &[], b"x".to_vec());
            response.headers_mut().insert("x-name", HeaderValue::from_bytes(b"caf\xe9").unwrap());
            response
        }
        "/api/reason" => {
            let mut response = reply(299, &[], b"fine".to_vec());
            response.extensions_mut().insert(hyper::ext::ReasonPhrase::from_static(b"Fine Indeed"));
            response
        }
        "/api/gzip" => reply(
            200,
            &[("content-type", "application/json"), ("content-encoding", "gzip"), ("vary", "accept-encoding")],
            gzip(br#"{"packed":true,"list":[1,2,3,4,5,6,7,8,9]}"#),
        ),
        "/api/br" => reply(
            200,
            &[("content-type", "text/plain"), ("content-encoding", "br")],
            brotli(b"brotli brotli brotli brotli"),
        ),
        "/api/not-gzip" => {
            reply(200, &[("content-type", "text/plain"), ("content-encoding", "gzip")], b"not gzip at all".to_vec())
        }
        "/api/text" => reply(200, &[("content-type", "text/plain; charset=utf-8")], "Grüße\n".into()),
        "/api/latin1" => reply(200, &[("content-type", "text/plain; charset=iso-8859-1")], b"Gr\xfc\xdfe\n".to_vec()),
        "/api/image" => reply(200, &[("content-type", "image/png")], PNG.to_vec()),
        "/api/binary" => reply(200, &[("content-type", "application/octet-stream")], (0..=255).collect()),
        "/api/empty" => reply(200, &[("content-type", "text/plain")], Vec::new()),
        "/api/no-content" => reply(204, &[("x-kept", "yes")], Vec::new()),
        "/api/login" => login(),
        "/api/not-modified" => reply(304, &[("etag", "\"v1\"")], Vec::new()),
        "/api/not-found" => reply(404, &[("content-type", "application/json")], b"{\"error\":\"none\"}".to_vec()),
        "/api/redirect" => reply(302, &[("location", "/api/redirect/2")], Vec::new()),
        "/api/redirect/2" => reply(307, &[("location", "https://api.test/api/json")], b"moved".to_vec()),
        "/api/chunked" => streamed(&[], vec![b"one,".to_vec(), b"two,".to_vec(), b"three".to_vec()], None),
        "/api/trailers" => {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-checksum", HeaderValue::from_static("abc123"));
            streamed(&[("trailer", "x-checksum")], vec![b"with ".to_vec(), b"trailers".to_vec()], Some(trailers))
        }
        "/api/big" => {
            let mib: usize = query.strip_prefix("mib=").and_then(|n| n.parse().ok()).unwrap_or(1);
            big(mib)
        }
        "/api/refuse-upload" => reply(413, &[("content-type", "text/plain")], b"too much".to_vec()),
        "/page" => reply(200, &[("content-type", "text/html")], b"<!doctype html><title>page</title>".to_vec()),
        _ => reply(404, &[("content-type", "text/plain")], b"no such path".to_vec()),
    })
}

/// A login that is valid for an hour: a cookie, and a token whose signature is a placeholder.
fn login() -> Reply {
    let now = std::time::SystemTime::now();
    let expires = now + Duration::from_secs(3600);
    let seconds = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = format!(r#"{{"iss":"api.test","iat":{seconds},"nbf":{seconds},"exp":{}}}"#, seconds + 3600);
    let [header, claims] = [r#"{"alg":"HS256","typ":"JWT"}"#, &claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let cookie = format!("sid=s3cr3t; Expires={}; Max-Age=3600; Path=/; HttpOnly", httpdate::fmt_http_date(expires));
    let body = format!(r#"{{"access_token":"{header}.{claims}.REDACTED-access_token-1","expires_in":3600}}"#);
    reply(200, &[("content-type", "application/json"), ("set-cookie", &cookie)], body.into())
}

/// The received request as JSON.
fn echo(request: &OriginRequest) -> String {
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    serde_json::json!({
        "method": request.method,
        "path": request.path,
        "headers": headers,
        "body": String::from_utf8_lossy(&request.body),
    })
    .to_string()
}

fn reply(status: u16, headers: &[(&'static str, &str)], body: Vec<u8>) -> Reply {
    let mut response = Response::new(Full::new(Bytes::from(body)).map_err(|e: Infallible| match e {}).boxed());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
    }
    response
}

fn streamed(headers: &[(&'static str, &str)], chunks: Vec<Vec<u8>>, trailers: Option<HeaderMap>) -> Reply {
    let mut response = reply(200, headers, Vec::new());
    let frames = chunks
        .into_iter()
        .map(|chunk| Frame::data(Bytes::from(chunk)))
        .chain(trailers.map(Frame::trailers))
        .map(Ok::<_, Error>);
    *response.body_mut() = BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)));
    response
}

/// `mib` MiB in chunks, without a length.
fn big(mib: usize) -> Reply {
    let mut response = reply(200, &[("content-type", "application/octet-stream")], Vec::new());
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    let frames = (0..mib * 16).map(move |_| Ok::<_, Error>(Frame::data(chunk.clone())));
    *response.body_mut() = BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)));
    response
}

/// Switches to an echo protocol.
fn upgrade(request: Request<Incoming>) -> Reply {
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let mut io = TokioIo::new(upgraded);
        let (mut read, mut write) = tokio::io::split(&mut io);
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = tokio::time::timeout(Duration::from_secs(1), tokio::io::AsyncWriteExt::shutdown(&mut write)).await;
    });
    let mut response = reply(101, &[("upgrade", "echo"), ("connection", "upgrade")], Vec::new());
    *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
    response
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Compresses data with brotli like a server. harproxy itself encodes without compression.
pub fn brotli(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    brotli::CompressorWriter::new(&mut out, 4096, 5, 20).write_all(data).unwrap();
    out
}

/// One transparent pixel.
const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8,
    6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 0x0d, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63, 0, 1, 0, 0, 5, 0, 1,
    0x0d, 0x0a, 0x2d, 0xb4, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];
