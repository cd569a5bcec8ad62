//! `harproxy drift`: compares fixtures with production.

mod accept;
mod progress;
mod suppressions;
mod update;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::http::HeaderName;
use time::OffsetDateTime;

use crate::cli::advice::Failure;
use crate::cli::args::drift::{DriftArgs, DriftCommand, DriftRunArgs};
use crate::cli::ci::{self, Ci};
use crate::cli::plan::{self, upstream_plan};
use crate::cli::ui::{self, Ui};
use crate::cli::usage_error::UsageError;
use crate::cli::{file_notice, files};
use crate::drift::client::{DriftClient, MAX_PAYLOAD, Pace};
use crate::drift::endpoint::EndpointRules;
use crate::drift::login::{self, HeaderError, HeaderPlan, LoginError, ValueSource};
use crate::drift::report::{DriftFormat, DriftReport, json, markdown, shared, text};
use crate::drift::request::{BaseUrl, RequestRules};
use crate::drift::run::{self, Comparison, EndpointRun};
use crate::drift::select::{self, EndpointSelection, Methods, SelectionRules};
use crate::drift::suppress::{self, Suppression};
use crate::verdict::exit;
use crate::verdict::report::text::Palette;
use harproxy_har::Fixture;
use harproxy_json::JsonPath;
use harproxy_proxy::upstream::Upstream;
use harproxy_redact::RedactionView;

/// Runs the command. The status is that of the report, or 3 if a report cannot be written.
pub async fn run(mut args: DriftArgs, ui: &Ui) -> Result<u8, Failure> {
    let config = &args.run_mut().config;
    let risky: Vec<_> = config.risky.iter().cloned().chain(config.loaded.risky_drift_settings()).collect();
    file_notice::print(&risky, ui);
    check_options(args.run_mut())?;
    let DriftArgs { run, command } = args;
    match command {
        Some(DriftCommand::Accept(accept)) => accept::run(*accept, ui).await,
        None if run.every.is_some() => watch::run(&run, ui).await,
        None => {
            let finished = compare(&run, ui).await?;
            let status = publish(&finished.report, &run, ui)?;
            watch::Notifier::new(&run)?.report(&finished.report, ui).await;
            update::run(&run, finished, status, ui).await
        }
    }
}

/// A finished comparison, with the data of later steps.
struct Finished {
    report: DriftReport,
    runs: Vec<EndpointRun>,
    comparison: Arc<Comparison>,
    /// The client and the rules with which production was asked; `None` for `--against`.
    live: Option<Arc<(DriftClient, RequestRules)>>,
}

/// Opens the fixtures, compares them, and applies the suppressions.
async fn compare(args: &DriftRunArgs, ui: &Ui) -> Result<Finished, Failure> {
    let (started, clock) = (OffsetDateTime::now_utc(), Instant::now());
    let config = &args.config.loaded;
    let suppressions = suppressions(args)?;
    let fixtures = open(&plan::fixtures_or_default(args.fixtures.clone()))?;
    let mut patterns = args.route.clone();
    patterns.extend(config.rules.iter().flat_map(|rule| rule.paths.iter().cloned()));
    let rules = EndpointRules { patterns };
    let mut selection = select::select(&fixtures, &selection_rules(args, &rules)?)?;
    let values = args.values.iter().filter_map(|path| JsonPath::parse(path).ok()).collect();
    let view = RedactionView::new(config.policy.clone(), &config.redact_values());
    let comparison = Arc::new(Comparison { fixtures, values, rules, view, keeps_answers: args.update.is_some() });
    let (mut runs, live) = match args.against.is_empty() {
        true => {
            let asked = ask(args, &comparison, &selection, ui).await?;
            (asked.0, Some(asked.1))
        }
        false => (against(args, &comparison, &mut selection)?, None),
    };
    if let Some(path) = comparison.unused_values(&runs) {
        let hint = "print a payload with `harproxy show --body FILE#N`";
        return Err(UsageError::new(format!("--values {path} selects no value of the fixtures"), hint).into());
    }
    let mut notes = suppress::apply(&mut runs, &suppressions, suppress::today());
    if !args.glob.is_empty() || args.max.is_some() {
        // The findings of the other endpoints are unknown.
        notes.unused.clear();
    }
    let report = DriftReport {
        source: source(args),
        endpoints: runs.iter().map(|run| run.result.clone()).collect(),
        skipped: selection.skipped,
        suppressions: notes,
        min_severity: args.min_severity,
        started,
        duration_ms: u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    Ok(Finished { report, runs, comparison, live })
}

/// Checks options that exclude each other, wherever they are set.
fn check_options(args: &DriftRunArgs) -> Result<(), UsageError> {
    let has_against = !args.against.is_empty();
    let conflict = match (has_against, args.update.is_some(), args.every.is_some()) {
        (true, true, _) => ("--against", "--update", "an update needs the answers of production"),
        (true, _, true) => ("--against", "--every", "a recording does not change"),
        (_, true, true) => ("--update", "--every", "update the fixtures in a run of its own"),
        _ => return Ok(()),
    };
    let (one, other, hint) = conflict;
    Err(UsageError::new(format!("{one} and {other} exclude each other"), hint))
}

fn open(paths: &[std::path::PathBuf]) -> Result<Vec<Fixture>, Failure> {
    harproxy_har::find(paths).into_iter().map(|path| Ok(Fixture::open(&path?)?)).collect()
}

fn source(args: &DriftRunArgs) -> String {
    let against: Vec<String> = args.against.iter().map(|path| path.display().to_string()).collect();
    match (&args.base_url, against.is_empty()) {
        (_, false) => against.join(", "),
        (Some(base), true) => base.parts().site().into_owned(),
        (None, true) => "production".to_owned(),
    }
}

fn selection_rules(args: &DriftRunArgs, rules: &EndpointRules) -> Result<SelectionRules, Failure> {
    let allowed = &args.config.loaded.drift.allow_unsafe;
    let methods = match (args.against.is_empty() && !args.include_unsafe, allowed.is_empty()) {
        (false, _) => Methods::Any,
        (true, true) => Methods::Safe,
        (true, false) => Methods::SafeAnd(allowed.clone()),
    };
    Ok(SelectionRules { globs: plan::scope(&args.glob)?, endpoints: rules.clone(), methods, max: args.max })
}

/// Returns the suppressions of the configuration and of the files.
fn suppressions(args: &DriftRunArgs) -> Result<Vec<Suppression>, Failure> {
    let mut all = args.config.loaded.drift.suppressions.clone();
    for path in &args.suppressions {
        all.extend(suppressions::read(path)?);
    }
    Ok(all)
}

type Asked = (Vec<EndpointRun>, Arc<(DriftClient, RequestRules)>);

/// Logs in and asks production for each endpoint.
async fn ask(
    args: &DriftRunArgs,
    comparison: &Arc<Comparison>,
    selection: &EndpointSelection,
    ui: &Ui,
) -> Result<Asked, Failure> {
    let config = &args.config.loaded;
    let mut selected: Vec<&str> = selection.endpoints.iter().map(|endpoint| &*endpoint.key.origin).collect();
    selected.sort_unstable();
    selected.dedup();
    let base_url = match (&args.base_url, &selected[..]) {
        (None, _) | (_, []) => None,
        (Some(url), [origin]) => Some(BaseUrl { recorded: (*origin).to_owned(), url: url.clone() }),
        (Some(base), [first, second, ..]) => {
            return Err(UsageError::new(
                format!("--base-url {base} stands for one origin, and the fixtures have {first}, {second} …"),
                format!("select one origin: `--glob '{first}/**'`"),
            )
            .into());
        }
    };
    let upstream = Upstream::anywhere(upstream_plan(&args.upstream, &args.config.risky, None)?)?;
    let pace = Pace {
        concurrency: args.concurrency,
        interval: args.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate)),
        timeout: args.timeout,
        max_payload: MAX_PAYLOAD,
    };
    let client = DriftClient::new(upstream, pace);
    let mut rules =
        RequestRules { base_url, headers: Vec::new(), policy: config.policy.clone(), values: config.redact_values() };
    let captured = match &config.drift.login {
        None => Ok(Default::default()),
        Some(plan) => login::log_in(plan, &comparison.fixtures, &client, &rules).await,
    };
    let captured = match captured {
        Ok(captured) => captured,
        Err(error @ LoginError::NoEntry(_)) => {
            let hint = "`send` lists recorded requests as METHOD and glob: `POST https://api.example.com/login`";
            return Err(UsageError::new(error.to_string(), hint).into());
        }
        Err(error) => {
            return Ok((run::without_login(comparison, &selection.endpoints, &error), Arc::new((client, rules))));
        }
    };
    let mut plans = config.drift.headers.clone();
    plans.extend(args.header.iter().map(|(name, value)| HeaderPlan {
        origin: None,
        name: name.clone(),
        value: ValueSource::Literal(String::from_utf8_lossy(value.as_bytes()).into_owned()),
    }));
    let recorded = |name: &HeaderName| select::origins_with_header(&comparison.fixtures, selection, name.as_str());
    let origins = select::origins(&comparison.fixtures);
    rules.headers = login::headers(&plans, &captured, &origins, &recorded).map_err(header_error)?;
    let live = Arc::new((client, rules));
    let progress = progress::ProgressLine::new(ui);
    let shown = |done, all| progress.show(done, all);
    let runs = run::ask(comparison, &selection.endpoints, &live, &shown).await;
    progress.clear();
    Ok((runs, live))
}

fn header_error(error: HeaderError) -> UsageError {
    let hint = match &error {
        HeaderError::Missing(missing) => missing.hint(),
        HeaderError::Invalid(_) => "a header value has visible characters only".to_owned(),
        HeaderError::Origin { name, origins } => {
            let origin = origins.first().map_or("https://api.example.com", String::as_str);
            format!("name its origin in harproxy.toml: `[drift.headers.\"{origin}\"]` with `{name} = \"env:…\"`")
        }
    };
    UsageError::new(format!("reading the headers of [drift]: {error}"), hint)
}

/// Compares with the recordings of `--against`.
fn against(
    args: &DriftRunArgs,
    comparison: &Comparison,
    selection: &mut EndpointSelection,
) -> Result<Vec<EndpointRun>, Failure> {
    let other = open(&args.against)?;
    let everything =
        SelectionRules { endpoints: comparison.rules.clone(), methods: Methods::Any, ..SelectionRules::default() };
    let others = select::select(&other, &everything)?;
    Ok(comparison.against(selection, &other, &others, args.base_url.as_ref()))
}

/// Prints the report, writes the report files and the output for the CI system. Returns the exit status.
fn publish(report: &DriftReport, args: &DriftRunArgs, ui: &Ui) -> Result<u8, Failure> {
    if args.json {
        ui.json(&json::render(report)).map_err(Failure::Output)?;
    } else if !ui.quiet || report.status() != exit::SUCCESS {
        let palette = Palette { columns: ui::width().map(usize::from), ..Palette::colour() };
        ui.data(&text::render(report, &palette, ui.verbose)).map_err(Failure::Output)?;
    }
    let mut status = report.status();
    for path in &args.report {
        let Some(format) = DriftFormat::of(path) else { continue };
        if let Err(failure) = files::write(path, format.render(report, &ci::place).as_bytes()) {
            status = failure.print(ui);
        }
    }
    if let Some(ci) = Ci::detect() {
        ci.publish(&shared::report(report), &[markdown::render(report)], ui);
    }
    Ok(status)
}
