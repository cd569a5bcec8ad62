//! Finds the connection for a request, or opens one.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ::http::{Request, Response};
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Upstream;
use super::connection::{ConnectTimings, Dialled, Http1, Http2, InUse};
use super::error::UpstreamError;
use super::pool::{ClientPool, IdleConnection};
use super::route::Purpose;
use super::timeouts::Step;
use super::upload::Upload;
use super::via::server_name;
use crate::origin::{Origin, Scheme};
use crate::stream::ByteStream;

/// The ALPN identifier of HTTP/2 (RFC 9113 section 3.2).
pub(crate) const H2: &[u8] = b"h2";
/// The ALPN identifier of HTTP/1.1 (RFC 7301 section 6).
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// Requirements of a request on its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requirements {
    /// HTTP/2, if upstream supports it, because the client uses it.
    pub(super) http2: bool,
    /// A connection to the origin itself, because the request asks for an upgrade.
    pub(super) to_origin: bool,
}

/// A connection that is reserved for one request.
pub(super) enum RequestConnection {
    Http1(Box<Http1>, InUse),
    /// A stream of a shared connection.
    Http2 {
        connection: Http2,
        _in_use: InUse,
    },
}

impl RequestConnection {
    fn http1(connection: Box<Http1>) -> Self {
        let in_use = connection.usage.begin();
        RequestConnection::Http1(connection, in_use)
    }

    pub(super) fn take_fresh(&mut self) -> Option<ConnectTimings> {
        match self {
            RequestConnection::Http1(connection, _) => connection.fresh.take(),
            RequestConnection::Http2 { connection, .. } => connection.take_fresh(),
        }
    }

    /// The connection's number, and the address of the server.
    pub(super) fn id_and_remote(&self) -> (u64, Option<SocketAddr>) {
        match self {
            RequestConnection::Http1(connection, _) => (connection.id, connection.remote),
            RequestConnection::Http2 { connection, .. } => (connection.id, connection.remote),
        }
    }

    /// Bytes received so far; `None` over HTTP/2, where they may belong to other requests.
    pub(super) fn received(&self) -> Option<u64> {
        match self {
            RequestConnection::Http1(connection, _) => Some(connection.received.load(Ordering::Relaxed)),
            RequestConnection::Http2 { .. } => None,
        }
    }

    /// Hands the request to hyper. The future waits for the head of the answer.
    pub(super) fn send(
        &mut self,
        request: Request<Upload>,
    ) -> BoxFuture<'static, Result<Response<Incoming>, TrySendError<Request<Upload>>>> {
        match self {
            RequestConnection::Http1(connection, _) => Box::pin(connection.send.try_send_request(request)),
            RequestConnection::Http2 { connection, .. } => Box::pin(connection.send.try_send_request(request)),
        }
    }
}

impl Upstream {
    /// Returns the connection for a request, and how long the request waited for it. Opening a connection does not
    /// count as waiting.
    pub(super) async fn reserve(
        &self,
        pool: &ClientPool,
        to: &Origin,
        requirements: Requirements,
    ) -> Result<(RequestConnection, Duration), UpstreamError> {
        let started = Instant::now();
        let wants_http2 = requirements.http2 || pool.offers_only(to, H2);
        let slot = wants_http2.then(|| self.shared.slot(pool.session(), to));
        let shared =
            || slot.as_ref()?.take().map(|(connection, _in_use)| RequestConnection::Http2 { connection, _in_use });
        if let Some(connection) = shared() {
            return Ok((connection, started.elapsed()));
        }
        let _opening = match &slot {
            Some(slot) => {
                let opening = timeout(self.timeouts.connect, slot.opening.lock()).await;
                Some(opening.map_err(|_| self.timed_out(Step::Connect, to))?)
            }
            None => None,
        };
        // Another request may have opened one meanwhile.
        if let Some(connection) = shared() {
            return Ok((connection, started.elapsed()));
        }
        let to_origin = wants_http2 || requirements.to_origin;
        let idle = self.take_idle(pool, to, to_origin).await;
        let blocked = started.elapsed();
        let dialled = match idle {
            Some(IdleConnection::Http1(connection)) => return Ok((RequestConnection::http1(connection), blocked)),
            Some(IdleConnection::Dialled(dialled)) => *dialled,
            None if to_origin || to.scheme == Scheme::Https => self.open(to, Purpose::Bytes).await?,
            None => self.open(to, Purpose::Requests).await?,
        };
        let mut offer = pool.offered(to).unwrap_or_else(|| vec![H2.to_vec(), HTTP1.to_vec()]);
        offer.retain(|protocol| wants_http2 || protocol == HTTP1);
        let (dialled, http2) = self.agree(pool, to, dialled, &offer).await?;
        // Without TLS there is no ALPN: the client used prior knowledge (RFC 9113 section 3.3).
        let connection = if http2 || wants_http2 && to.scheme == Scheme::Http {
            let connection = self.start_http2(pool, to, dialled).await?;
            let _in_use = connection.usage.begin();
            RequestConnection::Http2 { connection, _in_use }
        } else {
            RequestConnection::http1(self.start_http1(pool, dialled).await?)
        };
        Ok((connection, blocked))
    }

    /// Takes an idle connection of the client connection, the last used first.
    async fn take_idle(&self, pool: &ClientPool, to: &Origin, to_origin: bool) -> Option<IdleConnection> {
        loop {
            match pool.take(to, to_origin)? {
                IdleConnection::Http1(mut connection) => {
                    if connection.ready().await {
                        return Some(IdleConnection::Http1(connection));
                    }
                }
                dialled @ IdleConnection::Dialled(_) => return Some(dialled),
            }
        }
    }

    /// Opens a connection within the time limit.
    pub(super) async fn open(&self, to: &Origin, purpose: Purpose) -> Result<Dialled, UpstreamError> {
        let began = Instant::now();
        let opened = timeout(self.timeouts.connect, self.route.open(to, purpose)).await;
        let opened = opened.map_err(|_| UpstreamError::Timeout {
            step: Step::Connect,
            to: to.clone(),
            proxy: self.route.proxy(to),
            limit: self.timeouts.connect,
        })??;
        let tcp = began.elapsed().saturating_sub(opened.dns.unwrap_or_default());
        let id = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::debug!(connection = id, %to, remote = ?opened.remote, ?tcp, "upstream connection opened");
        Ok(Dialled {
            to: to.clone(),
            stream: opened.stream,
            id,
            remote: opened.remote,
            timings: ConnectTimings { dns: opened.dns, tcp: Some(tcp), tls: None },
            form: opened.form,
        })
    }

    /// Completes TLS for `https` and returns true with the connection if HTTP/2 was agreed on.
    ///
    /// If upstream supports none of the offered protocols, it is offered the others: the engine converts between them.
    pub(super) async fn agree(
        &self,
        pool: &ClientPool,
        to: &Origin,
        dialled: Dialled,
        offer: &[Vec<u8>],
    ) -> Result<(Dialled, bool), UpstreamError> {
        let error = match self.tls_if_https(to, dialled, offer).await {
            Err(error) if error.shares_no_protocol() => error,
            done => return done,
        };
        let rest: Vec<_> = [H2, HTTP1].map(<[u8]>::to_vec).into_iter().filter(|known| !offer.contains(known)).collect();
        if rest.is_empty() {
            return Err(error);
        }
        tracing::debug!(%to, "upstream supports none of the client's protocols");
        pool.set_offered(to, rest.clone());
        let dialled = self.open(to, Purpose::Bytes).await?;
        self.tls_if_https(to, dialled, &rest).await
    }

    async fn tls_if_https(
        &self,
        to: &Origin,
        dialled: Dialled,
        offer: &[Vec<u8>],
    ) -> Result<(Dialled, bool), UpstreamError> {
        if to.scheme == Scheme::Http {
            return Ok((dialled, false));
        }
        let failed = |source| UpstreamError::Tls { to: to.clone(), source };
        let name = server_name(&to.host).map_err(failed)?;
        let began = Instant::now();
        let connecting = TlsConnector::from(self.route.tls(to, offer)).connect(name, dialled.stream);
        let stream = timeout(self.timeouts.connect, connecting)
            .await
            .map_err(|_| self.timed_out(Step::Tls, to))?
            .map_err(failed)?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
        let timings = ConnectTimings { tls: Some(began.elapsed()), ..dialled.timings };
        let stream = ByteStream::new(stream);
        Ok((Dialled { stream, timings, to: to.clone(), ..dialled }, http2))
    }

    pub(super) async fn start_http1(&self, pool: &ClientPool, dialled: Dialled) -> Result<Box<Http1>, UpstreamError> {
        let (id, pool, to) = (dialled.id, pool.downgrade(), dialled.to.clone());
        let origin = to.clone();
        let forget = move || {
            if let Some(pool) = pool.upgrade() {
                pool.remove(&origin, id);
            }
        };
        let started = Http1::start(dialled, self.timeouts.idle, forget).await;
        started.map(Box::new).map_err(|error| UpstreamError::Broken { to, source: error.into() })
    }

    pub(super) async fn start_http2(
        &self,
        pool: &ClientPool,
        to: &Origin,
        dialled: Dialled,
    ) -> Result<Http2, UpstreamError> {
        let slot = self.shared.slot(pool.session(), to);
        let (id, weak) = (dialled.id, std::sync::Arc::downgrade(&slot));
        let forget = move || {
            if let Some(slot) = weak.upgrade() {
                slot.remove(id);
            }
        };
        let connection = Http2::start(dialled, self.timeouts.idle, forget)
            .await
            .map_err(|error| UpstreamError::Broken { to: to.clone(), source: error.into() })?;
        slot.put(connection.clone());
        Ok(connection)
    }

    fn timed_out(&self, step: Step, to: &Origin) -> UpstreamError {
        UpstreamError::Timeout { step, to: to.clone(), proxy: None, limit: self.timeouts.connect }
    }
}
