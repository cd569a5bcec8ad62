//! The run around a recording or a replay: open the ports, say so, run CMD or wait for a signal, and come to an end. What
//! passes in between is the handler's.

use std::ffi::OsString;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::advice::Failure;
use super::plan::RunPlan;
use super::ready::Ready;
use super::ui::Ui;
use super::{files, process};
use crate::child::env::{self, Environment, Facts, Mode, ProxyAddress};
use crate::child::{CommandPlan, RunFolder, Signal, Signals};
use crate::proxy::{Handler, Proxy};
use crate::tls::authority::Authority;
use crate::tls::bundle::Bundle;
use crate::verdict::report::{json, text};
use crate::verdict::{Source, Verdict, exit, exit_status};

/// What a run is about, as far as CMD is told.
pub struct About<'a> {
    /// Record or replay.
    pub mode: Mode,
    /// Whether some URL in scope could have this host.
    pub may_match: &'a dyn Fn(&str) -> bool,
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
}

impl<'a> Run<'a> {
    /// Begins to listen to signals.
    ///
    /// # Errors
    /// When the operating system does not let us.
    pub fn new(plan: &'a RunPlan, ui: &'a Ui) -> Result<Self, Failure> {
        let signals = Signals::listen().map_err(|source| Failure::System { doing: "listening to signals", source })?;
        Ok(Run { plan, ui, signals })
    }

    /// Serves `handler` from the first open port to the last closed connection.
    ///
    /// # Errors
    /// When it can't start, or is interrupted while it ends.
    pub async fn serve<H: Handler>(
        &mut self,
        handler: Arc<H>,
        authority: Arc<Authority>,
        about: &About<'_>,
    ) -> Result<End, Failure> {
        if self.plan.cmd.is_empty() {
            process::raise_open_files();
        }
        let proxy = Proxy::bind(self.plan.proxy(authority.clone())).await?;
        let folder = RunFolder::create(bundle(&authority, self.ui)?)?;
        let credentials = self.plan.auth.as_ref().map(|auth| (auth.user.clone(), auth.password.clone()));
        let address = ProxyAddress::local(proxy.addr(), credentials);
        let urls = proxy.urls();
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
            self.cmd(program, args, &facts).await?
        } else {
            self.ui.data(&ready.line(self.ui.format)).map_err(Failure::Output)?;
            let signal = self.signals.next().await;
            tracing::info!(?signal, "ending");
            End::NoCmd
        };
        let grace = self.plan.grace;
        self.unless_interrupted(running.drain(grace)).await?;
        Ok(end)
    }

    async fn cmd(&mut self, program: &OsString, args: &[OsString], facts: &Facts<'_>) -> Result<End, Failure> {
        let env = env::changes(facts, &env::own());
        let plan = CommandPlan { program: program.clone(), args: args.to_vec(), env, cwd: None };
        match crate::child::run(&plan, &mut self.signals).await {
            Ok(ended) if ended.at_once => Err(Failure::Cut(ended.status.exit_code())),
            Ok(ended) => Ok(End::Cmd(ended.status.exit_code())),
            Err(error) => Ok(End::NotStarted(error.into())),
        }
    }

    /// Does the last work of a run. A signal that comes meanwhile means: at once.
    ///
    /// # Errors
    /// [`Failure::Cut`].
    pub async fn unless_interrupted<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            done = work => Ok(done),
            signal = self.signals.next() => Err(Failure::Cut(killed_by(signal))),
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

/// Tells the verdict, writes the reports, and settles whose the exit status is.
#[must_use]
pub fn conclude(plan: &RunPlan, end: &End, verdict: &Verdict, ui: &Ui) -> u8 {
    let (status, source) = match end {
        End::NotStarted(failure) => (failure.status(), Source::Harproxy),
        End::NoCmd => exit_status(verdict, None),
        End::Cmd(status) => exit_status(verdict, Some(*status)),
    };
    match end {
        End::NotStarted(failure) => failure.tell(ui),
        End::NoCmd | End::Cmd(_) => tell(verdict, status, source, ui),
    }
    let unwritten = plan.reports.iter().filter(|path| {
        let report = json::render(verdict, status, source);
        files::write(path, report.as_bytes()).inspect_err(|failure| failure.tell(ui)).is_err()
    });
    match (unwritten.count(), source) {
        (0, _) | (_, Source::Cmd | Source::Harproxy) => status,
        (_, Source::Verdict) => exit::BROKEN,
    }
}

/// The status of a run whose work could not be finished, which is told: CMD's own if that is not 0.
#[must_use]
pub fn unfinished(end: &End, failure: &Failure, ui: &Ui) -> u8 {
    if let End::NotStarted(cause) = end {
        cause.tell(ui);
    }
    failure.tell(ui);
    match end {
        End::Cmd(status) if *status != exit::HELD => *status,
        End::NotStarted(cause) => cause.status(),
        End::NoCmd | End::Cmd(_) => failure.status(),
    }
}

/// The verdict for a person, and with `--log-format json` the whole report beside it.
fn tell(verdict: &Verdict, status: u8, source: Source, ui: &Ui) {
    if ui.quiet && verdict.passed() {
        return;
    }
    let report: Value = serde_json::from_str(&json::render(verdict, status, source)).unwrap_or_default();
    let text = text::render(verdict, &text::Palette::colour());
    ui.say("verdict", &text, Map::from_iter([("report".to_owned(), report)]));
}

/// What clients are to trust: the user's own roots, the system's, and the CA. What the user named and can't be read is told.
///
/// # Errors
/// When the CA is not usable.
pub fn bundle(authority: &Authority, ui: &Ui) -> Result<Bundle, Failure> {
    let user: Environment = env::own();
    let bundle = Bundle::build(authority.cert_pem(), &user)?;
    for warning in &bundle.warnings {
        ui.alert("warning", &super::advice::warning(warning));
    }
    Ok(bundle)
}
