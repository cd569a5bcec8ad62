//! Accepted streams and CONNECT tunnels: detects the protocol, terminates TLS, serves HTTP, copies the rest.

use std::sync::Arc;

use rustls::server::Acceptor;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use crate::engine::ClientConnection;
use crate::handler::{Connection, ConnectionEvent};
use crate::handshake::HandshakeRefusal;
use crate::origin::{Origin, Scheme, Session};
use crate::serve::drive::{serve_http1, serve_http2};
use crate::serve::http_connection::{ConnectionKind, GrantedConnect, HttpConnection, TunnelTarget};
use crate::sniff::{Protocol, detect};
use crate::stream::ByteStream;
use crate::tunnel::pass_through;
use crate::upstream::{Dialled, H2, HTTP1};
use harproxy_tls::authority::{Alpn, Authority};

/// Serves a client of the proxy port or of a `--reverse` port. TLS is accepted on both, so that a proxy URL with
/// `https://` works.
pub(crate) async fn converse(
    client: Arc<ClientConnection>,
    kind: ConnectionKind,
    session: Session,
    mut stream: ByteStream,
) {
    let timeouts = client.engine.timeouts;
    let detected = client.stop.drain.run_until_cancelled(detect(&mut stream, timeouts)).await;
    let Some(protocol) = detected.flatten() else { return };
    let mut is_http2 = protocol == Protocol::Http2;
    if protocol == Protocol::Tls {
        let alpn = if matches!(kind, ConnectionKind::Proxy) { Alpn::Http1 } else { Alpn::Http2 };
        let deadline = Instant::now() + timeouts.head;
        let handshake = async {
            let hello = ClientHello::read(stream, deadline).await?;
            let local = client.local.ip().to_string();
            let answered = hello.answer(&client.engine.authority, &local, alpn, deadline).await;
            answered
                .inspect_err(|refusal| tracing::debug!("TLS handshake with a client failed: {}", refusal.reason))
                .ok()
        };
        let answered = client.stop.drain.run_until_cancelled(Box::pin(handshake)).await.flatten();
        let Some(answered) = answered else { return };
        (stream, is_http2) = answered;
    }
    serve(HttpConnection::new(client, kind, session), stream, is_http2).await;
}

/// Serves HTTP, and the tunnel that a CONNECT leads to. The futures of handshakes and of HTTP are boxed: each gives its
/// memory back when it ends, before an idle tunnel begins.
async fn serve(http: Arc<HttpConnection>, stream: ByteStream, is_http2: bool) {
    if is_http2 {
        Box::pin(serve_http2(stream, &http)).await;
    } else if let Some((granted, stream)) = Box::pin(serve_http1(stream, &http)).await {
        let client = http.client.clone();
        drop(http);
        // Boxed, because the tunnel may be served by this function.
        Box::pin(run_tunnel(client, granted, stream)).await;
    }
}

async fn run_tunnel(client: Arc<ClientConnection>, granted: GrantedConnect, stream: ByteStream) {
    let GrantedConnect { to, user_agent, connection, target } = granted;
    match target {
        TunnelTarget::PassThrough(dialled) => pass_through(&client, to, stream, dialled).await,
        TunnelTarget::Intercept(dialled) => {
            let connect = InterceptedConnect { to, user_agent, connection };
            intercept(client, connect, stream, dialled).await;
        }
        TunnelTarget::Reverse(origins) => {
            converse(client, ConnectionKind::Reverse(origins), connection.session().clone(), stream).await;
        }
    }
}

/// A CONNECT whose tunnel is served.
struct InterceptedConnect {
    to: Origin,
    user_agent: Option<String>,
    connection: Connection,
}

/// Detects the protocol inside a CONNECT tunnel, by the side that speaks first.
async fn intercept(
    client: Arc<ClientConnection>,
    connect: InterceptedConnect,
    mut stream: ByteStream,
    mut dialled: Option<Dialled>,
) {
    let detected = loop {
        let upstream_speaks = async {
            match &mut dialled {
                Some(dialled) => dialled.first_bytes().await.unwrap_or(false),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            detected = detect(&mut stream, client.engine.timeouts) => break detected,
            speaks = upstream_speaks => match dialled.take() {
                Some(dialled) if speaks => return pass_through(&client, connect.to, stream, dialled).await,
                // Upstream closed without a byte: another connection may still answer the client's request.
                _ => {}
            },
            () = client.stop.drain.cancelled() => return,
        }
    };
    match (detected, dialled) {
        (Some(Protocol::Tls), dialled) => terminate_tls(client, connect, stream, dialled).await,
        (Some(protocol @ (Protocol::Http1 | Protocol::Http2)), dialled) => {
            let InterceptedConnect { to, connection, .. } = connect;
            let to = Origin { scheme: Scheme::Http, ..to };
            if let Some(dialled) = dialled {
                connection.pool.put_dialled(&to, dialled);
            }
            let http = HttpConnection::new(client, ConnectionKind::Tunnel(to), connection.session().clone());
            serve(http, stream, protocol == Protocol::Http2).await;
        }
        (Some(Protocol::Unknown), Some(dialled)) => pass_through(&client, connect.to, stream, dialled).await,
        (Some(Protocol::Unknown), None) => client.event(ConnectionEvent::UnknownProtocol { to: connect.to }),
        (None, _) => {}
    }
}

/// Terminates the client's TLS with a certificate of the authority and serves the requests inside.
async fn terminate_tls(
    client: Arc<ClientConnection>,
    connect: InterceptedConnect,
    stream: ByteStream,
    dialled: Option<Dialled>,
) {
    let InterceptedConnect { to, user_agent, connection } = connect;
    let started = Instant::now();
    let handshake = async {
        let head = client.engine.timeouts.head;
        let hello = ClientHello::read(stream, Instant::now() + head).await?;
        let alpn = client.engine.handler.alpn(&connection, &to, &hello.alpn, dialled).await;
        // A client that offers only HTTP/2 gets it: every answer can be sent over HTTP/2.
        let offers = |protocol: &[u8]| hello.alpn.iter().any(|offered| offered == protocol);
        let alpn = if offers(H2) && !offers(HTTP1) { Alpn::Http2 } else { alpn };
        // A new deadline: the time that upstream took does not count.
        let deadline = Instant::now() + head;
        Some(hello.answer(&client.engine.authority, &to.host, alpn, deadline).await)
    };
    let refused = |refusal| {
        let started = started.into_std();
        client.event(ConnectionEvent::TlsRefused { to: to.clone(), client: user_agent.clone(), started, refusal });
    };
    let (stream, is_http2) = match client.stop.run_handshake(Box::pin(handshake)).await.flatten() {
        Some(Ok(answered)) => answered,
        Some(Err(refusal)) => return refused(refusal),
        None => return,
    };
    let http = HttpConnection::new(client.clone(), ConnectionKind::Tunnel(to.clone()), connection.session().clone());
    let idle = http.idle.clone();
    serve(http, stream, is_http2).await;
    // With TLS 1.3, some clients complete the handshake before they check the certificate.
    match idle.tls_rejection() {
        Some(refusal) => refused(refusal.clone()),
        None if idle.had_request() => client.event(ConnectionEvent::TlsAccepted { to, client: user_agent }),
        None => {}
    }
}

/// A ClientHello that is not answered yet.
struct ClientHello {
    start: StartHandshake<ByteStream>,
    /// The name that the client wants a certificate for (SNI), in lower case.
    server_name: Option<String>,
    /// The protocols that the client offers (ALPN).
    alpn: Vec<Vec<u8>>,
}

impl ClientHello {
    /// Reads the ClientHello. Returns `None` if there is none: the client has not seen a certificate, so no event is
    /// due.
    async fn read(stream: ByteStream, deadline: Instant) -> Option<ClientHello> {
        let start = match timeout_at(deadline, LazyConfigAcceptor::new(Acceptor::default(), stream)).await {
            Ok(Ok(start)) => start,
            Ok(Err(error)) => {
                tracing::debug!("invalid ClientHello: {error}");
                return None;
            }
            Err(_) => return None,
        };
        let hello = start.client_hello();
        let server_name = hello.server_name().map(str::to_ascii_lowercase);
        let alpn = hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
        Some(ClientHello { start, server_name, alpn })
    }

    /// Completes the handshake with a certificate for the name in the ClientHello, or else for `host`. The name can
    /// differ from a CONNECT target (curl's `--connect-to`).
    ///
    /// Returns the stream, and true if ALPN selected HTTP/2.
    async fn answer(
        self,
        authority: &Authority,
        host: &str,
        alpn: Alpn,
        deadline: Instant,
    ) -> Result<(ByteStream, bool), HandshakeRefusal> {
        let host = self.server_name.as_deref().unwrap_or(host);
        let failed = |reason| HandshakeRefusal { reason, is_distrust: false };
        let config = authority.server_config(host, alpn).map_err(|error| failed(error.to_string()))?;
        match timeout_at(deadline, self.start.into_stream(config)).await {
            Ok(Ok(stream)) => {
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
                Ok((ByteStream::new(stream), is_http2))
            }
            Ok(Err(error)) => Err(HandshakeRefusal::from_error(&error)),
            Err(_) => Err(failed("the client did not finish the handshake in time".to_owned())),
        }
    }
}
