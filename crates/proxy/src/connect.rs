//! CONNECT: who may, what becomes of it, and what is found inside: TLS, HTTP, or anything else.

use std::sync::Arc;

use ::http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use tokio::time::Instant;

use super::answer::{Role, Seat};
use super::body::Body;
use super::engine::{Ours, Visit};
use super::handler::{Connect, Notice, Origin, Scheme, Session};
use super::respond::Trouble;
use super::reverse::Routes;
use super::secure::{self, Hello};
use super::sniff::Opening;
use super::target::{self, Site};
use super::upstream::{Dialled, H2, HTTP1};
use super::wire::Wire;
use super::{serve, tunnel};
use harproxy_tls::authority::Alpn;

/// A CONNECT that was answered 200.
pub(super) struct Granted {
    to: Origin,
    session: Session,
    way: Way,
    upgrade: Option<OnUpgrade>,
}

/// What it leads to.
enum Way {
    Intercept(Option<Dialled>),
    Tunnel(Dialled),
    /// A `--reverse` port of our own.
    Reverse(Arc<Routes>),
}

impl Granted {
    /// The connection below, once the 200 has been sent.
    pub(super) async fn upgrade(&mut self) -> hyper::Result<Upgraded> {
        match self.upgrade.take() {
            Some(upgrade) => upgrade.await,
            // Never so: it is taken once. hyper's own error for a request without an upgrade says the right thing.
            None => hyper::upgrade::on(Request::new(())).await,
        }
    }
}

/// Answers a CONNECT. With a 200 the seat's connection ends in it.
pub(super) async fn grant(seat: &Seat, mut request: Request<Incoming>) -> Result<Response<Body>, Trouble> {
    if request.version() >= Version::HTTP_2 {
        return Err(Trouble::NoTunnel("CONNECT over HTTP/2 is not supported; use HTTP/1.1 towards the proxy."));
    }
    let session = seat.session(request.headers())?;
    let to = target::connect_origin(request.uri())?;
    let visit = &seat.visit;
    let way = match visit.engine.ours(visit.local, &to.host, to.port) {
        Some(Ours::Proxy) => return Err(Trouble::Loop(visit.engine.proxy)),
        Some(Ours::Reverse(routes)) => Way::Reverse(routes.clone()),
        None => match visit.handler.connect(&session, &to).await {
            Connect::Intercept(dialled) => Way::Intercept(dialled),
            Connect::Tunnel(dialled) => Way::Tunnel(dialled),
            Connect::Refuse(response) => return Ok(response),
        },
    };
    let upgrade = Some(hyper::upgrade::on(&mut request));
    let mut slot = seat.granted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *slot = Some(Granted { to, session, way, upgrade });
    Ok(Response::new(Body::Empty))
}

/// Serves a connection of which nothing is known yet: a client of the proxy port or of a `--reverse` port. Whatever it speaks
/// is understood, so that a proxy URL with `https://` works, too.
pub(super) async fn converse(visit: Arc<Visit>, role: Role, session: Session, mut wire: Wire) {
    let limits = visit.engine.limits;
    let opening = tokio::select! {
        opening = wire.opening(limits) => opening,
        () = visit.stop.drain.cancelled() => return,
    };
    match opening {
        Ok(Some(Opening::Tls)) => {
            let protocols = if matches!(role, Role::Proxy) { Alpn::Http1 } else { Alpn::Http2 };
            let deadline = Instant::now() + limits.head;
            let handshake = async {
                let hello = Hello::read(wire, deadline).await?;
                let host = hello.name.clone().unwrap_or_else(|| visit.local.ip().to_string());
                let config = visit.engine.authority.server_config(&host, protocols);
                let stream = match config {
                    Ok(config) => hello.answer(config, deadline).await,
                    Err(error) => Err(error.to_string()),
                };
                stream.inspect_err(|reason| tracing::debug!("no TLS with a client of a port of ours: {reason}")).ok()
            };
            let Some(Some(stream)) = visit.stop.drain.run_until_cancelled(handshake).await else { return };
            let http2 = secure::is_http2(&stream);
            serve(Seat::new(visit.clone(), role, session), stream.into(), http2).await;
        }
        Ok(Some(opening)) => serve(Seat::new(visit.clone(), role, session), wire, opening == Opening::Http2).await,
        Ok(None) | Err(_) => {}
    }
}

/// Serves HTTP, and what a CONNECT on it leads to.
async fn serve(seat: Arc<Seat>, wire: Wire, http2: bool) {
    if http2 {
        serve::http2(wire, &seat).await;
    } else if let Some((granted, wire)) = serve::http1(wire, &seat).await {
        let visit = seat.visit.clone();
        drop(seat);
        // Boxed: what is inside may be served by this very function.
        Box::pin(proceed(visit, granted, wire)).await;
    }
}

async fn proceed(visit: Arc<Visit>, granted: Granted, wire: Wire) {
    let Granted { to, session, way, .. } = granted;
    match way {
        Way::Tunnel(dialled) => pass(&visit, to, wire, dialled).await,
        Way::Intercept(dialled) => intercept(visit, to, session, wire, dialled).await,
        Way::Reverse(routes) => converse(visit, Role::Reverse(routes), session, wire).await,
    }
}

/// A tunnel to its end.
async fn pass(visit: &Visit, to: Origin, wire: Wire, dialled: Dialled) {
    let (passed, began) = (tunnel::Passed::default(), Instant::now());
    let run = tunnel::run(wire, dialled.into_io(), &passed, visit.engine.limits.idle, &visit.stop.drain);
    visit.stop.abort.run_until_cancelled(run).await;
    let (sent, received) = (passed.sent.into_inner(), passed.received.into_inner());
    visit.notice(Notice::Tunnelled { to, sent, received, took: began.elapsed() });
}

/// Looks at who speaks first, and what.
async fn intercept(visit: Arc<Visit>, to: Origin, session: Session, mut wire: Wire, mut dialled: Option<Dialled>) {
    let opening = loop {
        let upstream_speaks = async {
            match &mut dialled {
                Some(dialled) => dialled.first_bytes().await.unwrap_or(false),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            opening = wire.opening(visit.engine.limits) => break opening,
            speaks = upstream_speaks => match dialled.take() {
                Some(dialled) if speaks => return pass(&visit, to, wire, dialled).await,
                // It closed without a word: what the client wants may yet be had from another connection.
                _ => {}
            },
            () = visit.stop.drain.cancelled() => return,
        }
    };
    match (opening, dialled) {
        (Ok(Some(Opening::Tls)), dialled) => terminate(visit, to, session, wire, dialled).await,
        (Ok(Some(opening @ (Opening::Http1 | Opening::Http2))), dialled) => {
            let to = Origin { scheme: Scheme::Http, ..to };
            visit.handler.plain(&session, &to, dialled);
            let Ok(site) = Site::try_from(to) else { return };
            serve(Seat::new(visit, Role::Inside(site), session), wire, opening == Opening::Http2).await;
        }
        (Ok(Some(Opening::Unknown)), Some(dialled)) => pass(&visit, to, wire, dialled).await,
        (Ok(Some(Opening::Unknown)), None) => visit.notice(Notice::Unreadable { to }),
        (Ok(None) | Err(_), _) => {}
    }
}

/// Terminates the client's TLS with a certificate of ours and serves the requests inside.
async fn terminate(visit: Arc<Visit>, to: Origin, session: Session, wire: Wire, dialled: Option<Dialled>) {
    let Ok(site) = Site::try_from(to.clone()) else { return };
    let handshake = async {
        let head = visit.engine.limits.head;
        let hello = Hello::read(wire, Instant::now() + head).await?;
        let alpn = visit.handler.secure(&session, &to, &hello.alpn, dialled).await;
        // Any answer can be said in HTTP/2, and a client that speaks nothing else would find no common protocol.
        let only_http2 =
            hello.alpn.iter().any(|offered| offered == H2) && !hello.alpn.iter().any(|offered| offered == HTTP1);
        let alpn = if only_http2 { Alpn::Http2 } else { alpn };
        // The name that the client will check: it may have been told to connect elsewhere (curl's --connect-to).
        let host = hello.name.as_deref().unwrap_or(&to.host);
        Some(match visit.engine.authority.server_config(host, alpn) {
            // The time that upstream took is not the client's.
            Ok(config) => hello.answer(config, Instant::now() + head).await,
            Err(error) => Err(error.to_string()),
        })
    };
    let refused = |reason| visit.notice(Notice::TlsRefused { to: to.clone(), reason });
    let stream = match visit.stop.run_through(handshake).await {
        Some(Some(Ok(stream))) => stream,
        Some(Some(Err(reason))) => return refused(reason),
        Some(None) | None => return,
    };
    let http2 = secure::is_http2(&stream);
    let seat = Seat::new(visit.clone(), Role::Inside(site), session);
    let pulse = seat.pulse.clone();
    serve(seat, stream.into(), http2).await;
    // Some clients finish the handshake of TLS 1.3 first and look at the certificate then.
    match pulse.refused() {
        Some(reason) => refused(reason.to_owned()),
        None if pulse.ever_asked() => visit.notice(Notice::TlsTrusted { to }),
        None => {}
    }
}
