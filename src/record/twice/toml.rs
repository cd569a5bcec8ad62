//! Adds learned rules to the text of a `harproxy.toml`, preserving its existing content.

use std::collections::BTreeSet;

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value, value};

use super::policy::{LearnedPolicy, LearnedRule, RuleScope};

/// Errors while rules are added to a file.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file is not valid TOML.
    #[error("reading it")]
    Syntax(#[from] toml_edit::TomlError),
    /// An existing key has an unexpected type.
    #[error("`{name}` in it is not {expected}")]
    Other { name: &'static str, expected: &'static str },
}

/// Returns the rules as the text of a new file.
#[must_use]
pub fn to_toml(policy: &LearnedPolicy) -> String {
    add_to("", policy).unwrap_or_default()
}

/// Returns the file's text with the rules added. Lists are extended, and rules for the same URLs are merged.
///
/// # Errors
/// Fails with [`WriteError`] if the file is invalid TOML or a key has an unexpected type.
pub fn add_to(text: &str, policy: &LearnedPolicy) -> Result<String, WriteError> {
    let mut document: DocumentMut = text.parse()?;
    add_volatile(&mut document, policy)?;
    for (at, rule) in &policy.rules {
        add_rule(&mut document, at, rule)?;
    }
    let text = document.to_string();
    // Trailing blank lines would otherwise remain after the added rules.
    Ok(if text.trim().is_empty() { text } else { format!("{}\n", text.trim_end()) })
}

fn add_volatile(document: &mut DocumentMut, policy: &LearnedPolicy) -> Result<(), WriteError> {
    let lists = [("headers", &policy.volatile_headers), ("json", &policy.volatile_json)];
    if lists.iter().all(|(_, values)| values.is_empty()) {
        return Ok(());
    }
    let other = || WriteError::Other { name: "volatile", expected: "a section" };
    let table = document.entry("volatile").or_insert_with(|| Item::Table(Table::new()));
    let table = table.as_table_mut().ok_or_else(other)?;
    for (name, values) in lists {
        extend(table, name, values.keys())?;
    }
    Ok(())
}

fn add_rule(document: &mut DocumentMut, at: &RuleScope, rule: &LearnedRule) -> Result<(), WriteError> {
    let other = || WriteError::Other { name: "match", expected: "a list of rules, each under `[[match]]`" };
    let rules = document.entry("match").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let rules = rules.as_array_of_tables_mut().ok_or_else(other)?;
    let text = |table: &Table, name: &str| table.get(name).and_then(Item::as_str).map(str::to_owned);
    let is_at = |table: &Table| text(table, "glob").as_ref() == Some(&at.glob) && text(table, "path") == at.path;
    if !rules.iter().any(is_at) {
        let mut table = Table::new();
        table["glob"] = value(&at.glob);
        if let Some(path) = &at.path {
            table["path"] = value(path);
        }
        rules.push(table);
    }
    let Some(table) = rules.iter_mut().find(|table| is_at(table)) else { return Ok(()) };
    extend(table, "same-host", &rule.same_host)?;
    extend(table, "ignore-query", &rule.ignore_query)?;
    extend(table, "ignore-body", &rule.ignore_body)?;
    extend(table, "match-header", &rule.match_header)?;
    extend(table, "echo", &rule.echo)?;
    if rule.ignore_payload || rule.json_payload {
        table["body"] = value(if rule.ignore_payload { "ignore" } else { "json" });
    }
    Ok(())
}

/// Adds the missing values to a list. A single string becomes a list first.
fn extend<'v>(
    table: &mut Table,
    name: &'static str,
    values: impl IntoIterator<Item = &'v String>,
) -> Result<(), WriteError> {
    let values: BTreeSet<&String> = values.into_iter().collect();
    if values.is_empty() {
        return Ok(());
    }
    let item = table.entry(name).or_insert_with(|| value(Array::new()));
    if let Some(single) = item.as_str().map(str::to_owned) {
        *item = value(Array::from_iter([single]));
    }
    let list = item.as_array_mut().ok_or(WriteError::Other { name, expected: "a list" })?;
    for text in values {
        if !list.iter().any(|known| known.as_str() == Some(text)) {
            list.push(Value::from(text.as_str()));
        }
    }
    Ok(())
}
