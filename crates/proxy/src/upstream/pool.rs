//! Which connections are kept, and whose they are.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::bare::Bare;
use super::connection::{Dialled, Http1, Http2, InUse};
use super::error::UpstreamError;
use super::lane::H2;
use crate::handler::{Origin, Session};
use crate::limits::{H2_STREAM_WINDOW, H2_UPSTREAM_WINDOW};

/// Streams on one HTTP/2 connection: as many as its window has room for.
const H2_STREAMS: usize = (H2_UPSTREAM_WINDOW / H2_STREAM_WINDOW) as usize;

/// The HTTP/1.1 connections that belong to one client connection, and are closed with it.
#[derive(Default)]
pub struct OwnConnections(Arc<Mutex<Own>>);

/// For what may outlive the client connection, and must not keep its connections open.
pub(super) struct WeakConnections(Weak<Mutex<Own>>);

impl WeakConnections {
    pub(super) fn upgrade(&self) -> Option<OwnConnections> {
        self.0.upgrade().map(OwnConnections)
    }
}

/// Origins are few here: a tree compares once or twice where a table would hash.
#[derive(Default)]
struct Own {
    kept: BTreeMap<Origin, Vec<Kept>>,
    /// What dialling for a CONNECT came to, by host and port: the scheme is not known then.
    failed: HashMap<(Arc<str>, u16), UpstreamError>,
    /// What the client offered by ALPN, or what upstream speaks instead, for connections that are made later.
    offered: BTreeMap<Origin, Vec<Vec<u8>>>,
    /// Requests may pass without hyper, and whoever passes them sees to the connection meanwhile.
    passes: bool,
}

/// A connection that waits for a request.
pub(super) enum Kept {
    /// For plain HTTP; the first request decides on the version.
    Dialled(Box<Dialled>),
    /// For HTTP/1.1, and hyper has not begun on it.
    Bare(Box<Bare>),
    /// Idle.
    Http1(Box<Http1>),
}

impl OwnConnections {
    /// Those of a client whose requests may pass on [`Bare`] connections.
    #[must_use]
    pub fn to_pass() -> Self {
        OwnConnections(Arc::new(Mutex::new(Own { passes: true, ..Own::default() })))
    }

    /// Keeps a connection that is made for HTTP/1.1 before anything is asked: as it is if requests may pass.
    pub(super) fn pass(&self, bare: Box<Bare>) -> Result<(), Box<Bare>> {
        let mut own = self.lock();
        if !own.passes {
            return Err(bare);
        }
        own.kept.entry(bare.dialled.to.clone()).or_default().push(Kept::Bare(bare));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Own> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn weak(&self) -> WeakConnections {
        WeakConnections(Arc::downgrade(&self.0))
    }

    pub(super) fn put(&self, to: &Origin, kept: Kept) {
        self.lock().kept.entry(to.clone()).or_default().push(kept);
    }

    /// The connection that was used last, of those that can pass bytes if `bytes` is asked for.
    pub(super) fn take(&self, to: &Origin, bytes: bool) -> Option<Kept> {
        let mut own = self.lock();
        let kept = own.kept.get_mut(to)?;
        let fits = |kept: &Kept| match kept {
            Kept::Dialled(_) => true,
            Kept::Bare(bare) => !bytes || bare.dialled.form.is_origin(),
            Kept::Http1(connection) => !bytes || connection.form.is_origin(),
        };
        let at = kept.iter().rposition(fits)?;
        Some(kept.remove(at))
    }

    /// The same, if it is HTTP/1.1 and can be used at once: the one on which the request is under way, if it is. Else none while there is a failure to be
    /// told, or where nothing but HTTP/2 is offered.
    pub(super) fn at_hand(&self, to: &Origin, bytes: bool) -> Option<Box<Http1>> {
        let mut own = self.lock();
        let may_be_any = own.failed.is_empty() && own.offered.get(to).is_none_or(|offer| *offer != [H2]);
        let fits = |kept: &mut Kept| match kept {
            Kept::Dialled(_) | Kept::Bare(_) => false,
            Kept::Http1(connection) if connection.under_way.is_some() => true,
            Kept::Http1(connection) => {
                may_be_any && connection.send.is_ready() && (!bytes || connection.form.is_origin())
            }
        };
        match own.kept.get_mut(to)?.pop_if(fits)? {
            Kept::Http1(connection) => Some(connection),
            Kept::Dialled(_) | Kept::Bare(_) => None,
        }
    }

    /// The connection that was used last, if hyper has not begun on it.
    pub(super) fn take_bare(&self, to: &Origin) -> Option<Box<Bare>> {
        let mut own = self.lock();
        let fits = |kept: &mut Kept| matches!(kept, Kept::Bare(bare) if bare.dialled.form.is_origin());
        match own.kept.get_mut(to)?.pop_if(fits)? {
            Kept::Bare(bare) => Some(bare),
            Kept::Dialled(_) | Kept::Http1(_) => None,
        }
    }

    pub(super) fn forget(&self, to: &Origin, id: u64) {
        if let Some(kept) = self.lock().kept.get_mut(to) {
            kept.retain(|kept| !matches!(kept, Kept::Http1(connection) if connection.id == id));
        }
    }

    pub(super) fn fail(&self, to: &Origin, error: UpstreamError) {
        self.lock().failed.insert((to.host.clone(), to.port), error);
    }

    pub(super) fn has_failed(&self, to: &Origin) -> bool {
        self.lock().failed.contains_key(&(to.host.clone(), to.port))
    }

    pub(super) fn take_failure(&self, to: &Origin) -> Option<UpstreamError> {
        let mut own = self.lock();
        if own.failed.is_empty() { None } else { own.failed.remove(&(to.host.clone(), to.port)) }
    }

    pub(super) fn remember_offer(&self, to: &Origin, alpn: Vec<Vec<u8>>) {
        self.lock().offered.insert(to.clone(), alpn);
    }

    /// Whether nothing but this one protocol is offered to upstream.
    pub(super) fn offers_alone(&self, to: &Origin, protocol: &[u8]) -> bool {
        self.lock().offered.get(to).is_some_and(|offer| *offer == [protocol])
    }

    pub(super) fn offered(&self, to: &Origin) -> Option<Vec<Vec<u8>>> {
        self.lock().offered.get(to).cloned()
    }
}

impl std::fmt::Debug for OwnConnections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kept: usize = self.lock().kept.values().map(Vec::len).sum();
        f.debug_struct("OwnConnections").field("kept", &kept).finish_non_exhaustive()
    }
}

/// The HTTP/2 connections, by session and origin.
#[derive(Default)]
pub(super) struct SharedPool(Mutex<HashMap<(Session, Origin), Arc<Slot>>>);

impl std::fmt::Debug for SharedPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedPool").field("slots", &self.lock().len()).finish()
    }
}

impl SharedPool {
    fn lock(&self) -> MutexGuard<'_, HashMap<(Session, Origin), Arc<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of the connections, which may be empty.
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

/// The place of the HTTP/2 connections of one session to one origin: one, and more when it has as many streams as may be.
#[derive(Default)]
pub(super) struct Slot {
    live: Mutex<Vec<Http2>>,
    /// Held by whoever makes a connection, so that others wait for it instead of making theirs.
    pub(super) making: tokio::sync::Mutex<()>,
}

impl Slot {
    /// Those that take requests (after a GOAWAY one does not).
    fn lock(&self) -> MutexGuard<'_, Vec<Http2>> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|connection| !connection.send.is_closed());
        live
    }

    pub(super) fn is_live(&self) -> bool {
        !self.lock().is_empty()
    }

    /// A connection with room for one more stream, and that stream's place on it. Streams that nobody reads keep what came on them, so
    /// there are never more than the connection's window has room for: then one stream can't hold up another.
    pub(super) fn take(&self) -> Option<(Http2, InUse)> {
        let live = self.lock();
        let mut places = live.iter().map(|connection| (connection, connection.usage.begin_below(H2_STREAMS)));
        places.find_map(|(connection, place)| Some((connection.clone(), place?)))
    }

    pub(super) fn put(&self, connection: Http2) {
        self.lock().push(connection);
    }

    /// Lets go of a connection: it ends with its last stream.
    pub(super) fn forget(&self, id: u64) {
        self.lock().retain(|connection| connection.id != id);
    }
}
