//! `[[match]]`: matching rules per URL.

use toml::de::DeValue;

use super::document::{ConfigFile, Error, Table, TomlItem, Value};
use crate::cli::args::replay::{MATCH_BODY, REDIRECTS};
use crate::cli::args::values::{Words, parse_header_name};
use harproxy_glob::Globs;
use harproxy_json::JsonPath;
use harproxy_matching::{Echo, MatchRule, OriginPattern, PathPattern};

pub(super) const KEYS: [&str; 9] =
    ["glob", "path", "same-host", "ignore-query", "ignore-body", "body", "match-header", "redirects", "echo"];

pub(super) fn rules<'t>(document: &ConfigFile<'t>, value: Value<'t>) -> Result<Vec<MatchRule>, Error> {
    let span = value.span();
    let tables = match value.into_inner() {
        DeValue::Array(items) => items,
        _ => return Err(document.wrong("match", &span, "expected a list of rules, each under `[[match]]`")),
    };
    tables.into_iter().map(|value| rule(document, document.table("[match]", value)?)).collect()
}

fn rule<'t>(document: &ConfigFile<'t>, table: Table<'t>) -> Result<MatchRule, Error> {
    let mut rule = MatchRule::default();
    let mut echoes = Vec::new();
    for TomlItem { name, at, value } in document.items(table) {
        match name.as_str() {
            "glob" => {
                let globs = Globs::new(document.texts(&name, &value)?);
                rule.glob = globs.map_err(|error| document.wrong(&name, &value.span(), error.reason))?;
            }
            "path" => rule.paths = document.each(&name, &value, PathPattern::new)?,
            "same-host" => rule.same_host = document.each(&name, &value, OriginPattern::new)?,
            "ignore-query" => rule.ignore_query = document.texts(&name, &value)?,
            "ignore-body" => rule.ignore_body = document.each(&name, &value, JsonPath::parse)?,
            "match-header" => rule.match_headers = document.each(&name, &value, parse_header_name)?,
            "body" => rule.body = Some(choice(document, &name, &value, MATCH_BODY)?),
            "echo" => {
                rule.echo = document.each(&name, &value, Echo::parse)?;
                echoes = document.list(&value).into_iter().map(|item| item.span()).collect();
            }
            "redirects" => rule.redirects = Some(choice(document, &name, &value, REDIRECTS)?),
            _ => return Err(document.unknown("option of [[match]]", &name, at, KEYS, None)),
        }
    }
    for (echo, span) in rule.echo.iter().zip(echoes) {
        if let Echo::Path(segment) = echo
            && !rule.paths.iter().any(|path| path.place_of(segment).is_some())
        {
            let reason = format!("`path` of this rule has no segment `{{{segment}}}`");
            return Err(document.wrong("echo", &span, reason));
        }
    }
    Ok(rule)
}

fn choice<T: Copy>(document: &ConfigFile<'_>, name: &str, value: &Value<'_>, words: Words<T>) -> Result<T, Error> {
    let given = document.text(name, value)?;
    let found = words.iter().find(|(word, ..)| *word == given).map(|(.., value)| *value);
    found.ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, ..)| *word).collect();
        document.wrong(name, &value.span(), format!("expected one of {}", words.join(", ")))
    })
}
