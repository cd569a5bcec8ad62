//! How long upstream is waited for.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::upload::{Moved, UploadHandle};

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

/// Resolves when upstream has taken no part of the request for `limit`, although the client has sent more.
pub(super) async fn overdue(upload: Option<&UploadHandle>, sent_at: std::time::Instant, limit: Duration) {
    let mut since = Instant::from(sent_at);
    loop {
        match since.checked_add(limit) {
            Some(due) => sleep_until(due).await,
            // The limit is beyond the range of the clock.
            None => std::future::pending().await,
        }
        let latest = match upload.map_or(Moved::Never, UploadHandle::moved) {
            Moved::Never => since,
            Moved::At(moment) => moment.max(since),
            Moved::WaitsForClient => Instant::now(),
        };
        if latest == since {
            return;
        }
        since = latest;
    }
}
