//! Changing stores: running the commands of those that need it, each all or nothing as far as that can be known before.

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

/// What a command said.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// It succeeded.
    pub ok: bool,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Said {
    /// The last line that says something, of what it complained about if it did.
    #[must_use]
    pub fn last_line(&self) -> String {
        let line = |text: &str| text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned);
        line(&self.err).or_else(|| line(&self.out)).unwrap_or_else(|| "nothing".into())
    }
}

/// What runs commands.
pub trait Hands {
    /// Runs one to its end. It can ask nobody anything.
    ///
    /// # Errors
    /// When it can't be started.
    fn run(&mut self, words: &[OsString]) -> io::Result<Said>;
}

/// Runs commands on this machine, in English, with the folders of administrators' programs in PATH.
#[derive(Debug)]
pub struct Here {
    path: OsString,
}

impl Here {
    /// For a process with these variables.
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

/// What became of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was so already.
    Already,
    /// These commands made it so.
    Now(Vec<Step>),
}

/// Why a store is not as it was to be.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// What it holds can't be found out.
    #[error(transparent)]
    Look(#[from] LookError),
    /// A program is not there.
    #[error("`{tool}` is not there")]
    Missing {
        /// Its name.
        tool: &'static str,
        /// How to get it.
        get: Get,
    },
    /// The system is not made for it.
    #[error("no command does it here")]
    ByHand(String),
    /// It takes root. Nothing was done.
    #[error("it takes root, and nothing was changed")]
    NotAllowed(Vec<Step>),
    /// It takes a password. Nothing was done.
    #[error("a primary password guards it, and nothing was changed")]
    Guarded(Vec<Step>),
    /// A command can't be started.
    #[error("running `{program}`")]
    Start {
        /// Its name.
        program: String,
        /// The reason.
        source: io::Error,
        /// It, and what was to come after it.
        left: Vec<Step>,
    },
    /// A command failed.
    #[error("`{program}` failed: {said}")]
    Failed {
        /// Its name.
        program: String,
        /// Its last line.
        said: String,
        /// It, and what was to come after it.
        left: Vec<Step>,
    },
    /// All went well, and nothing changed.
    #[error("the commands succeeded, and the store {}", if *.trusted { "still trusts the CA" } else { "does not trust the CA" })]
    NoEffect {
        /// What it does.
        trusted: bool,
    },
}

/// Changes stores.
pub struct Actor<'a> {
    ca: &'a Ca,
    rights: Rights,
    hands: &'a mut dyn Hands,
    /// Told of each command before it is run.
    tell: &'a mut dyn FnMut(&[OsString]),
    /// Whether sudo does it without asking, once that was tried.
    sudo: Option<bool>,
}

impl<'a> Actor<'a> {
    /// For this CA, with these rights.
    pub fn new(ca: &'a Ca, rights: Rights, hands: &'a mut dyn Hands, tell: &'a mut dyn FnMut(&[OsString])) -> Self {
        Actor { ca, rights, hands, tell, sudo: None }
    }

    /// Makes a store hold the CA.
    ///
    /// # Errors
    /// When it does not afterwards.
    pub fn install(&mut self, store: &Store) -> Result<Done, ActError> {
        let found = self.changeable(store, |found| found.state() == State::Trusted)?;
        let Some(found) = found else { return Ok(Done::Already) };
        let done = self.run(store.install(), &found)?;
        match store.look(self.ca, self.hands)?.trusted {
            true => Ok(done),
            false => Err(ActError::NoEffect { trusted: false }),
        }
    }

    /// Takes the CA out of a store.
    ///
    /// # Errors
    /// When it is still there afterwards.
    pub fn uninstall(&mut self, store: &Store) -> Result<Done, ActError> {
        let found = self.changeable(store, |found| found.state() == State::Absent)?;
        let Some(found) = found else { return Ok(Done::Already) };
        let done = self.run(store.remove(&found.own), &found)?;
        match store.look(self.ca, self.hands)?.state() {
            State::Absent => Ok(done),
            state => Err(ActError::NoEffect { trusted: state == State::Trusted }),
        }
    }

    /// What the store holds, if it is not as it is to be and can be changed.
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

    /// The words as they are run: with nobody to ask.
    fn words(&self, step: &Step) -> Vec<OsString> {
        let by_sudo = step.right == Right::Administrator && self.rights == Rights::Sudo;
        let sudo: &[&str] = if by_sudo { &["sudo", "-n"] } else { &[] };
        let unattended = step.unattended.iter().map(OsString::from);
        sudo.iter().map(OsString::from).chain(step.words.iter().cloned()).chain(unattended).collect()
    }
}

impl Step {
    /// Whether running it takes root.
    #[must_use]
    pub fn takes_root(&self) -> bool {
        self.right == Right::Administrator
    }

    /// The words for a person with these rights to type.
    #[must_use]
    pub fn typed(&self, rights: Rights) -> Vec<OsString> {
        let by_sudo = self.right == Right::Administrator && rights == Rights::Sudo;
        by_sudo.then(|| "sudo".into()).into_iter().chain(self.words.iter().cloned()).collect()
    }
}
