//! From a request as it came off the wire to an [`Exchange`] for the handler, and back: the one way that every request takes,
//! whatever port and protocol it came by.

use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::{Instant, SystemTime};

use ::http::header::{HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING, UPGRADE};
use ::http::uri::PathAndQuery;
use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body as _, Incoming};

use super::access::Access;
use super::attend::Later;
use super::auth;
use super::body::Body;
use super::connect::{self, Granted};
use super::engine::{Ours, Visit};
use super::handler::{Close, Exchange, Glance, HostStays, Notice, Plain, Progress, Session, Ticket};
use super::pulse::Pulse;
use super::respond::{self, Trouble};
use super::reverse::places::{self, Asked, Places};
use super::reverse::{Route, Routes};
use super::served::Served;
use super::sites::Sites;
use super::status;
use super::target::{Memo, Site};
use super::witness::{Note, Watching};

/// What a connection is to its client.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// A proxy: absolute form and CONNECT.
    Proxy,
    /// The origin that a CONNECT named.
    Inside(Site),
    /// The origins of a `--reverse` port.
    Reverse(Arc<Routes>),
}

/// One HTTP connection: the client's own, or one inside a CONNECT.
pub(super) struct Seat {
    pub(super) visit: Arc<Visit>,
    pub(super) role: Role,
    /// What a CONNECT said; on the proxy port itself each request says its own.
    pub(super) session: Session,
    pub(super) pulse: Arc<Pulse>,
    /// The CONNECT that this connection ends in.
    pub(super) granted: Mutex<Option<Granted>>,
    sites: Sites,
    sessions: Memo<Option<HeaderValue>, Session>,
}

/// Who says nothing of himself.
const NOBODY: Session = Session(None);

/// A response, or why there is none.
type Answered = Result<Response<Body>, Refused>;

/// Why a request is not answered by the handler.
enum Refused {
    Trouble(Trouble),
    Close(Close),
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        Refused::Trouble(trouble)
    }
}

/// What there is to wait for before a request is answered.
enum Begun<'s> {
    /// Nothing.
    Answered(Response<Body>),
    /// What a CONNECT needs.
    Grant(Later<'s, Result<Response<Body>, Trouble>>),
    /// The handler.
    Handled(Handled<'s>),
}

/// A request that the handler has.
struct Handled<'s> {
    answer: Later<'s, Result<Response<Body>, Close>>,
    then: Then<'s>,
}

/// What is done when it is answered.
struct Then<'s> {
    access: Option<Access>,
    watching: Option<Watching>,
    reversed: Option<Box<Reversed<'s>>>,
}

/// What the places in the answer to a request for a `--reverse` port are rewritten by.
struct Reversed<'s> {
    way: (&'s Routes, &'s Route),
    asked: Asked,
    there: Uri,
}

/// When the head of a request had been read.
#[derive(Clone, Copy)]
struct Came {
    started: SystemTime,
    at: Instant,
}

impl Seat {
    pub(super) fn new(visit: Arc<Visit>, role: Role, session: Session) -> Arc<Self> {
        let pulse = Arc::new(Pulse::new(visit.handler.keeps_case()));
        let (granted, sessions) = Default::default();
        let sites = if let Role::Inside(site) = &role { Sites::only(site.clone()) } else { Sites::default() };
        Arc::new(Seat { visit, role, session, pulse, granted, sites, sessions })
    }

    /// The answer to a request, if nothing has to be waited for and nobody watches; else `None`, and nothing has happened.
    pub(super) fn at_once(&self, request: &Request<Incoming>) -> Option<Response<Served>> {
        let Visit { engine, handler, .. } = &*self.visit;
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        if !self.may_be_at_once() || *method == Method::CONNECT || !request.body().is_end_stream() {
            return None;
        }
        let mut says_who = false;
        for name in headers.keys() {
            match *name {
                TRANSFER_ENCODING | UPGRADE => return None,
                PROXY_AUTHORIZATION => says_who = true,
                _ => {}
            }
        }
        let glance = |url: &str, session: &Session| handler.at_once(&Glance { method, url, headers, session });
        let response = match &self.role {
            Role::Inside(_) => self.sites.look(uri, |_, url| glance(url, &self.session)),
            Role::Proxy => {
                let is_nobody = !says_who && engine.auth.is_none();
                let session = if is_nobody { NOBODY } else { self.session(headers).ok()? };
                self.sites.look(uri, |site, url| if self.is_ours(site) { None } else { glance(url, &session) })
            }
            Role::Reverse(_) => None,
        }?;
        let busy = self.pulse.clone().begin();
        Some(response.map(|body| Served::new(body, busy, request.version())))
    }

    /// What a GET of this target, as it was read, asks for with [`Seat::ready`]; `None` where nothing can lie ready, or somebody watches.
    pub(super) fn ticket(&self, target: &str) -> Option<Ticket> {
        if !self.may_be_ready() {
            return None;
        }
        let ticket = |url: &str| self.visit.handler.ticket(url);
        match &self.role {
            Role::Inside(_) => self.sites.look_at_text(target, |_, url| ticket(url)),
            Role::Proxy => {
                self.sites.look_at_text(target, |site, url| if self.is_ours(site) { None } else { ticket(url) })
            }
            Role::Reverse(_) => None,
        }
    }

    /// Writes the head of an answer and returns its payload, if it lies ready; else `None`, and nothing has happened. That the request says nothing of
    /// who asks and asks for nothing else is told by `is_plain`.
    pub(super) fn ready(
        &self,
        ticket: Ticket,
        is_plain: &dyn Fn() -> bool,
        head: &mut Vec<u8>,
    ) -> Option<&'static [u8]> {
        let session = match &self.role {
            Role::Inside(_) => &self.session,
            Role::Proxy | Role::Reverse(_) => &NOBODY,
        };
        self.visit.handler.ready(ticket, session, is_plain, head)
    }

    /// [`Handler::gathers`](super::Handler::gathers).
    pub(super) fn gathers(&self) -> bool {
        self.visit.handler.gathers()
    }

    /// [`Handler::fetch`](super::Handler::fetch).
    pub(super) fn fetch(&self, tickets: &[Ticket]) {
        self.visit.handler.fetch(tickets);
    }

    /// Whether [`Seat::ready`] is worth asking.
    pub(super) fn may_be_ready(&self) -> bool {
        let is_fit = match &self.role {
            Role::Inside(_) => true,
            Role::Proxy => self.visit.engine.auth.is_none(),
            Role::Reverse(_) => false,
        };
        is_fit && self.may_be_at_once()
    }

    /// Whether [`Seat::pass`] is worth asking.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.role, Role::Inside(_)) && self.visit.handler.passes() && self.is_unwatched()
    }

    /// Begins to pass on a GET of this target with these fields, if that can be done without hyper.
    pub(super) fn pass(&self, target: &str, fields: &[httparse::Header<'_>], cx: &mut Context<'_>) -> bool {
        let (started, at) = (SystemTime::now(), Instant::now());
        let begun = self.sites.look_at_text(target, |site, url| {
            let plain = Plain { origin: &site.origin, target, url, fields, started, at };
            self.visit.handler.pass(&plain, cx).then_some(())
        });
        begun.is_some()
    }

    /// [`Handler::poll_pass`](super::Handler::poll_pass).
    pub(super) fn poll_pass(&self, cx: &mut Context<'_>, answer: &mut Vec<u8>) -> Progress {
        self.visit.handler.poll_pass(cx, answer)
    }

    /// [`Handler::leave`](super::Handler::leave).
    pub(super) fn leave(&self) {
        if let Role::Inside(site) = &self.role {
            self.visit.handler.leave(&site.origin);
        }
    }

    /// [`Handler::poll_idle`](super::Handler::poll_idle).
    pub(super) fn poll_idle(&self, cx: &mut Context<'_>) {
        if let Role::Inside(site) = &self.role {
            self.visit.handler.poll_idle(&site.origin, cx);
        }
    }

    /// Whether there may be an answer that nothing has to be waited for, and nobody watches.
    fn may_be_at_once(&self) -> bool {
        self.visit.handler.answers_at_once() && self.is_unwatched()
    }

    fn is_unwatched(&self) -> bool {
        self.visit.engine.witness.is_none() && !Access::is_told()
    }

    fn is_ours(&self, Site { origin, .. }: &Site) -> bool {
        self.visit.engine.ours(self.visit.local, &origin.host, origin.port).is_some()
    }

    /// Answers a request. Without [`Close`] there is always something to send.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Served>, Close> {
        let busy = self.pulse.clone().begin();
        let came = Came { started: SystemTime::now(), at: Instant::now() };
        let (method, version) = (request.method().clone(), request.version());
        let answered = match self.begin(request, came) {
            Ok(Begun::Answered(response)) => Ok(response),
            Ok(Begun::Grant(granted)) => granted.await.map_err(Refused::Trouble),
            Ok(Begun::Handled(Handled { answer, then })) => self.end(answer.await, then),
            Err(refused) => Err(refused),
        };
        let mut last = false;
        let mut response = match answered {
            Ok(response) => response,
            Err(Refused::Trouble(trouble)) => {
                if matches!(trouble, Trouble::Credentials) {
                    self.visit.notice(Notice::Unauthorized);
                }
                last = trouble.ends_connection();
                trouble.response()
            }
            Err(Refused::Close(close)) => return Err(close),
        };
        respond::tidy(&mut response, &method, version).await;
        if version < Version::HTTP_2 {
            self.pulse.names.write(response.extensions());
        }
        if method == Method::CONNECT {
            respond::end_refused_connect(&mut response);
        } else if last {
            respond::end(&mut response);
        } else if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.pulse.lend(self.visit.stop.drain.clone(), self.visit.engine.tasks.token());
        }
        Ok(response.map(|body| Served::new(body, busy, version)))
    }

    /// Begins to answer a request. What needs not be waited for is done here: a future has room for all that it is given for as long as it is there.
    fn begin(&self, request: Request<Incoming>, came: Came) -> Result<Begun<'_>, Refused> {
        match &self.role {
            Role::Proxy => self.as_proxy(request, came),
            Role::Inside(site) => self.as_origin(site, request, came),
            Role::Reverse(routes) => self.as_reverse(routes, request, self.session.clone(), came),
        }
    }

    fn as_proxy(&self, mut request: Request<Incoming>, came: Came) -> Result<Begun<'_>, Refused> {
        if request.method() == Method::CONNECT {
            return Ok(Begun::Grant(Box::pin(connect::grant(self, request))));
        }
        if request.uri().authority().is_none() {
            return Ok(Begun::Answered(self.own_page(&request)));
        }
        let session = self.session(request.headers())?;
        let site = self.sites.of(request.uri())?;
        match self.visit.engine.ours(self.visit.local, &site.origin.host, site.origin.port) {
            None => self.forward(&site, path(request.uri()), request, session, came).map(Begun::Handled),
            Some(Ours::Reverse(routes)) => self.as_reverse(routes, request, session, came),
            Some(Ours::Proxy) if matches!(*request.method(), Method::GET | Method::HEAD) => {
                // In absolute form the Host header is ignored (RFC 9112 section 3.2.2): the URI has the host.
                if let Ok(host) = HeaderValue::from_str(site.authority.as_str()) {
                    request.headers_mut().insert(HOST, host);
                }
                Ok(Begun::Answered(self.own_page(&request)))
            }
            Some(Ours::Proxy) => Err(Trouble::Loop(self.visit.engine.proxy).into()),
        }
    }

    fn as_origin(&self, site: &Site, mut request: Request<Incoming>, came: Came) -> Result<Begun<'_>, Refused> {
        refuse_connect(&request)?;
        // HTTP/2 has the client's own word about the host in `:authority` alone.
        if let Some(authority) = request.uri().authority()
            && *authority != site.authority
            && !request.headers().contains_key(HOST)
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            request.headers_mut().insert(HOST, host);
        }
        let names = |host: &HeaderValue| host.as_bytes() == site.authority.as_str().as_bytes();
        if request.version() >= Version::HTTP_2 || !request.headers().get(HOST).is_some_and(names) {
            request.extensions_mut().insert(HostStays);
        }
        let path = path(request.uri());
        self.forward(site, path, request, self.session.clone(), came).map(Begun::Handled)
    }

    fn as_reverse<'s>(
        &'s self,
        routes: &'s Routes,
        request: Request<Incoming>,
        session: Session,
        came: Came,
    ) -> Result<Begun<'s>, Refused> {
        refuse_connect(&request)?;
        let (route, path) = routes.find(&path(request.uri()))?;
        let asked = Asked::of(&request);
        let there = route.site.uri(path.clone())?;
        let mut handled = self.forward(&route.site, path, request, session, came)?;
        handled.then.reversed = Some(Box::new(Reversed { way: (routes, route), asked, there }));
        Ok(Begun::Handled(handled))
    }

    fn forward(
        &self,
        site: &Site,
        path: PathAndQuery,
        mut request: Request<Incoming>,
        session: Session,
        came: Came,
    ) -> Result<Handled<'_>, Refused> {
        let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
        if codings.next().is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
            || codings.next().is_some()
        {
            return Err(Trouble::TransferCoding.into());
        }
        *request.uri_mut() = site.uri(path)?;
        request.headers_mut().remove(PROXY_AUTHORIZATION);
        self.pulse.names.tell(request.extensions_mut());
        let mut exchange = Exchange {
            client: self.visit.client.clone(),
            session,
            origin: site.origin.clone(),
            request,
            started: came.started,
            at: came.at,
            note: Note::default(),
        };
        let handler = &*self.visit.handler;
        let witness = self.visit.engine.witness.as_deref();
        let watching = witness.map(|witness| Watching::begin(witness, &mut exchange, handler));
        let access = Access::of(&exchange, handler);
        let answer = handler.handle(exchange);
        Ok(Handled { answer, then: Then { access, watching, reversed: None } })
    }

    /// Ends answering a request that the handler has answered.
    fn end(&self, answered: Result<Response<Body>, Close>, then: Then<'_>) -> Answered {
        let Then { access, watching, reversed } = then;
        if let Some(access) = access {
            access.log(&answered);
        }
        let answered = match watching {
            Some(watching) => watching.answered(answered, &*self.visit.handler),
            None => answered,
        };
        let mut answer = answered.map_err(Refused::Close)?;
        if let Some(Reversed { way, asked, there }) = reversed.as_deref()
            && places::are_in(answer.headers())
            && let Some(places) = Places::new(&self.visit.engine.reverse, *way, asked, there)
        {
            places.rewrite(answer.headers_mut());
        }
        Ok(answer)
    }

    fn own_page(&self, request: &Request<Incoming>) -> Response<Body> {
        let Visit { engine, local, .. } = &*self.visit;
        status::page(request, engine.proxy, engine.authority.cert_pem(), |authority| {
            let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
            matches!(engine.ours(*local, &host, authority.port_u16().unwrap_or(80)), Some(Ours::Proxy))
        })
    }

    /// Whose request it is.
    pub(super) fn session(&self, headers: &HeaderMap) -> Result<Session, Trouble> {
        let header = headers.get(PROXY_AUTHORIZATION).cloned();
        self.sessions.get(&header, |header| auth::session(self.visit.engine.auth.as_ref(), header.as_ref()))
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
