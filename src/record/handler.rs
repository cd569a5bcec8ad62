//! The recorder as the engine sees it: everything goes upstream; what is in scope is watched on its way.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::Full;

use super::Recorder;
use super::capture::{Passing, RequestTee, ResponseTee, Tape, Taping, Unanswered, asks_upgrade};
use super::lines::Memory;
use super::problem;
use super::tally::Fate;
use crate::http::{Header, Headers, NormalUrl};
use crate::matching::noise;
use crate::proxy::body::{BoxError, Gathered, Watch, Watched};
use crate::proxy::handler::Close;
use crate::proxy::upstream::{Dialled, OwnConnections, SendError, Upstream, UpstreamError};
use crate::proxy::{
    self, Ask, Body, Client, Connect, Exchange, Handler, Notice, Origin, Provenance, Scheme, Session, Way,
};
use crate::redact::Telling;
use crate::tls::authority::Alpn;
use crate::verdict::beside;

/// What belongs to one client connection.
#[derive(Debug, Default)]
pub struct Own {
    connections: OwnConnections,
    memory: Memory,
}

impl Handler for Recorder {
    type Connection = Own;

    fn accept(&self, _: &Arc<Client>) -> Own {
        Own::default()
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
        self.take(&own.connections, &own.memory, exchange)
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
            self.tally.find(beside::unread(&to.host_and_port()));
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
            self.take(own, &Memory::default(), exchange).await
        })
    }

    fn upstream(&self) -> &Upstream {
        &self.upstream
    }
}

impl Recorder {
    /// Passes a request on; what is in scope is recorded. What can be done before it waits is: a future within a future is moved, all 5 KB of it,
    /// when it is first asked.
    fn take<B>(
        &self,
        own: &OwnConnections,
        memory: &Memory,
        exchange: Exchange<B>,
    ) -> impl Future<Output = Result<Response<Body>, Close>> + Send
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        // What is no URL to the URL Standard can be in nobody's scope.
        let url = NormalUrl::of(exchange.url()).ok();
        let fate = url.as_ref().map_or(Fate::Passed, |url| self.fate(url));
        self.tally.request(&exchange.origin, fate);
        let url = url.filter(|_| fate == Fate::Recorded);
        let tape = url.map(|url| Tape::begin(self.taping(), &exchange, url, memory));
        exchange.note.say(|| {
            let way = match fate {
                Fate::Recorded => Way::Recorded,
                Fate::Noise => Way::PassedNoise,
                Fate::Passed => Way::Passed,
            };
            Provenance { exchange: tape.as_ref().map(|tape| tape.number()), ..Provenance::of(way) }
        });
        self.forward(own, memory, exchange, tape)
    }

    /// Whether some URL of this host could be recorded; the scheme inside a CONNECT is not known yet.
    fn may_record(&self, to: &Origin) -> bool {
        [Scheme::Https, Scheme::Http]
            .into_iter()
            .any(|scheme| self.plan.scope.may_match_origin(&Origin { scheme, ..to.clone() }.to_string()))
    }

    fn fate(&self, url: &NormalUrl) -> Fate {
        if !self.plan.scope.matches(url.as_str()) {
            return Fate::Passed;
        }
        if !self.plan.noise {
            return Fate::Recorded;
        }
        // Browsers ask for the icon by themselves; only a glob that names it wants it.
        let icon = url.parts().path == "/favicon.ico"
            && !self.plan.scope.sources().iter().any(|glob| glob.contains("favicon.ico"));
        if icon || noise::is_noise(url) { Fate::Noise } else { Fate::Recorded }
    }

    /// Where the next exchange is taped.
    fn taping(&self) -> Taping<'_> {
        Taping {
            journal: &self.journal,
            tally: &self.tally,
            screen: &self.screen,
            number: self.exchanges.fetch_add(1, Ordering::Relaxed) + 1,
            max_body: self.plan.max_body,
        }
    }

    /// Sends a request upstream and its answer back; what is taped is watched both ways.
    async fn forward<B>(
        &self,
        own: &OwnConnections,
        memory: &Memory,
        exchange: Exchange<B>,
        tape: Option<Arc<Tape>>,
    ) -> Result<Response<Body>, Close>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let mut unanswered = Unanswered(tape.clone());
        let Exchange { session, origin, mut request, .. } = exchange;
        let asks_head = request.method() == Method::HEAD;
        let client = asks_upgrade(request.headers(), request.version()).then(|| hyper::upgrade::on(&mut request));
        let (head, body) = request.into_parts();
        let body = watch_request(&head.headers, body, tape.as_ref()).await;
        let request = Request::from_parts(head, body);
        let mut answer = match self.upstream.send(own, &session, &origin, request).await {
            Ok(answer) => answer,
            Err(SendError::Stale) => return Err(Close),
            Err(SendError::Upstream(error)) => return Ok(self.fail(&origin, &error, unanswered).await),
        };
        unanswered.0 = None;
        if let Some(tape) = &tape {
            tape.answered(&answer, memory);
        }
        if answer.response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(client) = client
        {
            tokio::spawn(proxy::splice(client, hyper::upgrade::on(&mut answer.response)));
        }
        let (head, body) = answer.response.into_parts();
        if asks_head || has_no_content(head.status) {
            // Whatever its headers say of a length, its head is all of it.
            if let Some(tape) = tape {
                tape.complete().await;
            }
            return Ok(Response::from_parts(head, Body::Incoming(body)));
        }
        let watch: Box<dyn Watch> = match tape {
            Some(tape) => Box::new(ResponseTee::new(tape, &head.headers, body.size_hint().exact())),
            None => Box::new(Passing(self.tally.clone())),
        };
        // Of an empty payload this waits for the end as well.
        let body = Watched::new(body, watch).await.ahead().await;
        Ok(Response::from_parts(head, body.into_body()))
    }

    async fn fail(&self, to: &Origin, error: &UpstreamError, mut unanswered: Unanswered) -> Response<Body> {
        if let Some(tape) = unanswered.0.take() {
            tape.failed(error).await;
        }
        problem::answer(to, error)
    }
}

async fn watch_request<B>(headers: &HeaderMap, body: B, tape: Option<&Arc<Tape>>) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    match tape {
        _ if body.is_end_stream() => Body::Empty,
        Some(tape) => {
            let tee = RequestTee::new(tape.clone(), headers, body.size_hint().exact());
            Body::boxed(Watched::new(Gathered::new(body), Box::new(tee)).await)
        }
        None => Body::boxed(body),
    }
}

/// Statuses whose responses end with their head (RFC 9110 section 6.4.1).
fn has_no_content(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}
