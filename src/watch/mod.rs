//! Records each request for the reports and notifies a listener as it happens.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::http::Version;

use crate::verdict::PayloadExcerpt;
use crate::verdict::request::{RequestRow, ResultKind, SourceKind};
use harproxy_http::url::is_localhost;
use harproxy_proxy::witness::{Answered, Asked, Sight};
use harproxy_proxy::{Connection, ConnectionEvent, Exchange, Provenance, Way, Witness};

/// Maximum number of stored requests; further ones are only counted.
pub const KEPT: usize = 20_000;

/// Maximum total bytes of stored headers and payload excerpts. Beyond it, requests are stored without them.
const ROOM: usize = 64 << 20;

/// The stored requests and the remaining memory budget in bytes.
#[derive(Debug)]
struct Kept {
    seen: Vec<RequestRow>,
    room: usize,
}

impl Default for Kept {
    fn default() -> Self {
        Kept { seen: Vec::new(), room: ROOM }
    }
}

/// An event passed to the [`Listener`].
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The response head arrived, or the connection was closed without one.
    Answered(&'a RequestRow),
    /// A request ended: its response was sent completely or aborted.
    Ended(&'a RequestRow),
    /// A connection event that is not tied to a request.
    Connection(&'a ConnectionEvent),
}

/// Callback that receives each event as it happens.
pub type Listener = Box<dyn Fn(&Event<'_>) + Send + Sync>;

/// Stores requests and notifies the listener.
pub struct Watcher {
    at: Instant,
    came: AtomicU64,
    /// Enables storing of requests.
    keeps: bool,
    kept: Mutex<Kept>,
    listener: Option<Listener>,
}

impl Watcher {
    /// Creates a watcher whose clock starts now. `keeps` enables storing of requests for the reports.
    #[must_use]
    pub fn new(keeps: bool, listener: Option<Listener>) -> Self {
        Watcher { at: Instant::now(), came: AtomicU64::new(0), keeps, kept: Mutex::default(), listener }
    }

    /// Returns the stored requests in order of arrival, and the number of requests that are not stored.
    #[must_use]
    pub fn seen(&self) -> (Vec<RequestRow>, u64) {
        let mut seen = self.kept.lock().unwrap_or_else(PoisonError::into_inner).seen.clone();
        seen.sort_by_key(|seen| seen.id);
        let more = self.came.load(Ordering::Relaxed).saturating_sub(seen.len() as u64);
        (seen, more)
    }

    fn tell(&self, event: &Event<'_>) {
        if let Some(listener) = &self.listener {
            listener(event);
        }
    }

    fn keep(&self, mut seen: RequestRow) {
        if !self.keeps {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.seen.len() >= KEPT {
            return;
        }
        let headers = seen.request_headers.iter().chain(&seen.response_headers);
        let payload = seen.payload.as_ref().map_or(0, |payload| payload.bytes.len());
        let weight = payload + headers.map(|header| header.name.len() + header.value.len()).sum::<usize>();
        match kept.room.checked_sub(weight) {
            Some(room) => kept.room = room,
            None => seen.drop_messages(),
        }
        kept.seen.push(seen);
    }

    fn came(&self, since: Duration) -> (u64, f64) {
        let id = self.came.fetch_add(1, Ordering::Relaxed) + 1;
        (id, millis(self.at.elapsed().saturating_sub(since)))
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("came", &self.came).finish_non_exhaustive()
    }
}

/// The [`Witness`] of a running engine, which reports to a [`Watcher`].
#[derive(Debug)]
pub struct Watch(pub Arc<Watcher>);

impl Witness for Watch {
    fn request(&self, connection: &Connection, exchange: &Exchange, asked: Asked) -> Box<dyn Sight> {
        let (id, started_ms) = self.0.came(exchange.at.elapsed());
        let request = &exchange.request;
        let seen = RequestRow {
            id,
            started_ms,
            connection: connection.id,
            session: connection.session().0.as_deref().map(str::to_owned),
            protocol: protocol(request.version()).into(),
            method: request.method().as_str().to_owned(),
            url: asked.url,
            request_headers: asked.headers,
            ..RequestRow::default()
        };
        Box::new(Eye { id, seen: Some(seen), at: exchange.at, watcher: self.0.clone() })
    }

    fn event(&self, event: &ConnectionEvent) {
        self.0.tell(&Event::Connection(event));
        let ConnectionEvent::TunnelClosed { to, received, duration, .. } = event else { return };
        let (id, started_ms) = self.0.came(*duration);
        let url = format!("{}:{}", to.host, to.port);
        let is_local = is_localhost(&to.host) || to.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let tunnel = RequestRow {
            id,
            started_ms,
            method: "CONNECT".to_owned(),
            url,
            protocol: "".into(),
            outcome: ResultKind::Tunnel,
            source: if is_local { SourceKind::Local } else { SourceKind::Live },
            took_ms: Some(millis(*duration)),
            bytes: *received,
            complete: true,
            ..RequestRow::default()
        };
        self.0.tell(&Event::Ended(&tunnel));
        self.0.keep(tunnel);
    }
}

/// Observes one request.
struct Eye {
    id: u64,
    seen: Option<RequestRow>,
    at: Instant,
    watcher: Arc<Watcher>,
}

impl Sight for Eye {
    fn id(&self) -> u64 {
        self.id
    }

    fn answered(&mut self, answered: Answered) {
        let Some(seen) = &mut self.seen else { return };
        seen.waited_ms = Some(millis(self.at.elapsed()));
        seen.status = answered.status.map(|status| status.as_u16());
        let mime = answered.headers.get_str("content-type").map(str::to_owned);
        seen.mime_type = mime;
        seen.response_headers = answered.headers;
        if let Some(Provenance { way, entry, followed, exchange, payload, why }) = answered.provenance {
            (seen.outcome, seen.source) = told(way);
            (seen.fixture, seen.entry) = entry.unzip();
            seen.followed = followed;
            (seen.explanation, seen.hint) = why.map_or((None, None), |why| (Some(why.explanation), why.remedy));
            seen.exchange = exchange;
            let mime = seen.request_headers.get_str("content-type").unwrap_or_default();
            seen.payload = payload.map(|payload| PayloadExcerpt::of(mime, &payload));
        }
        self.watcher.tell(&Event::Answered(seen));
    }

    fn sent(&mut self, bytes: usize) {
        if let Some(seen) = &mut self.seen {
            seen.bytes += bytes as u64;
        }
    }

    fn ended(&mut self, complete: bool) {
        let Some(mut seen) = self.seen.take() else { return };
        seen.took_ms = Some(millis(self.at.elapsed()));
        seen.complete = complete;
        self.watcher.tell(&Event::Ended(&seen));
        self.watcher.keep(seen);
    }
}

/// Reports a request as incomplete if its client disconnected before it ended.
impl Drop for Eye {
    fn drop(&mut self) {
        self.ended(false);
    }
}

fn told(way: Way) -> (ResultKind, SourceKind) {
    match way {
        Way::Served => (ResultKind::Served, SourceKind::Fixture),
        Way::Miss => (ResultKind::Miss, SourceKind::None),
        Way::OutOfScope => (ResultKind::OutOfScope, SourceKind::None),
        Way::Noise => (ResultKind::Noise, SourceKind::None),
        Way::PassedNoise => (ResultKind::Noise, SourceKind::Live),
        Way::Refused => (ResultKind::Refused, SourceKind::None),
        Way::Preflight => (ResultKind::Preflight, SourceKind::MadeUp),
        Way::Local => (ResultKind::Local, SourceKind::Local),
        Way::Live => (ResultKind::Live, SourceKind::Live),
        Way::Recorded => (ResultKind::Recorded, SourceKind::Live),
        Way::Passed => (ResultKind::Passed, SourceKind::Live),
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 | Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

fn millis(duration: Duration) -> f64 {
    // Rounds to microseconds.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
