//! Exit statuses: the one table, and the one function from a verdict and CMD's status to the number and whose it is.

use serde::{Deserialize, Serialize};

use super::{Kind, Verdict};

/// All held, and CMD, if any, exited 0.
pub const HELD: u8 = 0;
/// The verdict failed while CMD exited 0, or a check found something.
pub const FAILED: u8 = 1;
/// Wrong usage, configuration or fixture: nothing was run.
pub const USAGE: u8 = 2;
/// harproxy itself could not do its work (address in use, disk full, …).
pub const BROKEN: u8 = 3;
/// CMD is there but can't be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// CMD was not found.
pub const NOT_FOUND: u8 = 127;

/// Whose the exit status is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// CMD's own, because it was not 0.
    Cmd,
    /// What the run concluded.
    Verdict,
    /// harproxy could not run CMD or finish its work.
    Harproxy,
}

/// The status of a finished run. `cmd` is CMD's own (128+signal when killed), `None` when there was no CMD: a status
/// other than 0 wins, so that a red test run keeps its number; else the verdict decides, unless harproxy could not write
/// what it was to record.
///
/// ```
/// # use harproxy::verdict::{Counts, Mode, Source, Verdict, exit_status};
/// # let verdict = Verdict { mode: Mode::Replay, counts: Counts::default(), findings: vec![], fixtures: vec![], duration_ms: 0 };
/// assert_eq!(exit_status(&verdict, Some(42)), (42, Source::Cmd));
/// assert_eq!(exit_status(&verdict, Some(0)), (0, Source::Verdict));
/// ```
#[must_use]
pub fn exit_status(verdict: &Verdict, cmd: Option<u8>) -> (u8, Source) {
    match cmd {
        Some(status) if status != HELD => (status, Source::Cmd),
        _ if verdict.findings.iter().any(|finding| finding.kind == Kind::Lost) => (BROKEN, Source::Harproxy),
        _ if verdict.passed() => (HELD, Source::Verdict),
        _ => (FAILED, Source::Verdict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Counts, Finding, Mode, Severity};

    fn verdict(severity: Option<Severity>) -> Verdict {
        let findings = severity.map(|severity| Finding::new(Kind::Miss, severity, "")).into_iter().collect();
        Verdict { mode: Mode::Replay, counts: Counts::default(), findings, fixtures: vec![], duration_ms: 0 }
    }

    #[test]
    fn the_status_of_cmd_wins_unless_it_is_0_then_the_verdict_decides() {
        for (severity, cmd, expected) in [
            (None, None, (0, Source::Verdict)),
            (None, Some(0), (0, Source::Verdict)),
            (None, Some(7), (7, Source::Cmd)),
            (None, Some(143), (143, Source::Cmd)),
            (Some(Severity::Warning), Some(0), (0, Source::Verdict)),
            (Some(Severity::Error), None, (1, Source::Verdict)),
            (Some(Severity::Error), Some(0), (1, Source::Verdict)),
            (Some(Severity::Error), Some(1), (1, Source::Cmd)),
            (Some(Severity::Error), Some(127), (127, Source::Cmd)),
        ] {
            assert_eq!(exit_status(&verdict(severity), cmd), expected, "{severity:?} {cmd:?}");
        }
    }

    #[test]
    fn what_could_not_be_written_is_harproxys_own_failure() {
        let mut verdict = verdict(None);
        verdict.findings.push(Finding::new(Kind::Lost, Severity::Error, "no space left on device"));
        assert_eq!(exit_status(&verdict, Some(0)), (3, Source::Harproxy));
        assert_eq!(exit_status(&verdict, None), (3, Source::Harproxy));
        assert_eq!(exit_status(&verdict, Some(7)), (7, Source::Cmd));
    }
}
