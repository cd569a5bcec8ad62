//! Time limits of the upstream side.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::upload::{UploadHandle, UploadProgress};

/// Time limits of the upstream side. The defaults are those of the command line.
///
/// The body of an answer has no limit: an event stream or a long poll may be silent for as long as its client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// `--connect-timeout`: for name resolution and TCP, and again for TLS.
    pub connect: Duration,
    /// `--idle-timeout`: for an idle connection.
    pub idle: Duration,
    /// `--answer-timeout`: for the head of an answer, from the time at which upstream last read a part of the request.
    /// Time in which upstream waits for the client does not count.
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

/// A step with a time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Name resolution and TCP, an upstream proxy included.
    Connect,
    Tls,
    /// The head of the answer.
    Answer,
}

impl Step {
    /// The option that sets the limit.
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

/// Resolves when upstream has read no part of the request for `limit`, although the client has sent more.
pub(super) async fn overdue(upload: &UploadHandle, sent_at: std::time::Instant, limit: Duration) {
    let mut since = Instant::from(sent_at);
    loop {
        match since.checked_add(limit) {
            Some(due) => sleep_until(due).await,
            // The limit is beyond the range of the clock.
            None => std::future::pending().await,
        }
        let latest = match upload.progress() {
            UploadProgress::NotStarted => since,
            UploadProgress::ReadAt(moment) => moment.max(since),
            UploadProgress::WaitsForClient => Instant::now(),
        };
        if latest == since {
            return;
        }
        since = latest;
    }
}
