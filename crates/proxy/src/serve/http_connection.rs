//! Turns received requests into [`Exchange`]s for the handler, and its answers into responses.

use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use ::http::header::{CONNECTION, HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING, USER_AGENT};
use ::http::uri::PathAndQuery;
use ::http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;

use super::idle::IdleTracker;
use super::refusal::Refusal;
use super::response::{self, ResponseBody};
use super::reverse::{ReverseOrigins, UrlRewriter};
use super::target::{absolute_origin, connect_origin, named_origin, uri};
use super::{auth, own_pages};
use crate::body::Body;
use crate::engine::{ClientConnection, OwnPort};
use crate::handler::{Close, Connection, ConnectionEvent, Exchange, Tunnel};
use crate::limits::H2_MAX_FIELDS;
use crate::origin::{Origin, Session};
use crate::upstream::{Dialled, HostStays};
use harproxy_support::sync::lock;

/// The role of a connection towards its client.
#[derive(Clone, Debug)]
pub(crate) enum ConnectionKind {
    /// The proxy port: absolute form and CONNECT.
    Proxy,
    /// Inside a CONNECT tunnel: the origin that it named.
    Tunnel(Origin),
    /// A `--reverse` port: its origins.
    Reverse(Arc<ReverseOrigins>),
}

/// One HTTP connection: the client's own, or one inside a CONNECT tunnel.
pub(crate) struct HttpConnection {
    pub(crate) client: Arc<ClientConnection>,
    kind: ConnectionKind,
    /// The connection for handlers, with the session of the CONNECT. On the proxy port each request has its own
    /// session.
    connection: Connection,
    pub(crate) idle: Arc<IdleTracker>,
    /// The CONNECT that ends this connection.
    granted: Mutex<Option<(GrantedConnect, OnUpgrade)>>,
}

/// A CONNECT that was answered with 200.
pub(crate) struct GrantedConnect {
    pub(crate) to: Origin,
    pub(crate) user_agent: Option<String>,
    pub(crate) connection: Connection,
    pub(crate) target: TunnelTarget,
}

/// The use of a tunnel.
pub(crate) enum TunnelTarget {
    Intercept(Option<Dialled>),
    PassThrough(Dialled),
    /// A `--reverse` port of the engine itself.
    Reverse(Arc<ReverseOrigins>),
}

/// The handler's answer, or the reason why the handler does not get the request.
type Answered = Result<Result<Response<Body>, Close>, Refusal>;

impl HttpConnection {
    pub(crate) fn new(client: Arc<ClientConnection>, kind: ConnectionKind, session: Session) -> Arc<Self> {
        let connection = client.with_session(session);
        let idle = Arc::new(IdleTracker::new());
        Arc::new(HttpConnection { client, kind, connection, idle, granted: Mutex::default() })
    }

    /// Takes the CONNECT that ended this connection.
    pub(super) fn take_granted(&self) -> Option<(GrantedConnect, OnUpgrade)> {
        lock(&self.granted).take()
    }

    /// Answers a request.
    ///
    /// # Errors
    /// [`Close`] if the connection is to be closed without an answer.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<ResponseBody>, Close> {
        let busy = self.idle.clone().begin(request.body().size_hint().exact());
        let (method, version) = (request.method().clone(), request.version());
        let answered = match &self.kind {
            // hyper limits the lines of HTTP/1.
            _ if version == Version::HTTP_2 && request.headers().len() > H2_MAX_FIELDS => Err(Refusal::TooManyFields),
            ConnectionKind::Proxy => self.answer_as_proxy(request).await,
            ConnectionKind::Tunnel(origin) => self.answer_as_origin(origin, request).await,
            ConnectionKind::Reverse(origins) => self.answer_as_reverse(origins, request, &self.connection).await,
        };
        // After another transfer coding, other parsers may see another end of the request.
        let has_unclear_end = matches!(answered, Err(Refusal::TransferCoding));
        let malformed = match &answered {
            Err(Refusal::TransferCoding) => Some("its Transfer-Encoding is not `chunked` alone"),
            Err(Refusal::TooManyFields) => Some("it has too many header fields"),
            // The reason may quote secrets of the URL.
            Err(Refusal::InvalidTarget(_)) => Some("its target is not an http or https URL with a host"),
            Err(Refusal::InvalidHost(_)) => Some("its Host is not one host with an optional port"),
            _ => None,
        };
        if let Some(reason) = malformed.map(str::to_owned) {
            self.client.event(ConnectionEvent::MalformedHead {
                reason,
                is_too_long: matches!(answered, Err(Refusal::TooManyFields)),
            });
        }
        if matches!(answered, Err(Refusal::Unauthorized)) {
            self.client.event(ConnectionEvent::Unauthorized);
        }
        let mut response = answered.unwrap_or_else(|refusal| Ok(refusal.response()))?;
        response::prepare(&mut response, &method, version).await;
        let status = response.status();
        // After a refused CONNECT the client has no further use for the connection, and some clients read the body up
        // to its end. After a 407 the client repeats the CONNECT on the same connection.
        let is_refused_connect =
            method == Method::CONNECT && !status.is_success() && status != StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        if has_unclear_end || is_refused_connect {
            // Over HTTP/2 hyper ignores it.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        } else if status == StatusCode::SWITCHING_PROTOCOLS {
            let _ = self.idle.lent.set((self.client.stop.drain.clone(), self.client.engine.tasks.token()));
        }
        Ok(response.map(|body| ResponseBody::new(body, busy, version)))
    }

    async fn answer_as_proxy(&self, mut request: Request<Incoming>) -> Answered {
        if request.method() != Method::CONNECT && request.uri().authority().is_none() {
            return Ok(Ok(own_pages::page(&request, &self.client)));
        }
        let session = auth::session(self.client.engine.auth.as_ref(), request.headers().get(PROXY_AUTHORIZATION))?;
        let connection = self.client.with_session(session);
        if request.method() == Method::CONNECT {
            return self.connect(connection, request).await;
        }
        let origin = absolute_origin(request.uri())?;
        match self.client.engine.own_port(self.client.local, &origin.host, origin.port) {
            None => self.forward(&origin, &origin, path(request.uri()), request, &connection).await,
            Some(OwnPort::Reverse(origins)) => self.answer_as_reverse(origins, request, &connection).await,
            Some(OwnPort::Proxy) if matches!(*request.method(), Method::GET | Method::HEAD) => {
                // In absolute form the Host header is ignored (RFC 9112 section 3.2.2): the URI has the host.
                if let Ok(host) = HeaderValue::try_from(origin.authority()) {
                    request.headers_mut().insert(HOST, host);
                }
                Ok(Ok(own_pages::page(&request, &self.client)))
            }
            Some(OwnPort::Proxy) => Err(Refusal::Loop(self.client.engine.proxy)),
        }
    }

    /// Asks the handler about a CONNECT, and keeps a granted one.
    async fn connect(&self, connection: Connection, mut request: Request<Incoming>) -> Answered {
        if request.version() >= Version::HTTP_2 {
            return Err(Refusal::NoTunnel("CONNECT over HTTP/2 is not supported; use HTTP/1.1 towards the proxy."));
        }
        let to = connect_origin(request.uri())?;
        let target = match self.client.engine.own_port(self.client.local, &to.host, to.port) {
            Some(OwnPort::Proxy) => return Err(Refusal::Loop(self.client.engine.proxy)),
            Some(OwnPort::Reverse(origins)) => TunnelTarget::Reverse(origins.clone()),
            None => match self.client.engine.handler.tunnel(&connection, &to).await {
                Tunnel::Intercept(dialled) => TunnelTarget::Intercept(dialled),
                Tunnel::PassThrough(dialled) => TunnelTarget::PassThrough(dialled),
                Tunnel::Refuse(response) => return Ok(Ok(response)),
            },
        };
        let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let upgrade = hyper::upgrade::on(&mut request);
        *lock(&self.granted) = Some((GrantedConnect { to, user_agent, connection, target }, upgrade));
        Ok(Ok(Response::default()))
    }

    /// Answers a request inside a CONNECT to `connect_to`. The request may be for another host of the same server.
    async fn answer_as_origin(&self, connect_to: &Origin, mut request: Request<Incoming>) -> Answered {
        refuse_connect(&request)?;
        let origin = named_origin(&request, connect_to)?;
        let origin_authority = origin.authority();
        if request.uri().authority().is_some_and(|authority| authority.as_str() != origin_authority) {
            name_host(&mut request);
        }
        let is_origin = |host: &HeaderValue| host.as_bytes() == origin_authority.as_bytes();
        if request.version() >= Version::HTTP_2 || !request.headers().get(HOST).is_some_and(is_origin) {
            request.extensions_mut().insert(HostStays);
        }
        let path = path(request.uri());
        self.forward(&origin, connect_to, path, request, &self.connection).await
    }

    async fn answer_as_reverse(
        &self,
        origins: &ReverseOrigins,
        mut request: Request<Incoming>,
        connection: &Connection,
    ) -> Answered {
        refuse_connect(&request)?;
        name_host(&mut request);
        let (origin, path) = origins.find(&path(request.uri()))?;
        let uri = uri(&origin.origin, path.clone())?;
        let rewriter = UrlRewriter::new(&self.client.engine.reverse, (origins, origin), &request, &uri);
        let mut answered = self.forward(&origin.origin, &origin.origin, path, request, connection).await?;
        if let (Ok(response), Some(rewriter)) = (&mut answered, rewriter) {
            rewriter.rewrite(response.headers_mut());
        }
        Ok(answered)
    }

    /// Passes a request for `origin` to the handler.
    async fn forward(
        &self,
        origin: &Origin,
        connect_to: &Origin,
        path: PathAndQuery,
        mut request: Request<Incoming>,
        connection: &Connection,
    ) -> Answered {
        let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
        if codings.next().is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
            || codings.next().is_some()
        {
            return Err(Refusal::TransferCoding);
        }
        *request.uri_mut() = uri(origin, path)?;
        request.headers_mut().remove(PROXY_AUTHORIZATION);
        let (started, at) = (SystemTime::now(), Instant::now());
        let exchange = Exchange { origin: origin.clone(), connect_to: connect_to.clone(), request, started, at };
        Ok(self.client.engine.handler.handle(connection, exchange).await)
    }
}

/// Writes `Host` as the client spells it. Over HTTP/2 the client names the host in `:authority` alone.
fn name_host<B>(request: &mut Request<B>) {
    if let Some(authority) = request.uri().authority()
        && !request.headers().contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
}

fn refuse_connect<B>(request: &Request<B>) -> Result<(), Refusal> {
    match *request.method() {
        Method::CONNECT => Err(Refusal::NoTunnel("CONNECT is for the proxy port, once a connection.")),
        _ => Ok(()),
    }
}

fn path(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}
