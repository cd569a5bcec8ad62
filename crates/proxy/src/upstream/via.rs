//! Upstream proxies: which one an origin is reached through, and the handshakes of HTTP and SOCKS proxies.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::OnceLock;
use std::task::{Context, Poll};

use ::http::header::{HOST, PROXY_AUTHORIZATION};
use ::http::{HeaderValue, Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::error::{OwnProxy, PlanError, UpstreamError};
use super::plan::UpstreamProxy;
use super::tcp::{Dial, DialError, DialledTcp};

use crate::body::BoxError;
use crate::origin::{Origin, Scheme, is_own_host, with_port};
use crate::stream::{ByteStream, Io};
use harproxy_tls::upstream::Trust;

/// The upstream proxies by origin.
#[derive(Debug)]
pub(super) struct Proxies {
    matcher: Option<Matcher>,
    /// The proxy comes from an option, not from the environment.
    by_option: bool,
    /// The engine's own ports: requests through a proxy at one of them would loop.
    own_ports: OnceLock<Vec<SocketAddr>>,
}

impl Proxies {
    pub(super) fn new(plan: &UpstreamProxy) -> Result<Self, PlanError> {
        match plan {
            UpstreamProxy::Direct => Ok(Proxies::of(None, true)),
            UpstreamProxy::Environment => Ok(Proxies::of(Some(Matcher::from_env()), false)),
            UpstreamProxy::Url(url) => {
                // NO_PROXY also applies to a proxy from an option, as for curl.
                let no_proxy = ["NO_PROXY", "no_proxy"].iter().find_map(|name| std::env::var(name).ok());
                Proxies::all(url, no_proxy.unwrap_or_default())
            }
        }
    }

    fn of(matcher: Option<Matcher>, by_option: bool) -> Self {
        Proxies { matcher, by_option, own_ports: OnceLock::new() }
    }

    fn all(url: &str, no_proxy: String) -> Result<Self, PlanError> {
        // The matcher ignores an invalid URL.
        if ::url::Url::parse(url).is_ok_and(|url| url.has_host() && default_port(url.scheme()).is_some()) {
            Ok(Proxies::of(Some(Matcher::builder().all(url).no(no_proxy).build()), true))
        } else {
            Err(PlanError {
                what: "--upstream-proxy".to_owned(),
                reason: "not an http://, https:// or socks5:// URL".to_owned(),
            })
        }
    }

    /// Excludes the engine's own ports. A proxy from the environment at one of them is ignored, and its URL returned.
    ///
    /// # Errors
    /// If the proxy comes from an option.
    pub(super) fn avoid(&self, own_ports: &[SocketAddr]) -> Result<Option<String>, OwnProxy> {
        let _ = self.own_ports.set(own_ports.to_vec());
        let any_origin = |scheme| Origin { scheme, host: "origin.invalid".into(), port: 1 };
        let proxies =
            [Scheme::Http, Scheme::Https].into_iter().filter_map(|scheme| self.configured(&any_origin(scheme)));
        let own = proxies.filter(|proxy| proxy.is_at(own_ports)).map(|proxy| proxy.url()).next();
        match own {
            Some(url) if self.by_option => Err(OwnProxy { url }),
            own => Ok(own),
        }
    }

    /// The proxy that `to` is reached through.
    pub(super) fn find(&self, to: &Origin) -> Option<ProxyServer> {
        let proxy = self.configured(to)?;
        if self.own_ports.get().is_some_and(|ports| proxy.is_at(ports)) { None } else { Some(proxy) }
    }

    fn configured(&self, to: &Origin) -> Option<ProxyServer> {
        let intercept = self.matcher.as_ref()?.intercept(&format!("{to}/").parse().ok()?)?;
        let uri = intercept.uri();
        let default_port = default_port(uri.scheme_str()?)?;
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(default_port);
        Some(ProxyServer { host, port, intercept })
    }
}

/// The port of a proxy URL without one; `None` for a scheme that is not supported.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "socks5" | "socks5h" => Some(1080),
        _ => None,
    }
}

/// One upstream proxy.
#[derive(Debug)]
pub(super) struct ProxyServer {
    host: String,
    port: u16,
    intercept: Intercept,
}

/// An upstream proxy gave no tunnel.
#[derive(Debug, thiserror::Error)]
enum TunnelError {
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it broke off")]
    Broken(#[source] hyper::Error),
    #[error("it does not speak SOCKS as it should, or would not connect")]
    Socks(#[source] BoxError),
    #[error("{0} is not a valid CONNECT target")]
    Target(String),
}

impl ProxyServer {
    /// Returns true if it accepts requests in absolute form, so that HTTP without TLS needs no tunnel.
    pub(super) fn forwards_requests(&self) -> bool {
        !self.scheme().starts_with("socks5")
    }

    fn scheme(&self) -> &str {
        self.intercept.uri().scheme_str().unwrap_or_default()
    }

    /// The value of `Proxy-Authorization` for requests in absolute form.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        self.intercept.basic_auth().cloned()
    }

    /// Returns true if the proxy is at one of these ports.
    fn is_at(&self, ports: &[SocketAddr]) -> bool {
        let is_local = |ip: IpAddr| UdpSocket::bind((ip, 0)).is_ok();
        ports.iter().filter(|bound| bound.port() == self.port).any(|bound| {
            let ip = self.host.parse::<IpAddr>().ok();
            // A port on all addresses is reached at every address of this machine. Only those can be bound.
            let local = ip.filter(|ip| bound.ip().is_unspecified() && is_local(*ip)).unwrap_or(bound.ip());
            let anywhere = ip.is_some_and(|ip| ip.is_unspecified()) && bound.ip().is_loopback();
            anywhere || is_own_host(&self.host, bound.ip(), local)
        })
    }

    /// Its URL, without path and credentials.
    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.scheme(), with_port(&self.host, self.port))
    }

    /// Connects to the proxy itself.
    pub(super) async fn connect(
        &self,
        to: &Origin,
        dialler: &dyn Dial,
        trust: &Trust,
        verify: bool,
    ) -> Result<Box<dyn Io>, UpstreamError> {
        let dialled = dialler.dial(&self.host, self.port).await;
        let DialledTcp { stream, .. } = dialled.map_err(|error| match error {
            DialError::Resolve(source) => self.failed(to, UpstreamError::Resolve { host: self.host.clone(), source }),
            DialError::Connect(source) => self.failed(to, source),
        })?;
        if self.scheme() != "https" {
            return Ok(Box::new(stream));
        }
        let config = trust.config(&self.host, verify, &[]);
        let name = server_name(&self.host).map_err(|error| self.failed(to, error))?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        Ok(Box::new(stream.map_err(|error| self.failed(to, error))?))
    }

    /// Opens a tunnel to `to`.
    pub(super) async fn tunnel(&self, to: &Origin, io: Box<dyn Io>) -> Result<ByteStream, UpstreamError> {
        let tunnel =
            if self.forwards_requests() { self.http_tunnel(to, io).await } else { self.socks_tunnel(to, io).await };
        tunnel.map_err(|error| self.failed(to, error))
    }

    /// CONNECT with hyper, which returns the bytes after the head of the answer. hyper-util's `Tunnel` drops them, and
    /// so the greeting of a server that speaks first.
    async fn http_tunnel(&self, to: &Origin, io: Box<dyn Io>) -> Result<ByteStream, TunnelError> {
        let authority = to.host_and_port();
        let request = Request::connect(authority.as_str()).header(HOST, authority.as_str()).body(Empty::<Bytes>::new());
        let mut request = request.map_err(|_| TunnelError::Target(authority))?;
        if let Some(authorization) = self.authorization() {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
        }
        let (mut send, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(TunnelError::Broken)?;
        tokio::spawn(connection.with_upgrades());
        let answer = send.send_request(request).await.map_err(TunnelError::Broken)?;
        if !answer.status().is_success() {
            return Err(TunnelError::Status(answer.status()));
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(TunnelError::Broken)?;
        Ok(match upgraded.downcast::<TokioIo<Box<dyn Io>>>() {
            Ok(parts) => ByteStream::new(parts.io.into_inner()).prepend(&parts.read_buf),
            Err(upgraded) => ByteStream::new(TokioIo::new(upgraded)),
        })
    }

    /// SOCKS5 with hyper-util. The proxy resolves the name, which is often known only behind it.
    async fn socks_tunnel(&self, to: &Origin, io: Box<dyn Io>) -> Result<ByteStream, TunnelError> {
        let target = Uri::builder().scheme(to.scheme.as_str()).authority(to.host_and_port()).path_and_query("/");
        let target = target.build().map_err(|_| TunnelError::Target(to.to_string()))?;
        let mut socks =
            SocksV5::new(self.intercept.uri().clone(), OpenConnector(Some(ByteStream::new(io).byte_at_a_time(true))));
        if let Some((user, password)) = self.intercept.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        let tunnel = socks.call(target).await.map_err(|error| TunnelError::Socks(error.into()))?;
        Ok(tunnel.into_inner().byte_at_a_time(false))
    }

    fn failed(&self, to: &Origin, source: impl Into<BoxError>) -> UpstreamError {
        UpstreamError::Proxy { to: to.clone(), proxy: self.url(), source: source.into() }
    }
}

/// The name that a certificate is verified for, and that SNI has unless it is an address. The final dot of an absolute
/// name belongs to neither (RFC 6066 section 3).
pub(super) fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(host.strip_suffix('.').unwrap_or(host).to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// Gives hyper-util's SOCKS handshake the open connection.
struct OpenConnector(Option<ByteStream>);

impl Service<Uri> for OpenConnector {
    type Response = TokioIo<ByteStream>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let io = self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into());
        std::future::ready(io.map(TokioIo::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_ports_are_not_upstream_proxies() {
        let own_ports: [SocketAddr; 2] = ["127.0.0.1:8899".parse().unwrap(), "0.0.0.0:8900".parse().unwrap()];
        for (url, own) in [
            ("http://127.0.0.1:8899", true),
            ("http://u:p@LOCALHOST:8899/", true),
            ("socks5://x.localhost:8899", true),
            ("http://0.0.0.0:8899", true),
            ("http://127.0.0.1:8900", true),
            ("http://127.0.0.9:8900", true),
            ("http://[::1]:8899", false),
            ("http://127.0.0.1:8898", false),
            ("http://192.0.2.1:8900", false),
            ("http://proxy.test:8899", false),
        ] {
            let to = Origin { scheme: Scheme::Https, host: "api.test".into(), port: 443 };
            let by_option = Proxies::all(url, String::new()).unwrap();
            assert_eq!(by_option.avoid(&own_ports).is_err(), own, "{url}");
            let by_environment = Proxies { by_option: false, ..Proxies::all(url, String::new()).unwrap() };
            assert!(by_environment.find(&to).is_some(), "{url}");
            assert_eq!(by_environment.avoid(&own_ports).unwrap().is_some(), own, "{url}");
            assert_eq!(by_environment.find(&to).is_none(), own, "{url}");
        }
    }

    #[test]
    fn no_proxy_excludes_origins() {
        let proxies = Proxies::all("http://u:p@proxy.test", "127.0.0.0/8, ::1, .internal".to_owned()).unwrap();
        for (host, is_proxied) in [
            ("api.test", true),
            ("128.0.0.1", true),
            ("notinternal", true),
            ("127.0.0.1", false),
            ("::1", false),
            ("a.internal", false),
            ("internal", false),
        ] {
            for (scheme, port) in [(Scheme::Http, 80), (Scheme::Https, 8443)] {
                let proxy = proxies.find(&Origin { scheme, host: host.into(), port });
                assert_eq!(
                    proxy.map(|proxy| proxy.url()).as_deref(),
                    is_proxied.then_some("http://proxy.test:80"),
                    "{host}"
                );
            }
        }
    }
}
