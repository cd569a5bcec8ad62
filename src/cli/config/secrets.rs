//! `[redact]`: secrets in addition to the built-in rules, and values with their own placeholder.

use std::collections::BTreeMap;

use super::document::{ConfigFile, Error, FilePosition, Table, TomlItem, nearest};
use crate::cli::args::values::{parse_header_name, parse_json_path};
use harproxy_redact::{Placeholder, PlaceholderName, Policy, Rules, Secret};

const KEYS: [&str; 7] = ["headers", "query", "json", "text", "except", "personal", "values"];
/// Prefix of the name of a variable with a value.
pub(super) const VARIABLE: &str = "env:";

#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    /// The rules in addition to the built-in ones.
    pub(super) rules: Rules,
    /// The positions of `rules.except`.
    excepted: Vec<FilePosition>,
    values: BTreeMap<Placeholder, SecretSource>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum SecretSource {
    Literal(Secret),
    Variable(String),
}

impl Secrets {
    /// Reads the section of a file. Each of its lists replaces that of the files before.
    pub(super) fn read<'t>(&mut self, document: &ConfigFile<'t>, table: Table<'t>) -> Result<(), Error> {
        for TomlItem { name, at, value } in document.items(table) {
            match name.as_str() {
                "headers" => self.rules.headers = document.each(&name, &value, parse_header_name)?,
                "query" => self.rules.query = document.each(&name, &value, parameter)?,
                "json" => self.rules.json = document.each(&name, &value, parse_json_path)?,
                "text" => self.rules.text = document.each(&name, &value, pattern)?,
                "except" => {
                    self.rules.except = document.texts(&name, &value)?;
                    self.excepted = document.list(&value).into_iter().map(|item| document.at(&item.span())).collect();
                }
                "personal" => self.rules.personal = document.boolean(&name, &value)?,
                "values" => self.read_values(document, document.table("redact.values", value)?)?,
                _ => return Err(document.unknown("option of [redact]", &name, at, KEYS, None)),
            }
        }
        Ok(())
    }

    fn read_values<'t>(&mut self, document: &ConfigFile<'t>, table: Table<'t>) -> Result<(), Error> {
        let mut seen: BTreeMap<Placeholder, String> = BTreeMap::new();
        for TomlItem { name, at, value } in document.items(table) {
            let placeholder = placeholder(&name).map_err(|reason| document.wrong(&name, &at, reason))?;
            if let Some(before) = seen.insert(placeholder.clone(), name.clone()) {
                return Err(document.wrong(&name, &at, format!("`{before}` is the same placeholder")));
            }
            let given = given(&document.text(&name, &value)?);
            self.values.insert(placeholder, given.map_err(|reason| document.wrong(&name, &value.span(), reason))?);
        }
        Ok(())
    }

    pub(super) fn policy(&self) -> Result<Policy, Error> {
        let alone = |name: &String| Rules { except: vec![name.clone()], ..self.rules.clone() };
        for (name, at) in self.rules.except.iter().zip(&self.excepted) {
            Policy::new(&alone(name)).map_err(|error| {
                let known = harproxy_redact::similar_exceptions(name);
                let meant = nearest(name, &known).map(|meant| format!("; did you mean `{meant}`?"));
                wrong(at, "except", format!("{error}{}", meant.unwrap_or_default()))
            })?;
        }
        // The other rules were checked when they were read.
        Policy::new(&self.rules).map_err(|error| wrong(&FilePosition::default(), "redact", error.to_string()))
    }

    /// Returns the values with their placeholders. A variable that is not set is skipped and logged with `-v`, because
    /// some secrets are available only on some machines.
    pub(super) fn values(&self) -> Vec<(Placeholder, Secret)> {
        let each = self.values.iter().filter_map(|(placeholder, given)| Some((placeholder.clone(), given.value()?)));
        each.collect()
    }
}

impl SecretSource {
    fn value(&self) -> Option<Secret> {
        match self {
            SecretSource::Literal(value) => Some(value.clone()),
            SecretSource::Variable(name) => match std::env::var(name) {
                Ok(value) if !value.is_empty() => Some(value.into()),
                _ => {
                    tracing::info!(variable = name, "[redact.values]: the variable is not set");
                    None
                }
            },
        }
    }
}

fn wrong(at: &FilePosition, name: &str, reason: String) -> Error {
    Error::Value { at: at.clone(), name: name.to_owned(), reason }
}

/// Checks a regular expression and returns it unchanged. The error has only the last line of the message, which is the
/// reason.
fn pattern(text: &str) -> Result<String, String> {
    harproxy_redact::parse_pattern(text).map(|_| text.to_owned()).map_err(|error| {
        match error.to_string().lines().last().and_then(|line| line.strip_prefix("error: ")) {
            Some(reason) => format!("`{text}` is not a valid regular expression: {reason}"),
            None => error.to_string(),
        }
    })
}

fn parameter(name: &str) -> Result<String, &'static str> {
    let name = name.trim();
    if name.is_empty() { Err("expected names of parameters, such as `[\"sig2\"]`") } else { Ok(name.to_owned()) }
}

/// Parses `password-2` or `REDACTED-password-2`.
fn placeholder(text: &str) -> Result<Placeholder, String> {
    const EXPECTED: &str = "expected a placeholder without `REDACTED-`, such as `password-2`";
    let short = text.strip_prefix(harproxy_redact::placeholder::PREFIX).unwrap_or(text);
    let parts =
        short.rsplit_once('-').and_then(|(name, number)| Some((PlaceholderName::new(name), number.parse().ok()?)));
    let (name, number) = parts.filter(|(_, number)| *number > 0).ok_or(EXPECTED)?;
    let meant = format!("{name}-{number}");
    if meant == short { Ok(Placeholder { name, number }) } else { Err(format!("{EXPECTED}; did you mean `{meant}`?")) }
}

fn given(text: &str) -> Result<SecretSource, &'static str> {
    match text.strip_prefix(VARIABLE) {
        Some(name) if name.is_empty() || name.contains(['=', '\0']) => {
            Err("expected the name of a variable after `env:`, such as `env:BAD_PW`")
        }
        Some(name) => Ok(SecretSource::Variable(name.to_owned())),
        None if text.is_empty() => Err("expected a value, or the variable that holds it, such as `env:BAD_PW`"),
        None => Ok(SecretSource::Literal(text.into())),
    }
}
