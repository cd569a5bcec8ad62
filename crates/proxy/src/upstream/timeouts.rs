//! How long upstream is waited for.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::upload::{Moved, UploadHandle};
use crate::bell::Alarm;

/// How long upstream may take; by default what the command line has.
///
/// None is about the body of an answer: an event stream or a long poll may be quiet for as long as its client cares to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// `--connect-timeout`: for a TCP connection with its look-up, and again for TLS on it.
    pub connect: Duration,
    /// `--idle-timeout`: how long a connection that nobody uses is kept.
    pub idle: Duration,
    /// `--answer-timeout`: for the head of an answer, from the moment at which upstream had last taken a part of the request. The time in
    /// which it waits for the client is not its own.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            answer: Duration::from_secs(5 * 60),
        }
    }
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Look-up and TCP, an upstream proxy included.
    Connect,
    /// TLS.
    Tls,
    /// The head of the answer.
    Answer,
}

impl Step {
    /// The option that gives it more time.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Step::Connect | Step::Tls => "--connect-timeout",
            Step::Answer => "--answer-timeout",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Connect => "connecting to",
            Step::Tls => "TLS with",
            Step::Answer => "the answer of",
        })
    }
}

/// Waits until upstream has taken nothing of a request for `limit`, all that the client has sent being there to be taken.
pub(super) struct Overdue<'a> {
    upload: Option<&'a UploadHandle>,
    limit: Duration,
    since: Instant,
    alarm: &'a mut Option<Alarm>,
}

impl<'a> Overdue<'a> {
    /// From that moment on. The alarm is for the next request, too.
    pub(super) fn new(
        upload: Option<&'a UploadHandle>,
        since: std::time::Instant,
        limit: Duration,
        alarm: &'a mut Option<Alarm>,
    ) -> Self {
        Overdue { upload, limit, since: since.into(), alarm }
    }
}

impl Future for Overdue<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            // A limit that no clock can tell is none.
            let Some(due) = this.since.checked_add(this.limit) else { return Poll::Pending };
            ready!(this.alarm.get_or_insert_with(|| Alarm::at(due)).poll(due, cx));
            let latest = match this.upload.map_or(Moved::Never, UploadHandle::moved) {
                Moved::Never => this.since,
                Moved::At(moment) => moment.max(this.since),
                Moved::WaitsForClient => Instant::now(),
            };
            if latest == this.since {
                return Poll::Ready(());
            }
            this.since = latest;
        }
    }
}
