//! The result of a recording that has ended.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;

use indexmap::IndexMap;

use super::finalise::{Arrangement, Index};
use super::{HostLine, Recorder, RecordingSummary};
use crate::verdict::{CheckId, Finding, Location, Mode, Severity, Verdict, connections};

/// A recording whose exchanges were arranged so.
pub fn of(recorder: &Recorder, index: &Index, arrangement: Arrangement) -> RecordingSummary {
    let entries = index.slots.iter().map(|slot| slot.number).zip(arrangement.became()).collect();
    let Arrangement { unchanged, changed, added, not_seen, .. } = arrangement;
    let unanswered = index.unanswered as u64;
    RecordingSummary { unchanged, changed, added, not_seen, unanswered, entries, ..bare(recorder) }
}

/// Nothing was recorded: the fixture, if there is one, stays as it is.
pub fn nothing(recorder: &Recorder) -> RecordingSummary {
    let mut outcome = bare(recorder);
    let counts = &outcome.verdict.counts;
    let output = recorder.plan.output.display();
    if let Some(keyless) = connections::unauthorized(counts, CheckId::NOTHING_RECORDED, Severity::Error) {
        outcome.verdict.findings.push(Finding { at: Location::fixture(output.to_string()), ..keyless });
        return outcome;
    }
    // Exchanges of a replay that records its misses are counted there.
    let requests = counts.requests.max(recorder.exchanges.load(Ordering::Relaxed));
    let (explanation, remedy) = match requests {
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
pub fn lost(recorder: &Recorder, reason: &io::Error) -> RecordingSummary {
    let journal = &recorder.claimed.place.journal;
    let explanation = format!("writing the journal {} failed: {reason}; the fixture stays as it is", journal.display());
    let remedy = "make room and record again: it begins with what the journal holds";
    unwritten(recorder, explanation, remedy.to_owned())
}

/// The folder was removed under the recording; the journal was put back.
pub fn vanished(recorder: &Recorder) -> RecordingSummary {
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

fn unwritten(recorder: &Recorder, explanation: String, remedy: String) -> RecordingSummary {
    let mut outcome = bare(recorder);
    outcome.verdict.findings.push(Finding {
        at: Location::fixture(recorder.plan.output.display().to_string()),
        hint: Some(remedy),
        ..Finding::new(CheckId::LOST, Severity::Error, explanation)
    });
    outcome.held = Some(recorder.claimed.place.journal.clone());
    outcome
}

/// What was counted and found so far.
pub fn verdict(recorder: &Recorder) -> Verdict {
    let mut counts = recorder.collector.counts();
    counts.upstream_connections = recorder.live.upstream().opened();
    counts.redacted = recorder.redactor.vault().found();
    counts.opaque = recorder.redactor.opaque_payloads();
    Verdict {
        mode: Mode::RECORD,
        counts,
        findings: recorder.collector.findings(),
        fixtures: Vec::new(),
        duration_ms: recorder.collector.duration_ms(),
    }
}

fn bare(recorder: &Recorder) -> RecordingSummary {
    RecordingSummary {
        verdict: verdict(recorder),
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
