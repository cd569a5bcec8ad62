//! Tracks when a client connection is idle, for the idle and head timeouts.
//!
//! hyper's own head timeout also runs between requests. Here a connection may be idle for `--idle-timeout`, and a head
//! must be complete within `--head-timeout` of its first byte.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::limits::ClientTimeouts;
use harproxy_support::sync::lock;

/// A client that closes its connection within this time of the TLS handshake, without a request, has rejected the
/// certificate: Node.js and some others complete the handshake first and send no alert.
const REJECTS_WITHIN: Duration = Duration::from_secs(1);

/// The reason in the event of such a client.
pub(crate) const CLOSED_AFTER_HANDSHAKE: &str = "the client closed the connection when it had seen the certificate";

/// The next event on an inactive connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitingFor {
    /// The first byte of a request.
    Request,
    /// The rest of a head.
    Head,
}

/// The state of one connection, updated by its reads and its requests.
#[derive(Debug)]
pub(crate) struct IdleTracker {
    created: Instant,
    activity: Mutex<Activity>,
    /// The TLS alert or the close by which the client rejected the certificate.
    rejection: OnceLock<String>,
    /// The character in a URL for which hyper will refuse the request.
    pub(crate) invalid_character: OnceLock<String>,
    /// Notified by every flush of the connection.
    pub(crate) flushed: Arc<Notify>,
    /// Set when the handler took the connection over by an Upgrade: the token that ends it when nothing can be read or
    /// written, and the task that the drain waits for.
    pub(crate) lent: OnceLock<(CancellationToken, TaskTrackerToken)>,
}

#[derive(Debug)]
struct Activity {
    had_request: bool,
    requests_in_progress: usize,
    idle_since: Instant,
    /// When the first byte of an incomplete head was received.
    head_since: Option<Instant>,
    /// Bytes were received that are not a head alone: a payload, or a pipelined request.
    has_other_bytes: bool,
}

impl IdleTracker {
    pub(crate) fn new() -> Self {
        let created = Instant::now();
        let activity = Activity {
            had_request: false,
            requests_in_progress: 0,
            idle_since: created,
            head_since: None,
            has_other_bytes: false,
        };
        IdleTracker {
            created,
            activity: Mutex::new(activity),
            rejection: OnceLock::new(),
            invalid_character: OnceLock::new(),
            flushed: Arc::default(),
            lent: OnceLock::new(),
        }
    }

    /// Begins a request. It ends when the guard is dropped.
    pub(crate) fn begin(self: Arc<Self>, has_body: bool) -> Busy {
        let mut activity = lock(&self.activity);
        activity.had_request = true;
        activity.requests_in_progress += 1;
        activity.head_since = None;
        activity.has_other_bytes |= has_body;
        drop(activity);
        Busy(self)
    }

    /// Returns true if the client ever sent a request.
    pub(crate) fn had_request(&self) -> bool {
        lock(&self.activity).had_request
    }

    /// The reason if the client rejected the certificate after the handshake.
    pub(crate) fn tls_rejection(&self) -> Option<&str> {
        self.rejection.get().filter(|_| !self.had_request()).map(String::as_str)
    }

    /// The event that the connection waits for, and the time limit; `None` while a request is being answered.
    pub(crate) fn waiting(&self, timeouts: ClientTimeouts) -> Option<(WaitingFor, Instant)> {
        let activity = lock(&self.activity);
        (activity.requests_in_progress == 0).then(|| match activity.head_since {
            None => (WaitingFor::Request, activity.idle_since + timeouts.idle),
            Some(since) => (WaitingFor::Head, since + timeouts.head),
        })
    }

    /// Called for received bytes that can belong to a head. Returns true if a head surely begins with them: all bytes
    /// before were heads of requests without a payload, each received before the next one.
    pub(crate) fn on_head_bytes(&self, bytes: &[u8]) -> bool {
        let mut activity = lock(&self.activity);
        let begins = activity.head_since.is_none() && !activity.has_other_bytes && activity.requests_in_progress == 0;
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        activity.has_other_bytes |= activity.requests_in_progress > 0 || end.is_some_and(|end| end < bytes.len());
        if activity.requests_in_progress == 0 {
            activity.head_since.get_or_insert_with(Instant::now);
        }
        begins
    }

    /// Called when the client closed the connection, or it failed.
    pub(crate) fn on_close(&self, error: Option<&io::Error>) {
        let tls = error.and_then(|error| error.get_ref()?.downcast_ref::<rustls::Error>());
        match tls {
            _ if self.had_request() => {}
            Some(alert @ rustls::Error::AlertReceived(_)) => drop(self.rejection.set(alert.to_string())),
            _ if self.created.elapsed() < REJECTS_WITHIN => {
                drop(self.rejection.set(CLOSED_AFTER_HANDSHAKE.to_owned()));
            }
            _ => {}
        }
    }
}

/// Marks a connection as busy until it is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<IdleTracker>);

impl Busy {
    /// Resolves after the next flush of the connection, also if that comes before the first poll.
    pub(super) fn next_flush(&self) -> OwnedNotified {
        self.0.flushed.clone().notified_owned()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut activity = lock(&self.0.activity);
        activity.requests_in_progress -= 1;
        activity.idle_since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: ClientTimeouts = ClientTimeouts { head: Duration::from_secs(15), idle: Duration::from_secs(60) };

    fn waiting(idle: &IdleTracker) -> Option<WaitingFor> {
        idle.waiting(TIMEOUTS).map(|(waiting, _)| waiting)
    }

    #[test]
    fn tracker_applies_idle_timeout_between_requests_and_head_timeout_within_heads() {
        let idle = IdleTracker::new();
        assert_eq!(idle.waiting(TIMEOUTS), Some((WaitingFor::Request, idle.created + TIMEOUTS.idle)));
        assert!(idle.on_head_bytes(b"GET /"));
        let first = idle.waiting(TIMEOUTS).unwrap();
        assert_eq!(first.0, WaitingFor::Head);
        assert!(first.1 < idle.created + TIMEOUTS.idle);
        assert!(!idle.on_head_bytes(b" HTTP"));
        assert_eq!(idle.waiting(TIMEOUTS).unwrap(), first, "later bytes do not extend the limit");
    }

    #[test]
    fn tracker_applies_no_timeout_while_requests_are_answered() {
        let idle = Arc::new(IdleTracker::new());
        idle.on_head_bytes(b"GET / HTTP/1.1\r\n\r\n");
        let first = idle.clone().begin(false);
        let second = idle.clone().begin(false);
        assert!(!idle.on_head_bytes(b"GET"));
        drop(first);
        assert_eq!(waiting(&idle), None, "one of two requests is in progress");
        drop(second);
        assert_eq!(waiting(&idle), Some(WaitingFor::Request), "bytes during a request begin no head");
    }

    #[test]
    fn head_is_certain_to_begin_only_after_requests_without_other_bytes() {
        let head = b"GET / HTTP/1.1\r\n\r\n";
        let after = |bytes: &[u8], has_body| {
            let idle = Arc::new(IdleTracker::new());
            assert!(idle.on_head_bytes(bytes));
            drop(idle.clone().begin(has_body));
            idle.on_head_bytes(head)
        };
        assert!(after(head, false));
        assert!(!after(head, true), "a payload may follow");
        assert!(!after(&[&head[..], b"GE"].concat(), false), "a pipelined head has begun");
    }
}
