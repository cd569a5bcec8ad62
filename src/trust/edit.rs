//! The commands that list and change trust stores, and their execution. [`StoreEditor`] checks conditions first, so that
//! a store is changed completely or not at all.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::list::{ListError, TrustState};
use super::store::{Installation, Obstacle, Store};

/// Folders of administration programs, which may be missing from a user's PATH.
const ADMINISTRATION_FOLDERS: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreCommand {
    pub words: Vec<OsString>,
    pub needs_root: bool,
    /// Additional arguments that suppress prompts. They are not shown to users, who can answer prompts.
    pub(super) unattended: &'static [&'static str],
}

impl StoreCommand {
    /// Returns the words for a user with these rights to type.
    pub fn typed(&self, rights: Rights) -> Vec<OsString> {
        let by_sudo = self.needs_root && rights == Rights::Sudo;
        by_sudo.then(|| "sudo".into()).into_iter().chain(self.words.iter().cloned()).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    Administrator,
    /// `sudo` exists; it may refuse the user.
    Sudo,
    /// No rights beyond the user's own.
    User,
}

#[derive(Clone, Debug, Default)]
pub struct CommandOutput {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("running `{program}`")]
    Start { program: String, source: io::Error },
    #[error("`{program}` failed: {said}")]
    Failed { program: String, said: String },
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

/// Runs a command, which may fail. `words` may start with `sudo`; errors name the program.
pub(super) fn run(runner: &mut dyn CommandRunner, words: &[OsString]) -> Result<CommandOutput, CommandError> {
    runner.run(words).map_err(|source| CommandError::Start { program: program(words), source })
}

/// Runs a command. Its failure is an error with the last line of its output.
pub(super) fn run_checked(runner: &mut dyn CommandRunner, words: &[OsString]) -> Result<CommandOutput, CommandError> {
    let output = run(runner, words)?;
    if output.ok {
        return Ok(output);
    }
    let last_line = |text: &str| text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned);
    let said = last_line(&output.err).or_else(|| last_line(&output.out)).unwrap_or_else(|| "nothing".into());
    Err(CommandError::Failed { program: program(words), said })
}

fn program(words: &[OsString]) -> String {
    let program = words.iter().find(|word| *word != "sudo" && *word != "-n");
    program.map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Returns the absolute folders of PATH, then those of administration programs.
pub(super) fn search_path(path: Option<&OsString>) -> Vec<PathBuf> {
    let own = path.into_iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute());
    own.chain(ADMINISTRATION_FOLDERS.iter().map(PathBuf::from)).collect()
}

#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error(transparent)]
    Listing(#[from] ListError),
    #[error("`{tool}` is not installed")]
    Missing { tool: &'static str, get: Installation },
    #[error("harproxy has no command for it on this system")]
    ByHand(String),
    /// The change needs root. No command was run.
    #[error("root is required; nothing was changed")]
    NotAllowed(Vec<StoreCommand>),
    /// The store needs a password. No command was run.
    #[error("a primary password protects it; nothing was changed")]
    Guarded(Vec<StoreCommand>),
    #[error("{source}")]
    Command {
        source: CommandError,
        /// This command and the following ones.
        left: Vec<StoreCommand>,
    },
    #[error("the commands succeeded, and the store {}", if *.trusted { "still trusts the CA" } else { "does not trust the CA" })]
    NoEffect {
        /// The intended change.
        trusted: bool,
    },
}

pub struct StoreEditor<'a> {
    pub rights: Rights,
    pub runner: &'a mut dyn CommandRunner,
    /// Called with each command before it runs.
    pub tell: &'a mut dyn FnMut(&[OsString]),
}

impl StoreEditor<'_> {
    /// Adds the CA to a store, or removes it. Returns the commands that were run; none if the store needed no change.
    /// Fails if the store is not in the wanted state afterwards.
    pub fn change(&mut self, store: &Store, wanted: TrustState) -> Result<Vec<StoreCommand>, ChangeError> {
        let found = match (store.list(self.runner), &store.obstacle) {
            (Ok(found), _) if found.state() == wanted => return Ok(Vec::new()),
            (_, Some(Obstacle::Missing { tool, get })) => return Err(ChangeError::Missing { tool, get: *get }),
            (_, Some(Obstacle::ByHand(what))) => return Err(ChangeError::ByHand(what.clone())),
            (found, None) => found?,
        };
        let commands = if wanted == TrustState::Trusted { store.install() } else { store.remove(&found.own) };
        if found.guarded {
            return Err(ChangeError::Guarded(commands));
        }
        if commands.iter().any(|command| command.needs_root) && !self.can_administrate() {
            return Err(ChangeError::NotAllowed(commands));
        }
        for (n, command) in commands.iter().enumerate() {
            let words = self.words(command);
            (self.tell)(&words);
            run_checked(self.runner, &words)
                .map_err(|source| ChangeError::Command { source, left: commands[n..].to_vec() })?;
        }
        match store.list(self.runner)?.state() {
            state if state == wanted => Ok(commands),
            state => Err(ChangeError::NoEffect { trusted: state == TrustState::Trusted }),
        }
    }

    fn can_administrate(&mut self) -> bool {
        match self.rights {
            Rights::Administrator => true,
            Rights::User => false,
            Rights::Sudo => self.runner.run(&["sudo", "-n", "true"].map(OsString::from)).is_ok_and(|output| output.ok),
        }
    }

    /// Returns the words to run, with arguments that suppress prompts.
    fn words(&self, command: &StoreCommand) -> Vec<OsString> {
        let by_sudo = command.needs_root && self.rights == Rights::Sudo;
        let sudo: &[&str] = if by_sudo { &["sudo", "-n"] } else { &[] };
        let unattended = command.unattended.iter().map(OsString::from);
        sudo.iter().map(OsString::from).chain(command.words.iter().cloned()).chain(unattended).collect()
    }
}
