//! A trust store: its readers, how to list it, and the commands that change it.

use std::ffi::OsString;
use std::path::PathBuf;

use super::command::{Recipe, Rights, StoreCommand, Values, Words};
use super::contents::StoreEntry;

/// The programs that read a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreKind {
    /// Programs that use the system's roots.
    System,
    /// Chromium and related browsers.
    Chromium,
    Firefox,
    Java,
}

impl StoreKind {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            StoreKind::System => "system",
            StoreKind::Chromium => "chromium",
            StoreKind::Firefox => "firefox",
            StoreKind::Java => "java",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Listing {
    /// Folders of files and the bundle built from them. The first existing bundle is read.
    Files {
        folders: Vec<PathBuf>,
        bundles: Vec<PathBuf>,
    },
    Nss,
    Keytool,
    /// security(1).
    Keychain,
    /// Windows' certutil.
    Windows,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    Missing {
        tool: &'static str,
        get: Installation,
    },
    /// The system has no commands for it; the text is an instruction for the user.
    ByHand(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installation {
    /// By a command that needs root.
    Command(&'static str),
    /// By a package, with the system's package manager.
    Package(&'static str),
}

impl Installation {
    /// Returns the instruction for a user with these rights.
    #[must_use]
    pub fn instruction(self, rights: Rights) -> String {
        match (self, rights) {
            (Installation::Command(command), Rights::Sudo) => format!("sudo {command}"),
            (Installation::Command(command), Rights::User) => format!("{command} (as root)"),
            (Installation::Command(command), Rights::Administrator) => command.to_owned(),
            (Installation::Package(package), _) => format!("install {package}"),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Store {
    /// The programs that read it.
    pub kind: StoreKind,
    /// Its name in messages.
    pub name: String,
    pub place: PathBuf,
    /// Its readers, as the end of a sentence after "read by".
    pub readers: &'static str,
    pub obstacle: Option<Obstacle>,
    pub(super) listing: Listing,
    pub(super) needs_root: bool,
    pub(super) make: &'static [Words],
    pub(super) install: Recipe,
    /// Removes entries of this CA.
    pub(super) remove: Recipe,
    /// Removes entries of other harproxy CAs, if `remove` does not.
    pub(super) others: Option<Recipe>,
    /// Undoes `install`, if `remove` does not: listing the store may not show the entry.
    pub(super) undo: Option<Recipe>,
    pub(super) unattended: &'static [&'static str],
    pub(super) values: Values,
}

impl Store {
    /// Returns the commands that add the CA; none if the user has to do it.
    #[must_use]
    pub fn install(&self) -> Vec<StoreCommand> {
        let make = self.make.iter().map(|words| self.step(words, &self.values));
        make.chain(self.steps(&self.install, [self.values.clone()])).collect()
    }

    #[must_use]
    pub fn undo(&self) -> Vec<StoreCommand> {
        self.steps(&self.undo.unwrap_or(self.remove), [self.values.clone()])
    }

    /// Returns the commands that remove these entries of this CA.
    #[must_use]
    pub fn remove(&self, own: &[StoreEntry]) -> Vec<StoreCommand> {
        self.steps(&self.remove, own.iter().map(|entry| self.naming(&entry.handle)))
    }

    /// Returns the commands that remove these entries of other harproxy CAs.
    #[must_use]
    pub fn remove_others(&self, others: &[StoreEntry]) -> Vec<StoreCommand> {
        self.steps(&self.others.unwrap_or(self.remove), others.iter().map(|entry| self.naming(&entry.handle)))
    }

    fn naming(&self, entry: &OsString) -> Values {
        Values { entry: entry.clone(), ..self.values.clone() }
    }

    fn steps(&self, recipe: &Recipe, entries: impl IntoIterator<Item = Values>) -> Vec<StoreCommand> {
        let each = entries.into_iter().flat_map(|values| {
            let steps: Vec<StoreCommand> = recipe.each.iter().map(|words| self.step(words, &values)).collect();
            steps
        });
        let then = recipe.then.iter().map(|words| self.step(words, &self.values));
        each.chain(then).collect()
    }

    fn step(&self, words: Words, values: &Values) -> StoreCommand {
        let words = values.fill(words);
        // The suppressing arguments are for the store's tool only: `mkdir` would create folders with these names.
        let is_own = words.first().is_some_and(|program| *program == *self.values.tool.as_os_str());
        StoreCommand { words, needs_root: self.needs_root, unattended: if is_own { self.unattended } else { &[] } }
    }
}
