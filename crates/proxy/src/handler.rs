//! The interface between the engine and the application: a [`Handler`] decides what happens to tunnels and requests.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use ::http::{Request, Response};
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::body::Body;
use crate::handshake::HandshakeRefusal;
use crate::origin::{Origin, Session};
use crate::upstream::{ClientPool, Dialled, Upstream};
use harproxy_tls::authority::Alpn;

/// An accepted client connection, with the session of the request or tunnel at hand.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Counts accepted connections, from 1.
    pub id: u64,
    /// The client's address.
    pub peer: SocketAddr,
    /// The session, and the upstream connections that this client connection may use.
    pub pool: ClientPool,
    /// Cancelled when the engine drains: a response without an end should end now.
    pub draining: CancellationToken,
}

impl Connection {
    /// The session of the request or tunnel.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.pool.session()
    }
}

/// A request as it was received. Its payload is still to be read.
#[derive(Debug)]
pub struct Exchange {
    /// The origin that the request is for: that of its URL.
    pub origin: Origin,
    /// The origin to connect to: the target of the CONNECT, else `origin`. No Host header changes it.
    pub connect_to: Origin,
    /// The request. Its URI is absolute: the origin with path and query as sent. Headers are as received, hop-by-hop
    /// ones included; the HTTP version is the client's. Extensions are hyper's: header case, upgrade.
    pub request: Request<Incoming>,
    /// When its head had been read, for dates.
    pub started: SystemTime,
    /// The same moment, for durations.
    pub at: Instant,
}

impl Exchange {
    /// The request's URL.
    #[must_use]
    pub fn url(&self) -> String {
        let uri = self.request.uri();
        let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |a| a.as_str()));
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        [scheme, "://", authority, target].concat()
    }
}

/// A handler's decision about a CONNECT.
pub enum Tunnel {
    /// Answer 200 and detect the protocol: TLS is intercepted, HTTP is served as it is.
    ///
    /// With a dialled upstream connection, other protocols are tunnelled to it, and so is a server that speaks first.
    /// Without one, other protocols are refused.
    Intercept(Option<Dialled>),
    /// Answer 200 and copy bytes both ways.
    PassThrough(Dialled),
    /// Send this response instead of 200.
    Refuse(Response<Body>),
}

/// An event of a connection that belongs to no request.
#[derive(Debug)]
pub enum ConnectionEvent {
    /// A tunnel ended.
    TunnelClosed {
        to: Origin,
        /// Bytes from the client.
        sent: u64,
        /// Bytes to the client.
        received: u64,
        duration: Duration,
    },
    /// The client spoke neither TLS nor HTTP inside a CONNECT, and there was no upstream connection to tunnel to.
    UnknownProtocol { to: Origin },
    /// A request head was not valid HTTP (a space in its target, two lengths). The client got an error.
    MalformedHead {
        /// hyper's error with the invalid character of the URL, or the reason why the framing is unclear.
        reason: String,
        /// It was longer than a limit.
        is_too_long: bool,
    },
    /// The proxy credentials of a request were missing or wrong. The client got a 407.
    Unauthorized,
    /// The client refused the certificate, or aborted the handshake.
    TlsRefused {
        to: Origin,
        /// The `User-Agent` of its CONNECT.
        client: Option<String>,
        /// When the handshake began.
        started: Instant,
        refusal: HandshakeRefusal,
    },
    /// A TLS connection ended on which the client had sent a request, so it trusts the certificate.
    TlsAccepted {
        to: Origin,
        /// The `User-Agent` of its CONNECT.
        client: Option<String>,
    },
}

/// Close the client's connection without an answer. Over HTTP/2 the stream is reset.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without an answer")]
pub struct Close;

/// Decides what happens to tunnels and requests.
pub trait Handler: Send + Sync + 'static {
    /// Decides about a CONNECT. The scheme of `to` is assumed to be `https`.
    fn tunnel<'a>(&'a self, connection: &'a Connection, to: &'a Origin) -> BoxFuture<'a, Tunnel>;

    /// Chooses the protocol to offer to a client that began TLS towards `to` and offers `offered` by ALPN.
    ///
    /// `dialled` is the connection that [`Handler::tunnel`] returned. A recorder completes TLS with upstream here.
    fn alpn<'a>(
        &'a self,
        connection: &'a Connection,
        to: &'a Origin,
        offered: &'a [Vec<u8>],
        dialled: Option<Dialled>,
    ) -> BoxFuture<'a, Alpn>;

    /// Answers a request. The engine removes hop-by-hop headers from the response; hyper frames it.
    ///
    /// # Errors
    /// [`Close`] closes the connection without an answer.
    fn handle<'a>(
        &'a self,
        connection: &'a Connection,
        exchange: Exchange,
    ) -> BoxFuture<'a, Result<Response<Body>, Close>>;

    /// Receives events that belong to no request.
    fn event(&self, event: ConnectionEvent);

    /// The upstreams outside this machine that requests may be forwarded to. If there are any, header names keep their
    /// case.
    fn upstreams(&self) -> Vec<&Upstream> {
        Vec::new()
    }
}
