//! `harproxy replay`.

use std::sync::Arc;

use crate::child::env::Mode;
use crate::cli::advice::Failure;
use crate::cli::args::replay::ReplayArgs;
use crate::cli::plan::Replaying;
use crate::cli::run::{self, About, Run};
use crate::cli::ui::Ui;
use crate::replay::Replayer;
use crate::tls::authority::Authority;

/// Runs the command.
///
/// # Errors
/// [`Failure`], when there is no verdict.
pub async fn run(args: ReplayArgs, ui: &Ui) -> Result<u8, Failure> {
    let Replaying { replay, run: plan } = Replaying::new(args)?;
    let replayer = Arc::new(Replayer::open(replay)?);
    let explains = replayer.clone();
    drop(tokio::task::spawn_blocking(move || explains.look_around()));
    let authority = Arc::new(Authority::load_or_create(&plan.ca_dir)?);

    let may_match = |host: &str| replayer.may_match_domain(host);
    let about = About { mode: Mode::Replay, may_match: &may_match, recorded_at: replayer.recorded_at() };
    let end = Run::new(&plan, ui)?.serve(replayer.clone(), authority, &about).await?;
    Ok(run::conclude(&plan, &end, &replayer.verdict(), ui))
}
