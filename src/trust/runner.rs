//! Runs the commands of trust stores.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Folders of administration programs, which may be missing from a user's PATH.
const ADMINISTRATION_FOLDERS: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

#[derive(Clone, Debug, Default)]
pub struct CommandOutput {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

impl CommandOutput {
    /// The last line that is not empty, of standard error if there is one.
    #[must_use]
    pub fn last_line(&self) -> String {
        let line = |text: &str| text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned);
        line(&self.err).or_else(|| line(&self.out)).unwrap_or_else(|| "nothing".into())
    }
}

pub trait CommandRunner {
    /// Runs a command to its end, without standard input.
    fn run(&mut self, words: &[OsString]) -> io::Result<CommandOutput>;
}

/// Runs commands on this machine, with English messages and the folders of administration programs in PATH.
#[derive(Debug)]
pub struct LocalRunner {
    path: OsString,
}

impl LocalRunner {
    /// Creates a runner for a process with these variables.
    #[must_use]
    pub fn new(env: &BTreeMap<String, OsString>) -> Self {
        let path = env.get("PATH");
        let joined = std::env::join_paths(search_path(path)).ok();
        LocalRunner { path: joined.or_else(|| path.cloned()).unwrap_or_default() }
    }
}

impl CommandRunner for LocalRunner {
    fn run(&mut self, words: &[OsString]) -> io::Result<CommandOutput> {
        let Some((program, args)) = words.split_first() else { return Ok(CommandOutput::default()) };
        tracing::debug!(?words, "running");
        let mut command = Command::new(program);
        command.args(args).env("PATH", &self.path).env("LC_ALL", "C").stdin(Stdio::null());
        let output = command.output()?;
        Ok(CommandOutput {
            ok: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// Returns the absolute folders of PATH, then those of administration programs.
pub(super) fn search_path(path: Option<&OsString>) -> Vec<PathBuf> {
    let own = path.into_iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute());
    own.chain(ADMINISTRATION_FOLDERS.iter().map(PathBuf::from)).collect()
}
