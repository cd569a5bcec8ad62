//! Exit statuses: their table, and the function that computes the status of a run from its verdict and the status of
//! CMD.

use serde::{Deserialize, Serialize};

use super::{CheckId, Verdict};

/// No finding failed the run, and CMD, if any, exited 0.
pub const SUCCESS: u8 = 0;
/// A finding failed the run while CMD exited 0, or `check` found a problem.
pub const FAILED: u8 = 1;
/// Wrong usage, configuration or fixture: nothing was run.
pub const USAGE: u8 = 2;
/// harproxy itself failed (address in use, disk full, …).
pub const INTERNAL_ERROR: u8 = 3;
/// CMD exists and can't be executed.
pub const NOT_EXECUTABLE: u8 = 126;
pub const NOT_FOUND: u8 = 127;

/// The component that determined the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusSource {
    /// CMD: its status was not 0.
    Cmd,
    Verdict,
    /// harproxy: it could not run CMD or finish its work.
    Harproxy,
}

/// Returns the exit status of a finished run. `cmd` is CMD's status (128 + signal if it was killed), `None` without
/// CMD. A status other than 0 has priority, so that a failed test run keeps its status. Otherwise the verdict decides,
/// unless harproxy could not write the recording.
///
/// ```
/// # use harproxy::verdict::{Counts, RunMode, StatusSource, Verdict, exit_status};
/// # let (counts, findings, fixtures) = (Counts::default(), vec![], vec![]);
/// # let verdict = Verdict { mode: RunMode::REPLAY, counts, findings, fixtures, rules: vec![], duration_ms: 0, observation: None };
/// assert_eq!(exit_status(&verdict, Some(42)), (42, StatusSource::Cmd));
/// assert_eq!(exit_status(&verdict, Some(0)), (0, StatusSource::Verdict));
/// ```
#[must_use]
pub fn exit_status(verdict: &Verdict, cmd: Option<u8>) -> (u8, StatusSource) {
    match cmd {
        Some(status) if status != SUCCESS => (status, StatusSource::Cmd),
        _ if verdict.findings.iter().any(|finding| finding.check == CheckId::LOST) => {
            (INTERNAL_ERROR, StatusSource::Harproxy)
        }
        _ if verdict.passed() => (SUCCESS, StatusSource::Verdict),
        _ => (FAILED, StatusSource::Verdict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Counts, Finding, RunMode, Severity};

    fn verdict(severity: Option<Severity>) -> Verdict {
        let findings = severity.map(|severity| Finding::new(CheckId::MISS, severity, "")).into_iter().collect();
        Verdict {
            mode: RunMode::REPLAY,
            counts: Counts::default(),
            findings,
            fixtures: vec![],
            duration_ms: 0,
            rules: Vec::new(),
            observation: None,
        }
    }

    #[test]
    fn status_of_cmd_has_priority_unless_it_is_0() {
        for (severity, cmd, expected) in [
            (None, None, (0, StatusSource::Verdict)),
            (None, Some(0), (0, StatusSource::Verdict)),
            (None, Some(7), (7, StatusSource::Cmd)),
            (None, Some(143), (143, StatusSource::Cmd)),
            (Some(Severity::Warning), Some(0), (0, StatusSource::Verdict)),
            (Some(Severity::Error), None, (1, StatusSource::Verdict)),
            (Some(Severity::Error), Some(0), (1, StatusSource::Verdict)),
            (Some(Severity::Error), Some(1), (1, StatusSource::Cmd)),
            (Some(Severity::Error), Some(127), (127, StatusSource::Cmd)),
        ] {
            assert_eq!(exit_status(&verdict(severity), cmd), expected, "{severity:?} {cmd:?}");
        }
    }

    #[test]
    fn lost_recording_is_a_failure_of_harproxy() {
        let mut verdict = verdict(None);
        verdict.findings.push(Finding::new(CheckId::LOST, Severity::Error, "no space left on device"));
        assert_eq!(exit_status(&verdict, Some(0)), (3, StatusSource::Harproxy));
        assert_eq!(exit_status(&verdict, None), (3, StatusSource::Harproxy));
        assert_eq!(exit_status(&verdict, Some(7)), (7, StatusSource::Cmd));
    }
}
