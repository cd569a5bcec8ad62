//! `harproxy.toml`: the options of `record` and `replay`, and what is said per URL.
//!
//! An option in a file is the default of the option on the command line: clap parses it with the same parser, and a flag or
//! a variable wins over it by clap's own rules. Two files count: the user's own, and over it the project's, which is the
//! nearest one at or above the working directory, or the one that `--config` names.

mod document;
mod options;
mod rules;
mod said;
mod secrets;
mod sections;
mod settings;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;

use crate::record::Volatile;
pub use document::{At, Error};
use document::{Document, Item};
use harproxy_matching::MatchRule;
use harproxy_redact::{Placeholder, Policy, Secret};
pub use said::Said;
use secrets::Secrets;
pub use settings::{Setting, Source};

/// The project's file, searched from the working directory upward.
pub const NAME: &str = "harproxy.toml";

/// What an option is given.
#[derive(Clone, Debug)]
struct Given {
    /// As it would be typed.
    words: Vec<String>,
    at: At,
}

/// Options by their id.
type Values = BTreeMap<String, Given>;

/// What the files say.
#[derive(Debug, Default)]
pub struct Config {
    /// By command.
    options: BTreeMap<&'static str, Values>,
    rules: Vec<MatchRule>,
    noise: Option<bool>,
    secrets: Secrets,
    policy: Policy,
    volatile: Volatile,
    allow: Vec<String>,
    said: Vec<Said>,
}

/// The sections that hold the options of a command.
const COMMANDS: [&str; 2] = ["record", "replay"];
/// All that a file may begin a table with.
const SECTIONS: [&str; 7] = ["record", "replay", "scope", "match", "redact", "volatile", "check"];

impl Config {
    /// Reads the user's file and the project's: `named` by `--config`, else the nearest one. `grammar` knows the options; it is
    /// made where a file is, as making it takes longer than looking for one.
    ///
    /// # Errors
    /// A file that can't be read, or says what nobody understands.
    pub fn load<G: Borrow<Command>>(named: Option<&Path>, grammar: impl FnOnce() -> G) -> Result<Self, Error> {
        let mut config = Config::default();
        let users = users_file().filter(|path| path.is_file());
        let projects = named.map(Path::to_owned).or_else(projects_file);
        let files: Vec<PathBuf> = users.into_iter().chain(projects).collect();
        if !files.is_empty() {
            let grammar = grammar();
            files.iter().try_for_each(|path| config.read(path, grammar.borrow()))?;
        }
        config.settled()
    }

    /// When every file has been read.
    fn settled(mut self) -> Result<Self, Error> {
        self.policy = self.secrets.policy()?;
        Ok(self)
    }

    /// Whether the files say anything of the options of `command` (`record`, `replay`).
    #[must_use]
    pub fn has_defaults(&self, command: &str) -> bool {
        self.options.get(command).is_some_and(|values| !values.is_empty())
    }

    /// The grammar with the defaults of `command` (`record`, `replay`) as the files have them, in every subcommand.
    #[must_use]
    pub fn defaults(&self, command: &str, grammar: Command) -> Command {
        match self.options.get(command) {
            Some(values) => options::defaults(grammar, values),
            None => grammar,
        }
    }

    /// Whether `[record]` says of an option what `[replay]` does not say.
    #[must_use]
    pub fn says_of_record_alone(&self, id: &str) -> bool {
        let said = |command| self.options.get(command)?.get(id).map(|given| &given.words);
        said("record").is_some_and(|words| said("replay") != Some(words))
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

    /// `[redact]` over the built-in table.
    #[must_use]
    pub fn redact_policy(&self) -> Policy {
        self.policy.clone()
    }

    /// `[redact.values]`: those that are known here. Reads the environment.
    #[must_use]
    pub fn redact_values(&self) -> Vec<(Placeholder, Secret)> {
        self.secrets.values()
    }

    /// `[volatile]`.
    #[must_use]
    pub fn volatile(&self) -> &Volatile {
        &self.volatile
    }

    /// `[check] allow`: how the SHA-256 of values begins that are no secrets, 12 hex digits or more each, lower case.
    #[must_use]
    pub fn allow(&self) -> &[String] {
        &self.allow
    }

    /// Lays a file over what is there.
    fn read(&mut self, path: &Path, grammar: &Command) -> Result<(), Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let document = Document::new(path, &text);
        for Item { name, at, value } in document.root()? {
            if !COMMANDS.contains(&&*name) {
                said::over(&mut self.said, said::of(&document, &name, &value));
            }
            match name.as_str() {
                "record" | "replay" => {
                    let command = COMMANDS[usize::from(name == "replay")];
                    let values = options::section(&document, document.table(&name, value)?, command, grammar)?;
                    self.options.entry(command).or_default().extend(values);
                }
                "redact" => self.secrets.read(&document, document.table(&name, value)?)?,
                "volatile" => sections::volatile(&mut self.volatile, &document, document.table(&name, value)?)?,
                "scope" => sections::scope(&mut self.noise, &document, document.table(&name, value)?)?,
                "check" => sections::check(&mut self.allow, &document, document.table(&name, value)?)?,
                "match" => self.rules.extend(rules::rules(&document, value)?),
                _ => return Err(document.unknown("section", &name, at, SECTIONS, None)),
            }
        }
        Ok(())
    }
}

/// The nearest `harproxy.toml` at or above the working directory. The one in it is named without its folder, so that paths
/// in it stay as short as they are written.
#[must_use]
pub fn projects_file() -> Option<PathBuf> {
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
