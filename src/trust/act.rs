//! Changes stores by running their commands. Conditions are checked first, so that a store is changed completely or not at all.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::process::{Command, Stdio};

use super::ca::Ca;
use super::found::{Found, State};
use super::look::LookError;
use super::machine::{Rights, search_path};
use super::recipe::Step;
use super::store::{Get, Obstacle, Right, Store};

/// Result of a command.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Whether it succeeded.
    pub ok: bool,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Said {
    /// The last line that is not empty, of standard error if there is one.
    #[must_use]
    pub fn last_line(&self) -> String {
        let line = |text: &str| text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned);
        line(&self.err).or_else(|| line(&self.out)).unwrap_or_else(|| "nothing".into())
    }
}

/// Runs commands.
pub trait Hands {
    /// Runs a command to its end, without standard input.
    ///
    /// # Errors
    /// When the command can't be started.
    fn run(&mut self, words: &[OsString]) -> io::Result<Said>;
}

/// Runs commands on this machine, with English messages and the folders of administration programs in PATH.
#[derive(Debug)]
pub struct Here {
    path: OsString,
}

impl Here {
    /// Creates a runner for a process with these variables.
    #[must_use]
    pub fn new(env: &BTreeMap<String, OsString>) -> Self {
        let path = env.get("PATH");
        let joined = std::env::join_paths(search_path(path)).ok();
        Here { path: joined.or_else(|| path.cloned()).unwrap_or_default() }
    }
}

impl Hands for Here {
    fn run(&mut self, words: &[OsString]) -> io::Result<Said> {
        let Some((program, args)) = words.split_first() else { return Ok(Said::default()) };
        tracing::debug!(?words, "running");
        let mut command = Command::new(program);
        command.args(args).env("PATH", &self.path).env("LC_ALL", "C").stdin(Stdio::null());
        let output = command.output()?;
        Ok(Said {
            ok: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// Result of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The store needed no change.
    Already,
    /// These commands changed the store.
    Now(Vec<Step>),
}

/// Error of a change.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The store can't be listed.
    #[error(transparent)]
    Look(#[from] LookError),
    /// A program is missing.
    #[error("`{tool}` is not there")]
    Missing {
        /// Its name.
        tool: &'static str,
        /// How to install it.
        get: Get,
    },
    /// The system has no commands for it.
    #[error("no command does it here")]
    ByHand(String),
    /// The change needs root. No command was run.
    #[error("it takes root, and nothing was changed")]
    NotAllowed(Vec<Step>),
    /// The store needs a password. No command was run.
    #[error("a primary password guards it, and nothing was changed")]
    Guarded(Vec<Step>),
    /// A command can't be started.
    #[error("running `{program}`")]
    Start {
        /// Its name.
        program: String,
        /// The reason.
        source: io::Error,
        /// This command and the following ones.
        left: Vec<Step>,
    },
    /// A command failed.
    #[error("`{program}` failed: {said}")]
    Failed {
        /// Its name.
        program: String,
        /// Its last line.
        said: String,
        /// This command and the following ones.
        left: Vec<Step>,
    },
    /// All commands succeeded, and the store is unchanged.
    #[error("the commands succeeded, and the store {}", if *.trusted { "still trusts the CA" } else { "does not trust the CA" })]
    NoEffect {
        /// The intended change.
        trusted: bool,
    },
}

/// Changes stores.
pub struct Actor<'a> {
    ca: &'a Ca,
    rights: Rights,
    hands: &'a mut dyn Hands,
    /// Called with each command before it runs.
    tell: &'a mut dyn FnMut(&[OsString]),
    /// Whether sudo works without a password; `None` before the first try.
    sudo: Option<bool>,
}

impl<'a> Actor<'a> {
    /// Creates an instance for this CA and these rights.
    pub fn new(ca: &'a Ca, rights: Rights, hands: &'a mut dyn Hands, tell: &'a mut dyn FnMut(&[OsString])) -> Self {
        Actor { ca, rights, hands, tell, sudo: None }
    }

    /// Adds the CA to a store.
    ///
    /// # Errors
    /// When the store does not have the CA afterwards.
    pub fn install(&mut self, store: &Store) -> Result<Done, ActError> {
        let found = self.changeable(store, |found| found.state() == State::Trusted)?;
        let Some(found) = found else { return Ok(Done::Already) };
        let done = self.run(store.install(), &found)?;
        match store.look(self.ca, self.hands)?.trusted {
            true => Ok(done),
            false => Err(ActError::NoEffect { trusted: false }),
        }
    }

    /// Removes the CA from a store.
    ///
    /// # Errors
    /// When the store still has the CA afterwards.
    pub fn uninstall(&mut self, store: &Store) -> Result<Done, ActError> {
        let found = self.changeable(store, |found| found.state() == State::Absent)?;
        let Some(found) = found else { return Ok(Done::Already) };
        let done = self.run(store.remove(&found.own), &found)?;
        match store.look(self.ca, self.hands)?.state() {
            State::Absent => Ok(done),
            state => Err(ActError::NoEffect { trusted: state == State::Trusted }),
        }
    }

    /// Returns the entries of the store if it needs a change and can be changed.
    fn changeable(&mut self, store: &Store, is_so: impl Fn(&Found) -> bool) -> Result<Option<Found>, ActError> {
        let found = match (store.look(self.ca, self.hands), &store.obstacle) {
            (Ok(found), _) if is_so(&found) => return Ok(None),
            (_, Some(Obstacle::Missing { tool, get })) => {
                return Err(ActError::Missing { tool, get: *get });
            }
            (_, Some(Obstacle::ByHand(what))) => return Err(ActError::ByHand(what.clone())),
            (found, None) => found?,
        };
        Ok(Some(found))
    }

    fn run(&mut self, steps: Vec<Step>, found: &Found) -> Result<Done, ActError> {
        if found.guarded {
            return Err(ActError::Guarded(steps));
        }
        if steps.iter().any(|step| step.right == Right::Administrator) && !self.may_administrate() {
            return Err(ActError::NotAllowed(steps));
        }
        for (n, step) in steps.iter().enumerate() {
            let words = self.words(step);
            (self.tell)(&words);
            let program = || step.words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
            let left = || steps[n..].to_vec();
            match self.hands.run(&words) {
                Ok(said) if said.ok => {}
                Ok(said) => return Err(ActError::Failed { program: program(), said: said.last_line(), left: left() }),
                Err(source) => return Err(ActError::Start { program: program(), source, left: left() }),
            }
        }
        Ok(Done::Now(steps))
    }

    fn may_administrate(&mut self) -> bool {
        match self.rights {
            Rights::Administrator => true,
            Rights::User => false,
            Rights::Sudo => {
                let hands = &mut *self.hands;
                *self.sudo.get_or_insert_with(|| {
                    hands.run(&["sudo", "-n", "true"].map(OsString::from)).is_ok_and(|said| said.ok)
                })
            }
        }
    }

    /// Returns the words to run, with arguments that suppress prompts.
    fn words(&self, step: &Step) -> Vec<OsString> {
        let by_sudo = step.right == Right::Administrator && self.rights == Rights::Sudo;
        let sudo: &[&str] = if by_sudo { &["sudo", "-n"] } else { &[] };
        let unattended = step.unattended.iter().map(OsString::from);
        sudo.iter().map(OsString::from).chain(step.words.iter().cloned()).chain(unattended).collect()
    }
}

impl Step {
    /// Whether the command needs root.
    #[must_use]
    pub fn takes_root(&self) -> bool {
        self.right == Right::Administrator
    }

    /// Returns the words for a user with these rights to type.
    #[must_use]
    pub fn typed(&self, rights: Rights) -> Vec<OsString> {
        let by_sudo = self.right == Right::Administrator && rights == Rights::Sudo;
        by_sudo.then(|| "sudo".into()).into_iter().chain(self.words.iter().cloned()).collect()
    }
}
