//! CMD as a process: started in harproxy's own process group, with its terminal and its streams, waited for, and told when
//! harproxy is told to end. It is always addressed by its pid, never the group: that is the caller's too.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use tokio::process::{Child, Command};

use super::env::Change;
use super::signals::{Signal, Signals};
use crate::diagnose::processes::{ProcessReport, ProcessWatch, WatchPlan};
use crate::verdict::exit;

/// What to start.
#[derive(Clone, Debug)]
pub struct CommandPlan {
    /// A path, or a name to be found in `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// What differs from harproxy's own environment.
    pub env: Vec<Change>,
    /// Its working directory, if another.
    pub cwd: Option<PathBuf>,
    /// Settings for watching its processes.
    pub watch: Option<WatchPlan>,
    /// Whether its standard output goes to harproxy's standard error.
    pub quiet_output: bool,
}

/// Why CMD can't be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such program.
    #[error("`{}` was not found", program.display())]
    NotFound {
        /// As it was given.
        program: OsString,
    },
    /// There is, but it can't be run.
    #[error("running `{}`", program.display())]
    NotExecutable {
        /// As it was given.
        program: OsString,
        /// The reason.
        source: io::Error,
    },
    /// It runs, and the operating system can't tell what became of it.
    #[error("waiting for `{}`", program.display())]
    Lost {
        /// As it was given.
        program: OsString,
        /// The reason.
        source: io::Error,
    },
}

impl SpawnError {
    /// The status that a shell would exit with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            SpawnError::NotFound { .. } => exit::NOT_FOUND,
            SpawnError::NotExecutable { .. } | SpawnError::Lost { .. } => exit::NOT_EXECUTABLE,
        }
    }
}

/// How CMD ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildStatus {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl ChildStatus {
    /// Whether it exited with 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == ChildStatus::Exited(0)
    }

    /// As a shell has it in `$?`: the status, or 128 + signal. A status beyond 255 (Windows) is 1.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            ChildStatus::Exited(code) => u8::try_from(code).unwrap_or(1),
            ChildStatus::Killed(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }

    fn of(status: ExitStatus) -> Self {
        #[cfg(unix)]
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
            return ChildStatus::Killed(signal);
        }
        ChildStatus::Exited(status.code().unwrap_or(1))
    }
}

impl fmt::Display for ChildStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChildStatus::Exited(code) => write!(f, "exit status {code}"),
            ChildStatus::Killed(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// CMD's end, and harproxy's part in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How CMD ended.
    pub status: ChildStatus,
    /// The signal that asked harproxy to end, and that CMD got from it. A Ctrl-C that CMD got by itself is CMD's business.
    pub stopped_by: Option<Signal>,
    /// The second one: whatever is left to do is to be left.
    pub at_once: Option<Signal>,
    /// Report on its processes.
    pub processes: ProcessReport,
}

/// Starts CMD and waits until it has ended; processes that it left are let live.
///
/// In the foreground of a terminal Ctrl-C reaches CMD by itself. It is not sent again, and harproxy waits for what CMD makes
/// of it, however often: to an interpreter or a shell it means "stop this line". Every other signal is passed on, and a
/// second one kills CMD.
///
/// # Errors
/// When CMD can't be started.
pub async fn run(plan: &CommandPlan, signals: &mut Signals) -> Result<Ended, SpawnError> {
    let mut child = spawn(plan)?;
    let watch = plan.watch.clone().and_then(|watch| Some(ProcessWatch::start(child.id()?, watch)));
    let (mut stopped_by, mut at_once) = (None, None);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            signal = signals.next() => match stopped_by {
                _ if signals.reaches_cmd(signal) => {}
                None => {
                    tracing::debug!(?signal, "passed on to CMD");
                    stopped_by = Some(signal);
                    os::pass_on(&mut child, signal);
                }
                Some(_) => {
                    at_once = Some(signal);
                    let _ = child.start_kill();
                }
            },
        }
    };
    let status = status.map_err(|source| SpawnError::Lost { program: plan.program.clone(), source })?;
    let status = ChildStatus::of(status);
    signals.cmd_ended(status.exit_code());
    let processes = watch.map(ProcessWatch::finish).unwrap_or_default();
    Ok(Ended { status, stopped_by, at_once, processes })
}

fn spawn(plan: &CommandPlan) -> Result<Child, SpawnError> {
    let program = &plan.program;
    let start = |program: &OsStr, first: Option<&OsStr>| {
        let mut command = Command::new(program);
        command.args(first).args(&plan.args).envs(plan.env.iter().map(|change| (&change.variable, &change.value)));
        if plan.quiet_output {
            command.stdout(io::stderr());
        }
        if let Some(cwd) = &plan.cwd {
            command.current_dir(cwd);
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
    use std::path::Path;

    use nix::errno::Errno;
    use nix::sys::signal::{Signal as Number, kill};
    use nix::unistd::Pid;

    use super::{Child, OsStr, OsString, PathBuf, Signal, io};

    /// CMD that has ended meanwhile has no pid any more, and none is taken for it.
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

    /// A script without `#!` is for sh to run, as every shell does.
    pub(super) fn second_try(program: &OsStr, error: &io::Error) -> Option<(OsString, Option<OsString>)> {
        let script = error.raw_os_error() == Some(Errno::ENOEXEC as i32);
        let found = script.then(|| found(program)).flatten()?;
        Some(("/bin/sh".into(), Some(found.into())))
    }

    /// A name that no folder of `PATH` holds is missing, even where a folder could not be looked into; a script whose
    /// interpreter is missing is there itself.
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
    use super::{Child, OsStr, OsString, Signal, io};

    /// There is nothing gentler: the console tells CMD itself what it tells us.
    pub(super) fn pass_on(child: &mut Child, signal: Signal) {
        if signal != Signal::Interrupt {
            let _ = child.start_kill();
        }
    }

    /// `npm` is `npm.cmd`; only `.exe` is looked for by itself.
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
