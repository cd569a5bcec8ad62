//! The effective settings with their values and origins, for `harproxy config`.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value as Json, json};

use super::document::FilePosition;
use super::{Config, SECTIONS, options};
use crate::cli::args::variables;

const REDACTED: &str = "(redacted)";
const SECRET: [&str; 1] = ["auth"];

#[derive(Clone, Debug)]
pub struct Setting {
    /// The name with its section: `record.output`, `redact.headers`. Rules of `[[match]]` are `match`.
    pub name: String,
    /// The value: a string, a list of strings, a boolean or a number. Null if there is none.
    pub value: Json,
    pub meaning: Option<String>,
    pub source: Origin,
}

/// Origin of a setting, by descending precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Flag(String),
    Variable(String),
    File(FilePosition),
    /// No source sets it.
    Default,
}

impl Origin {
    #[must_use]
    pub fn json(&self) -> Json {
        match self {
            Origin::Flag(name) => json!({"kind": "flag", "name": name}),
            Origin::Variable(name) => json!({"kind": "env", "name": name}),
            Origin::File(at) => json!({"kind": "file", "file": at.file(), "line": at.line(), "column": at.column()}),
            Origin::Default => json!({"kind": "default"}),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Flag(name) | Origin::Variable(name) => f.write_str(name),
            Origin::File(at) => write!(f, "{}:{}", at.file(), at.line()),
            Origin::Default => f.write_str("default"),
        }
    }
}

impl Config {
    /// Returns the options of a command in the order of the help. `matches` is the result of a parse with
    /// [`Config::defaults`].
    #[must_use]
    pub fn options(&self, command: &str, grammar: &Command, matches: &ArgMatches) -> Vec<Setting> {
        let setting = |arg: &Arg| {
            let value = masked(arg, value(arg, matches));
            let nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            Setting {
                name: format!("{command}.{}", options::key(arg)),
                meaning: meaning(arg).filter(|_| nothing),
                value,
                source: self.source(command, arg, matches),
            }
        };
        options::known(grammar, command).map(setting).collect()
    }

    /// Returns the settings that are not options of a command.
    #[must_use]
    pub fn others(&self) -> Vec<Setting> {
        let known = [
            ("scope.noise", json!(true)),
            ("redact.headers", json!([])),
            ("redact.query", json!([])),
            ("redact.json", json!([])),
            ("redact.text", json!([])),
            ("redact.except", json!([])),
            ("redact.personal", json!(false)),
            ("volatile.headers", json!([])),
            ("volatile.json", json!([])),
            ("check.allow", json!([])),
        ];
        let setting = |name: &str| self.other_settings.iter().find(|setting| setting.name == name);
        let plain = known.iter().map(|(name, default)| match setting(name) {
            Some(setting) => (setting.name.clone(), setting.value.clone(), Origin::File(setting.at.clone())),
            None => ((*name).to_owned(), default.clone(), Origin::Default),
        });
        let more = self.other_settings.iter().filter(|other| known.iter().all(|(name, _)| other.name != *name));
        let more = more.map(|other| (other.name.clone(), other.value.clone(), Origin::File(other.at.clone())));
        let setting = |(name, value, source)| Setting { name, value, meaning: None, source };
        let mut all: Vec<Setting> = plain.chain(more).map(setting).collect();
        all.sort_by_key(|setting| SECTIONS.iter().position(|section| setting.section().starts_with(section)));
        all
    }

    fn source(&self, command: &str, arg: &Arg, matches: &ArgMatches) -> Origin {
        let id = arg.get_id().as_str();
        match (matches.value_source(id), self.options.get(command).and_then(|values| values.get(id))) {
            (Some(ValueSource::CommandLine), _) => {
                Origin::Flag(arg.get_long().map_or_else(|| arg_name(arg), |long| format!("--{long}")))
            }
            (Some(ValueSource::EnvVariable), _) => {
                Origin::Variable(variables::name(arg.get_long().unwrap_or_default()))
            }
            (_, Some(given)) => Origin::File(given.at.clone()),
            _ => Origin::Default,
        }
    }
}

impl Setting {
    /// Returns the section: the name up to the last dot.
    #[must_use]
    pub fn section(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(section, _)| section)
    }

    #[must_use]
    pub fn key(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(_, key)| key)
    }
}

/// Returns the name of a positional argument: `FILE|DIR`.
fn arg_name(arg: &Arg) -> String {
    arg.get_value_names().and_then(|names| names.first()).map_or_else(|| arg.get_id().to_string(), ToString::to_string)
}

fn value(arg: &Arg, matches: &ArgMatches) -> Json {
    let id = arg.get_id().as_str();
    match arg.get_action() {
        ArgAction::SetTrue => json!(matches.get_flag(id)),
        ArgAction::Count => json!(matches.get_count(id)),
        action => {
            let words: Vec<String> =
                matches.get_raw(id).into_iter().flatten().map(|word| word.to_string_lossy().into_owned()).collect();
            match action {
                ArgAction::Append => json!(words),
                _ => words.into_iter().next().map_or(Json::Null, Json::from),
            }
        }
    }
}

/// Redacts secrets and passwords of URLs in a value.
fn masked(arg: &Arg, value: Json) -> Json {
    let secret = SECRET.contains(&arg.get_id().as_str());
    match value {
        Json::String(_) if secret => REDACTED.into(),
        Json::String(text) => without_userinfo(text).into(),
        Json::Array(items) => items.into_iter().map(|item| masked(arg, item)).collect(),
        other => other,
    }
}

/// Redacts the credentials: `http://(redacted)@proxy:3128` for `http://me:secret@proxy:3128`.
fn without_userinfo(text: String) -> String {
    let Some((before, rest)) = text.split_once("://") else { return text };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{before}://{REDACTED}{}", &rest[at..]),
        None => text,
    }
}

/// Returns the default in the help text of an option that has no default value.
fn meaning(arg: &Arg) -> Option<String> {
    let help = arg.get_help()?.to_string();
    let (_, default) = help.rsplit_once("[default: ")?;
    Some(default.strip_suffix(']')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_redacted() {
        for (text, shown) in [
            ("http://me:secret@proxy:3128", "http://(redacted)@proxy:3128"),
            ("api=https://a:b@c.test/x@y", "api=https://(redacted)@c.test/x@y"),
            ("https://c.test/x@y", "https://c.test/x@y"),
            ("**/x", "**/x"),
        ] {
            assert_eq!(without_userinfo(text.to_owned()), shown);
        }
    }

    #[test]
    fn setting_name_has_section_and_key() {
        let setting =
            |name: &str| Setting { name: name.into(), value: Json::Null, meaning: None, source: Origin::Default };
        let parts = |name| (setting(name).section().to_owned(), setting(name).key().to_owned());
        assert_eq!(parts("record.output"), ("record".into(), "output".into()));
        assert_eq!(parts("redact.values.a-1"), ("redact.values".into(), "a-1".into()));
        assert_eq!(parts("match"), ("match".into(), "match".into()));
    }
}
