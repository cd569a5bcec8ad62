//! Pools of upstream connections: HTTP/1.1 per client connection, HTTP/2 per session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::connection::{Dialled, Http1, Http2, RequestConnection, Sender, TargetForm};
use super::error::UpstreamError;
use crate::limits::{H2_STREAM_WINDOW, H2_UPSTREAM_WINDOW};
use crate::origin::{Origin, Session};
use harproxy_support::sync::lock;

/// Streams on one HTTP/2 connection: as many as its flow-control window can hold.
const H2_STREAMS: usize = (H2_UPSTREAM_WINDOW / H2_STREAM_WINDOW) as usize;

/// The upstream connections that a client connection may use: HTTP/1.1 connections of its own, closed with it, and the
/// shared HTTP/2 connections of its session. Clones share the connections.
#[derive(Clone, Debug, Default)]
pub struct ClientPool {
    session: Session,
    own: Arc<Mutex<OwnConnections>>,
}

/// The upstream connections of one client connection.
#[derive(Debug, Default)]
pub(super) struct OwnConnections {
    idle: HashMap<Origin, Vec<IdleConnection>>,
    /// Failed dials for a CONNECT, by host and port: the scheme is not known then.
    failed: HashMap<(Arc<str>, u16), UpstreamError>,
    /// The protocols for later connections: those that the client offered by ALPN, or those that upstream supports
    /// instead.
    offered: HashMap<Origin, Vec<Vec<u8>>>,
}

/// A connection that waits for a request.
#[derive(Debug)]
pub(super) enum IdleConnection {
    /// For HTTP without TLS; the first request decides on the version.
    Dialled(Box<Dialled>),
    Http1(Http1),
}

impl OwnConnections {
    /// Ends a request. An HTTP/1.1 connection waits for the next one.
    pub(super) fn release(&mut self, to: &Origin, connection: RequestConnection) {
        let state = connection.state().clone();
        if let Sender::Http1(send) = connection.sender
            && !send.is_closed()
        {
            self.idle.entry(to.clone()).or_default().push(IdleConnection::Http1(Http1 { send, state }));
        }
    }

    /// Drops the idle connection with this number.
    pub(super) fn remove(&mut self, to: &Origin, id: u64) {
        if let Some(idle) = self.idle.get_mut(to) {
            idle.retain(|idle| !matches!(idle, IdleConnection::Http1(connection) if connection.state.id == id));
        }
    }
}

impl ClientPool {
    /// The same connections for requests of another session.
    #[must_use]
    pub fn with_session(&self, session: Session) -> Self {
        ClientPool { session, own: self.own.clone() }
    }

    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Keeps a dialled connection for HTTP without TLS, of the version that the first request has.
    pub fn put_dialled(&self, to: &Origin, dialled: Dialled) {
        let dialled = IdleConnection::Dialled(Box::new(dialled));
        self.lock().idle.entry(to.clone()).or_default().push(dialled);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, OwnConnections> {
        lock(&self.own)
    }

    /// A reference for an upstream connection, which does not keep the pool alive.
    pub(super) fn downgrade(&self) -> Weak<Mutex<OwnConnections>> {
        Arc::downgrade(&self.own)
    }

    /// Takes the connection that was used last. With `to_origin`, connections to a proxy that forwards are left out.
    pub(super) fn take(&self, to: &Origin, to_origin: bool) -> Option<IdleConnection> {
        let mut own = self.lock();
        let idle = own.idle.get_mut(to)?;
        let fits = |connection: &IdleConnection| match connection {
            IdleConnection::Dialled(_) => true,
            IdleConnection::Http1(connection) => !to_origin || matches!(connection.state.form, TargetForm::Origin),
        };
        let at = idle.iter().rposition(fits)?;
        Some(idle.remove(at))
    }

    /// Keeps the error of a dial for a CONNECT that is answered with 200: the first request gets it.
    pub(super) fn put_failure(&self, to: &Origin, error: UpstreamError) {
        self.lock().failed.insert((to.host.clone(), to.port), error);
    }

    pub(super) fn has_failed(&self, to: &Origin) -> bool {
        self.lock().failed.contains_key(&(to.host.clone(), to.port))
    }

    pub(super) fn take_failure(&self, to: &Origin) -> Option<UpstreamError> {
        self.lock().failed.remove(&(to.host.clone(), to.port))
    }

    pub(super) fn set_offered(&self, to: &Origin, alpn: Vec<Vec<u8>>) {
        self.lock().offered.insert(to.clone(), alpn);
    }

    pub(super) fn offered(&self, to: &Origin) -> Option<Vec<Vec<u8>>> {
        self.lock().offered.get(to).cloned()
    }
}

/// The HTTP/2 connections, by session and origin.
#[derive(Debug, Default)]
pub(super) struct SharedPool(Mutex<HashMap<(Session, Origin), Arc<Slot>>>);

impl SharedPool {
    fn lock(&self) -> MutexGuard<'_, HashMap<(Session, Origin), Arc<Slot>>> {
        lock(&self.0)
    }

    /// The slot of a session and an origin; new if there is none.
    pub(super) fn slot(&self, session: &Session, to: &Origin) -> Arc<Slot> {
        let mut slots = self.lock();
        if let Some(slot) = slots.get(&(session.clone(), to.clone())) {
            return slot.clone();
        }
        slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.is_live());
        slots.entry((session.clone(), to.clone())).or_default().clone()
    }

    pub(super) fn is_live(&self, session: &Session, to: &Origin) -> bool {
        let slot = self.lock().get(&(session.clone(), to.clone())).cloned();
        slot.is_some_and(|slot| slot.is_live())
    }
}

/// The HTTP/2 connections of one session to one origin. A second one is opened when the first has its maximum of
/// streams.
#[derive(Debug, Default)]
pub(super) struct Slot {
    live: Mutex<Vec<Http2>>,
    /// Held while a connection is being opened, so that concurrent requests wait for it.
    pub(super) opening: tokio::sync::Mutex<()>,
}

impl Slot {
    /// The connections that accept requests (after a GOAWAY a connection does not).
    fn lock(&self) -> MutexGuard<'_, Vec<Http2>> {
        let mut live = lock(&self.live);
        live.retain(|connection| !connection.send.is_closed());
        live
    }

    pub(super) fn is_live(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Takes a stream on a connection with room for one more.
    ///
    /// A stream that its client does not read keeps its data in the connection's window. The window holds the data of
    /// [`H2_STREAMS`] streams, so one slow client cannot stall the others.
    pub(super) fn take(&self) -> Option<RequestConnection> {
        self.lock().iter().find_map(|connection| {
            let in_use = connection.state.begin(H2_STREAMS)?;
            Some(RequestConnection { sender: Sender::Http2(connection.send.clone()), in_use })
        })
    }

    pub(super) fn put(&self, connection: Http2) {
        self.lock().push(connection);
    }

    /// Gives no more streams on this connection. It closes with its last stream.
    pub(super) fn remove(&self, id: u64) {
        self.lock().retain(|connection| connection.state.id != id);
    }
}
