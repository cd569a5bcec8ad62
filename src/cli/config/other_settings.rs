//! Settings of the files that are not options of a command, as written, for `harproxy config`.

use serde_json::Value as Json;
use toml::de::DeValue;

use super::document::{ConfigFile, FilePosition, Value};

/// A setting that is not an option of a command.
#[derive(Clone, Debug)]
pub struct OtherSetting {
    /// With its section: `redact.headers`, `match`.
    pub name: String,
    /// The value. For a secret, its origin.
    pub value: Json,
    pub at: FilePosition,
}

/// Returns the settings of a section. Each rule of `[[match]]` and each value of `[redact.values]` is one.
pub(super) fn of_section<'t>(document: &ConfigFile<'t>, section: &str, value: &Value<'t>) -> Vec<OtherSetting> {
    match value.get_ref() {
        DeValue::Array(rules) => {
            let rule = |rule: &Value<'t>| {
                let at = document.at(&rule.span());
                OtherSetting { name: section.to_owned(), value: document.json(rule.get_ref()), at }
            };
            rules.iter().map(rule).collect()
        }
        DeValue::Table(table) => {
            let items = document.items(table.clone()).into_iter();
            let each = |item: super::TomlItem<'t>| {
                let name = format!("{section}.{}", item.name);
                match item.value.get_ref() {
                    DeValue::Table(_) => of_section(document, &name, &item.value),
                    value => {
                        let secret = section == "redact.values";
                        let value = if secret { secret_of(value) } else { document.json(value) };
                        vec![OtherSetting { name, value, at: document.at(&item.at) }]
                    }
                }
            };
            items.flat_map(each).collect()
        }
        _ => Vec::new(),
    }
}

/// Merges the settings of a later file into those of earlier files.
pub(super) fn merge(settings: &mut Vec<OtherSetting>, later: Vec<OtherSetting>) {
    // Rules are appended. Other settings are replaced by those of the later file.
    settings.retain(|before| before.name == "match" || later.iter().all(|after| after.name != before.name));
    settings.extend(later);
}

/// Returns the origin of a secret, never its value.
fn secret_of(value: &DeValue<'_>) -> Json {
    const REDACTED: &str = "(redacted)";
    let variable = value.as_str().and_then(|text| text.strip_prefix(super::secrets::VARIABLE));
    Json::from(match variable {
        None => REDACTED.to_owned(),
        Some(name) if std::env::var_os(name).is_none_or(|value| value.is_empty()) => {
            format!("env:{name}, which is not set")
        }
        Some(name) => format!("env:{name} {REDACTED}"),
    })
}
