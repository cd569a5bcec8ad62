//! The event bus: publishes the events of requests and connections of a run to subscribers, which count, list, log and
//! keep them for reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::http::{HeaderMap, StatusCode};

use super::outcome::Outcome;
use super::sessions::Sessions;
use crate::verdict::Finding;
use crate::verdict::request::RequestRow;
use harproxy_proxy::{ConnectionEvent, Origin};

#[derive(Clone, Copy, Debug)]
pub enum RunEvent<'a> {
    /// The head of a response is there, or the connection is closed without one.
    Answered(&'a RequestEvent<'a>),
    /// A request ended, after so many bytes of the response's payload as coded. A request whose client left before the
    /// response has no other event.
    Ended(&'a RequestEvent<'a>, u64),
    /// A finding, which may be equal to an earlier one.
    Found(&'a Finding),
    /// An event that belongs to no request.
    Connection(&'a ConnectionEvent),
}

/// A request as events carry it.
#[derive(Clone, Copy, Debug)]
pub struct RequestEvent<'a> {
    /// The origin that the request is for.
    pub origin: &'a Origin,
    pub outcome: &'a Outcome,
    /// True if the outcome was published when the response began.
    pub was_answered: bool,
    /// The head of the response; `None` if there is none.
    pub head: Option<(StatusCode, &'a HeaderMap)>,
    /// The request without secrets, if a subscriber wanted rows when it came.
    pub row: Option<&'a RequestRow>,
}

/// Receives the events of a run, on the threads that serve.
pub trait Subscriber: Send + Sync {
    fn notify(&self, event: &RunEvent<'_>);

    /// Returns true if the next request needs a row. Rows take time, since they are redacted.
    fn wants_rows(&self) -> bool {
        false
    }
}

impl Subscriber for Sessions {
    fn notify(&self, event: &RunEvent<'_>) {
        if let RunEvent::Found(finding) = event {
            self.keep(finding);
        }
    }
}

/// The subscribers of a run, the ids of its requests, and the sessions that they belong to.
#[derive(Clone)]
pub struct EventBus {
    pub sessions: Arc<Sessions>,
    started: Instant,
    requests: Arc<AtomicU64>,
    subscribers: Vec<Arc<dyn Subscriber>>,
}

impl EventBus {
    /// A bus of a run that begins now.
    #[must_use]
    pub fn new(mut subscribers: Vec<Arc<dyn Subscriber>>) -> Self {
        let sessions = Arc::<Sessions>::default();
        subscribers.push(sessions.clone());
        EventBus { sessions, started: Instant::now(), requests: Arc::default(), subscribers }
    }

    /// The same bus with one more subscriber, which is notified first.
    #[must_use]
    pub fn with(&self, subscriber: Arc<dyn Subscriber>) -> Self {
        let subscribers = std::iter::once(subscriber).chain(self.subscribers.iter().cloned()).collect();
        EventBus { subscribers, ..self.clone() }
    }

    /// The number of requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn publish(&self, event: &RunEvent<'_>) {
        self.subscribers.iter().for_each(|subscriber| subscriber.notify(event));
    }

    pub(super) fn wants_rows(&self) -> bool {
        self.subscribers.iter().any(|subscriber| subscriber.wants_rows())
    }

    /// Counts a request that began `ago`; its id, and the milliseconds from the start of the run.
    pub(super) fn count_request(&self, ago: Duration) -> (u64, f64) {
        let id = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        (id, millis(self.started.elapsed().saturating_sub(ago)))
    }
}

/// A duration as rows have it, in milliseconds with microseconds as the fraction.
pub(super) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
