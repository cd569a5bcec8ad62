//! What a run concludes, as plain data: counts, findings, fixtures, and the outcome that follows. Nothing here does I/O;
//! [`report`] renders the data as text or JSON, [`exit`] turns it into a status, [`FailOn`] says which kinds fail a run.

pub mod ambiguity;
pub mod exit;
pub mod explain;
pub mod fail_on;
pub mod findings;
pub mod report;
mod trust;

pub use exit::{Source, exit_status};
pub use fail_on::{FailOn, FailOnError};
pub use findings::Findings;
pub use trust::Trust;

use serde::Serialize;

/// Which of the two a run was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// `harproxy record`.
    Record,
    /// `harproxy replay`.
    Replay,
}

/// The kinds of findings; the words of `--fail-on` among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An in-scope request with no candidate.
    Miss,
    /// A request outside the scope that was refused.
    OutOfScope,
    /// A truncated payload was served.
    Truncated,
    /// Entries that differ only in redacted places and in their answers: seen when they were recorded, or served by guess.
    Ambiguous,
    /// No request in scope was seen.
    NoTraffic,
    /// An entry that nothing asked for.
    Unused,
    /// An entry older than `--max-age`.
    Stale,
    /// A request that `--passthrough` let through.
    Passthrough,
    /// A WebSocket that can't be replayed yet.
    Websocket,
    /// A recording in which nothing was recorded.
    NothingRecorded,
    /// An entry that answered was recorded as a failure.
    FailedServed,
    /// The client refused our certificate.
    TlsRefused,
    /// Inside a CONNECT came neither TLS nor HTTP.
    Unreadable,
    /// An exchange that could not be written to the journal or the fixture.
    Lost,
    /// Upstream gave no answer while recording: the exchange is a failure in the fixture.
    UpstreamFailed,
}

impl Kind {
    /// The word for it in options, reports and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Miss => "miss",
            Kind::OutOfScope => "out-of-scope",
            Kind::Truncated => "truncated",
            Kind::Ambiguous => "ambiguous",
            Kind::NoTraffic => "no-traffic",
            Kind::Unused => "unused",
            Kind::Stale => "stale",
            Kind::Passthrough => "passthrough",
            Kind::Websocket => "websocket",
            Kind::NothingRecorded => "nothing-recorded",
            Kind::FailedServed => "failed-served",
            Kind::TlsRefused => "tls-refused",
            Kind::Unreadable => "unreadable",
            Kind::Lost => "lost",
            Kind::UpstreamFailed => "upstream-failed",
        }
    }
}

/// Whether a finding fails the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does.
    Error,
    /// It is listed.
    Warning,
}

/// One thing worth telling, with its place and its remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub kind: Kind,
    /// Whether it fails the run.
    pub severity: Severity,
    /// `METHOD URL` of the request, if one is to blame.
    pub request: Option<String>,
    /// The fixture, as it was given.
    pub fixture: Option<String>,
    /// The entry, from 0.
    pub entry: Option<usize>,
    /// The entry's line in the HAR, from 1.
    pub line: Option<usize>,
    /// What happened, one sentence or a few lines.
    pub explanation: String,
    /// The option, policy line or command that helps.
    pub remedy: Option<String>,
    /// How many times the same thing happened.
    pub times: u64,
}

impl Finding {
    /// A finding that has happened once and is about no request and no entry in particular.
    pub fn new(kind: Kind, severity: Severity, explanation: impl Into<String>) -> Self {
        Finding {
            kind,
            severity,
            request: None,
            fixture: None,
            entry: None,
            line: None,
            explanation: explanation.into(),
            remedy: None,
            times: 1,
        }
    }
}

/// Counts of a run. Every request is in exactly one of the sources: `served` (a fixture), `local`, `passed` (live),
/// `preflights` (made up), and without an answer of any of these `misses`, `noise`, `outOfScope` or `refused`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Requests seen.
    pub requests: u64,
    /// Answered from an entry.
    pub served: u64,
    /// In scope without an entry.
    pub misses: u64,
    /// Dialled on loopback as out of scope.
    pub local: u64,
    /// Let through to the network (`--passthrough`), or passed unrecorded while recording.
    pub passed: u64,
    /// Noise that was refused (replay) or not stored (record).
    pub noise: u64,
    /// Refused as out of scope.
    pub out_of_scope: u64,
    /// Preflights that were made up.
    pub preflights: u64,
    /// Refused for what they are: a WebSocket that can't be replayed, a payload that broke off or is too long.
    pub refused: u64,
    /// Redirects followed inside the recording.
    pub followed: u64,
    /// Truncated payloads among what was served.
    pub truncated: u64,
    /// Recorded failures among what was served.
    pub failures: u64,
    /// Tunnels.
    pub tunnels: u64,
    /// Upstream connections opened.
    pub upstream_connections: u64,
    /// Exchanges recorded.
    pub recorded: u64,
    /// Different secrets taken out of what was recorded.
    pub redacted: u64,
    /// Payloads that could not be looked into for secrets.
    pub opaque: u64,
    /// Payload bytes sent to clients.
    pub bytes: u64,
}

/// How much of a fixture a run used.
#[derive(Clone, Debug, Serialize)]
pub struct FixtureUse {
    /// The fixture, as it was given.
    pub fixture: String,
    /// Its entries.
    pub entries: usize,
    /// How many of them answered at least once.
    pub used: usize,
}

/// What a run concludes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Record or replay.
    pub mode: Mode,
    /// Counts.
    pub counts: Counts,
    /// Findings, in order of first appearance; equal ones counted together.
    pub findings: Vec<Finding>,
    /// Fixtures in order.
    pub fixtures: Vec<FixtureUse>,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
}

impl Verdict {
    /// Whether no finding fails the run.
    ///
    /// ```
    /// use harproxy::verdict::{Counts, Finding, Kind, Mode, Severity, Verdict};
    /// let mut verdict = Verdict {
    ///     mode: Mode::Replay, counts: Counts::default(), findings: vec![], fixtures: vec![], duration_ms: 0,
    /// };
    /// assert!(verdict.passed());
    /// verdict.findings.push(Finding::new(Kind::Unused, Severity::Warning, "nothing asked for it"));
    /// assert!(verdict.passed());
    /// verdict.findings.push(Finding::new(Kind::Miss, Severity::Error, "no entry answers it"));
    /// assert!(!verdict.passed());
    /// ```
    #[must_use]
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}
