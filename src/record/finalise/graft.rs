//! Merges a changed exchange into its old entry. Volatile values keep the old text, so that a diff shows only API
//! changes.

use std::io::{Cursor, Read};
use std::str;

use serde_json::{Map, Value};

use crate::record::volatile::{self, Quiet};
use harproxy_har::model::{Body, Extras, Response};
use harproxy_har::write::{FixtureWriter, PayloadSource};
use harproxy_har::{Entry, Fixture};
use harproxy_http::headers::to_chars;
use harproxy_http::{Header, Headers, MediaType};
use harproxy_json::{self as json, patch};

/// Longer payloads are replaced whole: a tree takes many times the memory of its text.
const LONGEST: u64 = 4 << 20;

/// Headers that are derived from the payload: they are updated only if the payload changed.
/// `Last-Modified` is not among them: it must not be later than `Date`, which keeps its old value.
const FOLLOWS: [&str; 2] = ["content-length", "etag"];

/// Returns the old entry with the changes of `new`. `content` is the new payload as stored; `None` keeps the old one.
#[must_use]
pub fn entry(quiet: &Quiet, old: &Entry, new: Entry, content: Option<Body>) -> Entry {
    if !was_given(old) || !was_given(&new) {
        let kept = || Body { mime_type: mime_type(&new.response.headers), ..old.response.content.clone() };
        let content = content.unwrap_or_else(kept);
        let response = Response { content, extras: old.response.extras.clone(), ..new.response };
        return Entry { request: old.request.clone(), extras: old.extras.clone(), response, ..new };
    }
    let (before, after) = (&old.response, new.response);
    // A payload that was only lost is the old one.
    let follows = content.as_ref().is_some_and(|content| content.stored != before.content.stored);
    let fields = Fields { quiet, method: &old.request.method, follows };
    let headers = fields.merged(&before.headers, &after.headers);
    let same_place = headers.get("location") == before.headers.get("location");
    let same_type = headers.get("content-type") == before.headers.get("content-type");
    let same_cookies = headers.get_all("set-cookie").eq(before.headers.get_all("set-cookie"));
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
            body_size: if follows { after.body_size } else { before.body_size },
            trailers: fields.merged(&before.trailers, &after.trailers),
            extras: match same_cookies {
                true => before.extras.clone(),
                // What another tool said of them holds no longer.
                false => before.extras.iter().filter(|(name, _)| *name != "cookies").map(owned).collect::<Extras>(),
            },
            headers,
        },
        harproxy: said(old.harproxy.as_ref(), new.harproxy),
        ..old.clone()
    }
}

/// Stores the payload that takes the place of an old one. JSON keeps the text of what did not change, volatile members
/// included, and its layout.
///
/// # Errors
/// When reading or writing fails.
pub fn content(
    quiet: &Quiet,
    fixture: &Fixture,
    at: usize,
    source: PayloadSource<'_>,
    writer: &mut FixtureWriter,
) -> Result<Body, harproxy_har::Error> {
    let PayloadSource { read, mime_type, encoded, truncated } = source;
    if encoded || truncated.is_some() || !MediaType::parse(mime_type).is_json() {
        return writer.content(PayloadSource { read, mime_type, encoded, truncated });
    }
    let mut bytes = Vec::new();
    let reading = |source| harproxy_har::Error::Payload { doing: "reading the journal", source };
    (&mut *read).take(LONGEST + 1).read_to_end(&mut bytes).map_err(reading)?;
    let grafted = if bytes.len() as u64 > LONGEST { None } else { old_text(fixture, at) };
    let grafted = grafted.and_then(|(old, spread)| text(quiet, &old, spread, str::from_utf8(&bytes).ok()?));
    let (bytes, laid_out) = match grafted {
        Some(Text::Spread(text)) => (json::compact(text.as_bytes()), Some(text)),
        Some(Text::Wire(text)) => (text.into_bytes(), None),
        None => (bytes, None),
    };
    let mut read = Cursor::new(bytes).chain(read);
    let source = PayloadSource { read: &mut read, mime_type, encoded, truncated };
    match laid_out {
        Some(laid_out) => writer.content_with_layout(source, laid_out.as_bytes()),
        None => writer.content(source),
    }
}

/// JSON with what changed in it.
#[derive(Debug, PartialEq, Eq)]
enum Text {
    /// Spread over lines, to be sent compact.
    Spread(String),
    /// As it is sent.
    Wire(String),
}

/// The text of an old payload, and whether it is spread over lines to be read.
fn old_text(fixture: &Fixture, at: usize) -> Option<(String, bool)> {
    let entry = fixture.entry(at).ok()?;
    let content = &entry.response.content;
    let whole = !content.encoded && content.truncated.is_none();
    let stored = whole.then(|| fixture.stored_bytes(at, content, LONGEST).ok()).flatten()??;
    Some((String::from_utf8(stored).ok()?, content.compact))
}

/// `None` where the two have nothing in common to keep: no JSON, or laid out by the server in one case only.
fn text(quiet: &Quiet, old: &str, spread: bool, new: &str) -> Option<Text> {
    let compact = json::is_compact(new.as_bytes());
    if compact != (spread || json::is_compact(old.as_bytes())) {
        return None;
    }
    let indented = spread.then(|| String::from_utf8(json::indent(new.as_bytes())).ok()).flatten();
    let new = indented.as_deref().unwrap_or(new);
    let (ours, theirs) = (quiet.tree(old)?, quiet.tree(new)?);
    let text = patch(old, &ours, &ours, new, &theirs);
    Some(if spread { Text::Spread(text) } else { Text::Wire(text) })
}

fn was_given(entry: &Entry) -> bool {
    (100..=599).contains(&entry.response.status)
}

fn mime_type(headers: &Headers) -> String {
    headers.get("content-type").map(|mime| to_chars(mime).into_owned()).unwrap_or_default()
}

/// How header fields and trailers of an answer are merged.
struct Fields<'a> {
    quiet: &'a Quiet,
    method: &'a str,
    /// The payload is another.
    follows: bool,
}

impl Fields<'_> {
    /// Merges two header lists. Names keep the old order; a new name follows its predecessor in `new`.
    /// Values are the new ones; a value that compares as equal keeps its old spelling.
    fn merged(&self, old: &Headers, new: &Headers) -> Headers {
        let (old_names, new_names) = (names(old), names(new));
        let mut merged: Vec<(String, Vec<Header>)> = Vec::new();
        for name in &old_names {
            let fields = if self.stays(name) { of_name(old, name) } else { self.values(name, old, new) };
            merged.push((name.clone(), fields));
        }
        let mut before: Option<&String> = None;
        for name in &new_names {
            if !old_names.contains(name) && !self.stays(name) {
                let behind = before.and_then(|before| merged.iter().position(|(known, _)| known == before));
                merged.insert(behind.map_or(0, |at| at + 1), (name.clone(), of_name(new, name)));
            }
            if merged.iter().any(|(known, _)| known == name) {
                before = Some(name);
            }
        }
        merged.into_iter().flat_map(|(_, fields)| fields).collect()
    }

    /// Whether a field is left as it was, or left out if it was not there.
    fn stays(&self, name: &str) -> bool {
        self.quiet.is_header_of(self.method, name) && !(self.follows && FOLLOWS.contains(&name))
    }

    fn values(&self, name: &str, old: &Headers, new: &Headers) -> Vec<Header> {
        let (before, after) = (volatile::date(old), volatile::date(new));
        let mut known = of_name(old, name);
        let new = of_name(new, name).into_iter().map(|field| {
            let counts = self.quiet.value(name, &field.value, after);
            let same = known.iter().position(|known| self.quiet.value(name, &known.value, before) == counts);
            same.map(|at| known.remove(at)).unwrap_or(field)
        });
        new.collect()
    }
}

/// In order of first appearance, in lower case.
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

fn of_name(headers: &Headers, name: &str) -> Vec<Header> {
    headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).cloned().collect()
}

/// How long a head's fields are.
fn length(headers: &Headers) -> i64 {
    // `name: value` and a line's end.
    let length: usize = headers.iter().map(|header| header.name.len() + header.value.len() + 4).sum();
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// `_harproxy`: informational responses are new only where their statuses are; what others wrote there stays.
fn said(old: Option<&Map<String, Value>>, new: Option<Map<String, Value>>) -> Option<Map<String, Value>> {
    let mut said = old.cloned().unwrap_or_default();
    let mut new = new.unwrap_or_default();
    let statuses = |said: &Map<String, Value>| -> Vec<Value> {
        let list = said.get("informational").and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|info| info.get("status")).cloned().collect()
    };
    if statuses(&said) != statuses(&new) {
        said.shift_remove("informational");
        said.extend(new.shift_remove_entry("informational"));
    }
    (!said.is_empty()).then_some(said)
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}
