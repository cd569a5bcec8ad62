//! Changes stores by running their commands. Conditions are checked first, so that a store is changed completely or not
//! at all.

use std::ffi::OsString;
use std::io;

use super::ca::Ca;
use super::command::{Rights, StoreCommand};
use super::contents::{StoreContents, TrustState};
use super::list::ListError;
use super::runner::CommandRunner;
use super::store::{Installation, Obstacle, Store};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChange {
    /// The store needed no change.
    Unneeded,
    /// These commands changed the store.
    Made(Vec<StoreCommand>),
}

#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The store can't be listed.
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
    #[error("running `{program}`")]
    Start {
        program: String,
        source: io::Error,
        /// This command and the following ones.
        left: Vec<StoreCommand>,
    },
    #[error("`{program}` failed: {said}")]
    Failed {
        program: String,
        said: String,
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
    ca: &'a Ca,
    rights: Rights,
    runner: &'a mut dyn CommandRunner,
    /// Called with each command before it runs.
    tell: &'a mut dyn FnMut(&[OsString]),
    /// Whether sudo works without a password; `None` before the first try.
    sudo: Option<bool>,
}

impl<'a> StoreEditor<'a> {
    /// Creates an instance for this CA and these rights.
    pub fn new(
        ca: &'a Ca,
        rights: Rights,
        runner: &'a mut dyn CommandRunner,
        tell: &'a mut dyn FnMut(&[OsString]),
    ) -> Self {
        StoreEditor { ca, rights, runner, tell, sudo: None }
    }

    /// Adds the CA to a store.
    /// Fails if the store does not have the CA afterwards.
    pub fn install(&mut self, store: &Store) -> Result<StoreChange, ChangeError> {
        let found = self.changeable(store, |found| found.state() == TrustState::Trusted)?;
        let Some(found) = found else { return Ok(StoreChange::Unneeded) };
        let done = self.run(store.install(), &found)?;
        match store.list(self.ca, self.runner)?.trusted {
            true => Ok(done),
            false => Err(ChangeError::NoEffect { trusted: false }),
        }
    }

    /// Removes the CA from a store.
    /// Fails if the store still has the CA afterwards.
    pub fn uninstall(&mut self, store: &Store) -> Result<StoreChange, ChangeError> {
        let found = self.changeable(store, |found| found.state() == TrustState::Absent)?;
        let Some(found) = found else { return Ok(StoreChange::Unneeded) };
        let done = self.run(store.remove(&found.own), &found)?;
        match store.list(self.ca, self.runner)?.state() {
            TrustState::Absent => Ok(done),
            state => Err(ChangeError::NoEffect { trusted: state == TrustState::Trusted }),
        }
    }

    /// Returns the entries of the store if it needs a change and can be changed.
    fn changeable(
        &mut self,
        store: &Store,
        is_so: impl Fn(&StoreContents) -> bool,
    ) -> Result<Option<StoreContents>, ChangeError> {
        let found = match (store.list(self.ca, self.runner), &store.obstacle) {
            (Ok(found), _) if is_so(&found) => return Ok(None),
            (_, Some(Obstacle::Missing { tool, get })) => {
                return Err(ChangeError::Missing { tool, get: *get });
            }
            (_, Some(Obstacle::ByHand(what))) => return Err(ChangeError::ByHand(what.clone())),
            (found, None) => found?,
        };
        Ok(Some(found))
    }

    fn run(&mut self, steps: Vec<StoreCommand>, found: &StoreContents) -> Result<StoreChange, ChangeError> {
        if found.guarded {
            return Err(ChangeError::Guarded(steps));
        }
        if steps.iter().any(|step| step.needs_root) && !self.may_administrate() {
            return Err(ChangeError::NotAllowed(steps));
        }
        for (n, step) in steps.iter().enumerate() {
            let words = self.words(step);
            (self.tell)(&words);
            let program = || step.words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
            let left = || steps[n..].to_vec();
            match self.runner.run(&words) {
                Ok(said) if said.ok => {}
                Ok(said) => {
                    return Err(ChangeError::Failed { program: program(), said: said.last_line(), left: left() });
                }
                Err(source) => return Err(ChangeError::Start { program: program(), source, left: left() }),
            }
        }
        Ok(StoreChange::Made(steps))
    }

    fn may_administrate(&mut self) -> bool {
        match self.rights {
            Rights::Administrator => true,
            Rights::User => false,
            Rights::Sudo => {
                let runner = &mut *self.runner;
                *self.sudo.get_or_insert_with(|| {
                    runner.run(&["sudo", "-n", "true"].map(OsString::from)).is_ok_and(|said| said.ok)
                })
            }
        }
    }

    /// Returns the words to run, with arguments that suppress prompts.
    fn words(&self, step: &StoreCommand) -> Vec<OsString> {
        let by_sudo = step.needs_root && self.rights == Rights::Sudo;
        let sudo: &[&str] = if by_sudo { &["sudo", "-n"] } else { &[] };
        let unattended = step.unattended.iter().map(OsString::from);
        sudo.iter().map(OsString::from).chain(step.words.iter().cloned()).chain(unattended).collect()
    }
}
