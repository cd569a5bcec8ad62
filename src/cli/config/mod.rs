//! `harproxy.toml`: options of `record` and `replay`, and rules per URL.
//!
//! An option in a file is the default of the command-line option. clap parses both with the same parser, and a flag or
//! a variable takes precedence. There are two files: the user's, and the project's, which takes precedence. The
//! project's file is the nearest one at or above the working directory, or the file of `--config`.

mod document;
mod options;
mod other_settings;
mod rules;
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
use document::{ConfigFile, TomlItem};
pub use document::{Error, FilePosition};
use harproxy_matching::MatchRule;
use harproxy_redact::{Placeholder, Policy, Secret};
pub use other_settings::OtherSetting;
use secrets::Secrets;
pub use settings::{Origin, Setting};

/// Name of the project's file, which is searched from the working directory upward.
pub const NAME: &str = "harproxy.toml";

#[derive(Clone, Debug)]
struct OptionValue {
    /// The value as command-line words.
    words: Vec<String>,
    at: FilePosition,
}

type Values = BTreeMap<String, OptionValue>;

/// The merged configuration files.
#[derive(Debug, Default)]
pub struct Config {
    options: BTreeMap<&'static str, Values>,
    rules: Vec<MatchRule>,
    noise: Option<bool>,
    secrets: Secrets,
    policy: Policy,
    volatile: Volatile,
    allow: Vec<String>,
    other_settings: Vec<OtherSetting>,
}

/// The sections with options of a command.
const COMMANDS: [&str; 2] = ["record", "replay"];
const SECTIONS: [&str; 7] = ["record", "replay", "scope", "match", "redact", "volatile", "check"];

impl Config {
    /// Loads the user's file and the project's file (`named` by `--config`, else the nearest one). `grammar` builds
    /// the clap grammar. It is called only if there is a file, because it is slower than the search.
    pub fn load<G: Borrow<Command>>(named: Option<&Path>, grammar: impl FnOnce() -> G) -> Result<Self, Error> {
        let mut config = Config::default();
        let users = users_file().filter(|path| path.is_file());
        let projects = named.map(Path::to_owned).or_else(projects_file);
        let files: Vec<PathBuf> = users.into_iter().chain(projects).collect();
        if !files.is_empty() {
            let grammar = grammar();
            files.iter().try_for_each(|path| config.read(path, grammar.borrow()))?;
        }
        config.finish()
    }

    /// Builds the policy after all files are read.
    fn finish(mut self) -> Result<Self, Error> {
        self.policy = self.secrets.policy()?;
        Ok(self)
    }

    /// Returns true if a file has options of `command` (`record`, `replay`).
    #[must_use]
    pub fn has_defaults(&self, command: &str) -> bool {
        self.options.get(command).is_some_and(|values| !values.is_empty())
    }

    /// Returns the grammar with the file values of `command` (`record`, `replay`) as defaults in every subcommand.
    #[must_use]
    pub fn defaults(&self, command: &str, grammar: Command) -> Command {
        match self.options.get(command) {
            Some(values) => options::defaults(grammar, values),
            None => grammar,
        }
    }

    /// Returns true if `[record]` sets an option and `[replay]` does not set it to the same value.
    #[must_use]
    pub fn is_set_for_record_only(&self, id: &str) -> bool {
        let words = |command| self.options.get(command)?.get(id).map(|given| &given.words);
        words("record").is_some_and(|set| words("replay") != Some(set))
    }

    /// Returns the rules of `[[match]]` in order, those of the user's file first.
    #[must_use]
    pub fn rules(&self) -> &[MatchRule] {
        &self.rules
    }

    /// Returns `[scope] noise`: whether noise is excluded from the scope.
    #[must_use]
    pub fn noise(&self) -> bool {
        self.noise.unwrap_or(true)
    }

    /// Returns the redaction policy: `[redact]` in addition to the built-in rules.
    #[must_use]
    pub fn redact_policy(&self) -> Policy {
        self.policy.clone()
    }

    /// Returns the values of `[redact.values]` that are available. Reads environment variables.
    #[must_use]
    pub fn redact_values(&self) -> Vec<(Placeholder, Secret)> {
        self.secrets.values()
    }

    #[must_use]
    pub fn volatile(&self) -> &Volatile {
        &self.volatile
    }

    /// Returns `[check] allow`: prefixes of the SHA-256 of values that are not secret, at least 12 lower-case hex
    /// digits each.
    #[must_use]
    pub fn allow(&self) -> &[String] {
        &self.allow
    }

    /// Reads a file, which takes precedence over the files before.
    fn read(&mut self, path: &Path, grammar: &Command) -> Result<(), Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let document = ConfigFile::new(path, &text);
        for TomlItem { name, at, value } in document.root()? {
            if !COMMANDS.contains(&&*name) {
                other_settings::merge(&mut self.other_settings, other_settings::of_section(&document, &name, &value));
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

/// The nearest `harproxy.toml` at or above the working directory. The one in it is named without its folder, so that
/// paths
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
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
