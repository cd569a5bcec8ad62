//! `harproxy demo`: an HTTPS API, a client, and a recording between them, in one process and offline. It records the client's
//! visit, stops the API, replays the visit from the files just written, and shows what a request gets that was not recorded.

pub mod api;
pub mod visit;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::cli::advice::Failure;
use crate::cli::ui::{self, Ui};
use crate::pipeline::EventBus;
use crate::record::{CmdEnd, OnFailure, RecordPlan, Recorder, UpdateMode, Volatile};
use crate::replay::{Clock, Latency, MissAnswer, OnMiss, ReplayPlan, Replayer};
use crate::verdict::report::text;
use crate::verdict::{CheckId, FailOn, Severity, Verdict, exit};
use api::{Api, HOST};
use harproxy_glob::Globs;
use harproxy_har::write::{ContentMode, JsonLayout};
use harproxy_matching::Options;
use harproxy_proxy::upstream::{Mapping, Timeouts, Upstream, UpstreamPlan, UpstreamProxy};
use harproxy_proxy::{Handler, Proxy, ProxyPlan, Running};
use harproxy_tls::authority::Authority;
use visit::{Ask, Got, OUTSIDE, UNRECORDED, VISIT, Visitor};

/// What is recorded.
const GLOB: &str = "**/api/**";
/// Generous: everything is on this machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can go wrong beside the rooms that the demo drives.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The embedded API.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// The client.
    #[error(transparent)]
    Visit(#[from] visit::Error),
    /// No folder for the throw-away authority, or for the fixture.
    #[error("making a temporary folder")]
    Folder(#[source] io::Error),
    /// A file of the demo's own.
    #[error("writing {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// Runs the demo; the status is 0 when every answer was the same and the one miss was the expected one.
///
/// # Errors
/// [`Failure`], when it can't be carried out at all.
pub async fn run(ui: &Ui) -> Result<u8, Failure> {
    let story = Story { ui };
    let scratch = tempfile::Builder::new().prefix("harproxy-demo-").tempdir().map_err(Error::Folder)?;
    let authority = Arc::new(Authority::load_or_create(&scratch.path().join("ca"))?);
    let output = place(Path::new("hars/demo.har"))?;
    let api = Api::start().await.map_err(Error::Api)?;

    story.tell(&ui::strong("An HTTPS API, a client, and a recording between them"))?;
    story.step(1, &format!("The API listens on {}, as https://{HOST}", api.addr()))?;
    story.step(2, &format!("harproxy records {GLOB} into {}", output.display()))?;
    let live = record(&story, &api, &authority, &output, scratch.path()).await?;
    api.stop().await;
    story.step(3, &format!("The API is stopped; harproxy replays {}", output.display()))?;
    let (differing, verdict) = replay(&story, &live, &authority, &output).await?;

    story.tell(&format!("\n{}", text::render(&verdict, &text::Palette::colour())))?;
    let held = differing == 0 && only_the_expected_miss(&verdict);
    story.tell(&closing(held, &output))?;
    Ok(if held { exit::HELD } else { exit::FAILED })
}

/// Records one visit; returns what the client saw.
async fn record(
    story: &Story<'_>,
    api: &Api,
    authority: &Arc<Authority>,
    output: &Path,
    scratch: &Path,
) -> Result<Vec<Got>, Failure> {
    let root = scratch.join("api-root.pem");
    std::fs::write(&root, api.root()).map_err(|source| Error::Write { path: root.clone(), source })?;
    let upstream = Upstream::anywhere(UpstreamPlan {
        proxy: UpstreamProxy::Direct,
        extra_roots: vec![root],
        map: vec![Mapping {
            host: HOST.to_owned(),
            port: None,
            to_host: api.addr().ip().to_string(),
            to_port: Some(api.addr().port()),
        }],
        timeouts: Timeouts { connect: PATIENCE, idle: PATIENCE, answer: PATIENCE },
        ..UpstreamPlan::default()
    })?;
    let plan = RecordPlan {
        output: output.to_owned(),
        scope: Globs::new([GLOB]).map_err(crate::cli::plan::Error::Glob)?,
        content: ContentMode::Attach,
        noise: true,
        update: UpdateMode::Replace,
        max_body: None,
        json_layout: JsonLayout::Indent,
        policy: Arc::default(),
        values: Vec::new(),
        on_failure: OnFailure::Hold,
        volatile: Volatile::default(),
        rules: Vec::new(),
    };
    let recorder = Arc::new(Recorder::start(plan, upstream)?);
    let (visitor, running) = serve(recorder.handler(&EventBus::default()), authority).await?;
    let mut live = Vec::new();
    for ask in VISIT {
        let got = visitor.ask(*ask).await.map_err(Error::Visit)?;
        story.answer(*ask, &got, "")?;
        live.push(got);
    }
    let outside = visitor.ask(OUTSIDE).await.map_err(Error::Visit)?;
    story.answer(OUTSIDE, &outside, &ui::faint("passed, not recorded"))?;
    drop(visitor);
    running.drain(PATIENCE).await;
    let finaliser = recorder.clone();
    let outcome = tokio::task::spawn_blocking(move || finaliser.finalise(CmdEnd::Clean))
        .await
        .map_err(|error| Failure::System { doing: "finalising the recording", source: error.into() })??;
    story.tell(&format!("   {}", crate::cli::summary::change(&outcome, output, None)))?;
    Ok(live)
}

/// Replays the visit and asks for one thing more; returns how many answers differ, and the verdict.
async fn replay(
    story: &Story<'_>,
    live: &[Got],
    authority: &Arc<Authority>,
    output: &Path,
) -> Result<(usize, Verdict), Failure> {
    let replayer = Arc::new(Replayer::open(
        ReplayPlan {
            fixtures: vec![output.to_owned()],
            scope: None,
            with_cmd: true,
            matching: Options::default(),
            noise: true,
            local: false,
            on_miss: OnMiss::Fail,
            network: None,
            latency: Latency::None,
            max_age: None,
            miss: MissAnswer::Status(501),
            policy: Arc::default(),
            mark: true,
            clock: Clock::Shift,
            now: None,
            fail_on: FailOn::standard(true),
            timeouts: Timeouts { connect: PATIENCE, idle: PATIENCE, answer: PATIENCE },
        },
        None,
    )?);
    let (visitor, running) = serve(replayer.handler(&EventBus::default()), authority).await?;
    let mut differing = 0;
    for (ask, live) in VISIT.iter().zip(live) {
        let got = visitor.ask(*ask).await.map_err(Error::Visit)?;
        if got != *live {
            differing += 1;
            story.answer(*ask, &got, &ui::bad("differs from what the API said"))?;
        }
    }
    let bytes: usize = live.iter().map(|got| got.body.len()).sum();
    let same = VISIT.len() - differing;
    story
        .tell(&format!("   {same} of {} answers are what the API said: status, headers, {bytes} bytes", VISIT.len()))?;
    story.step(4, "The client asks for something that was not recorded")?;
    let missed = visitor.ask(UNRECORDED).await.map_err(Error::Visit)?;
    story.answer(UNRECORDED, &missed, "")?;
    drop(visitor);
    running.drain(PATIENCE).await;
    Ok((differing, replayer.verdict()))
}

/// A proxy on a free port, and a client that goes through it.
async fn serve(handler: Arc<dyn Handler>, authority: &Arc<Authority>) -> Result<(Visitor, Running), Failure> {
    let plan = ProxyPlan {
        listen: (std::net::Ipv4Addr::LOCALHOST, 0).into(),
        reverse: Vec::new(),
        reverse_tls: false,
        auth: None,
        authority: authority.clone(),
        head_timeout: PATIENCE,
        idle_timeout: PATIENCE,
    };
    let proxy = Proxy::bind(plan).await?;
    let visitor = Visitor::new(proxy.addr(), authority.cert_pem()).map_err(Error::Visit)?;
    Ok((visitor, proxy.serve(handler)))
}

fn only_the_expected_miss(verdict: &Verdict) -> bool {
    let failing: Vec<_> = verdict.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    matches!(failing[..], [miss] if miss.check == CheckId::MISS && miss.times == 1)
}

fn closing(held: bool, output: &Path) -> String {
    if !held {
        return format!("\n{}: this is not what the demo should show; please report it", ui::bad("error"));
    }
    format!(
        "\nThat one miss was asked for; in CI it would have failed the run. The recording is plain text, made to be committed:\n  \
         {}\n\nTry this next:\n  {}\n  {}\n",
        output.display(),
        ui::help("harproxy record --glob '**/api/**' -- CMD"),
        ui::help("harproxy replay -- CMD"),
    )
}

/// The fixture's place, or one in a temporary folder that stays when the working directory can't be written.
fn place(wanted: &Path) -> Result<PathBuf, Failure> {
    let folder = wanted.parent().unwrap_or(wanted);
    let writable = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    if writable.is_ok() {
        return Ok(wanted.to_owned());
    }
    let kept = tempfile::Builder::new().prefix("harproxy-demo-").tempdir().map_err(Error::Folder)?.keep();
    Ok(kept.join("demo.har"))
}

/// Tells what happens, step by step, on standard output: it is what the command is for.
struct Story<'a> {
    ui: &'a Ui,
}

impl Story<'_> {
    fn tell(&self, text: &str) -> Result<(), Failure> {
        if self.ui.quiet {
            return Ok(());
        }
        self.ui.data(&format!("{}\n", text.trim_end_matches('\n'))).map_err(Failure::Output)
    }

    fn step(&self, number: usize, text: &str) -> Result<(), Failure> {
        self.tell(&format!("\n{number}  {}", ui::strong(text)))
    }

    fn answer(&self, ask: Ask, got: &Got, remark: &str) -> Result<(), Failure> {
        let what = match (got.header("location"), got.header("content-encoding")) {
            ("", "") => got.header("content-type").to_owned(),
            ("", coding) => format!("{}, {coding}", got.header("content-type")),
            (location, _) => format!("to {location}"),
        };
        let mut line = format!("   {:<4} {:<20} {}  {what}", ask.method, ask.path, got.status);
        if !remark.is_empty() {
            line = format!("{line}  {remark}");
        }
        self.tell(&line)
    }
}
