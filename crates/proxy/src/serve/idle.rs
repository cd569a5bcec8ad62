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

use crate::handshake::HandshakeRefusal;
use crate::limits::ClientTimeouts;
use harproxy_support::sync::lock;

/// A client that closes its connection within this time of the TLS handshake, without a request, has rejected the
/// certificate: Node.js and some others complete the handshake first and send no alert.
const REJECTS_WITHIN: Duration = Duration::from_secs(1);

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
    rejection: OnceLock<HandshakeRefusal>,
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
    position: Position,
}

/// The position in the received bytes of HTTP/1, in as far as it is certain.
#[derive(Clone, Copy, Debug)]
enum Position {
    /// This number of bytes of a payload come before the next head.
    BeforeHead(u64),
    /// Within a head.
    InHead(HeadSearch),
    /// Behind the head of a request that has not begun yet, by this number of bytes.
    BehindHead(u64),
    /// After a chunked payload or a pipelined request, to the end of the connection.
    Unknown,
}

impl Position {
    /// Returns the position after further bytes.
    fn after(self, bytes: &[u8]) -> Self {
        let received = bytes.len() as u64;
        match self {
            Position::BeforeHead(0) => Position::InHead(HeadSearch::default()).after(bytes),
            Position::BeforeHead(left) => left.checked_sub(received).map_or(Position::Unknown, Position::BeforeHead),
            Position::InHead(mut search) => match search.find_end(bytes) {
                Some(end) => Position::BehindHead(received - end as u64),
                None => Position::InHead(search),
            },
            Position::BehindHead(behind) => Position::BehindHead(behind + received),
            Position::Unknown => Position::Unknown,
        }
    }

    /// Returns the position when a request begins whose payload has this length, if it is declared.
    fn in_request(self, length: Option<u64>) -> Self {
        match (self, length) {
            (Position::BehindHead(behind), Some(length)) => {
                length.checked_sub(behind).map_or(Position::Unknown, Position::BeforeHead)
            }
            _ => Position::Unknown,
        }
    }
}

/// The search for the end of a head: the first empty line after another one. Lines end as hyper's parser accepts it,
/// with or without a CR.
#[derive(Clone, Copy, Debug, Default)]
struct HeadSearch {
    had_line: bool,
    /// The current line has characters.
    in_line: bool,
}

impl HeadSearch {
    /// Returns the end of the head in further bytes.
    fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'\r' => {}
                b'\n' if self.had_line && !self.in_line => return Some(at + 1),
                b'\n' => self.in_line = false,
                _ => (self.had_line, self.in_line) = (true, true),
            }
        }
        None
    }
}

impl IdleTracker {
    pub(crate) fn new() -> Self {
        let created = Instant::now();
        let activity = Activity {
            had_request: false,
            requests_in_progress: 0,
            idle_since: created,
            head_since: None,
            position: Position::BeforeHead(0),
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

    /// Begins a request. It ends when the guard is dropped. `length` is the declared length of its payload, and `None`
    /// for a chunked one.
    pub(crate) fn begin(self: Arc<Self>, length: Option<u64>) -> Busy {
        let mut activity = lock(&self.activity);
        activity.had_request = true;
        activity.requests_in_progress += 1;
        activity.head_since = None;
        activity.position = activity.position.in_request(length);
        drop(activity);
        Busy(self)
    }

    /// Returns true if the client ever sent a request.
    pub(crate) fn had_request(&self) -> bool {
        lock(&self.activity).had_request
    }

    /// The reason if the client rejected the certificate after the handshake.
    pub(crate) fn tls_rejection(&self) -> Option<&HandshakeRefusal> {
        self.rejection.get().filter(|_| !self.had_request())
    }

    /// The event that the connection waits for, and the time limit; `None` while a request is being answered.
    pub(crate) fn waiting(&self, timeouts: ClientTimeouts) -> Option<(WaitingFor, Instant)> {
        let activity = lock(&self.activity);
        (activity.requests_in_progress == 0).then(|| match activity.head_since {
            None => (WaitingFor::Request, activity.idle_since + timeouts.idle),
            Some(since) => (WaitingFor::Head, since + timeouts.head),
        })
    }

    /// Returns true if the next byte of the client surely begins a head: all bytes before were heads and payloads of
    /// declared length, each received before the next request.
    pub(crate) fn is_before_head(&self) -> bool {
        let activity = lock(&self.activity);
        matches!(activity.position, Position::BeforeHead(0))
            && activity.requests_in_progress == 0
            && self.lent.get().is_none()
    }

    /// Called for bytes that hyper gets over HTTP/1.
    pub(crate) fn on_bytes(&self, bytes: &[u8]) {
        let mut activity = lock(&self.activity);
        let is_pipelined = activity.requests_in_progress > 0 && matches!(activity.position, Position::BeforeHead(0));
        activity.position = if is_pipelined { Position::Unknown } else { activity.position.after(bytes) };
        if activity.requests_in_progress == 0 {
            activity.head_since.get_or_insert_with(Instant::now);
        }
    }

    /// Called when the client closed the connection, or it failed.
    pub(crate) fn on_close(&self, error: Option<&io::Error>) {
        let is_alert = |error: &&io::Error| {
            let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
            matches!(tls, Some(rustls::Error::AlertReceived(_)))
        };
        match error.filter(is_alert) {
            _ if self.had_request() => {}
            Some(alert) => drop(self.rejection.set(HandshakeRefusal::from_error(alert))),
            None if self.created.elapsed() < REJECTS_WITHIN => drop(self.rejection.set(HandshakeRefusal::closed())),
            None => {}
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
        idle.on_bytes(b"GET /");
        let first = idle.waiting(TIMEOUTS).unwrap();
        assert_eq!(first.0, WaitingFor::Head);
        assert!(first.1 < idle.created + TIMEOUTS.idle);
        idle.on_bytes(b" HTTP");
        assert_eq!(idle.waiting(TIMEOUTS).unwrap(), first, "later bytes do not extend the limit");
    }

    #[test]
    fn tracker_applies_no_timeout_while_requests_are_answered() {
        let idle = Arc::new(IdleTracker::new());
        idle.on_bytes(b"GET / HTTP/1.1\r\n\r\n");
        let first = idle.clone().begin(Some(0));
        let second = idle.clone().begin(Some(0));
        idle.on_bytes(b"GET");
        drop(first);
        assert_eq!(waiting(&idle), None, "one of two requests is in progress");
        drop(second);
        assert_eq!(waiting(&idle), Some(WaitingFor::Request), "bytes during a request begin no head");
    }

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nA: b\r\n\r\n";

    /// Returns true if a head is certain to begin after a request with these reads and this length. Reads after the
    /// first `early` ones come during the request.
    fn is_head_next(reads: &[&[u8]], early: usize, length: Option<u64>) -> bool {
        let idle = Arc::new(IdleTracker::new());
        assert!(idle.is_before_head());
        reads[..early].iter().for_each(|bytes| idle.on_bytes(bytes));
        assert!(!idle.is_before_head());
        let busy = idle.clone().begin(length);
        reads[early..].iter().for_each(|bytes| idle.on_bytes(bytes));
        assert!(!idle.is_before_head());
        drop(busy);
        idle.is_before_head()
    }

    #[test]
    fn head_is_certain_to_begin_after_a_request_of_known_length() {
        assert!(is_head_next(&[HEAD], 1, Some(0)));
        assert!(is_head_next(&[b"\r\nGET / HTTP/1.1\nA: b\n\n"], 1, Some(0)), "other ends of lines");
        assert!(is_head_next(&[&HEAD[..9], &HEAD[9..23], &HEAD[23..]], 3, Some(0)), "the head comes in pieces");
        assert!(is_head_next(&[&[HEAD, b"\r\n\r\n"].concat()], 1, Some(4)), "head and payload come together");
        assert!(is_head_next(&[HEAD, b"ab", b"cd"], 2, Some(4)));
    }

    #[test]
    fn head_is_not_certain_to_begin_after_a_partial_payload_or_a_pipelined_head() {
        assert!(!is_head_next(&[HEAD, b"abc"], 1, Some(4)));
        assert!(!is_head_next(&[HEAD, b"abcd", b"G"], 1, Some(4)));
        assert!(!is_head_next(&[HEAD, b"abcdG"], 1, Some(4)));
        assert!(!is_head_next(&[&[HEAD, b"GE"].concat()], 1, Some(0)));
        let early_end = b"GET / HTTP/1.1\n\nA: b\r\n\r\n";
        assert!(!is_head_next(&[early_end], 1, Some(0)), "the head ends with its first empty line");
        assert!(!is_head_next(&[HEAD, b"0\r\n\r\n"], 1, None), "chunked");
        assert!(!is_head_next(&[&HEAD[..9]], 1, Some(0)), "hyper saw another end");
    }

    #[test]
    fn position_after_a_pipelined_request_stays_unknown() {
        let idle = Arc::new(IdleTracker::new());
        idle.on_bytes(&[HEAD, HEAD].concat());
        drop(idle.clone().begin(Some(0)));
        drop(idle.clone().begin(Some(HEAD.len() as u64)));
        assert!(!idle.is_before_head());
    }
}
