//! The result of a finished recording: its verdict and its table of hosts.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use indexmap::IndexMap;

use super::Recorder;
use super::finalise::{Arrangement, JournalIndex};
use crate::verdict::request::RecordedEntry;
use crate::verdict::{CheckId, Finding, Location, RunMode, Severity, Verdict, connections};

/// A line of the table at the end of a recording.
#[derive(Clone, Debug, Default)]
pub struct HostLine {
    /// `host[:port]`.
    pub host: String,
    /// Requests; a tunnel counts as one.
    pub requests: u64,
    /// Recorded requests.
    pub recorded: u64,
    /// Requests that were forwarded unrecorded.
    pub passed: u64,
}

/// The result of a recording.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Counts and findings.
    pub verdict: Verdict,
    /// The table, by host in order of first appearance.
    pub hosts: Vec<HostLine>,
    /// Whether the fixture was written; false if nothing was recorded, or CMD failed over an existing fixture.
    pub written: bool,
    /// Entries that stayed byte for byte.
    pub unchanged: usize,
    /// Entries that were replaced in place.
    pub changed: usize,
    /// New entries.
    pub added: usize,
    /// Entries of the fixture that were not seen.
    pub not_seen: usize,
    /// The folder of the held recording, or the journal, if the fixture stays as it is.
    pub held: Option<PathBuf>,
    /// Whether an older held recording was dropped.
    pub replaced_held: bool,
    /// Requests in scope whose client left before the response. They are not stored.
    pub unanswered: u64,
    /// The entries of the written fixture, by the numbers of their exchanges in the journal.
    pub entries: HashMap<u64, RecordedEntry>,
}

/// The outcome of a recording whose exchanges were arranged in this way.
pub fn of(recorder: &Recorder, index: &JournalIndex, arrangement: Arrangement) -> Outcome {
    let entries = index.exchanges.iter().map(|exchange| exchange.number).zip(arrangement.became()).collect();
    let Arrangement { unchanged, changed, added, not_seen, .. } = arrangement;
    let unanswered = index.unanswered as u64;
    Outcome { unchanged, changed, added, not_seen, unanswered, entries, ..bare(recorder) }
}

/// Nothing was recorded: the fixture, if there is one, stays as it is.
pub fn nothing(recorder: &Recorder) -> Outcome {
    let mut outcome = bare(recorder);
    let counts = &outcome.verdict.counts;
    let output = recorder.plan.output.display();
    if let Some(keyless) = connections::unauthorized(counts, CheckId::NOTHING_RECORDED, Severity::Error) {
        outcome.verdict.findings.push(Finding { at: Location::fixture(output.to_string()), ..keyless });
        return outcome;
    }
    let (explanation, remedy) = match counts.requests {
        0 => (
            "nothing was recorded: no request came through the proxy".to_owned(),
            "check that the program uses the proxy (HTTP_PROXY, HTTPS_PROXY) and trusts its CA (SSL_CERT_FILE and the like); \
             `harproxy env` shows all that CMD was told. One that can't use a proxy can be pointed at a `--reverse` port"
                .to_owned(),
        ),
        requests => (
            match requests {
                1 => "nothing was recorded: the one request was not in scope, or not answered".to_owned(),
                _ => format!("nothing was recorded: of {requests} requests none was in scope and answered"),
            },
            match recorder.plan.scope.sources() {
                [] => "what was seen is noise, or broke off before it was answered: see the log with `-v`".to_owned(),
                globs => format!("check the globs: `{}` match none of the URLs that were seen", globs.join("` `")),
            },
        ),
    };
    outcome.verdict.findings.push(Finding {
        at: Location::fixture(output.to_string()),
        hint: Some(remedy),
        ..Finding::new(CheckId::NOTHING_RECORDED, Severity::Error, explanation)
    });
    outcome
}

/// The journal could not be written to its end.
pub fn lost(recorder: &Recorder, reason: &io::Error) -> Outcome {
    let journal = &recorder.locked.paths.journal;
    let explanation = format!("writing the journal {} failed: {reason}; the fixture stays as it is", journal.display());
    let remedy = "make room and record again: it begins with what the journal holds";
    unwritten(recorder, explanation, remedy.to_owned())
}

/// The folder was removed under the recording; the journal was put back.
pub fn vanished(recorder: &Recorder) -> Outcome {
    let output = &recorder.plan.output;
    let explanation = format!(
        "{} was removed while the run went on; what was recorded is in its journal, which was put back",
        output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(output).display()
    );
    let remedy = format!(
        "bring back the fixture if there was one, then `harproxy recover {}`",
        harproxy_support::shell_quote::path(output)
    );
    unwritten(recorder, explanation, remedy)
}

fn unwritten(recorder: &Recorder, explanation: String, remedy: String) -> Outcome {
    let mut outcome = bare(recorder);
    outcome.verdict.findings.push(Finding {
        at: Location::fixture(recorder.plan.output.display().to_string()),
        hint: Some(remedy),
        ..Finding::new(CheckId::LOST, Severity::Error, explanation)
    });
    outcome.held = Some(recorder.locked.paths.journal.clone());
    outcome
}

impl Recorder {
    /// The counts and findings so far.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let mut counts = self.collector.counts();
        counts.upstream_connections = self.live.upstream().opened();
        counts.redacted = self.redactor.secrets().found();
        counts.opaque = self.redactor.opaque_payloads();
        Verdict {
            mode: RunMode::RECORD,
            counts,
            findings: self.collector.findings(),
            fixtures: Vec::new(),
            duration_ms: self.collector.duration_ms(),
        }
    }
}

fn bare(recorder: &Recorder) -> Outcome {
    Outcome {
        verdict: recorder.verdict(),
        hosts: hosts(recorder),
        written: false,
        unchanged: 0,
        changed: 0,
        added: 0,
        not_seen: 0,
        held: None,
        replaced_held: false,
        unanswered: recorder.collector.unanswered(),
        entries: HashMap::new(),
    }
}

/// The table, with one line for the HTTP and HTTPS origins of a host.
fn hosts(recorder: &Recorder) -> Vec<HostLine> {
    let mut lines: IndexMap<String, HostLine> = IndexMap::new();
    for (origin, counts) in recorder.collector.hosts() {
        let line = lines.entry(origin.authority()).or_default();
        line.requests += counts.requests + counts.tunnels;
        line.recorded += counts.recorded;
        line.passed += counts.passed;
    }
    lines.into_iter().map(|(host, line)| HostLine { host, ..line }).collect()
}
