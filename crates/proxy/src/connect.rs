//! CONNECT: who may, what becomes of it, and what is found inside: TLS, HTTP, or anything else.

use std::sync::Arc;

use ::http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use tokio::time::Instant;

use super::body::Body;
use super::engine::{ClientConnection, OwnPort};
use super::handler::{Connection, ConnectionEvent, Tunnel};
use super::http_connection::{ConnectionKind, HttpConnection};
use super::origin::{Origin, Scheme, Session};
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
    connection: Connection,
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

/// Answers a CONNECT. A 200 ends the HTTP connection.
pub(super) async fn grant(http: &HttpConnection, mut request: Request<Incoming>) -> Result<Response<Body>, Trouble> {
    if request.version() >= Version::HTTP_2 {
        return Err(Trouble::NoTunnel("CONNECT over HTTP/2 is not supported; use HTTP/1.1 towards the proxy."));
    }
    let client = &http.client;
    let connection = client.with_session(http.session(request.headers())?);
    let to = target::connect_origin(request.uri())?;
    let way = match client.engine.own_port(client.local, &to.host, to.port) {
        Some(OwnPort::Proxy) => return Err(Trouble::Loop(client.engine.proxy)),
        Some(OwnPort::Reverse(routes)) => Way::Reverse(routes.clone()),
        None => match client.engine.handler.tunnel(&connection, &to).await {
            Tunnel::Intercept(dialled) => Way::Intercept(dialled),
            Tunnel::PassThrough(dialled) => Way::Tunnel(dialled),
            Tunnel::Refuse(response) => return Ok(response),
        },
    };
    let upgrade = Some(hyper::upgrade::on(&mut request));
    let mut slot = http.granted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *slot = Some(Granted { to, connection, way, upgrade });
    Ok(Response::new(Body::Empty))
}

/// Serves a connection of which nothing is known yet: a client of the proxy port or of a `--reverse` port. Whatever it speaks
/// is understood, so that a proxy URL with `https://` works, too.
pub(super) async fn converse(client: Arc<ClientConnection>, kind: ConnectionKind, session: Session, mut wire: Wire) {
    let limits = client.engine.limits;
    let opening = tokio::select! {
        opening = wire.opening(limits) => opening,
        () = client.stop.drain.cancelled() => return,
    };
    match opening {
        Ok(Some(Opening::Tls)) => {
            let protocols = if matches!(kind, ConnectionKind::Proxy) { Alpn::Http1 } else { Alpn::Http2 };
            let deadline = Instant::now() + limits.head;
            let handshake = async {
                let hello = Hello::read(wire, deadline).await?;
                let host = hello.name.clone().unwrap_or_else(|| client.local.ip().to_string());
                let config = client.engine.authority.server_config(&host, protocols);
                let stream = match config {
                    Ok(config) => hello.answer(config, deadline).await,
                    Err(error) => Err(error.to_string()),
                };
                stream.inspect_err(|reason| tracing::debug!("no TLS with a client of a port of ours: {reason}")).ok()
            };
            let Some(Some(stream)) = client.stop.drain.run_until_cancelled(handshake).await else { return };
            let http2 = secure::is_http2(&stream);
            serve(HttpConnection::new(client.clone(), kind, session), stream.into(), http2).await;
        }
        Ok(Some(opening)) => {
            serve(HttpConnection::new(client.clone(), kind, session), wire, opening == Opening::Http2).await
        }
        Ok(None) | Err(_) => {}
    }
}

/// Serves HTTP, and what a CONNECT on it leads to.
async fn serve(http: Arc<HttpConnection>, wire: Wire, http2: bool) {
    if http2 {
        serve::http2(wire, &http).await;
    } else if let Some((granted, wire)) = serve::http1(wire, &http).await {
        let client = http.client.clone();
        drop(http);
        // Boxed: what is inside may be served by this very function.
        Box::pin(proceed(client, granted, wire)).await;
    }
}

async fn proceed(client: Arc<ClientConnection>, granted: Granted, wire: Wire) {
    let Granted { to, connection, way, .. } = granted;
    match way {
        Way::Tunnel(dialled) => pass(&client, to, wire, dialled).await,
        Way::Intercept(dialled) => intercept(client, to, connection, wire, dialled).await,
        Way::Reverse(routes) => {
            converse(client, ConnectionKind::Reverse(routes), connection.session().clone(), wire).await
        }
    }
}

/// A tunnel to its end.
async fn pass(client: &ClientConnection, to: Origin, wire: Wire, dialled: Dialled) {
    let (passed, began) = (tunnel::Passed::default(), Instant::now());
    let run = tunnel::run(wire, dialled.into_io(), &passed, client.engine.limits.idle, &client.stop.drain);
    client.stop.abort.run_until_cancelled(run).await;
    let (sent, received) = (passed.sent.into_inner(), passed.received.into_inner());
    client.event(ConnectionEvent::TunnelClosed { to, sent, received, duration: began.elapsed() });
}

/// Looks at who speaks first, and what.
async fn intercept(
    client: Arc<ClientConnection>,
    to: Origin,
    connection: Connection,
    mut wire: Wire,
    mut dialled: Option<Dialled>,
) {
    let opening = loop {
        let upstream_speaks = async {
            match &mut dialled {
                Some(dialled) => dialled.first_bytes().await.unwrap_or(false),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            opening = wire.opening(client.engine.limits) => break opening,
            speaks = upstream_speaks => match dialled.take() {
                Some(dialled) if speaks => return pass(&client, to, wire, dialled).await,
                // It closed without a word: what the client wants may yet be had from another connection.
                _ => {}
            },
            () = client.stop.drain.cancelled() => return,
        }
    };
    match (opening, dialled) {
        (Ok(Some(Opening::Tls)), dialled) => terminate(client, to, connection, wire, dialled).await,
        (Ok(Some(opening @ (Opening::Http1 | Opening::Http2))), dialled) => {
            let to = Origin { scheme: Scheme::Http, ..to };
            if let Some(dialled) = dialled {
                connection.pool.put_dialled(&to, dialled);
            }
            let Ok(site) = Site::try_from(to) else { return };
            serve(
                HttpConnection::new(client, ConnectionKind::Tunnel(site), connection.session().clone()),
                wire,
                opening == Opening::Http2,
            )
            .await;
        }
        (Ok(Some(Opening::Unknown)), Some(dialled)) => pass(&client, to, wire, dialled).await,
        (Ok(Some(Opening::Unknown)), None) => client.event(ConnectionEvent::UnknownProtocol { to }),
        (Ok(None) | Err(_), _) => {}
    }
}

/// Terminates the client's TLS with a certificate of ours and serves the requests inside.
async fn terminate(
    client: Arc<ClientConnection>,
    to: Origin,
    connection: Connection,
    wire: Wire,
    dialled: Option<Dialled>,
) {
    let Ok(site) = Site::try_from(to.clone()) else { return };
    let handshake = async {
        let head = client.engine.limits.head;
        let hello = Hello::read(wire, Instant::now() + head).await?;
        let alpn = client.engine.handler.alpn(&connection, &to, &hello.alpn, dialled).await;
        // Any answer can be said in HTTP/2, and a client that speaks nothing else would find no common protocol.
        let only_http2 =
            hello.alpn.iter().any(|offered| offered == H2) && !hello.alpn.iter().any(|offered| offered == HTTP1);
        let alpn = if only_http2 { Alpn::Http2 } else { alpn };
        // The name that the client will check: it may have been told to connect elsewhere (curl's --connect-to).
        let host = hello.name.as_deref().unwrap_or(&to.host);
        Some(match client.engine.authority.server_config(host, alpn) {
            // The time that upstream took is not the client's.
            Ok(config) => hello.answer(config, Instant::now() + head).await,
            Err(error) => Err(error.to_string()),
        })
    };
    let refused = |reason| client.event(ConnectionEvent::TlsRefused { to: to.clone(), reason });
    let stream = match client.stop.run_through(handshake).await {
        Some(Some(Ok(stream))) => stream,
        Some(Some(Err(reason))) => return refused(reason),
        Some(None) | None => return,
    };
    let http2 = secure::is_http2(&stream);
    let http = HttpConnection::new(client.clone(), ConnectionKind::Tunnel(site), connection.session().clone());
    let idle = http.idle.clone();
    serve(http, stream.into(), http2).await;
    // Some clients finish the handshake of TLS 1.3 first and look at the certificate then.
    match idle.tls_rejection() {
        Some(reason) => refused(reason.to_owned()),
        None if idle.had_request() => client.event(ConnectionEvent::TlsAccepted { to }),
        None => {}
    }
}
