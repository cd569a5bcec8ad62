//! `harproxy replay`.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::record;
use crate::child::env::Mode;
use crate::cli::advice::Failure;
use crate::cli::args::replay::ReplayArgs;
use crate::cli::plan::Replaying;
use crate::cli::run::{self, About, End, Run};
use crate::cli::summary;
use crate::cli::ui::Ui;
use crate::proxy::Ask;
use crate::record::Ending;
use crate::replay::Replayer;
use crate::tls::authority::Authority;
use crate::verdict::Verdict;

/// Runs the command.
///
/// # Errors
/// [`Failure`], when there is no verdict.
pub async fn run(args: ReplayArgs, ui: &Ui) -> Result<u8, Failure> {
    let Replaying { replay, record, run: plan } = Replaying::new(args)?;
    let output = record.as_ref().map(|(record, _)| record.output.clone());
    let recorder = record.map(|(record, upstream)| record::start(record, upstream, ui)).transpose()?;
    let asks = recorder.clone().map(|recorder| recorder as Arc<dyn Ask>);
    let replayer = Arc::new(Replayer::open(replay, asks)?);
    let explains = replayer.clone();
    drop(spawn_blocking(move || explains.look_around()));
    let authority = Arc::new(Authority::load_or_create(&plan.ca_dir)?);

    let may_match = |host: &str| replayer.may_match_domain(host);
    let about = About { mode: Mode::Replay, may_match: &may_match, recorded_at: replayer.recorded_at() };
    let mut run = Run::new(&plan, ui)?;
    let end = run.serve(replayer.clone(), authority, &about).await?;

    let verdict = replayer.verdict();
    let (Some(recorder), Some(output)) = (recorder.filter(|recorder| !recorder.is_idle()), output) else {
        return Ok(run::conclude(&plan, &end, &verdict, ui));
    };
    let ending = if end.is_clean() { Ending::Clean } else { Ending::Failed };
    let finalise = spawn_blocking(move || recorder.finalise(ending));
    let outcome = match record::finished(run.unless_interrupted(finalise).await?)? {
        Ok(outcome) => outcome,
        Err(error) => return Ok(run::unfinished(&end, &error.into(), ui)),
    };
    let verdict = with_recorded(verdict, &outcome.verdict);
    let status = run::conclude(&plan, &end, &verdict, ui);
    let failed = match end {
        End::Cmd(status) => Some(status).filter(|_| !end.is_clean()),
        End::NoCmd | End::NotStarted(_) => None,
    };
    let change = summary::change(&outcome, &output, failed);
    match outcome.held {
        // Somebody has to decide on it.
        Some(_) => ui.alert("summary", &format!("{change}\n{}", summary::choice(&output))),
        None => ui.note("summary", &format!("{change}\n")),
    }
    Ok(status)
}

/// What a replay concludes that recorded what it missed.
fn with_recorded(mut replayed: Verdict, recorded: &Verdict) -> Verdict {
    replayed.counts.recorded = recorded.counts.recorded;
    replayed.counts.upstream_connections += recorded.counts.upstream_connections;
    replayed.findings.extend(recorded.findings.iter().cloned());
    replayed
}
