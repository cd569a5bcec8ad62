//! `harproxy serve`: the fixtures as a mock server, with route rules.

mod admin;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::cli::advice::{self, Failure};
use crate::cli::args::Cli;
use crate::cli::args::serve::ServeArgs;
use crate::cli::config::{Config, projects_file};
use crate::cli::event::Event;
use crate::cli::plan::{self, ReplayJob};
use crate::cli::reports::Recorded;
use crate::cli::ui::{Ui, counted};
use crate::cli::usage_error::UsageError;
use crate::cli::{file_notice, files, reload, replay_run};
use crate::replay::{NetworkPlan, OnMiss, Reloader};
use crate::serve::control::ApiKeys;
use crate::serve::expect::Verification;
use crate::serve::history::RequestHistory;
use crate::serve::memory::RouteState;
use crate::serve::table::RouteTable;
use crate::verdict::{FailOn, RunMode};
use admin::{Admin, AdminTargets};
use harproxy_har::Stamp;
use harproxy_support::printable::Shown as _;
use harproxy_tls::authority::Authority;

/// The mode in reports.
const MODE: &str = "serve";
/// The time between two looks at the configuration.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Runs the command until a signal ends it.
pub async fn run(mut args: ServeArgs, ui: &Ui) -> Result<u8, Failure> {
    args.offline |= plan::in_ci() && !args.replay.allow_live;
    args.replay.allow_live = !args.offline;
    if args.offline && (!args.replay.passthrough.is_empty() || args.replay.on_miss != OnMiss::Fail) {
        let hint = "remove --passthrough and --on-miss, or pass --allow-live if CI=true";
        return Err(UsageError::new("`serve` is offline, and an option sends requests to the network", hint).into());
    }
    if args.replay.on_miss == OnMiss::Record || args.replay.prune {
        let hint = "remove `--on-miss record` and `--prune`, or `on-miss` and `prune` under [replay] in harproxy.toml";
        return Err(UsageError::new("`serve` changes no fixture", hint).into());
    }
    let config = args.replay.config.loaded.clone();
    if !args.replay.cmd.is_empty() {
        let hint = "`harproxy replay -- CMD` applies the same rules to the requests of CMD";
        return Err(UsageError::new("`serve` runs no program", hint).into());
    }
    let keys = args.api_key.iter().map(|key| key.resolve(&BTreeMap::new()).map(|key| key.as_str().into()));
    let keys = keys.collect::<Result<Vec<_>, _>>().map_err(|missing| {
        UsageError::new(format!("--api-key: {missing}"), "set the variable, or pass the key itself")
    })?;
    let history = (!args.no_admin).then(Arc::<RequestHistory>::default);
    let state = Arc::new(RouteState {
        history: history.clone(),
        has_control_headers: !args.no_mock_headers,
        keys: ApiKeys(keys),
        closest: args.closest,
        is_mock: true,
        verification: Verification::new(plan::expectations(&args.replay), false),
        ..RouteState::default()
    });
    let table = rules_of(&config, &args.replay.vars, args.offline)?;
    file_notice::print(&args.replay.config.risky, ui);
    let upstream = plan::upstream_plan(&args.replay.upstream, &args.replay.config.risky, None)?;
    let (named, offline) = (args.replay.config.config.clone(), args.offline);
    let vars = args.replay.vars.clone();
    let ReplayJob { mut replay, run: plan, .. } = ReplayJob::new(args.replay)?;
    replay.answers.fail_on = FailOn::none();
    replay.matching.folds_graphql = true;
    if !offline {
        replay.network.get_or_insert(NetworkPlan { named: None, upstream });
    }
    state.load(table);
    replay.routes = Some(state.clone());
    plan.options.ready_file.iter().for_each(|path| files::remove_ready_file(path));
    let authority = Arc::new(Authority::load_or_create(&plan.ca_dir)?);
    let replayer = replay_run::open(replay, None)?;
    let mut about = replay_run::about(&replayer, RunMode::new(MODE), "serving");
    let mut run = replay_run::begin(&plan, ui, &replayer)?;
    let mut token_file = None;
    if let Some(history) = history {
        let admin = Admin::bind(args.admin, &plan.ca_dir, history).await?;
        about.admin = Some(admin.ready());
        let values = config.redact_values();
        let user = plan.proxy.listen.auth.as_ref().map(|auth| auth.user.clone());
        let targets =
            AdminTargets { replayer: replayer.clone(), rules: state.clone(), values, is_offline: offline, user };
        token_file = Some(admin.start(&mut run, targets));
    }
    let stop_reloads = reload::watch(Reloader::new(replayer.clone()), *ui)
        .map_err(|source| Failure::System { doing: "starting a thread", source })?;
    let (loaded_by, file) = (replayer.clone(), named.clone());
    let load = move || -> Result<RouteTable, Failure> {
        let config = Config::load(file.as_deref(), Cli::command)?;
        let table = rules_of(&config, &vars, offline)?;
        replay_run::check_examples(&table, &loaded_by)?;
        loaded_by.view().add_configured(&table.secrets());
        Ok(table)
    };
    let watcher = tokio::spawn(watch_config(state.clone(), named, load, *ui));
    let end = run.serve(replayer.handler(&run.bus), authority, &about).await?;
    watcher.abort();
    drop(token_file);
    let _ = run.unless_interrupted(spawn_blocking(stop_reloads)).await;
    let _ = run.unless_interrupted(replayer.finish_shadows()).await;
    let (mut verdict, fixtures) = replayer.conclusion();
    verdict.mode = RunMode::new(MODE);
    Ok(run.conclude(&end, verdict, &Recorded { fixtures, ..Recorded::default() }))
}

/// Returns the rules of the configuration.
fn rules_of(config: &Config, vars: &[String], offline: bool) -> Result<RouteTable, UsageError> {
    let table = plan::route_table(config, vars)?;
    match table.rules.iter().find(|rule| offline && rule.uses_live()) {
        None => Ok(table),
        Some(rule) => Err(UsageError::new(
            format!("rule `{}` has a live source, and --offline or CI=true forbids it", rule.id),
            "remove `live` from the rule, or start without --offline; in CI pass --allow-live",
        )),
    }
}

/// Loads the rules again when the configuration changes. Rules that can't be loaded are reported, and the ones before
/// stay.
async fn watch_config(
    state: Arc<RouteState>,
    named: Option<PathBuf>,
    load: impl Fn() -> Result<RouteTable, Failure>,
    ui: Ui,
) {
    let path = || named.clone().or_else(projects_file);
    let stamp = || path().and_then(|path| Stamp::at(&path));
    let mut known = stamp();
    let name = named.as_deref().unwrap_or(Path::new("harproxy.toml")).shown().to_string();
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let now = stamp();
        if now == known {
            continue;
        }
        // A file that is being written is not complete yet.
        tokio::time::sleep(POLL_INTERVAL).await;
        if stamp() != now {
            continue;
        }
        known = now;
        match load() {
            Ok(table) => {
                let rules = counted(table.rules.len(), "rule", "rules");
                state.load(table);
                ui.note(Event::Reloaded, &format!("reloaded {name}: {rules}"));
            }
            Err(failure) => {
                let reason = advice::one_line(&failure);
                ui.warn(Event::ReloadFailed, &format!("{name} cannot be loaded; its rules stay in use: {reason}"));
            }
        }
    }
}
