//! `harproxy demo`: an HTTPS API, a client, and a recording between them, in one process and offline. It records the
//! client's visit, stops the API, and replays the visit from the files just written. Then it shows the response to a
//! request that was not recorded.

pub mod api;
pub mod visit;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinError;

use super::record::FINALISING;
use crate::cli::advice::Failure;
use crate::cli::args::DemoArgs;
use crate::cli::config::Config;
use crate::cli::plan::record_plan;
use crate::cli::ui::{self, Ui};
use crate::cli::usage_error::UsageError;
use crate::pipeline::EventBus;
use crate::record::{CmdEnd, RecordPlan, Recorder, UpdateMode};
use crate::replay::{Clock, FixtureOptions, Latency, MissAnswer, OnMiss, ReplayPlan, Replayer};
use crate::verdict::explain::RerunCommand;
use crate::verdict::report::text;
use crate::verdict::{CheckId, FailOn, Severity, Verdict, exit};
use api::{Api, HOST};
use harproxy_glob::Globs;
use harproxy_matching::Options;
use harproxy_proxy::upstream::{Mapping, Timeouts, Upstream, UpstreamPlan, UpstreamProxy};
use harproxy_proxy::{Handler, Proxy, ProxyPlan, Running};
use harproxy_support::printable::Shown as _;
use harproxy_tls::authority::Authority;
use visit::{DemoRequest, DemoResponse, OUTSIDE, UNRECORDED, VISIT, Visitor};

const GLOB: &str = "https://api.demo.test/api/**";
/// Timeout of every connection. All of them are local.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the demo. The status is 0 if all responses are equal and only the expected miss happened.
pub async fn run(args: &DemoArgs, ui: &Ui) -> Result<u8, Failure> {
    let printer = DemoOutput(ui);
    let scratch = create_folder()?;
    let authority = Arc::new(Authority::load_or_create(&scratch.path().join("ca"))?);
    let output = args.keep.as_deref().unwrap_or(scratch.path()).join("demo.har");
    let api = Api::start(&scratch.path().join("api")).await?;

    printer.print(&ui::strong("An HTTPS API, a client, and a recording between them"))?;
    printer.step(1, &format!("The API listens on {}, as https://{HOST}", api.addr))?;
    printer.step(2, &format!("harproxy records {GLOB} into {}", output.shown()))?;
    let live = record(&printer, &api, &authority, &output).await?;
    api.stop().await;
    printer.step(3, &format!("The API is stopped; harproxy replays {}", output.shown()))?;
    let (differing, verdict) = replay(&printer, &live, &authority, &output).await?;

    printer.print(&format!("\n{}", text::render(&verdict, &text::Palette::colour())))?;
    let held = differing == 0 && only_the_expected_miss(&verdict);
    printer.print(&closing(held, args.keep.is_some().then_some(&*output)))?;
    Ok(if held { exit::SUCCESS } else { exit::FAILED })
}

async fn record(
    printer: &DemoOutput<'_>,
    api: &Api,
    authority: &Arc<Authority>,
    output: &Path,
) -> Result<Vec<DemoResponse>, Failure> {
    let upstream = Upstream::anywhere(UpstreamPlan {
        proxy: UpstreamProxy::Direct,
        extra_roots: vec![api.root.clone()],
        map: vec![Mapping {
            host: HOST.to_owned(),
            port: None,
            to_host: api.addr.ip().to_string(),
            to_port: Some(api.addr.port()),
        }],
        timeouts: Timeouts { connect: TIMEOUT, idle: TIMEOUT, answer: TIMEOUT },
        ..UpstreamPlan::default()
    })?;
    let plan = RecordPlan {
        scope: Globs::new([GLOB]).map_err(UsageError::from)?,
        update: UpdateMode::Replace,
        ..record_plan(output.to_owned(), &Config::default())
    };
    let recorder = Arc::new(Recorder::start(plan, upstream)?);
    let (mut visitor, running) = serve(recorder.handler(&EventBus::new(Vec::new())), authority).await?;
    let mut live = Vec::new();
    for ask in VISIT {
        let got = visitor.send(*ask).await?;
        printer.answer(*ask, &got, "")?;
        live.push(got);
    }
    let outside = visitor.send(OUTSIDE).await?;
    printer.answer(OUTSIDE, &outside, &ui::faint("passed, not recorded"))?;
    drop(visitor);
    running.drain(TIMEOUT).await;
    let finalise = tokio::task::spawn_blocking(move || recorder.finalise(CmdEnd::Clean));
    let panicked = |panic: JoinError| Failure::System { doing: FINALISING, source: panic.into() };
    let outcome = finalise.await.map_err(panicked)??;
    printer.print(&format!("   {}", crate::cli::summary::change(&outcome, output, None)))?;
    Ok(live)
}

/// Replays the visit and sends an unrecorded request. Returns the number of different responses, and the verdict.
async fn replay(
    printer: &DemoOutput<'_>,
    live: &[DemoResponse],
    authority: &Arc<Authority>,
    output: &Path,
) -> Result<(usize, Verdict), Failure> {
    let replayer = Arc::new(Replayer::open(
        ReplayPlan {
            fixtures: vec![output.to_owned()],
            matching: Options::default(),
            local: false,
            network: None,
            routes: None,
            max_age: None,
            mark: true,
            answers: FixtureOptions {
                scope: None,
                with_cmd: true,
                rerun: RerunCommand::default(),
                fail_on: FailOn::standard(true),
                on_miss: OnMiss::Fail,
                miss: MissAnswer::Status(501),
                noise: true,
                clock: Clock::Shift,
                now: None,
                latency: Latency::None,
                timeouts: Timeouts { connect: TIMEOUT, idle: TIMEOUT, answer: TIMEOUT },
                policy: Arc::default(),
            },
        },
        None,
    )?);
    let (mut visitor, running) = serve(replayer.handler(&EventBus::new(Vec::new())), authority).await?;
    let mut differing = 0;
    for (ask, live) in VISIT.iter().zip(live) {
        let got = visitor.send(*ask).await?;
        if got != *live {
            differing += 1;
            printer.answer(*ask, &got, &ui::bad("differs from the response of the API"))?;
        }
    }
    let bytes: usize = live.iter().map(|got| got.body.len()).sum();
    let same = VISIT.len() - differing;
    printer.print(&format!(
        "   {same} of {} responses are equal to the API's: status, headers, {bytes} bytes",
        VISIT.len()
    ))?;
    printer.step(4, "The client sends a request that was not recorded")?;
    let missed = visitor.send(UNRECORDED).await?;
    printer.answer(UNRECORDED, &missed, "")?;
    drop(visitor);
    running.drain(TIMEOUT).await;
    Ok((differing, replayer.verdict()))
}

/// Starts a proxy on a free port, and a client that uses it.
async fn serve(handler: Arc<dyn Handler>, authority: &Arc<Authority>) -> Result<(Visitor, Running), Failure> {
    let plan = ProxyPlan {
        listen: (std::net::Ipv4Addr::LOCALHOST, 0).into(),
        reverse: Vec::new(),
        reverse_tls: false,
        auth: None,
        authority: authority.clone(),
        head_timeout: TIMEOUT,
        idle_timeout: TIMEOUT,
    };
    let proxy = Proxy::bind(plan).await?;
    let addr = proxy.addr();
    let running = proxy.serve(handler);
    Ok((Visitor::connect(addr, authority.cert_pem()).await?, running))
}

fn create_folder() -> Result<TempDir, Failure> {
    let folder = tempfile::Builder::new().prefix("harproxy-demo-").tempdir();
    folder.map_err(|source| Failure::Demo { doing: "making a temporary folder".into(), source: source.into() })
}

fn only_the_expected_miss(verdict: &Verdict) -> bool {
    let failing: Vec<_> = verdict.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    matches!(failing[..], [miss] if miss.check == CheckId::MISS && miss.times == 1)
}

/// Returns the last lines. `kept` is the fixture, unless it is removed with the temporary folder.
fn closing(held: bool, kept: Option<&Path>) -> String {
    if !held {
        return format!("\n{}: the demo failed; please report it", ui::bad("error"));
    }
    let recording = match kept {
        Some(path) => format!("The recording is in {}", path.shown()),
        None => "The recording was temporary; `harproxy demo --keep DIR` keeps it".to_owned(),
    };
    format!(
        "\nThe miss was intended; in CI it fails the run. {recording}.\n\nTry this next:\n  {}\n  {}\n",
        ui::help("harproxy record --glob 'https://api.example.com/**' -- CMD"),
        ui::help("harproxy replay -- CMD"),
    )
}

/// Prints the steps of the demo on standard output.
struct DemoOutput<'a>(&'a Ui);

impl DemoOutput<'_> {
    fn print(&self, text: &str) -> Result<(), Failure> {
        if self.0.quiet {
            return Ok(());
        }
        self.0.data(&format!("{}\n", text.trim_end_matches('\n'))).map_err(Failure::Output)
    }

    fn step(&self, number: usize, text: &str) -> Result<(), Failure> {
        self.print(&format!("\n{number}  {}", ui::strong(text)))
    }

    fn answer(&self, ask: DemoRequest, got: &DemoResponse, remark: &str) -> Result<(), Failure> {
        let note = match (got.header("location"), got.header("content-encoding")) {
            ("", "") => got.header("content-type").to_owned(),
            ("", coding) => format!("{}, {coding}", got.header("content-type")),
            (location, _) => format!("to {location}"),
        };
        let line = format!("   {:<4} {:<20} {}  {note}  {remark}", ask.method, ask.path, got.status);
        self.print(line.trim_end())
    }
}
