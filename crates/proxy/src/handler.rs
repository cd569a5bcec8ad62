//! The seam between the engine and what is done with the traffic. Record and replay are two handlers.

use std::borrow::Cow;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant, SystemTime};

use ::http::{HeaderMap, Method, Request, Response};
use bytes::Bytes;
use hyper::body::Incoming;

use super::body::Body;
use super::upstream::{Dialled, OwnConnections, Upstream};
use super::witness::Note;
use harproxy_http::Headers;
use harproxy_tls::authority::Alpn;

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port that a URL may leave out.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Scheme, host and port (RFC 6454). The host is in lower case and an IPv6 address has no brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Name or address.
    pub host: Arc<str>,
    /// The port, the default one too.
    pub port: u16,
}

impl Origin {
    /// `host:port`, the default port left out, IPv6 in brackets: what stands in a Host header.
    #[must_use]
    pub fn authority(&self) -> String {
        match (self.host.contains(':'), self.port == self.scheme.default_port()) {
            (false, true) => self.host.as_ref().to_owned(),
            (true, true) => format!("[{}]", self.host),
            (_, false) => self.host_and_port(),
        }
    }

    /// `host:port`, the default port too, IPv6 in brackets: what stands in a CONNECT.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        format!("{open}{}{close}:{}", self.host, self.port)
    }
}

/// `https://host:port`, the default port left out, IPv6 in brackets: as the URL Standard serialises it.
impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

/// One client's own count of turns, named by the user name in its proxy URL; `None` is the one everybody else shares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Session(pub Option<Arc<str>>);

/// What a handler knows by itself what somebody asks for: see [`Handler::ticket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(pub u128);

/// The client side of one accepted connection.
#[derive(Clone, Debug)]
pub struct Client {
    /// Counts accepted connections, from 1.
    pub connection: u64,
    /// Who connected.
    pub peer: SocketAddr,
}

/// One request on its way, as the wire had it; its payload still to come, or read already.
#[derive(Debug)]
pub struct Exchange<B = Incoming> {
    /// Whose it is.
    pub client: Arc<Client>,
    /// Its session.
    pub session: Session,
    /// Where it is meant to go.
    pub origin: Origin,
    /// The request. Its URI is absolute (`origin` + path and query as sent); headers are as received, hop-by-hop ones
    /// included; the HTTP version is the client's; extensions are hyper's (header case, upgrade).
    pub request: Request<B>,
    /// When its head had been read, for dates.
    pub started: SystemTime,
    /// The same moment, for durations.
    pub at: Instant,
    /// Where the handler says what it did with it.
    pub note: Note,
}

impl<B> Exchange<B> {
    /// The request's URL as text.
    #[must_use]
    pub fn url(&self) -> String {
        let uri = self.request.uri();
        let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |a| a.as_str()));
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        [scheme, "://", authority, target].concat()
    }
}

/// An extension of a request that came in origin form inside a CONNECT to another authority than its Host names: that is the client's own word about
/// the resource and goes upstream as it is, whatever address the CONNECT named. Without it a Host that names another authority
/// than the request's URI is replaced (absolute form, RFC 9112 section 3.2.2; `--reverse`).
#[derive(Clone, Copy, Debug)]
pub struct HostStays;

/// What asks the network in the place of a handler that can't answer, once the payload has been read.
pub trait Ask: Send + Sync {
    /// Asks, and gives the answer on.
    fn ask<'a>(
        &'a self,
        own: &'a OwnConnections,
        exchange: Exchange<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>, Close>> + Send + 'a>>;

    /// The way to the network that it takes.
    fn upstream(&self) -> &Upstream;
}

/// A request without a payload that asks for no other protocol, as far as a handler may look at it that answers at once.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'a> {
    /// Its method; none is CONNECT.
    pub method: &'a Method,
    /// Its URL as [`Exchange::url`] would have it.
    pub url: &'a str,
    /// Its headers, as received.
    pub headers: &'a HeaderMap,
    /// Whose it is.
    pub session: &'a Session,
}

/// A GET that came whole inside a CONNECT, and asks for nothing of the connection but that it stays.
#[derive(Debug)]
pub struct Plain<'a> {
    /// Where it is meant to go.
    pub origin: &'a Origin,
    /// Its target, as sent.
    pub target: &'a str,
    /// Its URL as [`Exchange::url`] would have it.
    pub url: &'a str,
    /// Its fields, as sent, those of the connection with them.
    pub fields: &'a [httparse::Header<'a>],
    /// When it had been read, for dates.
    pub started: SystemTime,
    /// The same moment, for durations.
    pub at: Instant,
}

/// How far a [`Plain`] request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has its answer.
    Answered,
    /// Upstream is waited for: it may be [left](Handler::leave) to [`Handler::handle`] meanwhile.
    Waits,
    /// It has an answer soon, come what may.
    Ends,
    /// It is left to [`Handler::handle`].
    Left,
}

/// What becomes of a CONNECT.
pub enum Connect {
    /// Answer 200 and look at the first bytes: TLS is intercepted, HTTP served as it is. With a dialled upstream, the side
    /// that speaks first decides, and anything else than TLS or HTTP becomes a tunnel to it; without one it is refused.
    Intercept(Option<Dialled>),
    /// Answer 200 and copy both ways, untouched.
    Tunnel(Dialled),
    /// Don't answer 200; this instead.
    Refuse(Response<Body>),
}

/// What the engine saw beside exchanges; the handler counts it or says it.
#[derive(Debug)]
pub enum Notice {
    /// A tunnel ended.
    Tunnelled {
        /// To where.
        to: Origin,
        /// Bytes from the client.
        sent: u64,
        /// Bytes to the client.
        received: u64,
        /// How long it was there.
        took: Duration,
    },
    /// What came inside a CONNECT was neither TLS nor HTTP, and there was no upstream to pass it to.
    Unreadable {
        /// To where it was meant to go.
        to: Origin,
    },
    /// A request's head was no HTTP (a `<` in its target, two lengths): it got a bare 400, and no handler saw it.
    BadHead {
        /// What is wrong with it, in hyper's words.
        reason: String,
    },
    /// A request's credentials for the proxy were missing or wrong: it got 407, and no handler saw it.
    Unauthorized,
    /// The client refused our certificate, or broke off the handshake.
    TlsRefused {
        /// The host it asked for.
        to: Origin,
        /// The alert or error, in rustls' words.
        reason: String,
    },
    /// A connection ended over which the client, having taken our certificate, had asked for something.
    TlsTrusted {
        /// The host it asked.
        to: Origin,
    },
}

/// The client's connection is to be closed (over HTTP/2: its stream reset) without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without an answer")]
pub struct Close;

/// What is done with the traffic.
pub trait Handler: Send + Sync + 'static {
    /// What the handler keeps for one client connection, for example the upstream connections that belong to it.
    type Connection: Send + Sync + 'static;

    /// Whether requests go on with the names of their fields spelt as clients spell them, upper case and all. It costs each
    /// request something.
    fn keeps_case(&self) -> bool {
        true
    }

    /// Whether [`Handler::at_once`] is worth asking.
    fn answers_at_once(&self) -> bool {
        false
    }

    /// The answer to a request, fit to be sent as it is, when it is at hand: nothing has to be waited for, and [`Handler::handle`]
    /// would give the same. `None` changes nothing. What passes through futures on its way costs several times what the answer does.
    fn at_once(&self, _: &Glance<'_>) -> Option<Response<Body>> {
        None
    }

    /// What a GET of this URL asks for with [`Handler::ready`]; `None` only where nothing can lie ready.
    fn ticket(&self, _url: &str) -> Option<Ticket> {
        None
    }

    /// Whether answers lie in so much memory that it takes less time when [`Handler::fetch`] is told beforehand what several clients are going to ask for.
    /// It is asked when a connection begins.
    fn gathers(&self) -> bool {
        false
    }

    /// [`Handler::ready`] is about to be asked for these on this thread, for one after the other.
    fn fetch(&self, _: &[Ticket]) {}

    /// Appends the head of the answer to a GET, as HTTP/1.1 writes it, and returns its payload, when all of it lies ready whatever
    /// the fields of the request say; what is sent is what [`Handler::at_once`] would give. `None`: nothing has happened.
    ///
    /// It must be `None` where `is_plain` says `false`: then the request is no such GET. That is found out when it is asked, which takes a while: best when the
    /// memory that the answer needs has been asked for, so that both take place at the same time.
    fn ready(
        &self,
        _: Ticket,
        _: &Session,
        _is_plain: &dyn Fn() -> bool,
        _head: &mut Vec<u8>,
    ) -> Option<&'static [u8]> {
        None
    }

    /// Whether [`Handler::pass`] is worth asking. It is asked when a connection begins. A handler that passes requests on is not asked for what lies
    /// [ready](Handler::ready).
    fn passes(&self) -> bool {
        false
    }

    /// Begins to pass a request on without hyper. `false`: nothing has been sent, and nothing of the request is known. One request of a client is under way
    /// at a time.
    fn pass(&self, _: &Self::Connection, _: &Plain<'_>, _: &mut Context<'_>) -> bool {
        false
    }

    /// Goes on with the request that is under way; an answer is appended, head and payload as HTTP/1.1 writes them.
    fn poll_pass(&self, _: &Self::Connection, _: &mut Context<'_>, _answer: &mut Vec<u8>) -> Progress {
        Progress::Left
    }

    /// No requests to this origin are passed on without hyper from here on. What is under way is asked of [`Handler::handle`] next, which finds it under way.
    fn leave(&self, _: &Self::Connection, _: &Origin) {}

    /// Nothing is asked at the moment: sees to what is kept for the next request to this origin.
    fn poll_idle(&self, _: &Self::Connection, _: &Origin, _: &mut Context<'_>) {}

    /// A client has connected.
    fn accept(&self, client: &Arc<Client>) -> Self::Connection;

    /// A client sent CONNECT. The scheme of `to` is a guess (`https`).
    fn connect(&self, own: &Self::Connection, session: &Session, to: &Origin) -> impl Future<Output = Connect> + Send;

    /// The client began TLS towards `to` and offers these protocols by ALPN; `dialled` is what [`Handler::connect`] gave.
    /// The answer is what we offer in turn. A recorder completes its own TLS with upstream here.
    fn secure(
        &self,
        own: &Self::Connection,
        session: &Session,
        to: &Origin,
        client_alpn: &[Vec<u8>],
        dialled: Option<Dialled>,
    ) -> impl Future<Output = Alpn> + Send;

    /// Inside a CONNECT came plain HTTP: `dialled` may serve as its first upstream connection. `to` has the scheme `http`.
    fn plain(&self, own: &Self::Connection, session: &Session, to: &Origin, dialled: Option<Dialled>);

    /// Answers a request. Hop-by-hop headers of the response are removed by the engine; framing is hyper's.
    ///
    /// # Errors
    /// [`Close`] closes the connection instead.
    fn handle(
        &self,
        own: &Self::Connection,
        exchange: Exchange,
    ) -> impl Future<Output = Result<Response<Body>, Close>> + Send;

    /// A request's URL as it may be written to the log: without its secrets, and without those that the headers have.
    fn told<'u>(&self, headers: &HeaderMap, url: &'u str) -> Cow<'u, str>;

    /// Headers of a request or an answer as they may be told, without their secrets.
    fn told_headers(&self, headers: &HeaderMap) -> Headers;

    /// Something happened beside the exchanges.
    fn notice(&self, notice: Notice);

    /// The ways to the network that the handler may take.
    fn upstreams(&self) -> Vec<&Upstream> {
        Vec::new()
    }
}
