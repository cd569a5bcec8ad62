//! Through an upstream proxy: which one, if any, and how to get it to connect us.

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
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::error::{OwnProxy, PlanError, UpstreamError};
use super::tcp;
use super::wire::{ByteAtATime, Io};
use super::{UpstreamProxy, server_name};
use crate::body::BoxError;
use crate::engine::names;
use crate::origin::{Origin, Scheme};
use harproxy_tls::upstream::Trust;

/// Which origins are reached through which proxy.
#[derive(Debug)]
pub(super) struct Proxies {
    matcher: Option<Matcher>,
    /// Whether an option named it.
    by_option: bool,
    /// The ports that we listen on ourselves: whoever is reached through us would be so for ever.
    ours: OnceLock<Vec<SocketAddr>>,
}

impl Proxies {
    pub(super) fn new(plan: &UpstreamProxy) -> Result<Self, PlanError> {
        match plan {
            UpstreamProxy::Direct => Ok(Proxies::of(None, true)),
            UpstreamProxy::Environment => Ok(Proxies::of(Some(Matcher::from_env()), false)),
            UpstreamProxy::Url(url) => {
                // It counts for a proxy named by an option too, as it does for curl.
                let no_proxy = ["NO_PROXY", "no_proxy"].iter().find_map(|name| std::env::var(name).ok());
                Proxies::all(url, no_proxy.unwrap_or_default())
            }
        }
    }

    fn of(matcher: Option<Matcher>, by_option: bool) -> Self {
        Proxies { matcher, by_option, ours: OnceLock::new() }
    }

    fn all(url: &str, no_proxy: String) -> Result<Self, PlanError> {
        // The matcher takes what it does not understand for no proxy at all.
        if ::url::Url::parse(url).is_ok_and(|url| url.has_host() && Kind::named(url.scheme()).is_some()) {
            Ok(Proxies::of(Some(Matcher::builder().all(url).no(no_proxy).build()), true))
        } else {
            Err(PlanError {
                what: "--upstream-proxy".to_owned(),
                reason: "not an http://, https:// or socks5:// URL".to_owned(),
            })
        }
    }

    /// Says which ports are ours. The answer is the proxy that is none, being one of them.
    ///
    /// # Errors
    /// When an option named it; one of the environment is left out from here on.
    pub(super) fn avoid(&self, ours: &[SocketAddr]) -> Result<Option<String>, OwnProxy> {
        let _ = self.ours.set(ours.to_vec());
        let somewhere = |scheme| Origin { scheme, host: "origin.invalid".into(), port: 1 };
        let named = [Scheme::Http, Scheme::Https].into_iter().filter_map(|scheme| self.named(&somewhere(scheme)));
        let own = named.filter(|via| via.is_one_of(ours)).map(|via| via.url()).next();
        match own {
            Some(url) if self.by_option => Err(OwnProxy { url }),
            own => Ok(own),
        }
    }

    /// The proxy that `to` is reached through.
    pub(super) fn find(&self, to: &Origin) -> Option<Via> {
        let via = self.named(to)?;
        if self.ours.get().is_some_and(|ours| via.is_one_of(ours)) { None } else { Some(via) }
    }

    fn named(&self, to: &Origin) -> Option<Via> {
        let intercept = self.matcher.as_ref()?.intercept(&format!("{to}/").parse().ok()?)?;
        let uri = intercept.uri();
        let kind = Kind::named(uri.scheme_str()?)?;
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(kind.default_port());
        Some(Via { kind, host, port, intercept })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Https,
    Socks5,
}

impl Kind {
    fn named(scheme: &str) -> Option<Self> {
        match scheme {
            "http" => Some(Kind::Http),
            "https" => Some(Kind::Https),
            "socks5" | "socks5h" => Some(Kind::Socks5),
            _ => None,
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Kind::Http => 80,
            Kind::Https => 443,
            Kind::Socks5 => 1080,
        }
    }
}

/// One upstream proxy.
#[derive(Debug)]
pub(super) struct Via {
    kind: Kind,
    host: String,
    port: u16,
    intercept: Intercept,
}

/// Why an upstream proxy gave no tunnel.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it broke off")]
    Broken(#[source] hyper::Error),
    #[error("it does not speak SOCKS as it should, or would not connect")]
    Socks(#[source] BoxError),
    #[error("it can't be asked for {0}")]
    Target(String),
}

impl Via {
    /// Whether it takes plain requests in absolute form, so that no tunnel is needed.
    pub(super) fn forwards(&self) -> bool {
        self.kind != Kind::Socks5
    }

    /// What to show it with each request in absolute form.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        self.intercept.basic_auth().cloned()
    }

    /// Whether one of these ports is what it would lead to.
    fn is_one_of(&self, ports: &[SocketAddr]) -> bool {
        let here = |ip: IpAddr| UdpSocket::bind((ip, 0)).is_ok();
        ports.iter().filter(|bound| bound.port() == self.port).any(|bound| {
            let ip = self.host.parse::<IpAddr>().ok();
            // What is bound everywhere is reached at every address of this machine, and only those can be bound.
            let local = ip.filter(|ip| bound.ip().is_unspecified() && here(*ip)).unwrap_or(bound.ip());
            let anywhere = ip.is_some_and(|ip| ip.is_unspecified()) && bound.ip().is_loopback();
            anywhere || names(&self.host, bound.ip(), local)
        })
    }

    /// Its URL, without path and credentials.
    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.intercept.uri().scheme_str().unwrap_or_default(), with_port(&self.host, self.port))
    }

    /// Connects to the proxy itself.
    pub(super) async fn connect(&self, to: &Origin, trust: &Trust, verify: bool) -> Result<Box<dyn Io>, UpstreamError> {
        let addrs = match tcp::resolve(&self.host, self.port).await {
            Ok((addrs, _)) => addrs,
            Err(error) => return Err(self.failed(to, error)),
        };
        let stream = tcp::connect(addrs).await.map_err(|error| self.failed(to, error))?;
        if self.kind != Kind::Https {
            return Ok(Box::new(stream));
        }
        let config = trust.config(&self.host, verify, &[]);
        let name = server_name(&self.host).map_err(|error| self.failed(to, error))?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        Ok(Box::new(stream.map_err(|error| self.failed(to, error))?))
    }

    /// Gets a tunnel to `to` out of the proxy: what comes back is the origin's, and what of it was read already.
    pub(super) async fn tunnel(&self, to: &Origin, io: Box<dyn Io>) -> Result<(Box<dyn Io>, Bytes), UpstreamError> {
        let tunnel = match self.kind {
            Kind::Http | Kind::Https => self.http_tunnel(to, io).await,
            Kind::Socks5 => self.socks_tunnel(to, io).await.map(|io| (io, Bytes::new())),
        };
        tunnel.map_err(|refusal| self.failed(to, refusal))
    }

    /// CONNECT by hyper, which hands over what came behind the answer's head: hyper-util's `Tunnel` drops it, and with it
    /// the greeting of a server that speaks first.
    async fn http_tunnel(&self, to: &Origin, io: Box<dyn Io>) -> Result<(Box<dyn Io>, Bytes), Refusal> {
        let authority = with_port(&to.host, to.port);
        let target = || Refusal::Target(authority.clone());
        let mut request = Request::connect(authority.as_str()).body(Empty::<Bytes>::new()).map_err(|_| target())?;
        request.headers_mut().insert(HOST, authority.parse().map_err(|_| target())?);
        if let Some(authorization) = self.authorization() {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
        }
        let (mut send, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(Refusal::Broken)?;
        tokio::spawn(connection.with_upgrades());
        let answer = send.send_request(request).await.map_err(Refusal::Broken)?;
        if !answer.status().is_success() {
            return Err(Refusal::Status(answer.status()));
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(Refusal::Broken)?;
        Ok(match upgraded.downcast::<TokioIo<Box<dyn Io>>>() {
            Ok(parts) => (parts.io.into_inner(), parts.read_buf),
            Err(upgraded) => (Box::new(TokioIo::new(upgraded)), Bytes::new()),
        })
    }

    /// SOCKS5 by hyper-util. The proxy resolves the name: behind one, names often mean something only there.
    async fn socks_tunnel(&self, to: &Origin, io: Box<dyn Io>) -> Result<Box<dyn Io>, Refusal> {
        let target =
            Uri::builder().scheme(to.scheme.as_str()).authority(with_port(&to.host, to.port)).path_and_query("/");
        let target = target.build().map_err(|_| Refusal::Target(to.to_string()))?;
        let mut socks = SocksV5::new(self.intercept.uri().clone(), Connected(Some(io)));
        if let Some((user, password)) = self.intercept.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        let tunnel = socks.call(target).await.map_err(|error| Refusal::Socks(error.into()))?;
        Ok(tunnel.into_inner().0)
    }

    fn failed(&self, to: &Origin, source: impl Into<BoxError>) -> UpstreamError {
        UpstreamError::Proxy { to: to.clone(), proxy: self.url(), source: source.into() }
    }
}

/// `host:port`, an IPv6 address in brackets.
pub(super) fn with_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Gives hyper-util's handshakes the connection that was made already. They read more than they need, hence [`ByteAtATime`].
struct Connected(Option<Box<dyn Io>>);

impl Service<Uri> for Connected {
    type Response = TokioIo<ByteAtATime<Box<dyn Io>>>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let io = self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into());
        std::future::ready(io.map(|io| TokioIo::new(ByteAtATime(io))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_no_upstream_proxy_of_ourselves() {
        let ours: [SocketAddr; 2] = ["127.0.0.1:8899".parse().unwrap(), "0.0.0.0:8900".parse().unwrap()];
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
            let asked = Proxies::all(url, String::new()).unwrap();
            assert_eq!(asked.avoid(&ours).is_err(), own, "{url}");
            let found = Proxies { by_option: false, ..Proxies::all(url, String::new()).unwrap() };
            assert!(found.find(&to).is_some(), "{url}");
            assert_eq!(found.avoid(&ours).unwrap().is_some(), own, "{url}");
            assert_eq!(found.find(&to).is_none(), own, "{url}");
        }
    }

    #[test]
    fn no_proxy_decides_what_goes_direct() {
        let proxies = Proxies::all("http://u:p@proxy.test", "127.0.0.0/8, ::1, .internal".to_owned()).unwrap();
        for (host, through) in [
            ("api.test", true),
            ("128.0.0.1", true),
            ("notinternal", true),
            ("127.0.0.1", false),
            ("::1", false),
            ("a.internal", false),
            ("internal", false),
        ] {
            for (scheme, port) in [(Scheme::Http, 80), (Scheme::Https, 8443)] {
                let via = proxies.find(&Origin { scheme, host: host.into(), port });
                assert_eq!(via.map(|via| via.url()).as_deref(), through.then_some("http://proxy.test:80"), "{host}");
            }
        }
    }
}
