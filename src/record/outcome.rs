//! What a recording that has ended did, and whether that is a success.

use std::collections::HashMap;
use std::io;

use super::finalise::{Arrangement, Index};
use super::{Outcome, Recorder};
use crate::verdict::{Finding, Kind, Mode, Severity, Verdict, beside};

/// A recording whose exchanges were arranged so.
pub fn of(recorder: &Recorder, index: &Index, arrangement: Arrangement) -> Outcome {
    let entries = index.slots.iter().map(|slot| slot.number).zip(arrangement.became()).collect();
    let Arrangement { unchanged, changed, added, not_seen, .. } = arrangement;
    let unanswered = index.unanswered as u64;
    Outcome { unchanged, changed, added, not_seen, unanswered, entries, ..bare(recorder) }
}

/// Nothing was recorded: the fixture, if there is one, stays as it is.
pub fn nothing(recorder: &Recorder) -> Outcome {
    let mut outcome = bare(recorder);
    let counts = &outcome.verdict.counts;
    let output = recorder.plan.output.display();
    if let Some(keyless) = beside::unauthorized(counts, Kind::NothingRecorded, Severity::Error) {
        outcome.verdict.findings.push(Finding { fixture: Some(output.to_string()), ..keyless });
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
        fixture: Some(output.to_string()),
        remedy: Some(remedy),
        ..Finding::new(Kind::NothingRecorded, Severity::Error, explanation)
    });
    outcome
}

/// The journal could not be written to its end.
pub fn lost(recorder: &Recorder, reason: &io::Error) -> Outcome {
    let journal = &recorder.claimed.place.journal;
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
        fixture: Some(recorder.plan.output.display().to_string()),
        remedy: Some(remedy),
        ..Finding::new(Kind::Lost, Severity::Error, explanation)
    });
    outcome.held = Some(recorder.claimed.place.journal.clone());
    outcome
}

/// What was counted and found so far.
pub fn verdict(recorder: &Recorder) -> Verdict {
    let mut counts = recorder.tally.counts();
    counts.upstream_connections = recorder.upstream.opened();
    counts.redacted = recorder.redactor.vault().found();
    counts.opaque = recorder.redactor.opaque_payloads();
    Verdict {
        mode: Mode::Record,
        counts,
        findings: recorder.tally.findings(),
        fixtures: Vec::new(),
        duration_ms: u64::try_from(recorder.started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

fn bare(recorder: &Recorder) -> Outcome {
    Outcome {
        verdict: verdict(recorder),
        hosts: recorder.tally.hosts(),
        written: false,
        unchanged: 0,
        changed: 0,
        added: 0,
        not_seen: 0,
        held: None,
        replaced_held: false,
        unanswered: recorder.tally.unanswered(),
        entries: HashMap::new(),
    }
}
