//! The small sections: `[scope]`, `[volatile]`, `[check]`.

use super::document::{Document, Error, Item, Table};
use crate::cli::args::values::parse_header_name;
use crate::record::Volatile;
use harproxy_json::{JsonPath, PathError};

/// `[scope]`: whether there is a list of noise.
pub(super) fn scope<'t>(noise: &mut Option<bool>, document: &Document<'t>, table: Table<'t>) -> Result<(), Error> {
    for Item { name, at, value } in document.items(table) {
        match name.as_str() {
            "noise" => *noise = Some(document.boolean(&name, &value)?),
            _ => return Err(document.unknown("option of [scope]", &name, at, ["noise"], None)),
        }
    }
    Ok(())
}

/// `[volatile]`: what changes with every recording and means nothing.
pub(super) fn volatile<'t>(volatile: &mut Volatile, document: &Document<'t>, table: Table<'t>) -> Result<(), Error> {
    for Item { name, at, value } in document.items(table) {
        match name.as_str() {
            "headers" => volatile.headers = document.each(&name, &value, parse_header_name)?,
            "json" => volatile.json = document.each(&name, &value, json_path)?,
            _ => return Err(document.unknown("option of [volatile]", &name, at, ["headers", "json"], None)),
        }
    }
    Ok(())
}

/// `[check]`: what was looked at and found to be no secret, by hash.
pub(super) fn check<'t>(allow: &mut Vec<String>, document: &Document<'t>, table: Table<'t>) -> Result<(), Error> {
    for Item { name, at, value } in document.items(table) {
        match name.as_str() {
            "allow" => *allow = document.each(&name, &value, hash)?,
            _ => return Err(document.unknown("option of [check]", &name, at, ["allow"], None)),
        }
    }
    Ok(())
}

/// How a SHA-256 begins, in lower case, with or without its name before it.
fn hash(text: &str) -> Result<String, &'static str> {
    let hex = text.trim().trim_start_matches("sha256:").to_ascii_lowercase();
    match (12..=64).contains(&hex.len()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(hex),
        false => Err("expected a hash as `harproxy check` prints it: `sha256:` and 12 hex digits or more"),
    }
}

/// Checks a JSON path.
pub(super) fn json_path(text: &str) -> Result<String, PathError> {
    JsonPath::parse(text).map(|_| text.to_owned())
}
