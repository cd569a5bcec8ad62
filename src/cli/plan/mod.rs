//! Plans: the parsed options of a command, combined and validated. Errors in a command line are found here, before
//! harproxy opens a port or writes a file. [`run`] has the run around CMD.

mod run;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::args::record::{RecordArgs, RecoverArgs};
use super::args::replay::{DEFAULT_FIXTURES, MatchingArgs, ReplayArgs};
use super::command_line;
use super::config::{self, Config};
use super::usage_error::UsageError;
use crate::record::{OnFailure, RecordPlan, UpdateMode};
use crate::replay::{FixtureOptions, NetworkPlan, OnMiss, ReplayPlan};
use crate::serve::expect::{Expectation, Verification};
use crate::serve::memory::RouteState;
use crate::serve::table::RouteTable;
use crate::serve::template::Variables;
use crate::verdict::FailOn;
use crate::verdict::explain::RerunCommand;
use arc_swap::ArcSwap;
use harproxy_glob::Globs;
use harproxy_har::{ContentMode, Fixture, JsonLayout};
use harproxy_http::DecodeLimit;
use harproxy_matching::{Options, OriginPattern, Repeat};
use harproxy_proxy::upstream::UpstreamPlan;
use harproxy_redact::{Policy, RedactionView};
use harproxy_support::printable::Shown as _;
use harproxy_support::shell_quote;
pub use run::{DEFAULT_ADDRESS, RunPlan, ca_dir, in_ci, listen_address, upstream_plan};

/// Variable with the time that replay uses as the present (RFC 3339). Tests set it to control the age of a fixture.
const TEST_NOW: &str = "HARPROXY_TEST_NOW";

/// `--twice`: the file for the configuration of volatile values.
#[derive(Clone, Debug)]
pub struct Learning {
    /// The file that the message names.
    pub file: PathBuf,
    /// `--write-policy`: add the learned lines to the file.
    pub write: bool,
}

#[derive(Clone, Debug)]
pub struct RecordJob {
    pub record: RecordPlan,
    pub upstream: UpstreamPlan,
    pub run: RunPlan,
    pub learning: Option<Learning>,
}

impl RecordJob {
    pub fn new(args: RecordArgs) -> Result<Self, UsageError> {
        if !has_fixture_extension(&args.output) {
            let har = shell_quote::path(&args.output.with_extension("har"));
            return Err(UsageError::new(
                format!(
                    "{} ends neither in .har nor in .zip, by which `harproxy replay` finds fixtures",
                    args.output.shown()
                ),
                format!(
                    "`-o {har}` has its payloads in a folder beside it, `.zip` is one archive; `.har.gz` is read, not written"
                ),
            ));
        }
        let learning = args.twice.then(|| {
            let file = args.config.config.clone().or_else(config::projects_file).unwrap_or_else(|| config::NAME.into());
            Learning { file, write: args.write_policy }
        });
        let allow = args.config.loaded.allow.clone();
        let mut record = RecordPlan {
            scope: Globs::new(&args.glob)?,
            content: args.content,
            update: args.update,
            max_body: args.max_body,
            max_decoded: DecodeLimit::new(args.max_decoded),
            json_layout: args.json_layout,
            record_failures: args.record_failures,
            on_failure: args.on_failure,
            ..record_plan(args.output, &args.config.loaded)
        };
        if args.no_redact {
            (record.policy, record.values) = (Arc::new(Policy::off()), Vec::new());
        }
        let isolation = args.isolate.isolation;
        let upstream = upstream_plan(&args.upstream, &args.config.risky, isolation.as_ref())?;
        let policy = record.policy.clone();
        let run = RunPlan::new(args.proxy, &args.upstream, args.run, &args.authority, args.cmd, policy)?;
        record.named = reverse_origins(&run)?;
        record.named.extend(record.rules.iter().flat_map(|rule| rule.same_host.clone()));
        let run = RunPlan { replay_options: args.replay_options, allow, isolation, ..run };
        Ok(RecordJob { record, upstream, run, learning })
    }
}

/// Returns true if the recorder accepts the path. Folders pass: the recorder has a better error for them.
fn has_fixture_extension(output: &Path) -> bool {
    let ending = output.extension().unwrap_or_default();
    let is_folder = output.is_dir() || output.as_os_str().as_encoded_bytes().ends_with(b"/");
    is_folder || ["har", "zip"].iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// Returns the plan of `harproxy recover`. The journal has the scope.
#[must_use]
pub fn recover_plan(args: RecoverArgs) -> RecordPlan {
    RecordPlan {
        content: args.content,
        update: args.update,
        json_layout: args.json_layout,
        ..record_plan(args.output, &args.config.loaded)
    }
}

/// Returns the plan of a recording with the settings of the configuration and the defaults of all options.
#[must_use]
pub fn record_plan(output: PathBuf, config: &Config) -> RecordPlan {
    RecordPlan {
        output,
        scope: Globs::default(),
        named: Vec::new(),
        noise: config.noise(),
        content: ContentMode::default(),
        update: UpdateMode::default(),
        max_body: None,
        max_decoded: DecodeLimit::default(),
        json_layout: JsonLayout::default(),
        policy: config.policy.clone(),
        values: config.redact_values(),
        record_failures: false,
        on_failure: OnFailure::default(),
        volatile: config.volatile.clone(),
        rules: config.rules.clone(),
    }
}

#[derive(Clone, Debug)]
pub struct ReplayJob {
    pub replay: ReplayPlan,
    /// The recording of misses, with `--on-miss record`.
    pub record: Option<(RecordPlan, UpstreamPlan)>,
    /// `--prune`: remove unused entries after a run that passed.
    pub prune: bool,
    pub run: RunPlan,
}

impl ReplayJob {
    pub fn new(args: ReplayArgs) -> Result<Self, UsageError> {
        let with_cmd = !args.cmd.is_empty();
        if args.prune && args.on_miss == OnMiss::Record {
            return Err(UsageError::new(
                "--prune and --on-miss record cannot change one fixture in the same run",
                "do one after the other: record what is missing, then `harproxy replay --prune -- CMD`",
            ));
        }
        if args.prune && in_ci() {
            return Err(UsageError::new(
                "--prune would change fixtures in CI",
                "prune on your machine, review and commit the change; set `HARPROXY_PRUNE=false` here if harproxy.toml has `prune`",
            ));
        }
        let fail_on = fail_on(args.fail_on.as_deref(), args.matching.strict, with_cmd)?;
        let network = network(&args)?;
        let routes = route_state(&args)?;
        let record = if args.on_miss == OnMiss::Record { Some(record_misses(&args)?) } else { None };
        let (fixtures, everything) = match &record {
            // The fixture does not exist yet, so every request is a miss.
            Some((record, _)) if !record.output.exists() => (Vec::new(), Some(Globs::new(["**"])?)),
            _ => (fixtures_or_default(args.fixtures), None),
        };
        let view = RedactionView::new(args.config.loaded.policy.clone(), &args.config.loaded.redact_values());
        let quoted = |words: &[OsString]| command_line::redact(&view, words);
        let mut replay = ReplayPlan {
            fixtures,
            matching: matching_options(args.matching, &args.config.loaded),
            local: !args.no_local,
            network,
            routes,
            max_age: args.max_age,
            mark: !args.no_mark,
            answers: FixtureOptions {
                rerun: RerunCommand { options: quoted(&args.rerun_options), cmd: quoted(&args.cmd) },
                scope: scope(&args.glob)?.or(everything),
                with_cmd,
                fail_on,
                on_miss: args.on_miss,
                miss: args.miss_status,
                noise: args.config.loaded.noise(),
                clock: args.clock,
                now: test_now()?,
                latency: args.latency,
                timeouts: args.upstream.timeouts(),
                policy: args.config.loaded.policy.clone(),
            },
        };
        let policy = replay.answers.policy.clone();
        let run = RunPlan::new(args.proxy, &args.upstream, args.run, &args.authority, args.cmd, policy)?;
        replay.matching.reverse = reverse_origins(&run)?;
        let run = RunPlan { isolation: args.isolate.isolation, ..run };
        Ok(ReplayJob { replay, record, prune: args.prune, run })
    }
}

/// Returns the plan of the recording of misses: into the one replayed fixture, whose entries are unchanged.
fn record_misses(args: &ReplayArgs) -> Result<(RecordPlan, UpstreamPlan), UsageError> {
    let output = match &args.fixtures[..] {
        [output] if !output.is_dir() => output,
        _ => {
            return Err(UsageError::new(
                "--on-miss record needs exactly one fixture",
                "pass it: `harproxy replay --on-miss record hars/api.har -- CMD`",
            ));
        }
    };
    if in_ci() && !args.allow_ci_record {
        return Err(UsageError::new(
            "--on-miss record would change fixtures in CI",
            "record on your machine and commit the fixture, or pass `--allow-ci-record`",
        ));
    }
    let record = RecordPlan {
        scope: if args.glob.is_empty() { Globs::new(recorded_scope(output))? } else { Globs::new(&args.glob)? },
        update: UpdateMode::Missing,
        ..record_plan(output.clone(), &args.config.loaded)
    };
    Ok((record, upstream_plan(&args.upstream, &args.config.risky, args.isolate.isolation.as_ref())?))
}

/// Returns the globs that the fixture was recorded with. An unreadable fixture is reported when the replay opens it.
fn recorded_scope(fixture: &Path) -> Vec<String> {
    let opened = if fixture.exists() { Fixture::open(fixture).ok() } else { None };
    opened.and_then(|fixture| fixture.scope().map(<[String]>::to_vec)).unwrap_or_default()
}

/// Returns the origins of `--reverse`, which names them for the scope.
fn reverse_origins(run: &RunPlan) -> Result<Vec<OriginPattern>, UsageError> {
    let origins = run.proxy.reverse.iter().map(|reverse| OriginPattern::new(&reverse.origin.to_string()));
    origins.collect::<Result<_, _>>().map_err(|error| UsageError::new(error.to_string(), "check `--reverse`"))
}

/// Returns the plan of requests that are forwarded to the network; `None` without such an option.
fn network(args: &ReplayArgs) -> Result<Option<NetworkPlan>, UsageError> {
    let has_live_rule = args.config.loaded.routes.iter().any(|rule| rule.uses_live());
    if args.passthrough.is_empty() && args.on_miss != OnMiss::Passthrough && !(has_live_rule && args.allow_live) {
        return Ok(None);
    }
    Ok(Some(NetworkPlan {
        named: scope(&args.passthrough)?,
        upstream: upstream_plan(&args.upstream, &args.config.risky, args.isolate.isolation.as_ref())?,
    }))
}

/// Returns the rules of the configuration. `vars` are the files and names of `--vars`.
pub fn route_table(config: &Config, vars: &[String]) -> Result<RouteTable, UsageError> {
    if let Some((rule, variable)) =
        config.routes.iter().find_map(|rule| Some((rule, rule.unset_variables.first().filter(|_| rule.uses_live())?)))
    {
        return Err(UsageError::new(
            format!("`headers` of rule `{}`: the variable `{variable}` is not set", rule.id),
            format!("set it: `export {variable}=…`, or remove `live` from the rule"),
        ));
    }
    let mut variables = config.variables.clone();
    for given in vars {
        let more: Variables = match given.ends_with(".toml") {
            true => read_variables(Path::new(given))?,
            false => match config.variables.get(given).and_then(|value| value.as_object()) {
                Some(table) => table.clone().into_iter().collect(),
                None => {
                    let hint = "add the table to harproxy.toml, or name a file that ends in `.toml`";
                    return Err(UsageError::new(
                        format!("--vars {given}: the table `[vars.{given}]` is missing"),
                        hint,
                    ));
                }
            },
        };
        variables.extend(more);
    }
    Ok(RouteTable { rules: config.routes.clone(), variables: Arc::new(variables) })
}

fn read_variables(path: &Path) -> Result<Variables, UsageError> {
    let doing = || format!("reading --vars {}", path.shown());
    let text = std::fs::read_to_string(path)
        .map_err(|source| UsageError::new(doing(), "name a file of variables").because(source))?;
    toml::from_str(&text)
        .map_err(|source| UsageError::new(doing(), "a variable is a line such as `currency = \"EUR\"`").because(source))
}

/// Returns the expectations of the command line and the configuration.
#[must_use]
pub fn expectations(args: &ReplayArgs) -> Vec<Expectation> {
    args.expect.iter().chain(&args.config.loaded.expectations).cloned().collect()
}

/// Returns the rules of a replay; `None` without rules, control headers and expectations. A file in a pull request
/// cannot make a replay dial.
fn route_state(args: &ReplayArgs) -> Result<Option<Arc<RouteState>>, UsageError> {
    let config = &args.config.loaded;
    let expectations = expectations(args);
    let table = route_table(config, &args.vars)?;
    if config.routes.is_empty() && !args.mock_headers && expectations.is_empty() {
        return Ok(None);
    }
    if let Some(rule) = config.routes.iter().find(|rule| rule.uses_live() && !args.allow_live) {
        return Err(UsageError::new(
            format!("rule `{}` has a live source", rule.id),
            "pass `--allow-live` on the command line, or remove `live` from the rule",
        ));
    }
    Ok(Some(Arc::new(RouteState {
        table: ArcSwap::from_pointee(table),
        has_control_headers: args.mock_headers,
        verification: Verification::new(expectations, true),
        ..RouteState::default()
    })))
}

fn test_now() -> Result<Option<SystemTime>, UsageError> {
    let Some(value) = std::env::var(TEST_NOW).ok().filter(|value| !value.is_empty()) else { return Ok(None) };
    let at = OffsetDateTime::parse(&value, &Rfc3339).map_err(|source| {
        let hint = "a moment is written like `2026-11-20T09:30:00Z`";
        UsageError::new(format!("reading {TEST_NOW}, `{value}`"), hint).because(source)
    })?;
    Ok(Some(at.into()))
}

/// Returns the checks that fail a run. Signs in the list change those of `--strict`, if that is given.
fn fail_on(list: Option<&str>, is_strict: bool, with_cmd: bool) -> Result<FailOn, UsageError> {
    let preset = if is_strict { FailOn::strict(with_cmd) } else { FailOn::standard(with_cmd) };
    let Some(list) = list else { return Ok(preset) };
    preset.apply(list).map_err(|source| {
        let hint = "use a list such as `miss,unused`, or change the default as in `+unused,-ambiguous`";
        UsageError::new(format!("reading --fail-on `{list}`"), hint).because(source)
    })
}

/// Returns the given fixtures and folders, or the default folder.
#[must_use]
pub fn fixtures_or_default(given: Vec<PathBuf>) -> Vec<PathBuf> {
    if given.is_empty() { vec![DEFAULT_FIXTURES.into()] } else { given }
}

/// Returns the compiled globs, or `None` without globs.
pub fn scope(globs: &[String]) -> Result<Option<Globs>, UsageError> {
    Ok(if globs.is_empty() { None } else { Some(Globs::new(globs)?) })
}

/// Returns the matching options with the rules of the configuration.
pub fn matching_options(args: MatchingArgs, config: &Config) -> Options {
    Options {
        repeat: args.repeat.unwrap_or(if args.strict { Repeat::Once } else { Repeat::Sequence }),
        redirects: args.redirects,
        match_body: args.match_body,
        folds_graphql: false,
        match_headers: args.match_header,
        ignore_query: args.ignore_query,
        ignore_body: args.ignore_body,
        same_host: args.same_host,
        reverse: Vec::new(),
        score_all_headers: args.score_all_headers,
        missing_body: args.missing_body,
        rules: config.rules.clone(),
        values: config.redact_values(),
    }
}
