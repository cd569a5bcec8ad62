//! The pieces of a HAR as JSON, and their canonical text, for those that put a HAR together without its payload files.

use std::io::Write;
use std::path::Path;

use harproxy_json::text::{quote, replace_lone_surrogates, unquote};
use harproxy_json::{TextMember, TextValue};
use serde_json::{Map, Value};

use super::{Error, Fixture, canonical, parse, place, staging, text};

/// Members of a JSON object, in order.
pub type Object = Map<String, Value>;

/// The members of `log` but `entries`, and those beside it.
///
/// # Errors
/// When the fixture changed under us.
pub fn around_entries(fixture: &Fixture) -> Result<(Object, Object), Error> {
    Ok((object(&fixture.log()?), object(&fixture.beside_log()?)))
}

fn object(members: &[TextMember<'_>]) -> Object {
    let value = |node: &TextValue<'_>| {
        let json = node.indented(0);
        serde_json::from_str(&json).or_else(|_| serde_json::from_str(&replace_lone_surrogates(&json))).ok()
    };
    members.iter().filter_map(|(name, node)| Some((unquote(name)?.into_owned(), value(node)?))).collect()
}

/// The same as they are written.
pub(super) fn members(object: &Object) -> Vec<TextMember<'static>> {
    object.iter().map(|(name, value)| (quote(name).into(), TextValue::from(value.clone()))).collect()
}

/// All of a HAR that stands before the first entry.
pub fn head(log: &Object) -> String {
    let mut log = members(log);
    canonical::arrange_log(&mut log);
    text::head(&log)
}

/// All that stands behind the last entry, if there is any.
pub fn end(any: bool, beside: &Object) -> String {
    text::end(any, &members(beside))
}

/// The text of an entry as it stands in the list.
pub fn entry(entry: Object) -> String {
    arranged(TextValue::from(Value::Object(entry)))
}

/// An entry's text put in canonical form; `None` when it is no JSON.
pub fn formatted(json: &[u8]) -> Option<String> {
    parse::tree(json).map(arranged).ok()
}

fn arranged(mut entry: TextValue<'_>) -> String {
    canonical::arrange(&mut entry);
    entry.indented(6)
}

/// Puts a text in the place of a file: synced, and there as a whole or not at all.
///
/// # Errors
/// When that can't be done; the file is then as it was.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), Error>) -> Result<(), Error> {
    let failed = |source| Error::Io { doing: "writing", path: path.to_owned(), source };
    let mut out = std::io::BufWriter::new(staging::file(path).map_err(failed)?);
    write(&mut out)?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    place::rename_into(file, path).map(drop)
}
