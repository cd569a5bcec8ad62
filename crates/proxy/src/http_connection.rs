//! From a received request to an [`Exchange`] for the handler, and from its answer to a response.

use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use ::http::header::{HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use ::http::uri::PathAndQuery;
use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;

use super::auth;
use super::body::Body;
use super::connect::{self, Granted};
use super::engine::{ClientConnection, OwnPort};
use super::handler::{Close, Connection, ConnectionEvent, Exchange, HostStays};
use super::idle::IdleTracker;
use super::origin::Session;
use super::respond::{self, Trouble};
use super::reverse::Routes;
use super::reverse::places::{self, Asked, Places};
use super::served::Served;
use super::status;
use super::target::{Site, site_of};

/// The role of a connection towards its client.
#[derive(Clone, Debug)]
pub(super) enum ConnectionKind {
    /// The proxy port: absolute form and CONNECT.
    Proxy,
    /// Inside a CONNECT tunnel: the origin that it named.
    Tunnel(Site),
    /// A `--reverse` port: its origins.
    Reverse(Arc<Routes>),
}

/// One HTTP connection: the client's own, or one inside a CONNECT.
pub(super) struct HttpConnection {
    pub(super) client: Arc<ClientConnection>,
    kind: ConnectionKind,
    /// The connection for handlers, with the session of the CONNECT. On the proxy port each request has its own session.
    connection: Connection,
    pub(super) idle: Arc<IdleTracker>,
    /// The CONNECT that ends this connection.
    pub(super) granted: Mutex<Option<Granted>>,
}

/// A request that is not answered by the handler.
enum Refused {
    Trouble(Trouble),
    Close(Close),
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        Refused::Trouble(trouble)
    }
}

impl From<Close> for Refused {
    fn from(close: Close) -> Self {
        Refused::Close(close)
    }
}

/// The moment when the head of a request had been read.
#[derive(Clone, Copy)]
struct Moment {
    started: SystemTime,
    at: Instant,
}

impl HttpConnection {
    pub(super) fn new(client: Arc<ClientConnection>, kind: ConnectionKind, session: Session) -> Arc<Self> {
        let connection = client.with_session(session);
        let idle = Arc::new(IdleTracker::new());
        Arc::new(HttpConnection { client, kind, connection, idle, granted: Mutex::default() })
    }

    /// Answers a request.
    ///
    /// # Errors
    /// [`Close`] if the connection is to be closed without an answer.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Served>, Close> {
        let busy = self.idle.clone().begin();
        let moment = Moment { started: SystemTime::now(), at: Instant::now() };
        let (method, version) = (request.method().clone(), request.version());
        let answered = match &self.kind {
            ConnectionKind::Proxy => self.as_proxy(request, moment).await,
            ConnectionKind::Tunnel(site) => self.as_origin(site, request, moment).await,
            ConnectionKind::Reverse(routes) => self.as_reverse(routes, request, &self.connection, moment).await,
        };
        let mut last = false;
        let mut response = match answered {
            Ok(response) => response,
            Err(Refused::Trouble(trouble)) => {
                if matches!(trouble, Trouble::Credentials) {
                    self.client.event(ConnectionEvent::Unauthorized);
                }
                last = trouble.ends_connection();
                trouble.response()
            }
            Err(Refused::Close(close)) => return Err(close),
        };
        respond::tidy(&mut response, &method, version).await;
        if method == Method::CONNECT {
            respond::end_refused_connect(&mut response);
        } else if last {
            respond::end(&mut response);
        } else if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.idle.lend(self.client.stop.drain.clone(), self.client.engine.tasks.token());
        }
        Ok(response.map(|body| Served::new(body, busy, version)))
    }

    async fn as_proxy(&self, mut request: Request<Incoming>, moment: Moment) -> Result<Response<Body>, Refused> {
        if request.method() == Method::CONNECT {
            return Ok(connect::grant(self, request).await?);
        }
        if request.uri().authority().is_none() {
            return Ok(self.own_page(&request));
        }
        let connection = self.client.with_session(self.session(request.headers())?);
        let site = site_of(request.uri())?;
        match self.client.engine.own_port(self.client.local, &site.origin.host, site.origin.port) {
            None => self.forward(&site, path(request.uri()), request, &connection, moment).await,
            Some(OwnPort::Reverse(routes)) => self.as_reverse(routes, request, &connection, moment).await,
            Some(OwnPort::Proxy) if matches!(*request.method(), Method::GET | Method::HEAD) => {
                // In absolute form the Host header is ignored (RFC 9112 section 3.2.2): the URI has the host.
                if let Ok(host) = HeaderValue::from_str(site.authority.as_str()) {
                    request.headers_mut().insert(HOST, host);
                }
                Ok(self.own_page(&request))
            }
            Some(OwnPort::Proxy) => Err(Trouble::Loop(self.client.engine.proxy).into()),
        }
    }

    async fn as_origin(
        &self,
        site: &Site,
        mut request: Request<Incoming>,
        moment: Moment,
    ) -> Result<Response<Body>, Refused> {
        refuse_connect(&request)?;
        // Over HTTP/2 the client names the host in `:authority` alone.
        if let Some(authority) = request.uri().authority()
            && *authority != site.authority
            && !request.headers().contains_key(HOST)
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            request.headers_mut().insert(HOST, host);
        }
        let is_site = |host: &HeaderValue| host.as_bytes() == site.authority.as_str().as_bytes();
        if request.version() >= Version::HTTP_2 || !request.headers().get(HOST).is_some_and(is_site) {
            request.extensions_mut().insert(HostStays);
        }
        let path = path(request.uri());
        self.forward(site, path, request, &self.connection, moment).await
    }

    async fn as_reverse(
        &self,
        routes: &Routes,
        request: Request<Incoming>,
        connection: &Connection,
        moment: Moment,
    ) -> Result<Response<Body>, Refused> {
        refuse_connect(&request)?;
        let (route, path) = routes.find(&path(request.uri()))?;
        let asked = Asked::of(&request);
        let there = route.site.uri(path.clone())?;
        let mut answer = self.forward(&route.site, path, request, connection, moment).await?;
        if places::are_in(answer.headers())
            && let Some(places) = Places::new(&self.client.engine.reverse, (routes, route), &asked, &there)
        {
            places.rewrite(answer.headers_mut());
        }
        Ok(answer)
    }

    /// Gives a request to the handler.
    async fn forward(
        &self,
        site: &Site,
        path: PathAndQuery,
        mut request: Request<Incoming>,
        connection: &Connection,
        moment: Moment,
    ) -> Result<Response<Body>, Refused> {
        let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
        if codings.next().is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
            || codings.next().is_some()
        {
            return Err(Trouble::TransferCoding.into());
        }
        *request.uri_mut() = site.uri(path)?;
        request.headers_mut().remove(PROXY_AUTHORIZATION);
        let Moment { started, at } = moment;
        let exchange = Exchange { origin: site.origin.clone(), request, started, at };
        Ok(self.client.engine.handler.handle(connection, exchange).await?)
    }

    fn own_page(&self, request: &Request<Incoming>) -> Response<Body> {
        let ClientConnection { engine, local, .. } = &*self.client;
        status::page(request, engine.proxy, engine.authority.cert_pem(), |authority| {
            let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
            matches!(engine.own_port(*local, &host, authority.port_u16().unwrap_or(80)), Some(OwnPort::Proxy))
        })
    }

    /// The session of a request to the proxy port.
    ///
    /// # Errors
    /// If the credentials of `--auth` are missing or wrong.
    pub(super) fn session(&self, headers: &HeaderMap) -> Result<Session, Trouble> {
        auth::session(self.client.engine.auth.as_ref(), headers.get(PROXY_AUTHORIZATION))
    }
}

fn refuse_connect<B>(request: &Request<B>) -> Result<(), Trouble> {
    match *request.method() {
        Method::CONNECT => Err(Trouble::NoTunnel("CONNECT is for the proxy port, once a connection.")),
        _ => Ok(()),
    }
}

fn path(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}
