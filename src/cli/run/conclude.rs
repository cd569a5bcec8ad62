//! The end of a run: verdict, reports, exit status.

use indexmap::IndexMap;

use super::{End, Run};
use crate::cli::advice::Failure;
use crate::cli::command_line;
use crate::cli::reports::{self, Recorded};
use crate::cli::ui::LiveFormat;
use crate::diagnose::advise;
use crate::isolate;
use crate::verdict::report::{Format, Report};
use crate::verdict::request::RequestRow;
use crate::verdict::{ConnectionObservation, EntryView, StatusSource, Verdict, exit, exit_status};

impl Run<'_> {
    /// Prints the verdict, writes the reports, and returns the exit status.
    #[must_use]
    pub fn conclude(&self, end: &End, verdict: Verdict, fixtures: &Recorded) -> u8 {
        self.catch_up();
        let verdict = self.advised(verdict);
        let status = match end {
            End::NotStarted(failure) => (failure.status(), StatusSource::Harproxy),
            End::Cut(status) => (*status, StatusSource::Harproxy),
            End::NoCmd => exit_status(&verdict, None),
            End::Cmd(status) => exit_status(&verdict, Some(*status)),
        };
        let status = match status {
            (exit::SUCCESS, _) if self.has_failed => (exit::INTERNAL_ERROR, StatusSource::Harproxy),
            status => status,
        };
        let report = self.report(verdict, status, fixtures);
        match end {
            End::NotStarted(failure) => _ = failure.print(self.ui),
            End::Cut(status) => {
                let recorder = self.recorder.as_ref().filter(|recorder| !recorder.is_idle());
                let left = recorder.map(|recorder| recorder.plan().output.clone());
                Failure::Cut { status: *status, left }.print(self.ui);
            }
            End::NoCmd | End::Cmd(_) => {
                let has_list = self.ui.live_format(!self.plan.cmd.is_empty()) == LiveFormat::List;
                reports::print_verdict(&report, self.ui, has_list)
            }
        }
        reports::hand_out(&self.plan.options.report, report, self.ui)
    }

    /// Like [`Run::conclude`] for a run whose work could not be finished. The status is that of CMD if it is not 0.
    #[must_use]
    pub fn unfinished(&self, end: &End, failure: &Failure, verdict: Verdict) -> u8 {
        if let End::NotStarted(cause) = end {
            cause.print(self.ui);
        }
        failure.print(self.ui);
        self.catch_up();
        let mut verdict = self.advised(verdict);
        verdict.findings.push(failure.finding());
        let status = match end {
            End::Cmd(status) if *status != exit::SUCCESS => (*status, StatusSource::Cmd),
            End::NotStarted(cause) => (cause.status(), StatusSource::Harproxy),
            End::NoCmd | End::Cmd(_) | End::Cut(_) => (failure.status(), StatusSource::Harproxy),
        };
        let report = self.report(verdict, status, &Recorded::default());
        reports::hand_out(&self.plan.options.report, report, self.ui)
    }

    /// Returns the verdict with the findings about CMD.
    pub fn advised(&self, mut verdict: Verdict) -> Verdict {
        if let Some(evidence) = &self.evidence {
            let is_isolated = self.plan.isolation.is_some();
            verdict.observation = Some(ConnectionObservation { is_isolated, ..evidence.observation() });
            advise(&mut verdict, evidence);
            verdict.findings.extend(isolate::findings(&self.refusals));
        }
        verdict
    }

    fn report(&self, mut verdict: Verdict, (status, source): (u8, StatusSource), recorded: &Recorded) -> Report {
        if self.plan.options.report.iter().any(|path| Format::of(path) == Some(Format::Json)) {
            recorded.add_versions(&mut verdict);
        }
        let (requests, more_requests) = self.requests(recorded);
        let entries = match &recorded.entry_views {
            Some(views) => views.clone(),
            None => self.entry_views(&verdict, recorded),
        };
        let mut report = Report {
            verdict,
            status,
            source,
            started: self.started,
            command: self.command(),
            shards: Vec::new(),
            requests,
            more_requests,
            entries,
        };
        report.redact(&self.view);
        report
    }

    /// Returns the current content of the entries that the verdict refers to, for reports.
    #[must_use]
    pub fn entry_views(&self, verdict: &Verdict, recorded: &Recorded) -> IndexMap<(String, usize), EntryView> {
        match self.plan.options.report[..] {
            [] => IndexMap::new(),
            _ => recorded.entry_views(verdict, &self.requests(recorded).0, &self.view),
        }
    }

    fn requests(&self, recorded: &Recorded) -> (Vec<RequestRow>, u64) {
        let mut rows = self.log.as_ref().map(|log| log.rows()).unwrap_or_default();
        let more = self.log.as_ref().map_or(0, |_| self.bus.requests().saturating_sub(rows.len() as u64));
        recorded.locate(&mut rows);
        (rows, more)
    }

    /// Returns the command line of CMD without secrets.
    pub(super) fn command(&self) -> String {
        command_line::redact(&self.view, &self.plan.cmd)
    }
}
