//! What a run concludes, as plain data: counts, findings, fixtures, and the outcome that follows. Nothing here does I/O;
//! [`report`] renders the data as text or JSON, [`exit`] turns it into a status, [`FailOn`] says which kinds fail a run.

pub mod ambiguity;
pub mod beside;
pub mod clues;
pub mod exit;
pub mod explain;
pub mod fail_on;
pub mod findings;
pub mod phrase;
pub mod report;
pub mod seen;
mod trust;

pub use exit::{Source, exit_status};
pub use explain::NearEntry;
pub use fail_on::{FailOn, FailOnError};
pub use findings::{Findings, Herald};
pub use trust::Trust;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Which of the two a run was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// `harproxy record`.
    Record,
    /// `harproxy replay`.
    Replay,
}

impl Mode {
    /// The command.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Mode::Record => "record",
            Mode::Replay => "replay",
        }
    }
}

/// The kinds of findings; the words of `--fail-on` among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// CMD has connections that go past the proxy.
    Bypass,
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
    /// All of them.
    pub const ALL: [Kind; 16] = [
        Kind::Miss,
        Kind::OutOfScope,
        Kind::Truncated,
        Kind::Ambiguous,
        Kind::NoTraffic,
        Kind::Unused,
        Kind::Stale,
        Kind::Passthrough,
        Kind::Websocket,
        Kind::Bypass,
        Kind::NothingRecorded,
        Kind::FailedServed,
        Kind::TlsRefused,
        Kind::Unreadable,
        Kind::Lost,
        Kind::UpstreamFailed,
    ];

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
            Kind::Bypass => "bypass",
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does.
    Error,
    /// It is listed.
    Warning,
}

/// One thing worth telling, with its place and its remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Of a miss: the nearest entries and what each differs in, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<NearEntry>,
    /// How many times the same thing happened.
    pub times: u64,
    /// The requests that it happened to, by their ids in the report, as many as are kept; empty without a report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<u64>,
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
            near: Vec::new(),
            times: 1,
            requests: Vec::new(),
        }
    }

    /// Whether `--fail-on` can make it fail a run: of a fixture that does not say when it was recorded nothing is known to be
    /// old, so that it is listed as [`Kind::Stale`] and never more.
    #[must_use]
    pub fn can_fail(&self) -> bool {
        self.kind != Kind::Stale || self.entry.is_some() || self.fixture.is_none()
    }
}

/// Counts of a run. Every request is in exactly one of the sources: `served` (a fixture), `local`, `passed` (live),
/// `preflights` (made up), and without an answer of any of these `misses`, `noise`, `outOfScope` or `refused`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
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
    /// Requests that got 407, which are not among the requests: a client may send its credentials only when it is asked for
    /// them. Told in findings alone.
    #[serde(skip)]
    pub unauthorized: u64,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixtureUse {
    /// The fixture, as it was given.
    pub fixture: String,
    /// Its entries.
    pub entries: usize,
    /// How many of them answered at least once.
    pub used: usize,
    /// The entries that did not, in order.
    #[serde(rename = "unusedEntries")]
    pub unused: Vec<usize>,
    /// How many of these `--prune` took out afterwards; `None` where it was not to, or left the fixture as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pruned: Option<usize>,
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

    /// Whether no finding of another kind fails the run.
    #[must_use]
    pub fn passed_but_for(&self, kind: Kind) -> bool {
        self.findings.iter().all(|finding| finding.kind == kind || finding.severity != Severity::Error)
    }

    /// Entries that nothing asked for were taken out of a fixture, which stands at this place of [`Verdict::fixtures`]: they fail the
    /// run no more.
    pub fn pruned(&mut self, fixture: usize, gone: &BTreeSet<usize>) {
        let Some(pruned) = self.fixtures.get_mut(fixture) else { return };
        pruned.pruned = Some(gone.len());
        let is_gone = |used: &FixtureUse| used.pruned.is_some_and(|pruned| pruned == used.unused.len());
        let name = pruned.fixture.clone();
        // Those that are only counted may be of any fixture.
        let all_gone = self.fixtures.iter().all(|used| used.unused.is_empty() || is_gone(used));
        for finding in self.findings.iter_mut().filter(|finding| finding.kind == Kind::Unused) {
            let is_gone = match finding.entry {
                Some(entry) => finding.fixture.as_deref() == Some(&name) && gone.contains(&entry),
                None => all_gone,
            };
            if is_gone {
                finding.severity = Severity::Warning;
            }
        }
    }
}
