//! Finds the connection for a request, or opens one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Upstream;
use super::connection::{ConnectTimings, ConnectionState, Dialled, Http2, RequestConnection, Sender};
use super::error::UpstreamError;
use super::plan::Step;
use super::pool::{ClientPool, IdleConnection};
use super::route::Purpose;
use super::via::server_name;
use crate::limits;
use crate::origin::{Origin, Scheme};
use crate::stream::ByteStream;
use harproxy_support::sync::lock;

/// The ALPN identifier of HTTP/2 (RFC 9113 section 3.2).
pub(crate) const H2: &[u8] = b"h2";
/// The ALPN identifier of HTTP/1.1 (RFC 7301 section 6).
pub(crate) const HTTP1: &[u8] = b"http/1.1";

impl Upstream {
    /// Returns the connection for a request, and how long the request waited for it. Opening a connection does not
    /// count as waiting.
    ///
    /// With `http2` it is HTTP/2 if upstream supports it. With `to_origin` it leads to the origin itself.
    pub(super) async fn reserve(
        &self,
        pool: &ClientPool,
        to: &Origin,
        http2: bool,
        to_origin: bool,
    ) -> Result<(RequestConnection, Duration), UpstreamError> {
        let started = Instant::now();
        let mut offer = pool.offered(to).unwrap_or_else(|| vec![H2.to_vec(), HTTP1.to_vec()]);
        let wants_http2 = http2 || offer == [H2];
        offer.retain(|protocol| wants_http2 || protocol == HTTP1);
        let slot = wants_http2.then(|| self.shared.slot(pool.session(), to));
        let mut _opening = None;
        if let Some(slot) = &slot {
            if let Some(connection) = slot.take() {
                return Ok((connection, started.elapsed()));
            }
            let opening = timeout(self.timeouts.connect, slot.opening.lock()).await;
            _opening = Some(opening.map_err(|_| self.timed_out(Step::Connect, to, None))?);
            // Another request may have opened one meanwhile.
            if let Some(connection) = slot.take() {
                return Ok((connection, started.elapsed()));
            }
        }
        let to_origin = wants_http2 || to_origin;
        let idle = loop {
            match pool.take(to, to_origin) {
                Some(IdleConnection::Http1(connection)) => {
                    if let Some(connection) = connection.reserve().await {
                        return Ok((connection, started.elapsed()));
                    }
                }
                Some(IdleConnection::Dialled(dialled)) => break Some(*dialled),
                None => break None,
            }
        };
        let blocked = started.elapsed();
        let dialled = match idle {
            Some(dialled) => dialled,
            None if to_origin || to.scheme == Scheme::Https => self.open(to, Purpose::Bytes).await?,
            None => self.open(to, Purpose::Requests).await?,
        };
        let (dialled, http2) = self.agree(pool, to, dialled, &offer).await?;
        // Without TLS there is no ALPN: the client used prior knowledge (RFC 9113 section 3.3).
        let http2 = http2 || to.scheme == Scheme::Http && offer.iter().any(|protocol| protocol == H2);
        Ok((self.start(pool, to, dialled, http2).await?, blocked))
    }

    /// Opens a connection within the time limit.
    pub(super) async fn open(&self, to: &Origin, purpose: Purpose) -> Result<Dialled, UpstreamError> {
        let began = Instant::now();
        let opened = timeout(self.timeouts.connect, self.route.open(to, purpose)).await;
        let mut dialled = opened.map_err(|_| self.timed_out(Step::Connect, to, self.route.proxy(to)))??;
        let tcp = began.elapsed().saturating_sub(dialled.timings.dns.unwrap_or_default());
        dialled.timings.tcp = Some(tcp);
        let is_local = dialled.remote.is_some_and(|remote| remote.ip().to_canonical().is_loopback());
        self.opened_local.fetch_add(u64::from(is_local), Ordering::Relaxed);
        dialled.id = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::debug!(connection = dialled.id, %to, remote = ?dialled.remote, ?tcp, "upstream connection opened");
        Ok(dialled)
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
            .map_err(|_| self.timed_out(Step::Tls, to, None))?
            .map_err(failed)?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
        let timings = ConnectTimings { tls: Some(began.elapsed()), ..dialled.timings };
        let stream = ByteStream::new(stream);
        Ok((Dialled { stream, timings, ..dialled }, http2))
    }

    /// Starts HTTP on a connection and reserves it for one request.
    pub(super) async fn start(
        &self,
        pool: &ClientPool,
        to: &Origin,
        dialled: Dialled,
        http2: bool,
    ) -> Result<RequestConnection, UpstreamError> {
        let (state, in_use) = ConnectionState::new(&dialled);
        let (id, io) = (dialled.id, TokioIo::new(dialled.stream));
        let broken = |error: hyper::Error| UpstreamError::Broken { to: to.clone(), source: error.into() };
        let sender = if http2 {
            let (send, connection) = http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(limits::H2_STREAM_WINDOW)
                .initial_connection_window_size(limits::H2_UPSTREAM_WINDOW)
                .max_header_list_size(limits::H2_MAX_RESPONSE_HEAD)
                .handshake(io)
                .await
                .map_err(broken)?;
            let slot = self.shared.slot(pool.session(), to);
            slot.put(Http2 { send: send.clone(), state: state.clone() });
            let slot = Arc::downgrade(&slot);
            let forget = move || {
                if let Some(slot) = slot.upgrade() {
                    slot.remove(id);
                }
            };
            tokio::spawn(state.drive(connection, self.timeouts.idle, forget));
            Sender::Http2(send)
        } else {
            let (send, connection) = http1::Builder::new()
                .max_headers(limits::MAX_HEADERS)
                .max_buf_size(limits::MAX_HEAD)
                .preserve_header_case(true)
                // Some servers still send these, and all clients accept them. hyper normalises them.
                .allow_obsolete_multiline_headers_in_responses(true)
                .allow_spaces_after_header_name_in_responses(true)
                .handshake(io)
                .await
                .map_err(broken)?;
            let (own, origin) = (pool.downgrade(), to.clone());
            let forget = move || {
                if let Some(own) = own.upgrade() {
                    lock(&own).remove(&origin, id);
                }
            };
            tokio::spawn(state.drive(connection.with_upgrades(), self.timeouts.idle, forget));
            Sender::Http1(send)
        };
        Ok(RequestConnection { sender, in_use })
    }

    fn timed_out(&self, step: Step, to: &Origin, proxy: Option<String>) -> UpstreamError {
        UpstreamError::Timeout { step, to: to.clone(), proxy, limit: self.timeouts.connect }
    }
}
