//! The canonical text of parts of a HAR, for the merge driver, which writes a HAR without its payload files.

use std::io::Write;
use std::path::Path;

use harproxy_json::text::{quote, replace_lone_surrogates, unquote};
use harproxy_json::{TextMember, TextValue};
use serde_json::{Map, Value};

use super::{canonical, publish, text};
use crate::Error;
use crate::read::{Fixture, entry};
use crate::store::staging;

/// Members of a JSON object, in order.
pub type Object = Map<String, Value>;

/// The members of `log` except `entries`, and the other top-level members.
///
/// # Errors
/// When the fixture has changed since it was opened.
pub fn members_outside_entries(fixture: &Fixture) -> Result<(Object, Object), Error> {
    Ok((object(&fixture.log()?), object(&fixture.beside_log()?)))
}

fn object(members: &[TextMember<'_>]) -> Object {
    let value = |node: &TextValue<'_>| {
        let json = node.compact();
        serde_json::from_str(&json).or_else(|_| serde_json::from_str(&replace_lone_surrogates(&json))).ok()
    };
    members.iter().filter_map(|(name, node)| Some((unquote(name)?.into_owned(), value(node)?))).collect()
}

/// The members as text.
pub(crate) fn members(object: &Object) -> Vec<TextMember<'static>> {
    object.iter().map(|(name, value)| (quote(name).into(), TextValue::from(value.clone()))).collect()
}

/// The text of a HAR before the first entry.
pub fn head(log: &Object) -> String {
    let mut log = members(log);
    canonical::arrange_log(&mut log);
    text::head(&log)
}

/// The text after the last entry. `any` is true if there are entries.
pub fn end(any: bool, outside_log: &Object) -> String {
    text::end(any, &members(outside_log))
}

/// The text of an entry in the `entries` array.
pub fn entry_text(entry: Object) -> String {
    canonical_text(TextValue::from(Value::Object(entry)))
}

/// The canonical form of the text of an entry. `None` if it is not JSON.
pub fn format_entry(json: &[u8]) -> Option<String> {
    entry::tree(json).map(canonical_text).ok()
}

fn canonical_text(mut entry: TextValue<'_>) -> String {
    canonical::arrange(&mut entry);
    canonical::text(&entry, 6)
}

/// Replaces a file atomically and durably.
///
/// # Errors
/// When a write, sync or rename fails. The file is then unchanged.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), Error>) -> Result<(), Error> {
    let failed = Error::at(path, "writing");
    let mut out = std::io::BufWriter::new(staging::file(path).map_err(failed)?);
    write(&mut out)?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    publish::rename_into(file, path).map(drop)
}
