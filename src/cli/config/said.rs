//! What the files say beside the options of a command, as written, for `harproxy config`.

use serde_json::Value as Json;
use toml::de::DeValue;

use super::document::{At, Document, Value};

/// One thing that a file says.
#[derive(Clone, Debug)]
pub struct Said {
    /// With its section: `redact.headers`, `match`.
    pub name: String,
    /// The value; of a secret, where it is from.
    pub value: Json,
    /// Where it stands.
    pub at: At,
}

/// Every item of a section; each rule of `[[match]]` is one, each value of `[redact.values]` too.
pub(super) fn of<'t>(document: &Document<'t>, section: &str, value: &Value<'t>) -> Vec<Said> {
    match value.get_ref() {
        DeValue::Array(rules) => {
            let rule = |rule: &Value<'t>| {
                let at = document.at(&rule.span());
                Said { name: section.to_owned(), value: document.json(rule.get_ref()), at }
            };
            rules.iter().map(rule).collect()
        }
        DeValue::Table(table) => {
            let items = document.items(table.clone()).into_iter();
            let each = |item: super::Item<'t>| {
                let name = format!("{section}.{}", item.name);
                match item.value.get_ref() {
                    DeValue::Table(_) => of(document, &name, &item.value),
                    value => {
                        let secret = section == "redact.values";
                        let value = if secret { secret_of(value) } else { document.json(value) };
                        vec![Said { name, value, at: document.at(&item.at) }]
                    }
                }
            };
            items.flat_map(each).collect()
        }
        _ => Vec::new(),
    }
}

/// Lays what a file says over what another did.
pub(super) fn over(said: &mut Vec<Said>, later: Vec<Said>) {
    // Rules add up, of everything else the later counts.
    said.retain(|before| before.name == "match" || later.iter().all(|after| after.name != before.name));
    said.extend(later);
}

/// Where a value is from, and never the value.
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
