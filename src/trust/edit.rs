//! Changes stores by running their commands. Conditions are checked first, so that a store is changed completely or not
//! at all.

use std::ffi::OsString;

use super::list::{ListError, TrustState};
use super::store::{CommandError, CommandRunner, Installation, Obstacle, Rights, Store, StoreCommand, run_checked};

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
            (_, Some(Obstacle::ByHand(step))) => return Err(ChangeError::ByHand(step.clone())),
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
