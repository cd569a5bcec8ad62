//! The embedded API of `harproxy demo`: HTTPS on a free loopback port, with a certificate authority of its own. Its
//! responses are deterministic.

use std::convert::Infallible;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use ::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::cli::advice::Failure;
use harproxy_tls::authority::{Alpn, Authority};

/// The host name of the API. It has no DNS entry: the demo maps it.
pub const HOST: &str = "api.demo.test";

/// The running API. Stopping it closes every connection.
pub struct Api {
    pub addr: SocketAddr,
    /// The file of the root certificate, PEM.
    pub root: PathBuf,
    task: JoinHandle<()>,
}

impl Api {
    /// Starts the API. `folder` gets the files of its authority.
    pub async fn start(folder: &Path) -> Result<Api, Failure> {
        let authority = Authority::load_or_create(folder)?;
        let config = authority.server_config(HOST, Alpn::Http1)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(listen_error)?;
        let addr = listener.local_addr().map_err(listen_error)?;
        let task = tokio::spawn(accept(listener, config.into()));
        Ok(Api { addr, root: authority.cert_path(), task })
    }

    /// Stops the API. The port is closed when this returns.
    pub async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn listen_error(source: std::io::Error) -> Failure {
    Failure::Demo { doing: format!("opening a port for {HOST}"), source: source.into() }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor) {
    // Dropping the set with this task ends the connections too.
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        connections.spawn(serve(tcp, tls.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(tcp: TcpStream, tls: TlsAcceptor) {
    // A client that aborts is not an error of the API.
    if let Ok(tls) = tls.accept(tcp).await {
        let service = service_fn(respond);
        let _ = http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(tls), service).await;
    }
}

async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Ok(match (head.method.as_str(), head.uri.path(), head.uri.query()) {
        ("GET", "/health", _) => json_answer(StatusCode::OK, &json!({"ok": true})),
        ("GET", "/api/users", page) => json_answer(StatusCode::OK, &users(page.unwrap_or("page=1"))),
        ("POST", "/api/orders", _) => order(&body),
        ("GET", "/api/orders/latest", _) => moved("/api/orders/2"),
        ("GET", "/api/orders/2", _) => json_answer(StatusCode::OK, &json!({"id": 2, "item": "cake", "state": "sent"})),
        ("GET", "/api/report", _) => report(&head.headers),
        ("GET", "/api/logo.png", _) => typed(StatusCode::OK, "image/png", LOGO),
        _ => json_answer(StatusCode::NOT_FOUND, &json!({"error": "not found"})),
    })
}

fn users(page: &str) -> Value {
    let names = if page == "page=1" { ["Ada", "Grace"] } else { ["Barbara", "Frances"] };
    json!({"users": names, "next": if page == "page=1" { json!("/api/users?page=2") } else { Value::Null }})
}

fn order(body: &[u8]) -> Response<Full<Bytes>> {
    let order: Value = serde_json::from_slice(body).unwrap_or_default();
    let id = if order["item"] == "tea" { 1 } else { 2 };
    json_answer(StatusCode::CREATED, &json!({"id": id, "item": order["item"], "state": "new"}))
}

fn moved(to: &'static str) -> Response<Full<Bytes>> {
    let mut response = typed(StatusCode::FOUND, "text/plain", b"over there\n");
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(to));
    response
}

/// Returns rows that compress well, as gzip if the client accepts it.
fn report(headers: &HeaderMap) -> Response<Full<Bytes>> {
    let rows: Vec<Value> =
        (1..=200).map(|day| json!({"day": day, "visits": day * 37 % 101, "region": "north"})).collect();
    let plain = json!({"rows": rows}).to_string();
    let gzip = headers.get(header::ACCEPT_ENCODING).is_some_and(|v| v.to_str().is_ok_and(|v| v.contains("gzip")));
    let packed = gzip.then(|| {
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        coder.write_all(plain.as_bytes()).and_then(|()| coder.finish())
    });
    let Some(Ok(packed)) = packed else { return typed(StatusCode::OK, "application/json", plain.as_bytes()) };
    let mut response = typed(StatusCode::OK, "application/json", &packed);
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

fn json_answer(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    typed(status, "application/json", format!("{value}\n").as_bytes())
}

fn typed(status: StatusCode, media_type: &'static str, body: &[u8]) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// One grey pixel.
const LOGO: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0,
    0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 10, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x68, 0, 0, 0, 0x82, 0,
    0x81, 0x77, 0xcd, 0x72, 0xb6, 0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];
