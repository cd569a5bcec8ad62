//! The way to the origin: resolve, dial (through an upstream proxy, or where `--map` says), TLS, pools, sending.
//!
//! HTTP/1.1 connections belong to the client connection that opened them; HTTP/2 ones are shared by client connections
//! with equal credentials. A request is never sent twice.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ::http::{HeaderMap, Request, Response, StatusCode};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

pub use answer::AnswerBody;

use super::body::BoxError;
use super::handler::{Origin, Session};
use crate::tls::authority::Alpn;
use crate::urlglob::Globs;

mod answer;

/// Options of the way upstream, as settled by the command line.
#[derive(Clone, Debug, Default)]
pub struct UpstreamPlan {
    /// `--upstream-proxy`, or what harproxy's own environment says.
    pub proxy: UpstreamProxy,
    /// `--upstream-ca`: PEM files of extra roots.
    pub extra_roots: Vec<PathBuf>,
    /// `--client-cert HOST=FILE`: PEM files with certificate chain and key.
    pub client_certs: Vec<(String, PathBuf)>,
    /// `--insecure[=GLOB]`: URLs whose certificate need not verify; `None` means none.
    pub insecure: Option<Globs>,
    /// `--map HOST[:PORT]=ADDR[:PORT]`.
    pub map: Vec<Mapping>,
    /// `--connect-timeout`.
    pub connect_timeout: Duration,
    /// `--idle-timeout`.
    pub idle_timeout: Duration,
}

/// Which proxy to go through.
#[derive(Clone, Debug, Default)]
pub enum UpstreamProxy {
    /// What `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` of harproxy itself say.
    #[default]
    Environment,
    /// This one for everything (`http://`, `https://` or `socks5://`).
    Url(String),
    /// None.
    Direct,
}

/// `--map HOST[:PORT]=ADDR[:PORT]`: dial elsewhere; the Host header and SNI stay.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The host asked for, in lower case.
    pub host: String,
    /// Only this port, or any.
    pub port: Option<u16>,
    /// The host or address to dial instead.
    pub to_host: String,
    /// The port to dial instead, or the one asked for.
    pub to_port: Option<u16>,
}

/// Bytes both ways: what a tunnel copies.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// An upstream connection before anything was sent on it.
pub struct Dialled {
    to: Origin,
}

impl Dialled {
    /// Where it leads, as it was asked for.
    #[must_use]
    pub fn to(&self) -> &Origin {
        &self.to
    }

    /// Waits until upstream speaks by itself (SMTP, MySQL), `true`, or closes without a byte, `false`. Nothing is lost:
    /// what was read comes first out of [`Dialled::into_io`]. Cancel safe, so that it can stand in a `select!`.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn first_bytes(&mut self) -> std::io::Result<bool> {
        todo!("upstream")
    }

    /// The raw connection, for a tunnel.
    #[must_use]
    pub fn into_io(self) -> Box<dyn Io> {
        todo!("upstream")
    }
}

/// How long the phases of making a connection took; `None` where there was none (a literal address, no TLS).
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectTimings {
    /// Name resolution.
    pub dns: Option<Duration>,
    /// TCP (and the upstream proxy's handshake).
    pub tcp: Option<Duration>,
    /// TLS.
    pub tls: Option<Duration>,
}

/// An answer from upstream, its body not read yet.
#[derive(Debug)]
pub struct Answer {
    /// The response as received; extensions carry the reason phrase and header case.
    pub response: Response<AnswerBody>,
    /// Which connection it came on: counts connections opened, from 1.
    pub connection: u64,
    /// Who answered.
    pub remote: Option<SocketAddr>,
    /// The phases of the connection, when this exchange opened it; `None` on a reused one.
    pub connect: Option<ConnectTimings>,
    /// How long the exchange waited for a connection beyond `connect`.
    pub blocked: Duration,
    /// When the head of the request had been handed to the connection.
    pub sent_at: Instant,
    /// When the head of the answer had been read.
    pub answered_at: Instant,
    /// 1xx answers before it, 100 included.
    pub informational: Vec<(StatusCode, HeaderMap)>,
}

/// What went wrong upstream.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The name does not resolve.
    #[error("resolving {host}")]
    Resolve {
        /// The name.
        host: String,
        /// The reason.
        source: std::io::Error,
    },
    /// No TCP connection.
    #[error("connecting to {to}")]
    Connect {
        /// The origin.
        to: Origin,
        /// The reason.
        source: std::io::Error,
    },
    /// The upstream proxy would not.
    #[error("connecting to {to} through the upstream proxy {proxy}")]
    Proxy {
        /// The origin.
        to: Origin,
        /// The proxy, without its credentials.
        proxy: String,
        /// The reason.
        source: BoxError,
    },
    /// No TLS, or a certificate that does not verify.
    #[error("TLS with {to}")]
    Tls {
        /// The origin.
        to: Origin,
        /// The reason.
        source: std::io::Error,
    },
    /// The connection broke before an answer.
    #[error("{to} broke off before it answered")]
    Broken {
        /// The origin.
        to: Origin,
        /// The reason.
        source: BoxError,
    },
    /// A time limit passed.
    #[error("{doing} {to} took longer than {limit:?}")]
    Timeout {
        /// "connecting to", "TLS with" …
        doing: &'static str,
        /// The origin.
        to: Origin,
        /// The limit.
        limit: Duration,
    },
}

impl UpstreamError {
    /// 504 for time limits, else 502.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            UpstreamError::Timeout { .. } => 504,
            _ => 502,
        }
    }

    /// One word for `_harproxy.error`: `dns`, `refused`, `connect`, `proxy`, `tls`, `reset`, `timeout`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            UpstreamError::Resolve { .. } => "dns",
            UpstreamError::Connect { source, .. } if source.kind() == std::io::ErrorKind::ConnectionRefused => {
                "refused"
            }
            UpstreamError::Connect { .. } => "connect",
            UpstreamError::Proxy { .. } => "proxy",
            UpstreamError::Tls { .. } => "tls",
            UpstreamError::Broken { .. } => "reset",
            UpstreamError::Timeout { .. } => "timeout",
        }
    }
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Tell the client, and record it.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// A reused connection died before a byte came back: close the client's connection, record nothing.
    #[error("a reused connection died before it answered")]
    Stale,
}

/// Where the bytes may go: anywhere the plan allows, or loopback alone. The strict replay handler holds none of these.
#[derive(Debug)]
pub struct Upstream {
    _private: (),
}

/// The HTTP/1.1 connections that belong to one client connection.
#[derive(Debug, Default)]
pub struct OwnConnections {
    _private: (),
}

/// Why the plan can't be carried out: a file of certificates that is not one, a bad proxy URL …
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct PlanError {
    /// The option and its value.
    pub what: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Upstream {
    /// A way that may lead anywhere.
    ///
    /// # Errors
    /// When a certificate file or the proxy URL is not usable.
    pub fn anywhere(plan: UpstreamPlan) -> Result<Self, PlanError> {
        let _ = plan;
        todo!("upstream")
    }

    /// A way that ends on this machine: the only addresses it can hold are 127.0.0.0/8 and ::1; `localhost` and
    /// `*.localhost` are never looked up, 127.0.0.1 and ::1 are tried. Certificates are not verified: the bytes never
    /// leave the machine and a development server signs its own.
    #[must_use]
    pub fn loopback(connect_timeout: Duration, idle_timeout: Duration) -> Self {
        let _ = (connect_timeout, idle_timeout);
        todo!("upstream")
    }

    /// Opens a TCP connection (through the upstream proxy if there is one), for a CONNECT.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn dial(&self, to: &Origin) -> Result<Dialled, UpstreamError> {
        let _ = to;
        todo!("upstream")
    }

    /// Whether a live shared HTTP/2 connection to `to` exists for this session, so that a CONNECT needs no dial.
    #[must_use]
    pub fn has_shared(&self, session: &Session, to: &Origin) -> bool {
        let _ = (session, to);
        todo!("upstream")
    }

    /// Completes TLS on a dialled connection, offering what the client offered (of h2 and http/1.1), and keeps it for the
    /// client connection's (or, over h2, everybody's) next requests. The answer is what the client should be offered. An
    /// error is kept too: it answers the first request.
    pub async fn secure(
        &self,
        own: &OwnConnections,
        session: &Session,
        to: &Origin,
        client_alpn: &[Vec<u8>],
        dialled: Option<Dialled>,
    ) -> Alpn {
        let _ = (own, session, to, client_alpn, dialled);
        todo!("upstream")
    }

    /// Keeps the error of a dial for a CONNECT that is answered 200 all the same: it is what the first request gets.
    pub fn keep_error(&self, own: &OwnConnections, to: &Origin, error: UpstreamError) {
        let _ = (own, to, error);
        todo!("upstream")
    }

    /// Keeps a dialled connection for plain HTTP.
    pub fn keep_plain(&self, own: &OwnConnections, to: &Origin, dialled: Dialled) {
        let _ = (own, to, dialled);
        todo!("upstream")
    }

    /// Sends a request and waits for the head of the answer. Hop-by-hop headers are ours: they are removed and made anew
    /// (`TE: trailers` and an Upgrade pass). With `Expect: 100-continue` the body is not polled before upstream's 100, a
    /// final answer, or one second.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send<B>(
        &self,
        own: &OwnConnections,
        session: &Session,
        to: &Origin,
        request: Request<B>,
    ) -> Result<Answer, SendError>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let _ = (own, session, to, request);
        todo!("upstream")
    }

    /// Connections opened so far.
    #[must_use]
    pub fn opened(&self) -> u64 {
        todo!("upstream")
    }
}
