//! A trust store: its readers, how to list it, and the commands that change it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use serde::Serialize;

use super::ca::Ca;
use super::edit::{Rights, StoreCommand};

/// Words of a command. A name in braces at the end of a word is a placeholder:
///
/// - `{ca}`: the file of the CA
/// - `{label}`: [`Ca::label`]
/// - `{place}`: the path of the store
/// - `{tool}`: the program that manages the store
/// - `{entry}`: the identifier of an entry: a file, a nickname, an alias
pub(super) type Words = &'static [&'static str];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Programs that use the system's roots.
    System,
    /// Chromium and related browsers.
    Chromium,
    Firefox,
    Java,
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
    pub fn instruction(self, rights: Rights) -> String {
        match (self, rights) {
            (Installation::Command(command), Rights::Sudo) => format!("sudo {command}"),
            (Installation::Command(command), Rights::User) => format!("{command} (as root)"),
            (Installation::Command(command), Rights::Administrator) => command.to_owned(),
            (Installation::Package(package), _) => format!("install {package}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreEntry {
    /// Its common name.
    pub name: String,
    /// Its identifier in the store: a file, a nickname, an alias.
    pub handle: OsString,
}

#[derive(Clone, Debug)]
pub struct Store {
    pub kind: StoreKind,
    /// Its name in messages.
    pub name: String,
    pub place: PathBuf,
    /// Its readers, as the end of a sentence after "read by".
    pub readers: &'static str,
    pub obstacle: Option<Obstacle>,
    pub(super) listing: Listing,
    pub(super) needs_root: bool,
    pub(super) install: &'static [Words],
    /// Removes an entry of this CA.
    pub(super) remove: &'static [Words],
    /// Removes an entry of another harproxy CA, if `remove` does not.
    pub(super) remove_other: Option<Words>,
    /// Applies removals, after all of them.
    pub(super) update: Option<Words>,
    /// Undoes `install`, if `remove` does not: listing the store may not show the entry.
    pub(super) undo: Option<Words>,
    /// Arguments of `tool` that suppress prompts.
    pub(super) unattended: &'static [&'static str],
    pub(super) ca: Ca,
    pub(super) tool: PathBuf,
    /// The identifier that the CA gets in the store.
    pub(super) entry: OsString,
}

impl Store {
    /// Returns the commands that add the CA; none if the user has to do it.
    pub fn install(&self) -> Vec<StoreCommand> {
        self.install.iter().map(|words| self.command(words, &self.entry)).collect()
    }

    pub fn undo(&self) -> Vec<StoreCommand> {
        match self.undo {
            Some(words) => vec![self.command(words, &self.entry)],
            None => self.removal(self.remove, [&self.entry]),
        }
    }

    /// Returns the commands that remove these entries of this CA.
    pub fn remove(&self, own: &[StoreEntry]) -> Vec<StoreCommand> {
        self.removal(self.remove, own.iter().map(|entry| &entry.handle))
    }

    /// Returns the commands that remove these entries of other harproxy CAs.
    pub fn remove_others(&self, others: &[StoreEntry]) -> Vec<StoreCommand> {
        let each = self.remove_other.as_ref().map_or(self.remove, std::slice::from_ref);
        self.removal(each, others.iter().map(|entry| &entry.handle))
    }

    fn removal<'a>(&self, each: &[Words], entries: impl IntoIterator<Item = &'a OsString>) -> Vec<StoreCommand> {
        let removals = entries.into_iter().flat_map(|entry| each.iter().map(move |words| self.command(words, entry)));
        removals.chain(self.update.map(|words| self.command(words, &self.entry))).collect()
    }

    fn command(&self, words: Words, entry: &OsStr) -> StoreCommand {
        let words: Vec<OsString> = words.iter().map(|word| self.fill(word, entry)).collect();
        // The suppressing arguments are for the store's tool only: `mkdir` would create folders with these names.
        let is_own = words.first().is_some_and(|program| *program == *self.tool.as_os_str());
        StoreCommand { words, needs_root: self.needs_root, unattended: if is_own { self.unattended } else { &[] } }
    }

    /// Replaces the placeholder of a word.
    pub(super) fn fill(&self, word: &str, entry: &OsStr) -> OsString {
        let (before, value) = match word.split_once('{') {
            Some((before, "ca}")) => (before, self.ca.file.as_os_str()),
            Some((before, "label}")) => (before, self.ca.label.as_ref()),
            Some((before, "place}")) => (before, self.place.as_os_str()),
            Some((before, "tool}")) => (before, self.tool.as_os_str()),
            Some((before, "entry}")) => (before, entry),
            _ => return word.into(),
        };
        let mut filled = OsString::from(before);
        filled.push(value);
        filled
    }
}
