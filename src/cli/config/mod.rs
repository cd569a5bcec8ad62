//! `harproxy.toml`: options of `record` and `replay`, and rules per URL.
//!
//! An option in a file is the default of the command-line option. clap parses both with the same parser, and a flag or
//! a variable takes precedence. There are two files: the user's, and the project's, which takes precedence. The
//! project's file is the nearest one at or above the working directory, or the file of `--config`.

mod document;
mod drift;
mod expect;
pub mod json;
mod options;
mod route;
mod route_answer;
mod rules;
mod secrets;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Command;

use super::args::values::{parse_header_name, parse_json_path};
use crate::record::Volatile;
use crate::serve::expect::Expectation;
use crate::serve::rule::RouteRule;
use crate::serve::template::Variables;
use document::{ConfigFile, Table, TomlItem};
pub use document::{Error, FilePosition};
pub use drift::{DriftConfig, parse_date, parse_issue};
use harproxy_matching::MatchRule;
use harproxy_redact::{Placeholder, Policy, Secret};
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
    options: BTreeMap<String, Values>,
    /// `[[match]]`: the rules in order, those of the user's file first.
    pub rules: Vec<MatchRule>,
    noise: Option<bool>,
    secrets: Secrets,
    /// The redaction policy: `[redact]` in addition to the built-in rules.
    pub policy: Arc<Policy>,
    pub volatile: Volatile,
    /// `[[route]]`: the rules in order, those of the user's file first.
    pub routes: Vec<Arc<RouteRule>>,
    /// `[[expect]]`: the requests that a run must send.
    pub expectations: Vec<Expectation>,
    /// `[vars]`: values for templates.
    pub variables: Variables,
    /// `[drift]`, its options left out.
    pub drift: DriftConfig,
    /// `[check] allow`: prefixes of the SHA-256 of values that are not secret, at least 12 lower-case hex digits each.
    pub allow: Vec<String>,
    /// The settings that are not options of a command, as written in the files.
    other_settings: Vec<Setting>,
}

/// The sections with options of a command.
const COMMANDS: [&str; 3] = ["record", "replay", DRIFT];
const SECTIONS: [&str; 11] =
    ["record", "replay", DRIFT, "scope", "match", "route", "expect", "vars", "redact", "volatile", "check"];
/// The section of `harproxy drift`, which has more than options.
const DRIFT: &str = "drift";

impl Config {
    /// Loads the user's file and the project's file (`named` by `--config`, else the nearest one). `grammar` builds
    /// the clap grammar. It is called only if there is a file, because it is slower than the search.
    pub fn load(named: Option<&Path>, grammar: impl FnOnce() -> Command) -> Result<Self, Error> {
        let mut config = Config::default();
        let users = users_file().filter(|path| path.is_file()).map(|path| (path, false));
        let projects = named.map(Path::to_owned).or_else(projects_file).map(|path| (path, true));
        let files: Vec<(PathBuf, bool)> = users.into_iter().chain(projects).collect();
        if !files.is_empty() {
            let grammar = grammar();
            files.iter().try_for_each(|(path, is_project)| config.read(path, *is_project, &grammar))?;
        }
        config.finish()
    }

    /// Builds the policy after all files are read.
    fn finish(mut self) -> Result<Self, Error> {
        self.policy = Arc::new(self.secrets.policy()?);
        Ok(self)
    }

    /// Returns true if a file has options of `command` (`record`, `replay`, `drift`).
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

    /// Returns `[scope] noise`: whether noise is excluded from the scope.
    #[must_use]
    pub fn noise(&self) -> bool {
        self.noise.unwrap_or(true)
    }

    /// Returns the values of `[redact.values]` that are available. Reads environment variables.
    #[must_use]
    pub fn redact_values(&self) -> Vec<(Placeholder, Secret)> {
        self.secrets.values()
    }

    /// Reads a file, which takes precedence over the files before.
    fn read(&mut self, path: &Path, is_project: bool, grammar: &Command) -> Result<(), Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let document = ConfigFile::new(path, &text, is_project);
        for TomlItem { name, at, value } in document.root()? {
            if name == DRIFT {
                settings::merge(&mut self.other_settings, settings::of_drift(&document, &value));
            } else if !COMMANDS.contains(&&*name) {
                settings::merge(&mut self.other_settings, settings::of_section(&document, &name, &value));
            }
            match name.as_str() {
                "record" | "replay" => {
                    let values = options::section(&document, document.table(&name, value)?, &name, grammar)?;
                    self.options.entry(name).or_default().extend(values);
                }
                DRIFT => {
                    let values = self.drift.read(&document, document.table(&name, value)?, grammar)?;
                    self.options.entry(name).or_default().extend(values);
                }
                "redact" => self.secrets.read(&document, document.table(&name, value)?)?,
                "scope" => self.read_section(&document, &name, &["noise"], document.table(&name, value)?)?,
                "volatile" => {
                    self.read_section(&document, &name, &["headers", "json"], document.table(&name, value)?)?
                }
                "check" => self.read_section(&document, &name, &["allow"], document.table(&name, value)?)?,
                "route" => {
                    let rules = route::rules(&document, value, self.routes.len() + 1)?;
                    for rule in rules {
                        if self.routes.iter().any(|other| other.id == rule.id) {
                            return Err(document.wrong("route", &at, format!("two rules have the name `{}`", rule.id)));
                        }
                        self.routes.push(Arc::new(rule));
                    }
                }
                "expect" => self.expectations.extend(expect::expectations(&document, value)?),
                "vars" => {
                    let items = document.items(document.table(&name, value)?).into_iter();
                    self.variables.extend(items.map(|item| (item.name, document.json(item.value.get_ref()))));
                }
                "match" => self.rules.extend(rules::rules(&document, value)?),
                _ => return Err(document.unknown("section", &name, at, SECTIONS, None)),
            }
        }
        Ok(())
    }

    /// Reads `[scope]`, `[volatile]` or `[check]`, which has these options. Each list replaces the list of the files
    /// before.
    fn read_section<'t>(
        &mut self,
        document: &ConfigFile<'t>,
        section: &str,
        known: &[&str],
        table: Table<'t>,
    ) -> Result<(), Error> {
        for TomlItem { name, at, value } in document.items(table) {
            match (section, &*name) {
                ("scope", "noise") => self.noise = Some(document.boolean(&name, &value)?),
                ("volatile", "headers") => self.volatile.headers = document.each(&name, &value, parse_header_name)?,
                ("volatile", "json") => self.volatile.json = document.each(&name, &value, parse_json_path)?,
                ("check", "allow") => self.allow = document.each(&name, &value, parse_hash)?,
                _ => return Err(document.unknown(format!("option of [{section}]"), &name, at, known, None)),
            }
        }
        Ok(())
    }
}

/// Parses the prefix of a SHA-256, with or without `sha256:`, and returns it in lower case.
fn parse_hash(text: &str) -> Result<String, &'static str> {
    let hex = text.trim().trim_start_matches("sha256:").to_ascii_lowercase();
    match (12..=64).contains(&hex.len()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(hex),
        false => Err("expected a hash as `harproxy check` prints it: `sha256:` and 12 hex digits or more"),
    }
}

/// Returns the nearest `harproxy.toml` at or above the working directory. In the working directory it is the bare file
/// name, so that paths in it stay as short as they are written.
#[must_use]
pub fn projects_file() -> Option<PathBuf> {
    if Path::new(NAME).is_file() {
        return Some(NAME.into());
    }
    let here = std::env::current_dir().ok()?;
    here.ancestors().skip(1).map(|folder| folder.join(NAME)).find(|path| path.is_file())
}

/// Returns `$XDG_CONFIG_HOME/harproxy/config.toml`, else `~/.config/harproxy/config.toml`. On Windows the file is below
/// `%APPDATA%`.
fn users_file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = if cfg!(windows) {
        folder("APPDATA")
    } else {
        folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))
    };
    Some(base?.join("harproxy").join("config.toml"))
}
