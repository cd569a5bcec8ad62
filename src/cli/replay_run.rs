//! The steps that `replay` and `serve` share: fixtures are opened, and their run begins.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::advice::Failure;
use super::plan::RunPlan;
use super::run::{About, Run};
use super::ui::Ui;
use super::usage_error::UsageError;
use crate::diagnose::ScopeHosts;
use crate::record::Recorder;
use crate::replay::{ReplayPlan, Replayer};
use crate::serve::control::name_of;
use crate::serve::table::RouteTable;
use crate::verdict::{CheckId, RunMode};
use harproxy_har::Fixture;
use harproxy_support::printable::{Shown as _, one_line};

/// Maximum number of names in a hint.
const LISTED: usize = 10;

/// Opens the fixtures, and prepares explanations in the background.
pub fn open(plan: ReplayPlan, recorder: Option<Arc<Recorder>>) -> Result<Arc<Replayer>, Failure> {
    let routes = plan.routes.clone();
    let replayer = Arc::new(Replayer::open(plan, recorder)?);
    if let Some(routes) = routes {
        check_examples(&routes.table.load(), &replayer)?;
    }
    let explains = replayer.clone();
    drop(spawn_blocking(move || explains.warm_up()));
    Ok(replayer)
}

/// Checks that the fixtures have the entries that rules name.
pub fn check_examples(table: &RouteTable, replayer: &Replayer) -> Result<(), UsageError> {
    let mut examples = table.examples().peekable();
    if examples.peek().is_none() {
        return Ok(());
    }
    let fixtures = replayer.fixtures();
    let names_of = |fixture: &Arc<Fixture>| -> Vec<String> {
        (0..fixture.entries()).filter_map(|entry| name_of(fixture, entry)).collect()
    };
    let names: BTreeSet<String> = fixtures.iter().flat_map(names_of).collect();
    let Some((rule, name)) = examples.find(|(_, name)| !names.contains(*name)) else { return Ok(()) };
    let listed: Vec<_> = names.iter().take(LISTED).map(|name| format!("`{}`", one_line(name))).collect();
    let hint = match (listed.is_empty(), names.len() > LISTED) {
        (true, _) => "give an entry this `comment`: no entry has a name".to_owned(),
        (false, false) => format!("the names are {}", listed.join(", ")),
        (false, true) => format!("the names are {}, and {} more", listed.join(", "), names.len() - LISTED),
    };
    let message = format!("`respond` of rule `{}`: no entry has the name `{}`", one_line(&rule.id), one_line(name));
    Err(UsageError::new(message, hint))
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
