//! The small sections: `[scope]`, `[volatile]`, `[check]`.

use super::document::{ConfigFile, Error, Table, TomlItem};
use crate::cli::args::values::parse_header_name;
use crate::record::Volatile;
use harproxy_json::JsonPath;

/// Reads `[scope]`: whether noise is excluded.
pub(super) fn scope<'t>(noise: &mut Option<bool>, document: &ConfigFile<'t>, table: Table<'t>) -> Result<(), Error> {
    for TomlItem { name, at, value } in document.items(table) {
        match name.as_str() {
            "noise" => *noise = Some(document.boolean(&name, &value)?),
            _ => return Err(document.unknown("option of [scope]", &name, at, ["noise"], None)),
        }
    }
    Ok(())
}

/// Reads `[volatile]`: headers and JSON paths of volatile values.
pub(super) fn volatile<'t>(volatile: &mut Volatile, document: &ConfigFile<'t>, table: Table<'t>) -> Result<(), Error> {
    for TomlItem { name, at, value } in document.items(table) {
        match name.as_str() {
            "headers" => volatile.headers = document.each(&name, &value, parse_header_name)?,
            "json" => volatile.json = document.each(&name, &value, json_path)?,
            _ => return Err(document.unknown("option of [volatile]", &name, at, ["headers", "json"], None)),
        }
    }
    Ok(())
}

/// Reads `[check]`: hashes of values that are not secret.
pub(super) fn check<'t>(allow: &mut Vec<String>, document: &ConfigFile<'t>, table: Table<'t>) -> Result<(), Error> {
    for TomlItem { name, at, value } in document.items(table) {
        match name.as_str() {
            "allow" => *allow = document.each(&name, &value, hash)?,
            _ => return Err(document.unknown("option of [check]", &name, at, ["allow"], None)),
        }
    }
    Ok(())
}

/// Parses the prefix of a SHA-256, with or without `sha256:`, and returns it in lower case.
fn hash(text: &str) -> Result<String, &'static str> {
    let hex = text.trim().trim_start_matches("sha256:").to_ascii_lowercase();
    match (12..=64).contains(&hex.len()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(hex),
        false => Err("expected a hash as `harproxy check` prints it: `sha256:` and 12 hex digits or more"),
    }
}

/// Checks a JSON path and returns it unchanged. The error suggests a missing `$` or `$.`.
pub(super) fn json_path(text: &str) -> Result<String, String> {
    JsonPath::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}
