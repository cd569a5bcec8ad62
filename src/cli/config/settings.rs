//! Every setting with its value and where that comes from: what `harproxy config` shows.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value as Json, json};

use super::document::At;
use super::{Config, SECTIONS, options};
use crate::cli::args::variables;

/// What stands for a value that nobody is to see.
const REDACTED: &str = "(redacted)";
/// Options that hold a secret.
const SECRET: [&str; 1] = ["auth"];

/// A setting.
#[derive(Clone, Debug)]
pub struct Setting {
    /// With its section: `record.output`, `redact.headers`; rules of `[[match]]` are `match`.
    pub name: String,
    /// As harproxy goes by it: a string, a list of strings, true or false, a number; null when there is none.
    pub value: Json,
    /// What there being no value means.
    pub meaning: Option<String>,
    /// Where it comes from.
    pub source: Source,
}

/// Where a setting comes from, strongest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag(String),
    /// A variable.
    Variable(String),
    /// A file.
    File(At),
    /// Nobody said anything.
    Default,
}

impl Source {
    /// As an object.
    #[must_use]
    pub fn json(&self) -> Json {
        match self {
            Source::Flag(name) => json!({"kind": "flag", "name": name}),
            Source::Variable(name) => json!({"kind": "env", "name": name}),
            Source::File(at) => json!({"kind": "file", "file": at.file(), "line": at.line(), "column": at.column()}),
            Source::Default => json!({"kind": "default"}),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Flag(name) | Source::Variable(name) => f.write_str(name),
            Source::File(at) => write!(f, "{}:{}", at.file(), at.line()),
            Source::Default => f.write_str("default"),
        }
    }
}

impl Config {
    /// The options of a command, as `matches` has them after a parse over [`Config::defaults`], in the order of the help.
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

    /// What is said beside options.
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
        let said = |name: &str| self.said.iter().find(|said| said.name == name);
        let plain = known.iter().map(|(name, default)| match said(name) {
            Some(said) => (said.name.clone(), said.value.clone(), Source::File(said.at.clone())),
            None => ((*name).to_owned(), default.clone(), Source::Default),
        });
        let more = self.said.iter().filter(|said| known.iter().all(|(name, _)| said.name != *name));
        let more = more.map(|said| (said.name.clone(), said.value.clone(), Source::File(said.at.clone())));
        let setting = |(name, value, source)| Setting { name, value, meaning: None, source };
        let mut all: Vec<Setting> = plain.chain(more).map(setting).collect();
        all.sort_by_key(|setting| SECTIONS.iter().position(|section| setting.section().starts_with(section)));
        all
    }

    fn source(&self, command: &str, arg: &Arg, matches: &ArgMatches) -> Source {
        let id = arg.get_id().as_str();
        match (matches.value_source(id), self.options.get(command).and_then(|values| values.get(id))) {
            (Some(ValueSource::CommandLine), _) => {
                Source::Flag(arg.get_long().map_or_else(|| arg_name(arg), |long| format!("--{long}")))
            }
            (Some(ValueSource::EnvVariable), _) => {
                Source::Variable(variables::name(arg.get_long().unwrap_or_default()))
            }
            (_, Some(given)) => Source::File(given.at.clone()),
            _ => Source::Default,
        }
    }
}

impl Setting {
    /// The section it stands in: all before the last dot.
    #[must_use]
    pub fn section(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(section, _)| section)
    }

    /// Its name within the section.
    #[must_use]
    pub fn key(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(_, key)| key)
    }
}

/// An argument without a flag: `FILE|DIR`.
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

/// The value as it may be shown: no password of a URL, no secret at all.
fn masked(arg: &Arg, value: Json) -> Json {
    let secret = SECRET.contains(&arg.get_id().as_str());
    match value {
        Json::String(_) if secret => REDACTED.into(),
        Json::String(text) => without_userinfo(text).into(),
        Json::Array(items) => items.into_iter().map(|item| masked(arg, item)).collect(),
        other => other,
    }
}

/// `http://(redacted)@proxy:3128` of `http://me:secret@proxy:3128`.
fn without_userinfo(text: String) -> String {
    let Some((before, rest)) = text.split_once("://") else { return text };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{before}://{REDACTED}{}", &rest[at..]),
        None => text,
    }
}

/// The default that the help tells of, of options whose default is no value.
fn meaning(arg: &Arg) -> Option<String> {
    let help = arg.get_help()?.to_string();
    let (_, default) = help.rsplit_once("[default: ")?;
    Some(default.strip_suffix(']')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_not_shown() {
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
    fn a_setting_is_named_by_section_and_key() {
        let setting =
            |name: &str| Setting { name: name.into(), value: Json::Null, meaning: None, source: Source::Default };
        let told = |name| (setting(name).section().to_owned(), setting(name).key().to_owned());
        assert_eq!(told("record.output"), ("record".into(), "output".into()));
        assert_eq!(told("redact.values.a-1"), ("redact.values".into(), "a-1".into()));
        assert_eq!(told("match"), ("match".into(), "match".into()));
    }
}
