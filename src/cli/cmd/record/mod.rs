//! `harproxy record`.

pub mod twice;

use std::ffi::OsString;
use std::sync::Arc;

use crate::cli::advice::Failure;
use crate::cli::args::record::RecordArgs;
use crate::cli::command_line;
use crate::cli::event::Event;
use crate::cli::file_notice;
use crate::cli::files;
use crate::cli::plan::{RecordJob, RunPlan};
use crate::cli::reports::Recorded;
use crate::cli::run::{About, End, Run};
use crate::cli::summary;
use crate::cli::ui::Ui;
use crate::diagnose::ScopeHosts;
use crate::record::{CmdEnd, RecordPlan, Recorder, RecordingResult, Volatile};
use crate::verdict::{RunMode, Severity};
use harproxy_matching::MatchRule;
use harproxy_proxy::upstream::{Upstream, UpstreamPlan};
use harproxy_support::printable::{Shown as _, one_line};
use harproxy_tls::authority::Authority;

/// Runs the command. Fails if there is no verdict.
pub async fn run(args: RecordArgs, ui: &Ui) -> Result<u8, Failure> {
    let risky = args.config.risky.clone();
    let RecordJob { record, upstream, run: plan, learning } = RecordJob::new(args)?;
    file_notice::print(&risky, ui);
    plan.options.ready_file.iter().for_each(|path| files::remove_ready_file(path));
    let authority = Arc::new(Authority::load_or_create(&plan.ca_dir)?);
    let mut run = Run::new(&plan, ui)?;
    let recorder = start(record, upstream.clone(), ui)?;
    if let Some(listener) = run.finding_listener() {
        recorder.set_listener(listener);
    }
    run.redact_with(recorder.view().clone());
    run.recorder = Some(recorder.clone());
    let end = serve(&mut run, &recorder, authority.clone()).await?;
    let (end, learned) = match &learning {
        // A failure of the second run must not lose the recording of the first.
        Some(learning) if end.is_clean() && !recorder.is_idle() => {
            let learned = twice::run_again(learning, &mut run, &recorder, upstream, authority, ui).await;
            learned.map_or_else(|end| (end, None), |learned| (end, learned))
        }
        _ => (end, None),
    };
    conclude(run, recorder, learned, &end, &plan, ui).await
}

/// The description of the last work, for errors.
pub(super) const FINALISING: &str = "finalising the recording";

type Learned = (Volatile, Vec<MatchRule>);

/// Starts a recording, and reports that it continues a killed one.
pub(super) fn start(record: RecordPlan, upstream: UpstreamPlan, ui: &Ui) -> Result<Arc<Recorder>, Failure> {
    let recorder = Recorder::start(record, Upstream::anywhere(upstream)?)?;
    if let Some(recovery) = recorder.recovery() {
        let fixture = harproxy_support::shell_quote::path(&recovery.output);
        ui.alert(Event::Recovered, &format!("{recovery}; run `harproxy check {fixture}` before you commit it"));
    }
    Ok(Arc::new(recorder))
}

async fn serve(run: &mut Run<'_>, recorder: &Arc<Recorder>, authority: Arc<Authority>) -> Result<End, Failure> {
    let plan = recorder.plan();
    let scope = match plan.scope.sources() {
        [] => "all URLs but those of this machine".to_owned(),
        globs => one_line(&globs.join(", ")).into_owned(),
    };
    let task = format!("recording {scope} into {}", plan.output.shown());
    let about = About {
        mode: RunMode::RECORD,
        task,
        may_match: Box::new(|host| recorder.plan().scope.may_match_domain(host)),
        may_match_origin: Box::new(|origin| recorder.plan().may_include_origin(origin)),
        hosts: ScopeHosts::new(plan.named_hosts()),
        recorded_at: None,
        bypass_severity: Severity::Warning,
        admin: None,
    };
    let handler = recorder.handler(&run.bus);
    run.serve(handler, authority, &about).await
}

/// Finalises the recording, and prints the verdict and the changes of the fixture.
async fn conclude(
    mut run: Run<'_>,
    recorder: Arc<Recorder>,
    learned: Option<Learned>,
    end: &End,
    plan: &RunPlan,
    ui: &Ui,
) -> Result<u8, Failure> {
    if let End::Cut(_) = end {
        recorder.stop();
        return Ok(run.conclude(end, recorder.verdict(), &Recorded::default()));
    }
    match finalise(&mut run, &recorder, learned, end).await {
        Ok(outcome) => {
            let written = outcome.written.then(|| harproxy_har::Fixture::open(&recorder.plan().output).ok()).flatten();
            let fixtures = written.map(Arc::new).into_iter().collect();
            let (entries, lost) = (outcome.entries.clone(), outcome.lost.clone());
            let recorded = Recorded { fixtures, entries, lost, entry_views: None };
            let has_findings = !run.advised(outcome.verdict.clone()).findings.is_empty();
            let status = run.conclude(end, outcome.verdict.clone(), &recorded);
            let summary = summary(&outcome, &recorder, end, plan, has_findings);
            match end {
                End::NotStarted(_) if !outcome.written && outcome.held.is_none() => {}
                // The user must decide on a held recording, so `--quiet` does not hide it.
                _ if outcome.held.is_some() => ui.alert(Event::Summary, &summary),
                _ => ui.note(Event::Summary, &summary),
            }
            Ok(status)
        }
        Err(Failure::Cut { status, .. }) => {
            Ok(run.conclude(&End::Cut(status), recorder.verdict(), &Recorded::default()))
        }
        Err(failure) => {
            let status = run.unfinished(end, &failure, recorder.verdict());
            if let Some(journal) = recorder.unfinished_journal() {
                ui.alert(Event::Summary, &summary::kept(&recorder.plan().output, &journal));
            }
            Ok(status)
        }
    }
}

/// Writes a recording to its fixture, or holds it if CMD failed. Fails with [`Failure::Cut`] if a signal arrives.
pub(super) async fn finalise(
    run: &mut Run<'_>,
    recorder: &Arc<Recorder>,
    learned: Option<Learned>,
    end: &End,
) -> Result<RecordingResult, Failure> {
    let ending = if end.is_clean() { CmdEnd::Clean } else { CmdEnd::Failed };
    let recorder = recorder.clone();
    let work = move || match learned {
        Some((volatile, rules)) => recorder.finalise_with_policy(volatile, rules, ending),
        None => recorder.finalise(ending),
    };
    run.run_last_work(FINALISING, work).await
}

/// Returns the table of hosts, the changes of the fixture and the next commands.
fn summary(outcome: &RecordingResult, recorder: &Recorder, end: &End, plan: &RunPlan, after_findings: bool) -> String {
    let (record, view) = (recorder.plan(), recorder.view());
    let mut text = summary::table(&outcome.hosts, after_findings);
    text += &format!("\n{}\n", summary::change(outcome, &record.output, end.failed_status()));
    text += &summary::local(outcome);
    if let Some(secrets) = summary::secrets(&outcome.verdict.counts) {
        text += &format!("{secrets}\n");
    }
    if outcome.written {
        text += &summary::suspicious(&record.output, &record.policy, &plan.allow);
        let redacted = |words: &[OsString]| command_line::redact(view, words);
        let (options, cmd) = (redacted(&plan.replay_options), redacted(&plan.cmd));
        let next = summary::next(&record.output, record.content, &options, &cmd);
        text += &next;
    } else if outcome.held.is_some() {
        text += &summary::choice(&record.output);
    }
    text
}
