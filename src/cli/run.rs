//! The run around a recording or a replay: opens the ports, announces them, runs CMD or waits for a signal, and
//! drains. The handler serves the requests.

mod conclude;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::{LocalBoxFuture, OptionFuture};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::task::spawn_blocking;

use super::advice::Failure;
use super::event::Event;
use super::live::Live;
use super::plan::RunPlan;
use super::ready::{AdminReady, Ready};
use super::ui::Ui;
use super::{logging, observation, process, roots};
use crate::child::env::{self, Facts, ProxyAddress};
use crate::child::{CommandPlan, Ended, RunFolder, Signals};
use crate::control::ControlSocket;
use crate::diagnose::processes::{ProcessWatch, WatchPlan};
use crate::diagnose::{BypassRules, Bypasses, Evidence, ScopeHosts, no_proxy_entries, unset_url};
use crate::isolate::RefusedAttempt;
use crate::pipeline::{AccessLog, EventBus, RequestLog, Subscriber};
use crate::record::Recorder;
use crate::verdict::{FindingListener, RunMode, Severity, exit};
use harproxy_proxy::{Handler, Proxy};
use harproxy_redact::RedactionView;
use harproxy_tls::authority::Authority;
use harproxy_tls::bundle::TrustedRoots;

/// The properties of a run that CMD's environment depends on.
pub struct About<'a> {
    pub mode: RunMode,
    /// The task of a run without CMD: `recording https://api.example.com/** into hars/api.har`.
    pub task: String,
    /// Returns true if a URL in scope could have this host.
    pub may_match: Box<dyn Fn(&str) -> bool + 'a>,
    /// Returns true if a URL of this origin could be in scope.
    pub may_match_origin: Box<dyn Fn(&str) -> bool + 'a>,
    /// The hosts that the scope and the entries name.
    pub hosts: ScopeHosts,
    /// The time of the recording (RFC 3339), in a replay.
    pub recorded_at: Option<String>,
    /// The severity of a connection past the proxy.
    pub bypass_severity: Severity,
    /// The admin API of `serve`.
    pub admin: Option<AdminReady>,
}

/// The end of CMD, or of a run without CMD.
pub enum End {
    /// There was no CMD, and a signal ended the run.
    NoCmd,
    /// CMD ended with this status, or with 128 + signal if it was killed.
    Cmd(u8),
    NotStarted(Failure),
    /// A second signal ended the run before its remaining work was done. Contains the exit status.
    Cut(u8),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Cut { status, .. } => End::Cut(status),
            failure => End::NotStarted(failure),
        }
    }
}

impl End {
    /// Returns the status of CMD if it is not 0.
    pub fn failed_status(&self) -> Option<u8> {
        match self {
            End::Cmd(status) if !self.is_clean() => Some(*status),
            _ => None,
        }
    }

    /// Returns true if a recording can be written to its fixture.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self, End::NoCmd | End::Cmd(exit::SUCCESS))
    }
}

/// A run in progress, or one that has just ended. It listens to signals.
pub struct Run<'a> {
    plan: &'a RunPlan,
    ui: &'a Ui,
    signals: Signals,
    started: OffsetDateTime,
    pub bus: EventBus,
    /// `None` without reports.
    log: Option<Arc<RequestLog>>,
    /// The observations of CMD, after its end.
    evidence: Option<Evidence>,
    /// Connections of CMD that its isolated network refused.
    refusals: Vec<RefusedAttempt>,
    /// The live list. `None` if it is off.
    live: Option<Live>,
    /// The recorder of this run. If the run is interrupted, its recording is left for `harproxy recover`.
    pub recorder: Option<Arc<Recorder>>,
    /// Whether work after the run, such as pruning, failed. The exit status is then not success.
    pub has_failed: bool,
    /// The redaction of logs and reports.
    view: Arc<RedactionView>,
    roots: TrustedRoots,
}

impl<'a> Run<'a> {
    /// Starts to listen to signals, and loads the roots that clients trust beside the CA.
    pub fn new(plan: &'a RunPlan, ui: &'a Ui) -> Result<Self, Failure> {
        let signals = Signals::listen().map_err(|source| Failure::System { doing: "listening to signals", source })?;
        let live = Live::start(ui.live_format(!plan.cmd.is_empty()));
        let live = live.map_err(|source| Failure::System { doing: "starting a thread", source })?;
        let log = (!plan.options.report.is_empty()).then(|| Arc::new(RequestLog::default()));
        let mut subscribers: Vec<Arc<dyn Subscriber>> = vec![Arc::new(AccessLog)];
        subscribers.extend(log.clone().map(|log| log as Arc<dyn Subscriber>));
        subscribers.extend(live.clone().map(|live| Arc::new(live) as Arc<dyn Subscriber>));
        let (bus, started) = (EventBus::new(subscribers), OffsetDateTime::now_utc());
        let (roots, view) = (roots::load(ui), Arc::new(RedactionView::new(plan.policy.clone(), &[])));
        Ok(Run {
            plan,
            ui,
            signals,
            started,
            bus,
            log,
            evidence: None,
            refusals: Vec::new(),
            live,
            recorder: None,
            has_failed: false,
            view,
            roots,
        })
    }

    /// Redacts the log and the reports with this view. A log line is redacted with the values known when it is written.
    pub fn redact_with(&mut self, view: Arc<RedactionView>) {
        logging::redact_with(view.clone());
        self.view = view;
    }

    /// Shows findings as they come, if there is a live list or a log of events.
    #[must_use]
    pub fn finding_listener(&self) -> Option<FindingListener> {
        self.live.as_ref().map(Live::finding_listener)
    }

    /// Flushes the live list, so that its output precedes the following messages.
    fn catch_up(&self) {
        if let Some(live) = &self.live {
            live.flush();
        }
    }

    /// Serves `handler` from the first open port to the last closed connection.
    pub async fn serve(
        &mut self,
        handler: Arc<dyn Handler>,
        authority: Arc<Authority>,
        about: &About<'_>,
    ) -> Result<End, Failure> {
        if self.plan.cmd.is_empty() {
            process::raise_open_files();
        }
        // With `--twice`, only the first run is diagnosed.
        let is_watched = !self.plan.cmd.is_empty() && self.evidence.is_none();
        let remembers_closed = about.hosts.has_known_address() || !self.plan.map.is_empty();
        let watch = is_watched.then(|| ProcessWatch::begin(remembers_closed));
        let proxy = Proxy::bind(self.plan.proxy_plan(authority.clone())).await?;
        let mut avoided = BTreeSet::new();
        for upstream in handler.upstreams() {
            avoided.extend(upstream.avoid(&proxy.addrs())?);
        }
        for url in avoided {
            let text = format!(
                "the proxy in the environment (HTTP_PROXY, HTTPS_PROXY or ALL_PROXY), {url}, is this harproxy itself: it connects directly"
            );
            self.ui.warn(Event::Warning, &text);
        }
        let folder = RunFolder::create(self.roots.with(authority.cert_pem())?)?;
        let credentials = self.plan.proxy.listen.auth.as_ref().map(|auth| (auth.user.clone(), auth.password.clone()));
        let address = ProxyAddress::local(proxy.addr(), credentials);
        let (urls, ours) = (proxy.urls(), proxy.addrs());
        let ready = Ready {
            proxy: ProxyAddress { credentials: None, ..address.clone() }.to_string(),
            ca: authority.cert_path().to_string_lossy().into_owned(),
            bundle: folder.bundle().to_string_lossy().into_owned(),
            pid: std::process::id(),
            urls: urls.iter().map(|(name, url)| (name.clone(), Value::from(url.clone()))).collect(),
            admin: about.admin.clone(),
        };
        // The proxy listens, but serves no request yet if this fails.
        if let Some(path) = &self.plan.options.ready_file {
            ready.write(path)?;
        }
        let proxy_addr = proxy.addr();
        let running = proxy.serve(handler);
        let end = if !self.plan.cmd.is_empty() {
            let inside = match &self.plan.isolation {
                Some(isolation) => Some(isolation.open(&*about.may_match).await?),
                None => None,
            };
            let control = self.open_control(&folder);
            let facts = Facts {
                proxy: &address,
                ca: &authority.cert_path(),
                spki_pin: authority.spki_pin(),
                files: &folder.for_cmd()?,
                bypass: &self.plan.proxy.listen.bypass,
                may_match: &*about.may_match,
                urls: &urls,
                mode: about.mode.clone(),
                recorded_at: about.recorded_at.as_deref(),
                control: control.as_ref().map(ControlSocket::path),
            };
            let control = control.as_ref().map(|control| control.serve(self.bus.sessions.clone()));
            let servers = Box::pin(async move {
                tokio::join!(OptionFuture::from(inside), OptionFuture::from(control));
                std::future::pending().await
            });
            self.run_cmd(&facts, watch, servers, &ours, about).await
        } else {
            ready.announce(self.plan, proxy_addr, &about.task, self.ui).map_err(Failure::Output)?;
            let signal = self.signals.next().await;
            tracing::info!(?signal, "ending");
            End::NoCmd
        };
        if matches!(end, End::Cut(_)) {
            return Ok(end);
        }
        let grace = self.plan.options.grace;
        if let Err(cut) = self.unless_interrupted(running.drain(grace)).await {
            return Ok(cut.into());
        }
        self.catch_up();
        Ok(end)
    }

    /// Opens the control socket. Without it, clients have sessions by their user names alone.
    fn open_control(&self, folder: &RunFolder) -> Option<ControlSocket> {
        let user = self.plan.proxy.listen.auth.as_ref().map(|auth| auth.user.clone());
        let opened = ControlSocket::open(folder.path(), user);
        opened.inspect_err(|error| tracing::warn!(%error, "there is no control socket")).ok()
    }

    async fn run_cmd(
        &mut self,
        facts: &Facts<'_>,
        watch: Option<ProcessWatch>,
        servers: LocalBoxFuture<'_, Infallible>,
        ours: &[SocketAddr],
        about: &About<'_>,
    ) -> End {
        let Some((program, args)) = self.plan.cmd.split_first() else { return End::NoCmd };
        let env = env::changes(facts, &env::own());
        let no_proxy =
            env.iter().find(|change| change.variable == "NO_PROXY").map(|change| change.value.to_string_lossy());
        let no_proxy = no_proxy.map_or_else(Vec::new, |value| no_proxy_entries(&value));
        let is_set = |name: &str| std::env::var_os(name).is_some() || env.iter().any(|change| change.variable == name);
        let unset_url = unset_url(&self.plan.cmd, is_set);
        let is_watched = watch.is_some();
        let watch_plan = WatchPlan { proxy: facts.proxy.to_string(), own_addresses: ours.to_vec() };
        let quiet_output = self.plan.quiet_output;
        let plan = CommandPlan { program: program.clone(), args: args.to_vec(), env, watch: watch_plan, quiet_output };
        let running = crate::child::run(&plan, watch, &mut self.signals);
        let ended = tokio::select! {
            ended = running => ended,
            never = servers => match never {},
        };
        if let Some(isolation) = &self.plan.isolation {
            self.refusals = isolation.refusals();
        }
        let ended = match ended {
            // harproxy killed CMD because of this signal, which determines the exit status.
            Ok(Ended { at_once: Some(signal), .. }) => return End::Cut(signal.exit_code()),
            Ok(ended) => ended,
            Err(error) => return End::NotStarted(error.into()),
        };
        if is_watched {
            let rules = BypassRules {
                may_match_origin: &*about.may_match_origin,
                hosts: &about.hosts,
                no_proxy: &no_proxy,
                map: &self.plan.map,
            };
            let evidence = observation::collect(&self.plan.cmd, self.command(), &ended.processes, rules).await;
            // The network refused these connections, and reports them itself.
            let bypasses = if self.plan.isolation.is_some() { Bypasses::default() } else { evidence.bypasses.clone() };
            self.evidence = Some(Evidence { unset_url, bypasses, severity: Some(about.bypass_severity), ..evidence });
        }
        End::Cmd(ended.status)
    }

    /// Returns the observations of CMD, which are empty before its end.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        self.evidence.clone().unwrap_or_default()
    }

    /// Runs the last work of a run on another thread. `doing` describes the work.
    /// Fails with [`Failure::Cut`] if a signal arrives, and with the errors of the work.
    pub async fn run_last_work<T: Send + 'static, E: Into<Failure> + Send + 'static>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, Failure> {
        let done = self.unless_interrupted(spawn_blocking(work)).await?;
        done.map_err(|panic| Failure::System { doing, source: panic.into() })?.map_err(Into::into)
    }

    /// Runs the last work of a run. Fails with [`Failure::Cut`] if a signal interrupts it.
    pub async fn unless_interrupted<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            done = work => Ok(done),
            signal = self.signals.next() => Err(Failure::cut(signal.exit_code())),
        }
    }
}
