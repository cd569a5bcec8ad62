//! Handlers as the engine holds them: all of one type, so that it is compiled once and not anew for each handler.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;

use ::http::{HeaderMap, Response};

use super::body::Body;
use super::handler::{
    Client, Close, Connect, Exchange, Glance, Handler, Notice, Origin, Plain, Progress, Session, Ticket,
};
use super::upstream::{Dialled, Upstream};
use harproxy_http::Headers;
use harproxy_tls::authority::Alpn;

/// Every [`Handler`], whatever it keeps for a client connection.
pub trait AnyHandler: Send + Sync {
    /// As [`Handler::accept`]: the handler and what it keeps for this client.
    fn attend(self: Arc<Self>, client: &Arc<Client>) -> Box<dyn Attendant>;

    /// As [`Handler::notice`].
    fn notice(&self, notice: Notice);

    /// As [`Handler::upstreams`].
    fn upstreams(&self) -> Vec<&Upstream>;
}

/// What has to be waited for.
pub(super) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A future in a box that it is made in: one that is made first is moved into its box as a whole, with all the room that it is going to need.
#[inline(always)]
pub(super) fn boxed<F>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    let room = Box::new_uninit();
    Box::into_pin(Box::write(room, make()))
}

/// A handler and what it keeps for one client connection. Its methods are those of [`Handler`].
pub trait Attendant: Send + Sync {
    /// [`Handler::keeps_case`].
    fn keeps_case(&self) -> bool;

    /// [`Handler::answers_at_once`].
    fn answers_at_once(&self) -> bool;

    /// [`Handler::at_once`].
    fn at_once(&self, glance: &Glance<'_>) -> Option<Response<Body>>;

    /// [`Handler::ticket`].
    fn ticket(&self, url: &str) -> Option<Ticket>;

    /// [`Handler::gathers`].
    fn gathers(&self) -> bool;

    /// [`Handler::fetch`].
    fn fetch(&self, tickets: &[Ticket]);

    /// [`Handler::ready`].
    fn ready(
        &self,
        ticket: Ticket,
        session: &Session,
        is_plain: &dyn Fn() -> bool,
        head: &mut Vec<u8>,
    ) -> Option<&'static [u8]>;

    /// [`Handler::passes`].
    fn passes(&self) -> bool;

    /// [`Handler::pass`].
    fn pass(&self, plain: &Plain<'_>, cx: &mut Context<'_>) -> bool;

    /// [`Handler::poll_pass`].
    fn poll_pass(&self, cx: &mut Context<'_>, answer: &mut Vec<u8>) -> Progress;

    /// [`Handler::leave`].
    fn leave(&self, origin: &Origin);

    /// [`Handler::poll_idle`].
    fn poll_idle(&self, origin: &Origin, cx: &mut Context<'_>);

    /// [`Handler::connect`].
    fn connect<'a>(&'a self, session: &'a Session, to: &'a Origin) -> Later<'a, Connect>;

    /// [`Handler::secure`].
    fn secure<'a>(
        &'a self,
        session: &'a Session,
        to: &'a Origin,
        client_alpn: &'a [Vec<u8>],
        dialled: Option<Dialled>,
    ) -> Later<'a, Alpn>;

    /// [`Handler::plain`].
    fn plain(&self, session: &Session, to: &Origin, dialled: Option<Dialled>);

    /// [`Handler::handle`].
    ///
    /// # Errors
    /// [`Close`] closes the connection instead.
    fn handle(&self, exchange: Exchange) -> Later<'_, Result<Response<Body>, Close>>;

    /// [`Handler::told`].
    fn told<'u>(&self, headers: &HeaderMap, url: &'u str) -> Cow<'u, str>;

    /// [`Handler::told_headers`].
    fn told_headers(&self, headers: &HeaderMap) -> Headers;
}

impl<H: Handler> AnyHandler for H {
    fn attend(self: Arc<Self>, client: &Arc<Client>) -> Box<dyn Attendant> {
        let own = self.accept(client);
        Box::new(Attending { handler: self, own })
    }

    fn notice(&self, notice: Notice) {
        Handler::notice(self, notice);
    }

    fn upstreams(&self) -> Vec<&Upstream> {
        Handler::upstreams(self)
    }
}

struct Attending<H: Handler> {
    handler: Arc<H>,
    own: H::Connection,
}

impl<H: Handler> Attendant for Attending<H> {
    fn keeps_case(&self) -> bool {
        self.handler.keeps_case()
    }

    fn answers_at_once(&self) -> bool {
        self.handler.answers_at_once()
    }

    fn at_once(&self, glance: &Glance<'_>) -> Option<Response<Body>> {
        self.handler.at_once(glance)
    }

    fn ticket(&self, url: &str) -> Option<Ticket> {
        self.handler.ticket(url)
    }

    fn gathers(&self) -> bool {
        self.handler.gathers()
    }

    fn fetch(&self, tickets: &[Ticket]) {
        self.handler.fetch(tickets);
    }

    fn ready(
        &self,
        ticket: Ticket,
        session: &Session,
        is_plain: &dyn Fn() -> bool,
        head: &mut Vec<u8>,
    ) -> Option<&'static [u8]> {
        self.handler.ready(ticket, session, is_plain, head)
    }

    fn passes(&self) -> bool {
        self.handler.passes()
    }

    fn pass(&self, plain: &Plain<'_>, cx: &mut Context<'_>) -> bool {
        self.handler.pass(&self.own, plain, cx)
    }

    fn poll_pass(&self, cx: &mut Context<'_>, answer: &mut Vec<u8>) -> Progress {
        self.handler.poll_pass(&self.own, cx, answer)
    }

    fn leave(&self, origin: &Origin) {
        self.handler.leave(&self.own, origin);
    }

    fn poll_idle(&self, origin: &Origin, cx: &mut Context<'_>) {
        self.handler.poll_idle(&self.own, origin, cx);
    }

    fn connect<'a>(&'a self, session: &'a Session, to: &'a Origin) -> Later<'a, Connect> {
        Box::pin(self.handler.connect(&self.own, session, to))
    }

    fn secure<'a>(
        &'a self,
        session: &'a Session,
        to: &'a Origin,
        client_alpn: &'a [Vec<u8>],
        dialled: Option<Dialled>,
    ) -> Later<'a, Alpn> {
        Box::pin(self.handler.secure(&self.own, session, to, client_alpn, dialled))
    }

    fn plain(&self, session: &Session, to: &Origin, dialled: Option<Dialled>) {
        self.handler.plain(&self.own, session, to, dialled);
    }

    fn handle(&self, exchange: Exchange) -> Later<'_, Result<Response<Body>, Close>> {
        boxed(|| self.handler.handle(&self.own, exchange))
    }

    fn told<'u>(&self, headers: &HeaderMap, url: &'u str) -> Cow<'u, str> {
        self.handler.told(headers, url)
    }

    fn told_headers(&self, headers: &HeaderMap) -> Headers {
        self.handler.told_headers(headers)
    }
}
