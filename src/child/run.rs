//! Runs CMD in harproxy's process group, with its terminal and streams, and forwards signals to it. Signals are sent to
//! CMD's pid, not to the group, because the group includes harproxy's caller.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::ExitStatus;

use tokio::process::{Child, Command};

use super::env::VariableChange;
use super::signals::{Signal, Signals};
use crate::diagnose::processes::{ProcessReport, ProcessWatch, WatchPlan};
use crate::verdict::exit;
use harproxy_support::printable::Shown as _;

#[derive(Clone, Debug)]
pub struct CommandPlan {
    /// A path, or a name to look up in `PATH`.
    pub program: OsString,
    pub args: Vec<OsString>,
    /// Variables to set in addition to harproxy's own environment.
    pub env: Vec<VariableChange>,
    /// Settings for watching CMD's processes.
    pub watch: WatchPlan,
    /// Redirects CMD's standard output to harproxy's standard error.
    pub quiet_output: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("`{}` was not found", program.shown())]
    NotFound { program: OsString },
    #[error("running `{}`", program.shown())]
    NotExecutable { program: OsString, source: io::Error },
    #[error("waiting for `{}`", program.shown())]
    Lost { program: OsString, source: io::Error },
}

impl SpawnError {
    /// Returns the exit status that a shell would use.
    pub fn exit_code(&self) -> u8 {
        match self {
            SpawnError::NotFound { .. } => exit::NOT_FOUND,
            SpawnError::NotExecutable { .. } | SpawnError::Lost { .. } => exit::NOT_EXECUTABLE,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The status as a shell reports it in `$?`: the status, or 128 + signal. A status over 255 (Windows) becomes 1.
    pub status: u8,
    /// The second signal that harproxy received: the caller must skip its remaining work. A Ctrl-C that the terminal
    /// delivered to CMD directly does not count.
    pub at_once: Option<Signal>,
    pub processes: ProcessReport,
}

/// Starts CMD and waits for it to exit. Processes that CMD leaves behind keep running.
///
/// In the foreground of a terminal, Ctrl-C reaches CMD directly. harproxy does not forward it and keeps waiting,
/// because interpreters and shells use Ctrl-C to cancel a line. The first other signal is forwarded to CMD; a second
/// one kills CMD.
///
/// `watch` observes its processes. CMD starts when the watch is ready, so that CMD's first connections are observed.
pub async fn run(plan: &CommandPlan, watch: Option<ProcessWatch>, signals: &mut Signals) -> Result<Ended, SpawnError> {
    if let Some(watch) = &watch {
        watch.wait_until_ready();
    }
    let mut child = spawn(plan)?;
    if let (Some(watch), Some(pid)) = (&watch, child.id()) {
        watch.follow(pid, plan.watch.clone());
    }
    let (mut is_stopping, mut at_once) = (false, None);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            signal = signals.next() => {
                if signals.reaches_cmd(signal) {
                    continue;
                }
                if is_stopping {
                    at_once = Some(signal);
                    let _ = child.start_kill();
                } else {
                    tracing::debug!(?signal, "passed on to CMD");
                    is_stopping = true;
                    os::pass_on(&mut child, signal);
                }
            }
        }
    };
    let status = status.map_err(|source| SpawnError::Lost { program: plan.program.clone(), source })?;
    let status = os::shell_status(status);
    signals.cmd_ended(status);
    let processes = watch.map(ProcessWatch::finish).unwrap_or_default();
    Ok(Ended { status, at_once, processes })
}

fn spawn(plan: &CommandPlan) -> Result<Child, SpawnError> {
    let program = &plan.program;
    let start = |program: &OsStr, first: Option<&OsStr>| {
        let mut command = Command::new(program);
        command.args(first).args(&plan.args).envs(plan.env.iter().map(|change| (&change.variable, &change.value)));
        if plan.quiet_output {
            command.stdout(io::stderr());
        }
        command.spawn()
    };
    let error = match start(program, None) {
        Ok(child) => return Ok(child),
        Err(error) => error,
    };
    match os::second_try(program, &error).map(|(program, first)| start(&program, first.as_deref())) {
        Some(Ok(child)) => Ok(child),
        _ if os::is_missing(program, &error) => Err(SpawnError::NotFound { program: program.clone() }),
        _ => Err(SpawnError::NotExecutable { program: program.clone(), source: error }),
    }
}

#[cfg(unix)]
mod os {
    use std::os::unix::process::ExitStatusExt as _;
    use std::path::{Path, PathBuf};

    use nix::errno::Errno;
    use nix::sys::signal::{Signal as Number, kill};
    use nix::unistd::Pid;

    use super::{Child, ExitStatus, OsStr, OsString, Signal, io};

    pub(super) fn shell_status(status: ExitStatus) -> u8 {
        let code = status.code().or_else(|| Some(128 + status.signal()?));
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
    }

    /// Sends the signal to CMD. `Child::id` is `None` once CMD was reaped, so a reused pid is never signalled.
    pub(super) fn pass_on(child: &mut Child, signal: Signal) {
        let number = match signal {
            Signal::Interrupt => Number::SIGINT,
            Signal::Terminate => Number::SIGTERM,
            Signal::Hangup => Number::SIGHUP,
        };
        if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = kill(Pid::from_raw(pid), number);
        }
    }

    /// Returns `/bin/sh` and the script's path for a script without `#!` (`ENOEXEC`), as shells do.
    pub(super) fn second_try(program: &OsStr, error: &io::Error) -> Option<(OsString, Option<OsString>)> {
        let script = error.raw_os_error() == Some(Errno::ENOEXEC as i32);
        let found = script.then(|| found(program)).flatten()?;
        Some(("/bin/sh".into(), Some(found.into())))
    }

    /// Returns true if the program does not exist in `PATH` or at its path. The error is not used: it also occurs for
    /// an unreadable `PATH` folder or a missing script interpreter.
    pub(super) fn is_missing(program: &OsStr, _error: &io::Error) -> bool {
        found(program).is_none()
    }

    fn found(program: &OsStr) -> Option<PathBuf> {
        if program.is_empty() {
            return None;
        }
        if Path::new(program).components().count() > 1 || program.as_encoded_bytes().contains(&b'/') {
            return Some(PathBuf::from(program)).filter(|path| path.exists());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
    }
}

#[cfg(windows)]
mod os {
    use super::{Child, ExitStatus, OsStr, OsString, Signal, io};

    pub(super) fn shell_status(status: ExitStatus) -> u8 {
        status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
    }

    /// Kills CMD, except on Ctrl-C, which the console delivers to CMD itself. Windows has no gentler signal.
    pub(super) fn pass_on(child: &mut Child, signal: Signal) {
        if signal != Signal::Interrupt {
            let _ = child.start_kill();
        }
    }

    /// Returns the program with `.cmd` appended (`npm.cmd`), because Windows itself only tries `.exe`.
    pub(super) fn second_try(program: &OsStr, error: &io::Error) -> Option<(OsString, Option<OsString>)> {
        (error.kind() == io::ErrorKind::NotFound).then(|| {
            let mut script = program.to_owned();
            script.push(".cmd");
            (script, None)
        })
    }

    pub(super) fn is_missing(_program: &OsStr, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::NotFound
    }
}

#[cfg(unix)]
#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
