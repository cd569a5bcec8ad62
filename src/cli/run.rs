//! The run around a recording or a replay: open the ports, say so, run CMD or wait for a signal, and come to an end. What
//! passes in between is the handler's.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;
use time::OffsetDateTime;

use super::advice::Failure;
use super::event::Event;
use super::live::Live;
use super::plan::RunPlan;
use super::ready::Ready;
use super::reports::{self, Recorded};
use super::roots::Roots;
use super::ui::{Meanwhile, Ui};
use super::{clues, command_line, files, process};
use crate::child::env::{self, Facts, Mode, ProxyAddress};
use crate::child::{CommandPlan, Ended, Pace, RunFolder, Signal, Signals};
use crate::record::Recorder;
use crate::verdict::EntryView;
use crate::verdict::clues::{Bounds, Clues, advise};
use crate::verdict::report::Report;
use crate::verdict::request::RequestRow;
use crate::verdict::{FindingListener, Source, Verdict, exit, exit_status};
use crate::watch::{Watch, Watcher};
use harproxy_proxy::{Handler, Proxy, Witness};
use harproxy_tls::authority::Authority;

/// What a run is about, as far as CMD is told.
pub struct About<'a> {
    /// Record or replay.
    pub mode: Mode,
    /// Whether some URL in scope could have this host.
    pub may_match: &'a dyn Fn(&str) -> bool,
    /// Whether some URL of this origin could be in scope.
    pub may_match_origin: &'a dyn Fn(&str) -> bool,
    /// How often CMD's processes are looked at.
    pub pace: Pace,
    /// Whether CMD's standard output goes to standard error, because ours is for data.
    pub quiet_output: bool,
    /// At replay, when the fixture was recorded (RFC 3339).
    pub recorded_at: Option<String>,
}

/// What came of CMD.
pub enum End {
    /// There was none; a signal ended the run.
    NoCmd,
    /// It ended with this status; 128+signal when it was killed.
    Cmd(u8),
    /// It could not be started.
    NotStarted(Failure),
    /// A second signal asked for the end at once; the status that comes of it. What was left to do is left.
    Cut(u8),
}

impl End {
    /// Whether it went well, as far as a recording cares.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self, End::NoCmd | End::Cmd(exit::HELD))
    }
}

/// A run that is under way or has just ended, and listens to signals.
pub struct Run<'a> {
    plan: &'a RunPlan,
    ui: &'a Ui,
    signals: Signals,
    started: OffsetDateTime,
    /// There when somebody wants to know of each request.
    watcher: Option<Arc<Watcher>>,
    /// What is known of CMD, once it has ended.
    clues: Option<Clues>,
    /// There when they are told as they come.
    live: Option<Live>,
    /// There when something is recorded.
    recorder: Option<Arc<Recorder>>,
    roots: Roots,
}

impl<'a> Run<'a> {
    /// Begins to listen to signals. `roots` are what clients are to trust beside the CA.
    ///
    /// # Errors
    /// When the operating system does not let us.
    pub fn new(plan: &'a RunPlan, roots: Roots, ui: &'a Ui) -> Result<Self, Failure> {
        let signals = Signals::listen().map_err(|source| Failure::System { doing: "listening to signals", source })?;
        let live = Live::start(ui.meanwhile(!plan.cmd.is_empty()));
        let live = live.map_err(|source| Failure::System { doing: "starting a thread", source })?;
        let reports = !plan.reports.is_empty();
        let listener = live.as_ref().map(Live::listener);
        let watcher = (reports || listener.is_some()).then(|| Arc::new(Watcher::new(reports, listener)));
        let started = OffsetDateTime::now_utc();
        Ok(Run { plan, ui, signals, started, watcher, clues: None, live, recorder: None, roots })
    }

    /// Who tells findings as they come, if somebody does.
    #[must_use]
    pub fn herald(&self) -> Option<FindingListener> {
        self.live.as_ref().map(Live::herald)
    }

    /// Who records in this run: when the run is cut short, what was recorded so far is left for `harproxy recover`.
    pub fn recorded_by(&mut self, recorder: Arc<Recorder>) {
        self.recorder = Some(recorder);
    }

    /// The fixture for which a run leaves something that is cut short.
    fn left(&self) -> Option<PathBuf> {
        let recorder = self.recorder.as_ref().filter(|recorder| !recorder.is_idle())?;
        Some(recorder.plan().output.clone())
    }

    /// Sees to it that what has been seen so far is told before what comes next.
    fn catch_up(&self) {
        if let Some(live) = &self.live {
            live.flush();
        }
    }

    /// Serves `handler` from the first open port to the last closed connection.
    ///
    /// # Errors
    /// When it can't start.
    pub async fn serve(
        &mut self,
        handler: Arc<dyn Handler>,
        authority: Arc<Authority>,
        about: &About<'_>,
    ) -> Result<End, Failure> {
        match self.run_through(handler, authority, about).await {
            Err(Failure::Cut { status, .. }) => Ok(End::Cut(status)),
            end => end,
        }
    }

    async fn run_through(
        &mut self,
        handler: Arc<dyn Handler>,
        authority: Arc<Authority>,
        about: &About<'_>,
    ) -> Result<End, Failure> {
        if self.plan.cmd.is_empty() {
            process::raise_open_files();
        }
        let proxy = Proxy::bind(self.plan.proxy(authority.clone(), self.witness())).await?;
        for upstream in handler.upstreams() {
            if let Some(url) = upstream.avoid(&proxy.addrs())? {
                self.ui.alert(Event::Warning, &super::advice::own_proxy(&url));
            }
        }
        let folder = RunFolder::create(self.roots.bundle(&authority, self.ui).await?)?;
        let credentials = self.plan.auth.as_ref().map(|auth| (auth.user.clone(), auth.password.clone()));
        let address = ProxyAddress::local(proxy.addr(), credentials);
        let (urls, ours) = (proxy.urls(), proxy.addrs());
        let ready = Ready {
            proxy: ProxyAddress { credentials: None, ..address.clone() }.to_string(),
            ca: authority.cert_path(),
            bundle: folder.bundle().to_owned(),
            pid: std::process::id(),
            urls: urls.iter().map(|(name, url)| (name.clone(), Value::from(url.clone()))).collect(),
        };
        // Listening already, and nothing has passed yet if this fails.
        if let Some(path) = &self.plan.ready_file {
            files::write(path, format!("{:#}\n", ready.json()).as_bytes())?;
        }
        let running = proxy.serve(handler);
        let end = if let [program, args @ ..] = &self.plan.cmd[..] {
            let facts = Facts {
                proxy: &address,
                ca: &authority.cert_path(),
                files: &folder.for_cmd()?,
                bypass: &self.plan.bypass,
                may_match: about.may_match,
                urls: &urls,
                mode: about.mode,
                recorded_at: about.recorded_at.as_deref(),
            };
            self.cmd(program, args, &facts, &ours, about).await?
        } else {
            self.ui.data(&ready.line(self.ui.format)).map_err(Failure::Output)?;
            let signal = self.signals.next().await;
            tracing::info!(?signal, "ending");
            End::NoCmd
        };
        let grace = self.plan.grace;
        self.unless_interrupted(running.drain(grace)).await?;
        self.catch_up();
        Ok(end)
    }

    async fn cmd(
        &mut self,
        program: &OsString,
        args: &[OsString],
        facts: &Facts<'_>,
        ours: &[SocketAddr],
        about: &About<'_>,
    ) -> Result<End, Failure> {
        let env = env::changes(facts, &env::own());
        let let_past = clues::let_past(&env);
        let is_set = |name: &str| std::env::var_os(name).is_some() || env.iter().any(|change| change.variable == name);
        let unserved = clues::unserved(&self.plan.cmd, is_set);
        let look = Some(clues::to_look_for(facts, ours, about.pace));
        let quiet_output = about.quiet_output;
        let plan = CommandPlan { program: program.clone(), args: args.to_vec(), env, cwd: None, look, quiet_output };
        let ended = match crate::child::run(&plan, &mut self.signals).await {
            // What killed CMD was harproxy: whoever asked for it is told by what it was asked.
            Ok(Ended { at_once: Some(signal), .. }) => return Err(Failure::cut(killed_by(signal))),
            Ok(ended) => ended,
            Err(error) => return Ok(End::NotStarted(error.into())),
        };
        let status = ended.status.exit_code();
        let bounds = Bounds { may_match_origin: about.may_match_origin, let_past: &let_past };
        // Of two runs the first one is told of.
        if self.clues.is_none() {
            let clues = clues::gather(&self.plan.cmd, self.command(), ended.observed, &bounds);
            self.clues = Some(Clues { unserved, ..clues });
        }
        Ok(End::Cmd(status))
    }

    /// What is known of CMD; nothing before it has ended.
    #[must_use]
    pub fn clues(&self) -> Clues {
        self.clues.clone().unwrap_or_default()
    }

    fn witness(&self) -> Option<Arc<dyn Witness>> {
        let watcher = self.watcher.clone()?;
        Some(Arc::new(Watch(watcher)))
    }

    /// Does the last work of a run. A signal that comes meanwhile means: at once.
    ///
    /// # Errors
    /// [`Failure::Cut`].
    pub async fn unless_interrupted<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            done = work => Ok(done),
            signal = self.signals.next() => Err(Failure::cut(killed_by(signal))),
        }
    }
}

/// 128 and the number that POSIX gives the signal.
fn killed_by(signal: Signal) -> u8 {
    match signal {
        Signal::Hangup => 129,
        Signal::Interrupt => 130,
        Signal::Terminate => 143,
    }
}

impl Run<'_> {
    /// Tells the verdict, writes the reports, and settles whose the exit status is.
    #[must_use]
    pub fn conclude(&self, end: &End, verdict: Verdict, fixtures: &Recorded) -> u8 {
        self.conclude_with(end, verdict, fixtures, false)
    }

    /// The same; where something `broke` that was to be done after the run, that is no success.
    #[must_use]
    pub fn conclude_with(&self, end: &End, verdict: Verdict, fixtures: &Recorded, broke: bool) -> u8 {
        self.catch_up();
        let verdict = self.advised(verdict);
        let (status, source) = match end {
            End::NotStarted(failure) => (failure.status(), Source::Harproxy),
            End::Cut(status) => (*status, Source::Harproxy),
            End::NoCmd => exit_status(&verdict, None),
            End::Cmd(status) => exit_status(&verdict, Some(*status)),
        };
        let (status, source) =
            if broke && status == exit::HELD { (exit::BROKEN, Source::Harproxy) } else { (status, source) };
        let report = self.report(verdict, (status, source), fixtures);
        match end {
            End::NotStarted(failure) => failure.tell(self.ui),
            End::Cut(status) => Failure::Cut { status: *status, left: self.left() }.tell(self.ui),
            End::NoCmd | End::Cmd(_) => reports::tell(&report, self.ui, self.has_list()),
        }
        reports::hand_out(&self.plan.reports, report, self.ui)
    }

    /// The same for a run whose work could not be finished. The status is CMD's own if that is not 0.
    #[must_use]
    pub fn unfinished(&self, end: &End, failure: &Failure, verdict: Verdict) -> u8 {
        if let End::NotStarted(cause) = end {
            cause.tell(self.ui);
        }
        failure.tell(self.ui);
        self.catch_up();
        let mut verdict = self.advised(verdict);
        verdict.findings.push(failure.finding());
        let (status, source) = match end {
            End::Cmd(status) if *status != exit::HELD => (*status, Source::Cmd),
            End::NotStarted(cause) => (cause.status(), Source::Harproxy),
            End::NoCmd | End::Cmd(_) | End::Cut(_) => (failure.status(), Source::Harproxy),
        };
        let report = self.report(verdict, (status, source), &Recorded::default());
        reports::hand_out(&self.plan.reports, report, self.ui)
    }

    /// Whether each request was listed as it came.
    fn has_list(&self) -> bool {
        self.ui.meanwhile(!self.plan.cmd.is_empty()) == Meanwhile::List
    }

    /// With what the clues to runtimes and to ways past the proxy say.
    fn advised(&self, mut verdict: Verdict) -> Verdict {
        if let Some(clues) = &self.clues {
            advise(&mut verdict, clues);
        }
        verdict
    }

    fn report(&self, verdict: Verdict, (status, source): (u8, Source), recorded: &Recorded) -> Report {
        let (requests, more_requests) = self.requests(recorded);
        let entries = match &recorded.entry_views {
            Some(views) => views.clone(),
            None => self.entry_views(&verdict, recorded),
        };
        let started = self.started;
        Report {
            verdict,
            status,
            source,
            started,
            command: self.command(),
            shards: Vec::new(),
            requests,
            more_requests,
            entries,
        }
    }

    /// What reports show of the entries that this verdict speaks of, as they are now.
    #[must_use]
    pub fn entry_views(&self, verdict: &Verdict, recorded: &Recorded) -> IndexMap<(String, usize), EntryView> {
        match self.plan.reports[..] {
            [] => IndexMap::new(),
            _ => recorded.entry_views(verdict, &self.requests(recorded).0, &self.plan.policy),
        }
    }

    fn requests(&self, recorded: &Recorded) -> (Vec<RequestRow>, u64) {
        let (mut rows, more) = self.watcher.as_ref().map(|watcher| watcher.seen()).unwrap_or_default();
        recorded.locate(&mut rows);
        (rows, more)
    }

    /// CMD as it was typed, without secrets.
    fn command(&self) -> String {
        command_line::redact(&self.plan.policy, &self.plan.cmd)
    }
}
