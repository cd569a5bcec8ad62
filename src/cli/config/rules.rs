//! `[[match]]`: matching rules per URL.

use toml::de::DeValue;

use super::document::{ConfigFile, Error, Table, TomlItem, Value};
use crate::cli::args::replay::{MATCH_BODY, REDIRECTS};
use crate::cli::args::values::{Words, parse_header_name};
use harproxy_glob::Globs;
use harproxy_matching::{Echo, MatchRule};

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
        let each = |item: &Value<'_>| document.text(&name, item);
        let texts = || document.list(&value).into_iter().map(|item| Ok((each(item)?, item.span())));
        let wrong = |reason: &str| document.wrong(&name, &value.span(), reason);
        match name.as_str() {
            "glob" => {
                let globs = texts().map(|text| text.map(|(text, _)| text)).collect::<Result<Vec<_>, _>>()?;
                rule.glob = Globs::new(&globs).map_err(|error| wrong(&error.reason))?;
            }
            "path" => {
                for text in texts() {
                    let (text, span) = text?;
                    let path = harproxy_matching::PathPattern::new(&text);
                    rule.paths.push(path.map_err(|reason| document.wrong(&name, &span, reason))?);
                }
            }
            "same-host" => {
                for text in texts() {
                    let (text, span) = text?;
                    let origin = harproxy_matching::OriginPattern::new(&text);
                    rule.same_host.push(origin.map_err(|error| document.wrong(&name, &span, error.to_string()))?);
                }
            }
            "ignore-query" => {
                for text in texts() {
                    rule.ignore_query.push(text?.0);
                }
            }
            "ignore-body" => {
                for text in texts() {
                    let (text, span) = text?;
                    let path = harproxy_json::JsonPath::parse(&text);
                    rule.ignore_body.push(path.map_err(|error| document.wrong(&name, &span, error.to_string()))?);
                }
            }
            "match-header" => {
                for text in texts() {
                    let (text, span) = text?;
                    let header = parse_header_name(&text);
                    rule.match_headers.push(header.map_err(|reason| document.wrong(&name, &span, reason))?);
                }
            }
            "body" => rule.body = Some(choice(document, &name, &value, MATCH_BODY)?),
            "echo" => {
                for text in texts() {
                    let (text, span) = text?;
                    let echo = harproxy_matching::Echo::parse(&text);
                    rule.echo.push(echo.map_err(|reason| document.wrong(&name, &span, reason))?);
                    echoes.push(span);
                }
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
