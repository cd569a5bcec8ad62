//! `harproxy.toml`: the options of `record` and `replay`, and what is said per URL.
//!
//! An option in a file is the default of the option on the command line: clap parses it with the same parser, and a flag or
//! a variable wins over it by clap's own rules. Two files count: the user's own, and over it the project's, which is the
//! nearest one at or above the working directory, or the one that `--config` names.

mod document;
mod options;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;

use crate::matching::MatchRule;
pub use document::Error;
use document::{Document, Item, Table};

/// The project's file, searched from the working directory upward.
pub const NAME: &str = "harproxy.toml";

/// Values as they would be typed, by the id of the option.
type Values = BTreeMap<String, Vec<String>>;

/// What the files say.
#[derive(Debug, Default)]
pub struct Config {
    /// By command.
    options: BTreeMap<&'static str, Values>,
    rules: Vec<MatchRule>,
    noise: Option<bool>,
}

/// The sections that hold the options of a command.
const COMMANDS: [&str; 2] = ["record", "replay"];
/// All that a file may begin a table with.
const SECTIONS: [&str; 4] = ["record", "replay", "scope", "match"];

impl Config {
    /// Reads the user's file and the project's: `named` by `--config`, else the nearest one. `grammar` knows the options.
    ///
    /// # Errors
    /// A file that can't be read, or says what nobody understands.
    pub fn load(named: Option<&Path>, grammar: &Command) -> Result<Self, Error> {
        let mut config = Config::default();
        if let Some(path) = users_file().filter(|path| path.is_file()) {
            config.read(&path, grammar)?;
        }
        if let Some(path) = named.map(Path::to_owned).or_else(projects_file) {
            config.read(&path, grammar)?;
        }
        Ok(config)
    }

    /// The grammar with the defaults of `command` (`record`, `replay`) as the files have them, in every subcommand.
    #[must_use]
    pub fn defaults(&self, command: &str, grammar: Command) -> Command {
        match self.options.get(command) {
            Some(values) => options::defaults(grammar, values),
            None => grammar,
        }
    }

    /// `[[match]]`, the user's first, in order.
    #[must_use]
    pub fn rules(&self) -> &[MatchRule] {
        &self.rules
    }

    /// `[scope] noise`: whether there is a list of noise.
    #[must_use]
    pub fn noise(&self) -> bool {
        self.noise.unwrap_or(true)
    }

    /// Lays a file over what is there.
    fn read(&mut self, path: &Path, grammar: &Command) -> Result<(), Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let document = Document::new(path, &text);
        for Item { name, at, value } in document.root()? {
            match name.as_str() {
                "record" | "replay" => {
                    let command = COMMANDS[usize::from(name == "replay")];
                    let table = document.table(&name, value)?;
                    let values = options::section(&document, table, command, grammar)?;
                    self.options.entry(command).or_default().extend(values);
                }
                "scope" => self.scope(&document, document.table(&name, value)?)?,
                "match" => self.rules.extend(rules::rules(&document, value)?),
                _ => return Err(document.unknown("section", &name, at, SECTIONS, None)),
            }
        }
        Ok(())
    }

    fn scope(&mut self, document: &Document<'_>, table: Table<'_>) -> Result<(), Error> {
        for Item { name, at, value } in document.items(table) {
            match name.as_str() {
                "noise" => self.noise = Some(document.boolean(&name, &value)?),
                _ => return Err(document.unknown("option of [scope]", &name, at, ["noise"], None)),
            }
        }
        Ok(())
    }
}

/// The nearest `harproxy.toml` at or above the working directory. The one in it is named without its folder, so that paths
/// in it stay as short as they are written.
fn projects_file() -> Option<PathBuf> {
    if Path::new(NAME).is_file() {
        return Some(NAME.into());
    }
    let here = std::env::current_dir().ok()?;
    here.ancestors().skip(1).map(|folder| folder.join(NAME)).find(|path| path.is_file())
}

/// `$XDG_CONFIG_HOME/harproxy/config.toml`, else `~/.config/harproxy/config.toml`; on Windows below `%APPDATA%`.
fn users_file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = if cfg!(windows) {
        folder("APPDATA")
    } else {
        folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))
    };
    Some(base?.join("harproxy").join("config.toml"))
}

impl Error {
    /// Whether a file that was named is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
