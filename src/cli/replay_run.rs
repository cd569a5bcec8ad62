//! The steps that `replay` and `serve` share: fixtures are opened, and their run begins.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::advice::Failure;
use super::plan::RunPlan;
use super::run::{About, Run};
use super::ui::Ui;
use crate::diagnose::ScopeHosts;
use crate::record::Recorder;
use crate::replay::{ReplayPlan, Replayer};
use crate::verdict::{CheckId, RunMode};
use harproxy_support::printable::Shown as _;

/// Opens the fixtures, and prepares explanations in the background.
pub fn open(plan: ReplayPlan, recorder: Option<Arc<Recorder>>) -> Result<Arc<Replayer>, Failure> {
    let replayer = Arc::new(Replayer::open(plan, recorder)?);
    let explains = replayer.clone();
    drop(spawn_blocking(move || explains.warm_up()));
    Ok(replayer)
}

/// Returns the properties of the run. `doing` is the task in a message: `replaying`.
pub fn about<'a>(replayer: &'a Replayer, mode: RunMode, doing: &str) -> About<'a> {
    let names: Vec<_> = replayer.fixtures().iter().map(|fixture| fixture.path().shown().to_string()).collect();
    About {
        mode,
        task: format!("{doing} {}", names.join(", ")),
        may_match: Box::new(|host| replayer.may_match_domain(host)),
        may_match_origin: Box::new(|origin| replayer.may_match_origin(origin)),
        hosts: ScopeHosts::new(replayer.named_hosts()),
        recorded_at: replayer.recorded_at(),
        bypass_severity: replayer.severity(&CheckId::BYPASS),
        admin: None,
    }
}

/// Begins the run: it shows the findings of the replay, and redacts by its view.
pub fn begin<'a>(plan: &'a RunPlan, ui: &'a Ui, replayer: &Replayer) -> Result<Run<'a>, Failure> {
    let mut run = Run::new(plan, ui)?;
    if let Some(listener) = run.finding_listener() {
        replayer.set_listener(listener);
    }
    run.redact_with(replayer.view().clone());
    Ok(run)
}
