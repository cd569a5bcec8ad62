//! Updates an entry with the changes of a new exchange. Volatile values keep the old text, so that a diff shows only
//! changes of the API.

use std::io::{Cursor, Read};
use std::str;

use serde_json::{Map, Value};

use super::har_error;
use harproxy_compare::VolatileRules;
use harproxy_compare::volatile::date;
use harproxy_har::model::{Body, Response};
use harproxy_har::write::{FixtureWriter, PayloadSource};
use harproxy_har::{Entry, Fixture};
use harproxy_http::headers::to_chars;
use harproxy_http::{Header, Headers, MediaType};
use harproxy_json::{self as json, Spacing, patch};

/// The longest payload that is patched, in bytes. Longer ones are replaced, because a tree takes many times the memory
/// of its text.
const MAX_PATCHED: u64 = 4 << 20;

/// Headers that are derived from the payload: they are updated only if the payload changed.
/// `Last-Modified` is not among them: it must not be later than `Date`, which keeps its old value.
const PAYLOAD_HEADERS: [&str; 2] = ["content-length", "etag"];

/// Returns the old entry with the changes of `new`. `content` is the new payload as stored; `None` keeps the old one.
#[must_use]
pub fn update(volatile: &VolatileRules, old: &Entry, new: Entry, content: Option<Body>) -> Entry {
    if !has_response(old) || !has_response(&new) {
        let kept = || Body { mime_type: mime_type(&new.response.headers), ..old.response.content.clone() };
        let content = content.unwrap_or_else(kept);
        let response = Response { content, extras: old.response.extras.clone(), ..new.response };
        return Entry { request: old.request.clone(), extras: old.extras.clone(), response, ..new };
    }
    let (before, after) = (&old.response, new.response);
    // A payload whose file was missing is stored again under its old name.
    let has_new_payload = content.as_ref().is_some_and(|content| content.stored != before.content.stored);
    let fields = FieldMerge { volatile, method: &old.request.method, has_new_payload };
    let headers = fields.merge(&before.headers, &after.headers);
    let same_place = headers.get("location") == before.headers.get("location");
    let same_type = headers.get("content-type") == before.headers.get("content-type");
    let mut extras = before.extras.clone();
    if !headers.get_all("set-cookie").eq(before.headers.get_all("set-cookie")) {
        // The `cookies` that another tool wrote are outdated.
        extras.shift_remove("cookies");
    }
    Entry {
        response: Response {
            status: after.status,
            // HTTP/2 has no reason phrases.
            status_text: match after.status == before.status && !after.http_version.starts_with("HTTP/1") {
                true => before.status_text.clone(),
                false => after.status_text,
            },
            http_version: before.http_version.clone(),
            content: match content {
                Some(content) => Body { extras: before.content.extras.clone(), ..content },
                None if same_type => before.content.clone(),
                None => Body { mime_type: mime_type(&headers), ..before.content.clone() },
            },
            redirect_url: if same_place { before.redirect_url.clone() } else { after.redirect_url },
            headers_size: match before.headers_size {
                unknown if unknown < 0 => unknown,
                size => size + length(&headers) - length(&before.headers),
            },
            body_size: if has_new_payload { after.body_size } else { before.body_size },
            trailers: fields.merge(&before.trailers, &after.trailers),
            extras,
            headers,
        },
        harproxy: own_member(old.harproxy.as_ref(), new.harproxy, has_new_payload),
        ..old.clone()
    }
}

/// Stores the payload that replaces the one of entry `at`. JSON keeps its layout and the text of unchanged values,
/// volatile ones included.
pub fn store_content(
    volatile: &VolatileRules,
    fixture: &Fixture,
    at: usize,
    source: PayloadSource<'_>,
    writer: &mut FixtureWriter,
) -> Result<Body, harproxy_har::Error> {
    if source.encoded || source.truncated.is_some() || !MediaType::parse(source.mime_type).is_json() {
        return writer.content(source);
    }
    let mut bytes = Vec::new();
    source.read.take(MAX_PATCHED + 1).read_to_end(&mut bytes).map_err(har_error)?;
    let old = if bytes.len() as u64 > MAX_PATCHED { None } else { old_text(fixture, at) };
    let patched = old.and_then(|(old, indented_from)| {
        let text = patch_text(volatile, &old, indented_from, str::from_utf8(&bytes).ok()?)?;
        Some((text, indented_from))
    });
    let mut layout = None;
    match patched {
        Some((text, Some(spacing))) => {
            bytes = json::single_line(text.as_bytes(), spacing);
            layout = Some(text);
        }
        Some((text, None)) => bytes = text.into_bytes(),
        None => {}
    }
    let mut read = Cursor::new(bytes).chain(source.read);
    let source = PayloadSource { read: &mut read, ..source };
    match layout {
        Some(layout) => writer.content_with_layout(source, layout.as_bytes()),
        None => writer.content(source),
    }
}

/// Reads the text of an old payload, and the spacing of a payload on one line that was indented for its readers.
fn old_text(fixture: &Fixture, at: usize) -> Option<(String, Option<Spacing>)> {
    let entry = fixture.entry(at).ok()?;
    let content = &entry.response.content;
    if content.encoded || content.truncated.is_some() {
        return None;
    }
    let stored = fixture.stored_bytes(at, content, MAX_PATCHED).ok()??;
    Some((String::from_utf8(stored).ok()?, content.compact))
}

/// Applies the changes of a payload to the old text. Returns `None` if one of them is not JSON, or if the server sent
/// them with another spacing.
fn patch_text(volatile: &VolatileRules, old: &str, indented_from: Option<Spacing>, new: &str) -> Option<String> {
    if json::spacing(new.as_bytes()) != indented_from.or_else(|| json::spacing(old.as_bytes())) {
        return None;
    }
    let indented = indented_from.and_then(|_| String::from_utf8(json::indent(new.as_bytes())).ok());
    let new = indented.as_deref().unwrap_or(new);
    let (ours, theirs) = (volatile.parse(old)?, volatile.parse(new)?);
    Some(patch(old, &ours, &ours, new, &theirs))
}

fn has_response(entry: &Entry) -> bool {
    harproxy_http::is_received_status(entry.response.status)
}

fn mime_type(headers: &Headers) -> String {
    headers.get("content-type").map(|mime| to_chars(mime).into_owned()).unwrap_or_default()
}

/// Merges the header fields or trailers of a response.
struct FieldMerge<'a> {
    volatile: &'a VolatileRules,
    method: &'a str,
    /// The payload changed.
    has_new_payload: bool,
}

impl FieldMerge<'_> {
    /// Merges two header lists. Names keep the old order; a new name follows its predecessor in `new`.
    /// Values are the new ones; a value that compares as equal keeps its old spelling.
    fn merge(&self, old: &Headers, new: &Headers) -> Headers {
        let (old_names, new_names) = (names(old), names(new));
        let mut merged: Vec<(&String, Vec<Header>)> = Vec::new();
        for name in &old_names {
            let fields = if self.keeps(name) { of_name(old, name).collect() } else { self.values(name, old, new) };
            merged.push((name, fields));
        }
        let mut before = None;
        for name in &new_names {
            let known = |merged: &[(&String, Vec<Header>)], name| merged.iter().position(|(known, _)| *known == name);
            if known(&merged, name).is_none() {
                if self.keeps(name) {
                    continue;
                }
                let at = before.and_then(|before| known(&merged, before)).map_or(0, |at| at + 1);
                merged.insert(at, (name, of_name(new, name).collect()));
            }
            before = Some(name);
        }
        merged.into_iter().flat_map(|(_, fields)| fields).collect()
    }

    /// Returns true if a field keeps its old value, or is left out if it is new.
    fn keeps(&self, name: &str) -> bool {
        self.volatile.ignores_header(self.method, name) && !(self.has_new_payload && PAYLOAD_HEADERS.contains(&name))
    }

    fn values(&self, name: &str, old: &Headers, new: &Headers) -> Vec<Header> {
        let [before, after] = [old, new].map(date);
        let mut known: Vec<Header> = of_name(old, name).collect();
        let updated = of_name(new, name).map(|field| {
            let projected = self.volatile.header_value(name, &field.value, after);
            let same = known.iter().position(|old| self.volatile.header_value(name, &old.value, before) == projected);
            same.map(|at| known.remove(at)).unwrap_or(field.clone())
        });
        updated.collect()
    }
}

/// Returns the names in lower case, in order of first appearance.
fn names(headers: &Headers) -> Vec<String> {
    let mut names = Vec::new();
    for header in headers.iter() {
        let name = header.name.to_ascii_lowercase();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn of_name<'h>(headers: &'h Headers, name: &'h str) -> impl Iterator<Item = Header> + 'h {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).cloned()
}

/// Returns the length of header fields as HTTP/1.1 writes them.
fn length(headers: &Headers) -> i64 {
    // `name: value\r\n`
    let length: usize = headers.iter().map(|header| header.name.len() + header.value.len() + 4).sum();
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Merges the `_harproxy` members. Informational responses are replaced only if their statuses changed, and the times
/// of chunks only with the payload; members of others stay.
fn own_member(
    old: Option<&Map<String, Value>>,
    new: Option<Map<String, Value>>,
    has_new_payload: bool,
) -> Option<Map<String, Value>> {
    let (mut merged, mut new) = (old.cloned().unwrap_or_default(), new.unwrap_or_default());
    let statuses = |own: &Map<String, Value>| -> Vec<Value> {
        let list = own.get("informational").and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|response| response.get("status")).cloned().collect()
    };
    if statuses(&merged) != statuses(&new) {
        merged.shift_remove("informational");
        merged.extend(new.shift_remove_entry("informational"));
    }
    for name in ["stream", "chunks"].into_iter().filter(|name| has_new_payload || *name == "stream") {
        merged.shift_remove(name);
        merged.extend(new.shift_remove_entry(name));
    }
    (!merged.is_empty()).then_some(merged)
}
