//! The effective settings with their values and origins, for `harproxy config`.

use std::ops::Range;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::document::{ConfigFile, FilePosition, TomlItem, Value};
use super::{Config, DRIFT, SECTIONS, drift, options, secrets};
use crate::cli::args::variables;

const REDACTED: &str = "(redacted)";

/// Ids of options that turn a protection off, or send requests elsewhere.
const RISKY: [&str; 8] =
    ["no_redact", "insecure", "upstream_ca", "map", "upstream_proxy", "allow_remote", "base_url", "include_unsafe"];

/// Sections whose values are secrets, or variables that hold them.
const SECRET_SECTIONS: [&str; 4] = ["redact.values", "drift.headers", "drift.notify", "vars"];

/// Tables of a `[[route]]` rule whose values may be credentials.
const ROUTE_SECRETS: [&str; 2] = ["/headers", "/when/header"];

#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// The name with its section: `record.output`, `redact.headers`. Rules of `[[match]]` are `match`.
    pub name: String,
    /// The value: a string, a list of strings, a boolean or a number. Null if there is none.
    pub value: Json,
    /// The default in words, if the option has no default value.
    #[serde(skip)]
    pub meaning: Option<String>,
    pub source: Origin,
}

/// Origin of a setting, by descending precedence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Origin {
    Flag {
        name: String,
    },
    #[serde(rename = "env")]
    Variable {
        name: String,
    },
    File(FilePosition),
    /// No source sets it.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Flag { name } | Origin::Variable { name } => f.write_str(name),
            Origin::File(at) => write!(f, "{}:{}", at.file, at.line),
            Origin::Default => f.write_str("default"),
        }
    }
}

impl Config {
    /// Returns the options of a command in the order of the help. `matches` is the result of a parse with
    /// [`Config::defaults`].
    #[must_use]
    pub fn options(&self, command: &str, grammar: &Command, matches: &ArgMatches) -> Vec<Setting> {
        options::known(grammar, command).map(|arg| self.option(command, arg, matches)).collect()
    }

    /// Returns the options of a command that turn a protection off or send requests elsewhere, and that a file sets in
    /// this section. `matches` is the result of a parse with [`Config::defaults`].
    #[must_use]
    pub fn risky_options(&self, section: &str, command: &str, grammar: &Command, matches: &ArgMatches) -> Vec<Setting> {
        let risky = options::known(grammar, command).filter(|arg| RISKY.contains(&arg.get_id().as_str()));
        let settings = risky.map(|arg| self.option(section, arg, matches));
        settings.filter(|setting| matches!(setting.source, Origin::File(_)) && setting.is_set()).collect()
    }

    fn option(&self, section: &str, arg: &Arg, matches: &ArgMatches) -> Setting {
        let value = masked(arg, value(arg, matches));
        let nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        Setting {
            name: format!("{section}.{}", options::key(arg)),
            meaning: meaning(arg).filter(|_| nothing),
            value,
            source: self.source(section, arg, matches),
        }
    }

    /// Returns the settings that are not options of a command.
    #[must_use]
    pub fn others(&self) -> Vec<Setting> {
        let defaults = [
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
        let mut all = self.other_settings.clone();
        for (name, value) in &defaults {
            if all.iter().all(|setting| setting.name != *name) {
                let (name, value) = ((*name).to_owned(), value.clone());
                all.push(Setting { name, value, meaning: None, source: Origin::Default });
            }
        }
        all.sort_by_key(|setting| {
            let section = SECTIONS.iter().position(|section| setting.section().starts_with(section));
            let place = defaults.iter().position(|(name, _)| setting.name == *name);
            (section, place.unwrap_or(defaults.len()))
        });
        all
    }

    fn source(&self, command: &str, arg: &Arg, matches: &ArgMatches) -> Origin {
        let id = arg.get_id().as_str();
        match (matches.value_source(id), self.options.get(command).and_then(|values| values.get(id))) {
            (Some(ValueSource::CommandLine), _) => {
                Origin::Flag { name: arg.get_long().map_or_else(|| arg_name(arg), |long| format!("--{long}")) }
            }
            (Some(ValueSource::EnvVariable), _) => {
                Origin::Variable { name: variables::name(arg.get_long().unwrap_or_default()) }
            }
            (_, Some(given)) => Origin::File(given.at.clone()),
            _ => Origin::Default,
        }
    }
}

impl Config {
    /// Returns the tables and lists of `[drift]` that decide which requests and credentials are sent, and where.
    #[must_use]
    pub fn risky_drift_settings(&self) -> Vec<Setting> {
        let risky = ["drift.headers", "drift.login", "drift.notify", "drift.allow-unsafe"];
        let is_risky = |setting: &&Setting| risky.iter().any(|prefix| setting.name.starts_with(prefix));
        self.other_settings.iter().filter(is_risky).cloned().collect()
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

    fn is_set(&self) -> bool {
        match &self.value {
            Json::Null | Json::Bool(false) => false,
            Json::Array(items) => !items.is_empty(),
            _ => true,
        }
    }

    /// Returns the words of a list, or the one of a text.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.value.as_array().map_or(std::slice::from_ref(&self.value), Vec::as_slice).iter().filter_map(Json::as_str)
    }
}

/// Returns the settings of a section that is not one of a command. Each rule of `[[match]]` and each value of
/// `[redact.values]` is one. The value of a secret is its origin.
pub(super) fn of_section<'t>(document: &ConfigFile<'t>, section: &str, value: &Value<'t>) -> Vec<Setting> {
    let setting = |name: String, value, span: &Range<usize>| Setting {
        name,
        value,
        meaning: None,
        source: Origin::File(document.at(span)),
    };
    match value.get_ref() {
        DeValue::Array(rules) => {
            let rule = |rule: &Value<'t>| {
                let mut json = document.json(rule.get_ref());
                ROUTE_SECRETS
                    .iter()
                    .filter(|_| section == "route")
                    .for_each(|pointer| mask_members(&mut json, pointer));
                setting(section.to_owned(), json, &rule.span())
            };
            rules.iter().map(rule).collect()
        }
        DeValue::Table(table) => {
            let each = |item: TomlItem<'t>| {
                let name = format!("{section}.{}", item.name);
                match item.value.get_ref() {
                    DeValue::Table(_) => of_section(document, &name, &item.value),
                    value if SECRET_SECTIONS.iter().any(|secret| section.starts_with(secret)) => {
                        vec![setting(name, secret_origin(value), &item.at)]
                    }
                    value => vec![setting(name, document.json(value), &item.at)],
                }
            };
            document.items(table.clone()).into_iter().flat_map(each).collect()
        }
        _ => Vec::new(),
    }
}

/// Masks the values of a table of credentials in a rule. A variable of the environment is shown by its name.
fn mask_members(rule: &mut Json, pointer: &str) {
    let members = rule.pointer_mut(pointer).and_then(Json::as_object_mut).into_iter().flatten();
    for (_, value) in members {
        if !value.as_str().is_some_and(|text| text.starts_with(secrets::VARIABLE)) {
            *value = REDACTED.into();
        }
    }
}

/// Returns the settings of `[drift]` that are not options of the command.
pub(super) fn of_drift<'t>(document: &ConfigFile<'t>, value: &Value<'t>) -> Vec<Setting> {
    let mut settings = of_section(document, DRIFT, value);
    settings.retain(|setting| setting.section() != DRIFT || drift::OTHERS.contains(&setting.key()));
    settings
}

/// Merges the settings of a later file into those of earlier files. Rules are appended, other settings are replaced.
pub(super) fn merge(settings: &mut Vec<Setting>, later: Vec<Setting>) {
    settings.retain(|before| {
        ["match", "route", "expect", "drift.suppress"].contains(&before.name.as_str())
            || later.iter().all(|after| after.name != before.name)
    });
    settings.extend(later);
}

/// Returns the origin of a secret, never its value.
fn secret_origin(value: &DeValue<'_>) -> Json {
    let variable = value.as_str().and_then(|text| text.strip_prefix(secrets::VARIABLE));
    Json::from(match variable {
        None => REDACTED.to_owned(),
        Some(name) if std::env::var_os(name).is_none_or(|value| value.is_empty()) => {
            format!("env:{name}, which is not set")
        }
        Some(name) => format!("env:{name} {REDACTED}"),
    })
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
    match value {
        Json::String(_) if arg.get_id() == "auth" => REDACTED.into(),
        Json::String(text) if arg.get_id() == "header" => match text.split_once(':') {
            Some((name, _)) => format!("{name}: {REDACTED}").into(),
            None => REDACTED.into(),
        },
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
