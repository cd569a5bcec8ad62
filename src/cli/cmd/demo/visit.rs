//! The client of `harproxy demo`, which sends the same requests every time.

use std::net::SocketAddr;
use std::sync::Arc;

use ::http::{HeaderMap, Request, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::api::HOST;
use crate::cli::advice::Failure;
use harproxy_tls::provider::provider;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoRequest {
    pub method: &'static str,
    pub path: &'static str,
    /// The payload, JSON.
    pub body: &'static str,
}

const fn get(path: &'static str) -> DemoRequest {
    DemoRequest { method: "GET", path, body: "" }
}

/// The requests of a visit. All of them are in scope.
pub const VISIT: &[DemoRequest] = &[
    get("/api/users?page=1"),
    get("/api/users?page=2"),
    DemoRequest { method: "POST", path: "/api/orders", body: r#"{"item":"tea","count":2}"# },
    DemoRequest { method: "POST", path: "/api/orders", body: r#"{"item":"cake","count":1}"# },
    get("/api/orders/latest"),
    get("/api/orders/2"),
    get("/api/report"),
    get("/api/logo.png"),
];

/// Outside the scope of the demo.
pub const OUTSIDE: DemoRequest = get("/health");

/// An unrecorded request that is similar to one of the visit.
pub const UNRECORDED: DemoRequest = get("/api/users?page=3");

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoResponse {
    pub status: u16,
    /// Its headers, harproxy's own mark left out.
    pub headers: HeaderMap,
    /// The payload as received.
    pub body: Bytes,
}

impl DemoResponse {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A client of one proxy that trusts only its CA. It has one connection and sends one request at a time.
pub struct Visitor {
    sender: SendRequest<Full<Bytes>>,
}

impl Visitor {
    /// Creates a client of `proxy` that trusts `ca` (PEM).
    pub async fn connect(proxy: SocketAddr, ca: &str) -> Result<Visitor, Failure> {
        Visitor::open_tunnel(proxy, ca)
            .await
            .map_err(|source| Failure::Demo { doing: "connecting through the proxy".into(), source })
    }

    /// Opens a CONNECT tunnel and starts TLS in it.
    async fn open_tunnel(proxy: SocketAddr, ca: &str) -> Result<Visitor, BoxError> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
        let tls = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(proxy).await?;
        let (mut proxy, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(tcp)).await?;
        tokio::spawn(connection.with_upgrades());
        let to = format!("{HOST}:443");
        let connect = Request::connect(&to).header(header::HOST, to.as_str()).body(Full::default())?;
        let granted = proxy.send_request(connect).await?;
        if !granted.status().is_success() {
            return Err(format!("the proxy answers CONNECT with {}", granted.status()).into());
        }
        let inside = TokioIo::new(hyper::upgrade::on(granted).await?);
        let inside = TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from(HOST)?, inside).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(inside)).await?;
        tokio::spawn(connection);
        Ok(Visitor { sender })
    }

    /// Sends one request and waits for the complete response.
    pub async fn send(&mut self, ask: DemoRequest) -> Result<DemoResponse, Failure> {
        let sent = self.try_send(ask).await;
        sent.map_err(|source| Failure::Demo { doing: format!("requesting {} {}", ask.method, ask.path), source })
    }

    async fn try_send(&mut self, ask: DemoRequest) -> Result<DemoResponse, BoxError> {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .header(header::HOST, HOST)
            .header(header::ACCEPT_ENCODING, "gzip")
            .header(header::USER_AGENT, "harproxy-demo");
        if !ask.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        self.sender.ready().await?;
        let request = request.body(Full::new(Bytes::from_static(ask.body.as_bytes())))?;
        let (mut head, body) = self.sender.send_request(request).await?.into_parts();
        head.headers.remove(harproxy_proxy::respond::MARK);
        let body = body.collect().await?.to_bytes();
        Ok(DemoResponse { status: head.status.as_u16(), headers: head.headers, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demo_requests_are_distinct() {
        for (n, ask) in VISIT.iter().enumerate() {
            assert!(!VISIT[..n].contains(ask) && *ask != UNRECORDED && *ask != OUTSIDE, "{ask:?}");
        }
    }
}
