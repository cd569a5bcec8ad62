//! The recorder as the engine sees it: everything goes upstream; what is in scope is watched on its way.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;

use ::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;

use super::Recorder;
use super::capture::{Passing, RequestTee, ResponseTee, Tape, Taping, Unanswered, asks_upgrade};
use super::look::Media;
use super::pass::Pass;
use super::problem;
use super::tally::Fate;
use crate::verdict::connections;
use harproxy_http::{Header, Headers, NormalUrl};
use harproxy_matching::noise;
use harproxy_proxy::body::{BoxError, Gathered, Watch, Watched};
use harproxy_proxy::handler::Close;
use harproxy_proxy::upstream::{Answer, Dialled, OwnConnections, SendError, Upstream, UpstreamError};
use harproxy_proxy::{
    self, Ask, Body, Client, Connect, Exchange, Handler, Notice, Origin, Plain, Progress, Provenance, Scheme, Session,
    Way,
};
use harproxy_redact::Telling;
use harproxy_tls::authority::Alpn;

/// What belongs to one client connection.
#[derive(Debug, Default)]
pub struct Own {
    pub(super) connections: OwnConnections,
    pub(super) pass: Pass,
}

impl Handler for Recorder {
    type Connection = Own;

    fn passes(&self) -> bool {
        true
    }

    fn pass(&self, own: &Own, plain: &Plain<'_>, cx: &mut Context<'_>) -> bool {
        self.begin_pass(own, plain, cx)
    }

    fn poll_pass(&self, own: &Own, cx: &mut Context<'_>, answer: &mut Vec<u8>) -> Progress {
        self.go_on_with_pass(own, cx, answer)
    }

    fn leave(&self, own: &Own, origin: &Origin) {
        self.leave_pass(own, origin);
    }

    fn poll_idle(&self, own: &Own, origin: &Origin, cx: &mut Context<'_>) {
        self.watch_free(own, origin, cx);
    }

    fn accept(&self, _: &Arc<Client>) -> Own {
        Own { connections: OwnConnections::to_pass(), ..Own::default() }
    }

    async fn connect(&self, Own { connections: own, .. }: &Own, session: &Session, to: &Origin) -> Connect {
        if self.may_record(to) {
            return self.upstream.intercept(own, session, to).await;
        }
        match self.upstream.dial(to).await {
            Ok(dialled) => Connect::Tunnel(dialled),
            Err(error) => {
                self.tally.request(to, Fate::Passed);
                Connect::Refuse(problem::answer(to, &error))
            }
        }
    }

    async fn secure(
        &self,
        own: &Own,
        session: &Session,
        to: &Origin,
        client_alpn: &[Vec<u8>],
        dialled: Option<Dialled>,
    ) -> Alpn {
        self.upstream.secure(&own.connections, session, to, client_alpn, dialled).await
    }

    fn plain(&self, own: &Own, _: &Session, to: &Origin, dialled: Option<Dialled>) {
        if let Some(dialled) = dialled {
            self.upstream.keep_plain(&own.connections, to, dialled);
        }
    }

    fn handle(&self, own: &Own, exchange: Exchange) -> impl Future<Output = Result<Response<Body>, Close>> + Send {
        let begun = own.pass.take_begun();
        self.take(&own.connections, exchange, begun)
    }

    fn told<'u>(&self, headers: &HeaderMap, url: &'u str) -> Cow<'u, str> {
        match Telling::url(&self.plan.policy, headers, url) {
            Cow::Borrowed(url) => self.screen.vault().told(url),
            Cow::Owned(told) => Cow::Owned(self.screen.vault().told(&told).into_owned()),
        }
    }

    fn told_headers(&self, headers: &HeaderMap) -> Headers {
        let told = Telling::headers(&self.plan.policy, headers);
        let known =
            |field: &Header| match std::str::from_utf8(&field.value).map(|value| self.screen.vault().told(value)) {
                Ok(Cow::Owned(value)) => Header { name: field.name.clone(), value: value.into() },
                _ => field.clone(),
            };
        told.iter().map(known).collect()
    }

    fn notice(&self, notice: Notice) {
        // Out of scope nobody wanted to read it.
        if let Notice::Tunnelled { to, sent, received, .. } = &notice
            && sent + received > 0
            && self.may_record(to)
        {
            self.tally.find(connections::unrecorded_tunnel(&to.host_and_port()));
        }
        self.tally.notice(notice);
    }

    fn upstreams(&self) -> Vec<&Upstream> {
        vec![&self.upstream]
    }
}

/// As the recorder of what a replay misses.
impl Ask for Recorder {
    fn ask<'a>(
        &'a self,
        own: &'a OwnConnections,
        exchange: Exchange<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>, Close>> + Send + 'a>> {
        let Exchange { client, session, origin, request, started, at, note } = exchange;
        let request = request.map(Full::new);
        Box::pin(async move {
            let exchange = Exchange { client, session, origin, request, started, at, note };
            self.take(own, exchange, None).await
        })
    }

    fn upstream(&self) -> &Upstream {
        &self.upstream
    }
}

impl Recorder {
    /// Passes a request on; what is in scope is recorded, on the tape that it has `begun` if it has. What can be done before it waits is: a future within a
    /// future is moved, all 5 KB of it, when it is first asked.
    fn take<B>(
        &self,
        own: &OwnConnections,
        exchange: Exchange<B>,
        begun: Option<Arc<Tape>>,
    ) -> impl Future<Output = Result<Response<Body>, Close>> + Send
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (fate, tape) = match begun {
            Some(tape) => (Fate::Recorded, Some(tape)),
            None => self.begin(&exchange),
        };
        exchange.note.say(|| {
            let way = match fate {
                Fate::Recorded => Way::Recorded,
                Fate::Noise => Way::PassedNoise,
                Fate::Passed => Way::Passed,
            };
            Provenance { exchange: tape.as_ref().map(|tape| tape.number()), ..Provenance::of(way) }
        });
        let Exchange { session, origin, mut request, .. } = exchange;
        let asks_head = request.method() == Method::HEAD;
        let client = asks_upgrade(request.headers(), request.version()).then(|| hyper::upgrade::on(&mut request));
        let unanswered = Unanswered(tape);
        let request = watched(request, unanswered.0.as_ref());
        let sending = self.upstream.send(own, session, origin.clone(), request);
        self.forward(sending, Passage { origin, asks_head, client, unanswered })
    }

    /// Counts a request; one that is in scope has a tape from here on.
    fn begin<B>(&self, exchange: &Exchange<B>) -> (Fate, Option<Arc<Tape>>) {
        // What is no URL to the URL Standard can be in nobody's scope.
        let url = NormalUrl::of(exchange.url()).ok();
        let fate = url.as_ref().map_or(Fate::Passed, |url| self.fate(url));
        self.tally.request(&exchange.origin, fate);
        let url = url.filter(|_| fate == Fate::Recorded);
        (fate, url.map(|url| Tape::begin(self.taping(), exchange, url)))
    }

    /// Whether some URL of this host could be recorded; the scheme inside a CONNECT is not known yet.
    fn may_record(&self, to: &Origin) -> bool {
        [Scheme::Https, Scheme::Http]
            .into_iter()
            .any(|scheme| self.plan.scope.may_match_origin(&Origin { scheme, ..to.clone() }.to_string()))
    }

    pub(super) fn fate(&self, url: &NormalUrl) -> Fate {
        if !self.plan.scope.matches(url.as_str()) {
            return Fate::Passed;
        }
        if !self.plan.noise {
            return Fate::Recorded;
        }
        // Browsers ask for the icon by themselves; only a glob that names it wants it.
        let parts = url.parts();
        let icon =
            parts.path == "/favicon.ico" && !self.plan.scope.sources().iter().any(|glob| glob.contains("favicon.ico"));
        if icon || noise::is_noise_at(&parts, url) { Fate::Noise } else { Fate::Recorded }
    }

    /// Where the next exchange is taped.
    pub(super) fn taping(&self) -> Taping<'_> {
        Taping {
            journal: &self.journal,
            tally: &self.tally,
            screen: &self.screen,
            number: self.exchanges.fetch_add(1, Ordering::Relaxed) + 1,
            max_body: self.plan.max_body,
        }
    }

    /// Waits for the answer to a request that is being sent, and passes it on; what is taped is watched.
    async fn forward(
        &self,
        sending: impl Future<Output = Result<Box<Answer>, SendError>>,
        passage: Passage,
    ) -> Result<Response<Body>, Close> {
        let mut answer = match sending.await {
            Ok(answer) => answer,
            Err(SendError::Stale) => return Err(Close),
            Err(SendError::Upstream(error)) => return Ok(Box::pin(self.fail(&error, passage)).await),
        };
        let Passage { asks_head, client, mut unanswered, .. } = passage;
        let tape = unanswered.0.take();
        if let Some(tape) = &tape {
            tape.answered(&answer);
        }
        if answer.response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(client) = client
        {
            tokio::spawn(harproxy_proxy::splice(client, hyper::upgrade::on(&mut answer.response)));
        }
        if asks_head || has_no_content(answer.response.status()) {
            // Whatever its headers say of a length, its head is all of it.
            if let Some(tape) = tape {
                tape.complete().await;
            }
            return Ok(answer.response.map(Body::Incoming));
        }
        let watch: Box<dyn Watch> = match tape {
            Some(tape) => {
                let length = answer.response.body().size_hint().exact();
                Box::new(ResponseTee::new(tape, Media::of(answer.response.headers()), length))
            }
            None => Box::new(Passing(self.tally.clone())),
        };
        let (head, body) = answer.response.into_parts();
        let body = Watched::new(body, watch).ahead().await;
        Ok(Response::from_parts(head, body.into_body()))
    }

    async fn fail(&self, error: &UpstreamError, passage: Passage) -> Response<Body> {
        let Passage { origin, mut unanswered, .. } = passage;
        if let Some(tape) = unanswered.0.take() {
            tape.failed(error).await;
        }
        problem::answer(&origin, error)
    }
}

/// What has to be known of a request when its answer comes.
struct Passage {
    origin: Origin,
    asks_head: bool,
    /// Its client's side, where it asks for another protocol.
    client: Option<OnUpgrade>,
    unanswered: Unanswered,
}

/// A request whose payload is watched on its way, if it has one and is taped.
fn watched<B>(request: Request<B>, tape: Option<&Arc<Tape>>) -> Request<Body>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let length = request.body().size_hint().exact();
    // Over HTTP/2 one that says that it is empty may still end behind its head.
    if request.body().is_end_stream() || length == Some(0) {
        return request.map(|_| Body::Empty);
    }
    match tape.map(|tape| RequestTee::new(tape.clone(), Media::of(request.headers()), length)) {
        Some(tee) => request.map(|body| Body::boxed(Watched::new(Gathered::new(body), Box::new(tee)))),
        None => request.map(Body::boxed),
    }
}

/// Statuses whose responses end with their head (RFC 9110 section 6.4.1).
fn has_no_content(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}
