//! The client of `harproxy demo`: the same visit every time, through whatever proxy it is given.

use std::net::SocketAddr;

use ::http::{HeaderMap, Request, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::api::HOST;
use crate::tls::provider::provider;

/// Why the visitor got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The CA of the proxy is not usable.
    #[error("trusting the CA of the proxy")]
    Trust(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A request got no answer.
    #[error("asking for {what}")]
    Ask {
        /// Method and path.
        what: String,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A request of the visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub path: &'static str,
    /// The payload, JSON.
    pub body: &'static str,
}

const fn get(path: &'static str) -> Ask {
    Ask { method: "GET", path, body: "" }
}

/// What every visit asks for; all of it is in scope.
pub const VISIT: &[Ask] = &[
    get("/api/users?page=1"),
    get("/api/users?page=2"),
    Ask { method: "POST", path: "/api/orders", body: r#"{"item":"tea","count":2}"# },
    Ask { method: "POST", path: "/api/orders", body: r#"{"item":"cake","count":1}"# },
    get("/api/orders/latest"),
    get("/api/orders/2"),
    get("/api/report"),
    get("/api/logo.png"),
];

/// Outside `**/api/**`.
pub const OUTSIDE: Ask = get("/health");

/// Like one of the visit, and yet another request.
pub const UNRECORDED: Ask = get("/api/users?page=3");

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// The status.
    pub status: u16,
    /// Its headers, harproxy's own mark left out.
    pub headers: HeaderMap,
    /// The payload, as it came.
    pub body: Bytes,
}

impl Got {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A client of one proxy that trusts its CA and nothing else.
pub struct Visitor {
    client: Client<HttpsConnector<Tunnel<HttpConnector>>, Full<Bytes>>,
}

impl Visitor {
    /// A client that goes through `proxy` and trusts `ca` (PEM).
    ///
    /// # Errors
    /// [`Error::Trust`].
    pub fn new(proxy: SocketAddr, ca: &str) -> Result<Visitor, Error> {
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(ca.as_bytes()).map_err(|e| Error::Trust(e.into()))?;
        roots.add(ca).map_err(|e| Error::Trust(e.into()))?;
        let tls = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::Trust(e.into()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let proxy: Uri =
            format!("http://{proxy}").parse().map_err(|e: ::http::uri::InvalidUri| Error::Trust(e.into()))?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_all_versions()
            .wrap_connector(Tunnel::new(proxy, HttpConnector::new()));
        Ok(Visitor { client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// Sends one request and waits for all of its answer.
    ///
    /// # Errors
    /// [`Error::Ask`].
    pub async fn ask(&self, ask: Ask) -> Result<Got, Error> {
        self.try_ask(ask).await.map_err(|source| Error::Ask { what: format!("{} {}", ask.method, ask.path), source })
    }

    async fn try_ask(&self, ask: Ask) -> Result<Got, Box<dyn std::error::Error + Send + Sync>> {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(format!("https://{HOST}{}", ask.path))
            .header(header::ACCEPT_ENCODING, "gzip")
            .header(header::USER_AGENT, "harproxy-demo");
        if !ask.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let response = self.client.request(request.body(Full::new(Bytes::from_static(ask.body.as_bytes())))?).await?;
        let (mut head, body) = response.into_parts();
        head.headers.remove(crate::proxy::respond::MARK);
        let body = body.collect().await?.to_bytes();
        Ok(Got { status: head.status.as_u16(), headers: head.headers, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requests_of_the_visit_are_the_same() {
        for (n, ask) in VISIT.iter().enumerate() {
            assert!(!VISIT[..n].contains(ask) && *ask != UNRECORDED && *ask != OUTSIDE, "{ask:?}");
        }
    }
}
