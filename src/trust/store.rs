//! A trust store of a machine: whose it is, how to see what it holds, and the commands that change it.

use std::ffi::OsString;
use std::path::PathBuf;

use super::found::Entry;
use super::look::Look;
use super::machine::Rights;
use super::recipe::{Recipe, Step, Values, Words};

/// Who reads a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Whatever takes the system's roots.
    System,
    /// Chromium and related browsers.
    Chromium,
    /// Firefox.
    Firefox,
    /// The JVM.
    Java,
}

impl Kind {
    /// Its name in data.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::System => "system",
            Kind::Chromium => "chromium",
            Kind::Firefox => "firefox",
            Kind::Java => "java",
        }
    }
}

/// What running a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Nothing beyond what the user is.
    User,
    /// root.
    Administrator,
}

/// Why a store can't be changed by commands as the machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A program is not there.
    Missing {
        /// Its name.
        tool: &'static str,
        /// How to get it.
        get: Get,
    },
    /// The system is not made to be changed by commands.
    ByHand(String),
}

/// How a program comes to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Get {
    /// By a command, which takes root.
    Command(&'static str),
    /// By a package, with whatever command the system has.
    Package(&'static str),
}

impl Get {
    /// What a person with these rights does.
    #[must_use]
    pub fn told(self, rights: Rights) -> String {
        match (self, rights) {
            (Get::Command(command), Rights::Sudo) => format!("sudo {command}"),
            (Get::Command(command), Rights::User) => format!("{command} (as root)"),
            (Get::Command(command), Rights::Administrator) => command.to_owned(),
            (Get::Package(package), _) => format!("install {package}"),
        }
    }
}

/// A place that some programs take their roots from.
#[derive(Clone, Debug)]
pub struct Store {
    /// Who reads it.
    pub kind: Kind,
    /// What to call it.
    pub name: String,
    /// The file or folder.
    pub place: PathBuf,
    /// What takes its roots from there: an end of "read by".
    pub readers: &'static str,
    /// What keeps the commands from running.
    pub obstacle: Option<Obstacle>,
    pub(super) look: Look,
    pub(super) right: Right,
    /// Makes the store itself, where there is none yet.
    pub(super) make: &'static [Words],
    pub(super) install: Recipe,
    /// Takes away what was found of this CA.
    pub(super) own: Recipe,
    /// Takes away what was found of others.
    pub(super) others: Recipe,
    /// Takes away what `install` put there, whether it can be seen or not.
    pub(super) undo: Recipe,
    /// Arguments more that keep its commands from asking.
    pub(super) unattended: &'static [&'static str],
    pub(super) values: Values,
}

impl Store {
    /// The commands that make it hold the CA; none where a person has to do it.
    #[must_use]
    pub fn install(&self) -> Vec<Step> {
        let make = self.make.iter().map(|words| self.step(words, &self.values));
        make.chain(self.steps(&self.install, [self.values.clone()])).collect()
    }

    /// The commands that undo [`Store::install`].
    #[must_use]
    pub fn undo(&self) -> Vec<Step> {
        self.steps(&self.undo, [self.values.clone()])
    }

    /// The commands that take away what was found of this CA.
    #[must_use]
    pub fn remove(&self, own: &[Entry]) -> Vec<Step> {
        self.steps(&self.own, own.iter().map(|entry| self.naming(&entry.handle)))
    }

    /// The commands that take away other CAs.
    #[must_use]
    pub fn remove_others(&self, others: &[Entry]) -> Vec<Step> {
        self.steps(&self.others, others.iter().map(|entry| self.naming(&entry.handle)))
    }

    fn naming(&self, entry: &OsString) -> Values {
        Values { entry: entry.clone(), ..self.values.clone() }
    }

    fn steps(&self, recipe: &Recipe, entries: impl IntoIterator<Item = Values>) -> Vec<Step> {
        let each = entries.into_iter().flat_map(|values| {
            let steps: Vec<Step> = recipe.each.iter().map(|words| self.step(words, &values)).collect();
            steps
        });
        let then = recipe.then.iter().map(|words| self.step(words, &self.values));
        each.chain(then).collect()
    }

    fn step(&self, words: Words, values: &Values) -> Step {
        let words = values.fill(words);
        // `mkdir` would take what certutil does for a folder.
        let is_own = words.first().is_some_and(|program| *program == *self.values.tool.as_os_str());
        Step { words, right: self.right, unattended: if is_own { self.unattended } else { &[] } }
    }
}
