//! `harproxy replay`.

use std::path::Path;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::record;
use crate::cli::advice::Failure;
use crate::cli::args::replay::ReplayArgs;
use crate::cli::event::Event;
use crate::cli::file_notice;
use crate::cli::files;
use crate::cli::next_steps;
use crate::cli::plan::ReplayJob;
use crate::cli::prune;
use crate::cli::reload;
use crate::cli::replay_run;
use crate::cli::reports::Recorded;
use crate::cli::run::End;
use crate::cli::summary;
use crate::cli::ui::Ui;
use crate::record::RecordingResult;
use crate::replay::Reloader;
use crate::verdict::request::{EntryChange, RecordedEntry};
use crate::verdict::{CheckId, Finding, RunMode, Severity, Verdict};
use harproxy_har::Fixture;
use harproxy_tls::authority::Authority;

/// Runs the command. Fails if there is no verdict.
pub async fn run(args: ReplayArgs, ui: &Ui) -> Result<u8, Failure> {
    let risky = args.config.risky.clone();
    let ReplayJob { replay, record, prune, run: plan } = ReplayJob::new(args)?;
    if replay.network.is_some() || record.is_some() || plan.proxy.allow_remote {
        file_notice::print(&risky, ui);
    }
    plan.options.ready_file.iter().for_each(|path| files::remove_ready_file(path));
    let output = record.as_ref().map(|(record, _)| record.output.clone());
    let authority = Arc::new(Authority::load_or_create(&plan.ca_dir)?);
    let recorder = record.map(|(record, upstream)| record::start(record, upstream, ui)).transpose()?;
    let replayer = replay_run::open(replay, recorder.clone())?;
    let about = replay_run::about(&replayer, RunMode::REPLAY, "replaying");
    let mut run = replay_run::begin(&plan, ui, &replayer)?;
    run.recorder = recorder.clone();
    // Fixtures must not change while CMD runs.
    let stop_reloads = plan.cmd.is_empty().then(|| reload::watch(Reloader::new(replayer.clone()), *ui));
    let stop_reloads =
        stop_reloads.transpose().map_err(|source| Failure::System { doing: "starting a thread", source })?;
    let end = run.serve(replayer.handler(&run.bus), authority, &about).await?;
    // Wait for a reload in progress, which would otherwise be reported after the verdict.
    let end = match run.unless_interrupted(spawn_blocking(move || stop_reloads.map(|stop| stop()))).await {
        Err(Failure::Cut { status, .. }) => End::Cut(status),
        _ => end,
    };
    recorder.iter().for_each(|recorder| recorder.remove_if_idle());

    let _ = run.unless_interrupted(replayer.finish_shadows()).await;
    let (mut verdict, fixtures) = replayer.conclusion();
    if end.failed_status().is_some() || !verdict.passed() {
        verdict.findings.extend(replayer.out_of_sequence());
    }
    let mut recorded = Recorded { fixtures, ..Recorded::default() };
    if prune {
        // The reports show the payloads of removed entries, so these are loaded first.
        recorded.entry_views = Some(run.entry_views(&verdict, &recorded));
        let pruned = prune::prune_unused(&mut run, &end, &mut verdict, &recorded.fixtures, &plan.policy, ui).await;
        let pruned = match pruned {
            Err(Failure::Cut { status, .. }) => return Ok(run.conclude(&End::Cut(status), verdict, &recorded)),
            pruned => pruned?,
        };
        run.has_failed = !pruned.failures.is_empty();
        let status = run.conclude(&end, verdict, &recorded);
        pruned.print(ui);
        return Ok(status);
    }
    let recorder = recorder.filter(|recorder| !recorder.is_idle() && !matches!(end, End::Cut(_)));
    let (Some(recorder), Some(output)) = (recorder, output) else {
        return Ok(run.conclude(&end, verdict, &recorded));
    };
    recorded.entry_views = Some(run.entry_views(&verdict, &recorded));
    let outcome = match record::finalise(&mut run, &recorder, None, &end).await {
        Ok(outcome) => outcome,
        Err(Failure::Cut { status, .. }) => return Ok(run.conclude(&End::Cut(status), verdict, &recorded)),
        Err(failure) => return Ok(run.unfinished(&end, &failure, with_recorded(verdict, &recorder.verdict()))),
    };
    let verdict = with_recorded(verdict, &outcome.verdict);
    recorded.lost.clone_from(&outcome.lost);
    if let Some(added) = added(&outcome, &output, &recorded) {
        recorded = added;
    }
    let status = run.conclude(&end, verdict, &recorded);
    let change = summary::change(&outcome, &output, end.failed_status());
    match outcome.held {
        // The user must decide on a held recording, so `--quiet` does not hide it.
        Some(_) => ui.alert(Event::Summary, &format!("{change}\n{}", summary::choice(&output))),
        None if outcome.written => {
            let added = next_steps::files_of(&output, false);
            ui.note(Event::Summary, &format!("{change}\n{}", next_steps::block(&[], &added, &[])));
        }
        None => ui.note(Event::Summary, &format!("{change}\n")),
    }
    Ok(status)
}

/// Returns the fixture with its added entries. `None` if the numbers of its previous entries have changed.
fn added(outcome: &RecordingResult, output: &Path, before: &Recorded) -> Option<Recorded> {
    let had = before.fixtures.iter().map(|fixture| fixture.entries()).sum();
    let is_behind = |became: &RecordedEntry| became.change != EntryChange::Added || became.entry >= had;
    if !outcome.written || !outcome.entries.values().all(is_behind) {
        return None;
    }
    let fixture = Arc::new(Fixture::open(output).ok()?);
    let (entries, lost) = (outcome.entries.clone(), outcome.lost.clone());
    Some(Recorded { fixtures: vec![fixture], entries, lost, entry_views: None })
}

/// Adds the counts and findings of recorded misses to the verdict of a replay. A miss that upstream did not answer
/// fails the run.
fn with_recorded(mut replayed: Verdict, recorded: &Verdict) -> Verdict {
    replayed.counts.upstream_connections += recorded.counts.upstream_connections;
    replayed.counts.local_connections += recorded.counts.local_connections;
    let is_failure = |finding: &Finding| finding.check == CheckId::UPSTREAM_FAILED;
    let has_failures = recorded.findings.iter().any(is_failure);
    // If upstream failed, that is why nothing was recorded.
    let is_cause = |finding: &&Finding| !(has_failures && finding.check == CheckId::NOTHING_RECORDED);
    for finding in recorded.findings.iter().filter(is_cause) {
        let severity = if is_failure(finding) { Severity::Error } else { finding.severity };
        replayed.findings.push(Finding { severity, ..finding.clone() });
    }
    replayed
}
