//! Finding the connection for a request, or making one.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ::http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::answer::{ConnectTimings, informational};
use super::bare::{Bare, UnderWay};
use super::connection::{Dialled, Http1, Http2, InUse};
use super::error::UpstreamError;
use super::pool::{Kept, OwnConnections};
use super::route::Purpose;
use super::timeouts::Step;
use super::upload::Upload;
use super::wire::Wire;
use super::{Upstream, server_name};
use crate::attend::boxed;
use crate::bell::Alarm;
use crate::handler::{Origin, Scheme, Session};

/// `h2`, as ALPN has it (RFC 9113 section 3.2).
pub(crate) const H2: &[u8] = b"h2";
/// `http/1.1`, as ALPN has it (RFC 7301 section 6).
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// What a request needs of its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    /// HTTP/2, if upstream speaks it: the client does.
    pub(super) http2: bool,
    /// A connection to the origin itself, because it is going to speak another protocol on it.
    pub(super) bytes: bool,
}

/// A connection for one request.
pub(super) enum Lane {
    Http1(Box<Http1>),
    /// With the request's place on it.
    Http2(Http2, Option<InUse>),
}

/// The answer to a request that was handed over.
pub(super) type Sending =
    Pin<Box<dyn Future<Output = Result<Response<Incoming>, TrySendError<Request<Upload>>>> + Send>>;

impl Lane {
    /// The request that is handed over next, if it is under way.
    pub(super) fn take_under_way(&mut self) -> Option<UnderWay> {
        match self {
            Lane::Http1(connection) => connection.under_way.take(),
            Lane::Http2(..) => None,
        }
    }

    pub(super) fn take_fresh(&mut self) -> Option<ConnectTimings> {
        match self {
            Lane::Http1(connection) => connection.fresh.take(),
            Lane::Http2(connection, _) => connection.take_fresh(),
        }
    }

    /// Its number, and who is at the other end.
    pub(super) fn whose(&self) -> (u64, Option<SocketAddr>) {
        match self {
            Lane::Http1(connection) => (connection.id, connection.remote),
            Lane::Http2(connection, _) => (connection.id, connection.remote),
        }
    }

    /// Bytes heard so far, where they can only be for this request.
    pub(super) fn heard(&self) -> u64 {
        match self {
            Lane::Http1(connection) => connection.heard.load(Ordering::Relaxed),
            Lane::Http2(..) => 0,
        }
    }

    /// What the time limit of the last answer was waited for with.
    pub(super) fn take_alarm(&mut self) -> Option<Alarm> {
        match self {
            Lane::Http1(connection) => connection.alarm.take(),
            Lane::Http2(..) => None,
        }
    }

    /// Keeps that, where requests come one after the other.
    pub(super) fn keep_alarm(&mut self, alarm: Option<Alarm>) {
        if let Lane::Http1(connection) = self {
            connection.alarm = alarm;
        }
    }

    pub(super) fn begin(&mut self) -> InUse {
        match self {
            Lane::Http1(connection) => connection.usage.begin(),
            Lane::Http2(connection, place) => place.take().unwrap_or_else(|| connection.usage.begin()),
        }
    }

    /// Lets an answer say how the names of its fields are spelt.
    pub(super) fn tell_names(&self, answer: &mut Response<Incoming>) {
        if let Lane::Http1(connection) = self {
            connection.names.tell(answer.extensions_mut());
        }
    }

    /// The 1xx answers before an answer. hyper has none over HTTP/2.
    pub(super) fn informational(&self) -> Vec<(StatusCode, HeaderMap)> {
        match self {
            Lane::Http1(connection) => connection.names.interim(informational),
            Lane::Http2(..) => Vec::new(),
        }
    }

    /// Hands the request over; its answer is to be waited for.
    pub(super) fn send(&mut self, request: Request<Upload>) -> Sending {
        match self {
            Lane::Http1(connection) => {
                connection.names.begin();
                connection.names.write(request.extensions());
                boxed(|| connection.send.try_send_request(request))
            }
            Lane::Http2(connection, _) => boxed(|| connection.send.try_send_request(request)),
        }
    }
}

impl Upstream {
    /// The connection for a request where one is at hand: the client's own that it used last.
    pub(super) fn lane_at_hand(&self, own: &OwnConnections, to: &Origin, want: Want) -> Option<Lane> {
        if want.http2 { None } else { own.at_hand(to, want.bytes).map(Lane::Http1) }
    }

    /// The connection for a request, and how long it had to be waited for, making it not counted.
    pub(super) async fn lane(
        &self,
        own: &OwnConnections,
        session: &Session,
        to: &Origin,
        want: Want,
    ) -> Result<(Lane, Duration), UpstreamError> {
        let asked = Instant::now();
        if want.http2 || own.offers_alone(to, H2) {
            return self.http2_lane(own, session, to, asked).await;
        }
        let dialled = match self.own_lane(own, to, want.bytes).await? {
            Found::Lane(lane) => return Ok((lane, asked.elapsed())),
            Found::Dialled(dialled) => Some(*dialled),
            Found::Nothing => None,
        };
        let blocked = asked.elapsed();
        let dialled = match dialled {
            Some(dialled) => dialled,
            None if want.bytes || to.scheme == Scheme::Https => Box::pin(self.open(to, Purpose::Bytes)).await?,
            None => Box::pin(self.open(to, Purpose::Requests)).await?,
        };
        let mut offer = own.offered(to).unwrap_or_else(|| vec![HTTP1.to_vec()]);
        offer.retain(|protocol| protocol == HTTP1);
        let (dialled, http2) = Box::pin(self.agree(own, to, dialled, &offer)).await?;
        let lane = match http2 {
            true => Box::pin(self.http2_lane_on(session, to, dialled)).await?,
            false => Lane::Http1(Box::pin(self.start_http1(own, Bare::new(dialled))).await?),
        };
        Ok((lane, blocked))
    }

    /// An idle HTTP/1.1 connection of the client's own, the last used first.
    async fn own_lane(&self, own: &OwnConnections, to: &Origin, bytes: bool) -> Result<Found, UpstreamError> {
        while let Some(kept) = own.take(to, bytes) {
            match kept {
                Kept::Dialled(dialled) => return Ok(Found::Dialled(dialled)),
                Kept::Bare(mut bare) => {
                    if !self.has_ended(&mut bare).await {
                        return Ok(Found::Lane(Lane::Http1(Box::pin(self.start_http1(own, *bare)).await?)));
                    }
                }
                Kept::Http1(mut connection) => {
                    if connection.ready().await {
                        return Ok(Found::Lane(Lane::Http1(connection)));
                    }
                }
            }
        }
        Ok(Found::Nothing)
    }

    /// A shared HTTP/2 connection. Where upstream turns out not to speak it, one of HTTP/1.1.
    async fn http2_lane(
        &self,
        own: &OwnConnections,
        session: &Session,
        to: &Origin,
        asked: Instant,
    ) -> Result<(Lane, Duration), UpstreamError> {
        let slot = self.shared.slot(session, to);
        let found = || slot.take().map(|(connection, place)| Lane::Http2(connection, Some(place)));
        if let Some(lane) = found() {
            return Ok((lane, asked.elapsed()));
        }
        let _making =
            timeout(self.timeouts.connect, slot.making.lock()).await.map_err(|_| self.timed_out(Step::Connect, to))?;
        if let Some(lane) = found() {
            return Ok((lane, asked.elapsed()));
        }
        let dialled = match self.own_lane(own, to, true).await? {
            Found::Lane(lane) => return Ok((lane, asked.elapsed())),
            Found::Dialled(dialled) => Some(*dialled),
            Found::Nothing => None,
        };
        let blocked = asked.elapsed();
        let dialled = match dialled {
            Some(dialled) => dialled,
            None => Box::pin(self.open(to, Purpose::Bytes)).await?,
        };
        let offer = own.offered(to).unwrap_or_else(|| vec![H2.to_vec(), HTTP1.to_vec()]);
        let (dialled, http2) = Box::pin(self.agree(own, to, dialled, &offer)).await?;
        // Without TLS there is nothing to agree by: the client knew before it asked (RFC 9113 section 3.3).
        let lane = if http2 || to.scheme == Scheme::Http {
            Box::pin(self.http2_lane_on(session, to, dialled)).await?
        } else {
            Lane::Http1(Box::pin(self.start_http1(own, Bare::new(dialled))).await?)
        };
        Ok((lane, blocked))
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
            wire: Wire::new(opened.io, opened.back),
            id,
            remote: opened.remote,
            timings: ConnectTimings { dns: opened.dns, tcp: Some(tcp), tls: None },
            form: opened.form,
        })
    }

    /// Does TLS where the origin asks for it; also whether HTTP/2 was agreed on. Where upstream speaks nothing of what is
    /// offered, for the client does not, it is asked for the rest: requests and answers can be said in either version.
    pub(super) async fn agree(
        &self,
        own: &OwnConnections,
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
        tracing::debug!(%to, "upstream speaks nothing of what the client does");
        own.remember_offer(to, rest.clone());
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
        let connecting = TlsConnector::from(self.route.tls(to, offer)).connect(name, dialled.wire);
        let stream = timeout(self.timeouts.connect, connecting)
            .await
            .map_err(|_| self.timed_out(Step::Tls, to))?
            .map_err(failed)?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
        let timings = ConnectTimings { tls: Some(began.elapsed()), ..dialled.timings };
        let wire = Wire::new(stream, bytes::Bytes::new());
        Ok((Dialled { wire, timings, to: to.clone(), ..dialled }, http2))
    }

    /// Lets hyper begin on a connection.
    pub(super) async fn start_http1(&self, own: &OwnConnections, bare: Bare) -> Result<Box<Http1>, UpstreamError> {
        let (id, own, to) = (bare.dialled.id, own.weak(), bare.dialled.to.clone());
        let origin = to.clone();
        let forget = move || {
            if let Some(own) = own.upgrade() {
                own.forget(&origin, id);
            }
        };
        let started = Http1::start(bare, self.timeouts.idle, forget).await;
        started.map(Box::new).map_err(|error| UpstreamError::Broken { to, source: error.into() })
    }

    async fn http2_lane_on(&self, session: &Session, to: &Origin, dialled: Dialled) -> Result<Lane, UpstreamError> {
        let connection = self.start_http2(session, to, dialled).await?;
        let place = connection.usage.begin();
        Ok(Lane::Http2(connection, Some(place)))
    }

    pub(super) async fn start_http2(
        &self,
        session: &Session,
        to: &Origin,
        dialled: Dialled,
    ) -> Result<Http2, UpstreamError> {
        let slot = self.shared.slot(session, to);
        let (id, weak) = (dialled.id, std::sync::Arc::downgrade(&slot));
        let forget = move || {
            if let Some(slot) = weak.upgrade() {
                slot.forget(id);
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

/// What a client's own connections had to offer.
enum Found {
    Lane(Lane),
    Dialled(Box<Dialled>),
    Nothing,
}
