//! Writes answers of production into fixtures: through redaction, and by the canonical writer.

use std::collections::BTreeMap;
use std::io::Cursor;

use super::evidence::{AnswerPayload, ObservedAnswer};
use crate::fixtures;
use crate::record::updated_entry;
use harproxy_compare::VolatileRules;
use harproxy_har::model::Response;
use harproxy_har::write::{ContentMode, FixtureWriter, PayloadSource};
use harproxy_har::{Entry, Error, Fixture};
use harproxy_http::headers::{is_hop_by_hop, to_chars};
use harproxy_http::{Header, Headers};
use harproxy_redact::{FixtureReplacer, PayloadRedaction, Placeholder, Policy, Redactor, Secret};

/// A change of an entry.
#[derive(Clone, Debug)]
pub enum EntryUpdate {
    /// The payload of the response, decoded.
    Payload(Vec<u8>),
    /// The whole response.
    Response(ObservedAnswer),
}

/// The rules by which fixtures are written.
#[derive(Clone, Copy, Debug)]
pub struct UpdateRules<'a> {
    pub policy: &'a Policy,
    /// `[redact.values]`
    pub values: &'a [(Placeholder, Secret)],
    /// Volatile values keep their recorded text.
    pub volatile: &'a VolatileRules,
}

/// Writes the changes of entries into their fixture. Returns the number of secrets that were replaced.
///
/// # Errors
/// The fixture can't be read or written. It is then unchanged.
pub fn write(fixture: &Fixture, updates: BTreeMap<usize, EntryUpdate>, rules: UpdateRules<'_>) -> Result<usize, Error> {
    let mut replacer = FixtureReplacer::new(rules.values);
    fixtures::exclude_placeholders(fixture, &mut replacer)?;
    let mut entries = BTreeMap::new();
    for (entry, update) in updates {
        entries.insert(entry, new_entry(&*fixture.entry(entry)?, update));
    }
    // The first pass finds all secrets, so that each is replaced wherever it stands.
    for (entry, payload) in entries.values() {
        redact(&mut Redactor::new(rules.policy, replacer.store()), entry.clone(), payload.clone());
    }
    let scope = fixture.scope().unwrap_or_default();
    let content = ContentMode::of(fixture, entries.keys().copied())?;
    let mut writer = FixtureWriter::create(fixture.path(), content, scope)?.based_on(fixture)?;
    for at in 0..fixture.entries() {
        match entries.remove(&at) {
            None => writer.keep(fixture, at)?,
            Some((entry, payload)) => {
                let mut redactor = Redactor::new(rules.policy, &mut replacer);
                let (mut entry, payload) = redact(&mut redactor, entry, payload);
                set_length(&mut entry.response.headers, payload.len());
                let content_type = entry.response.content.mime_type.clone();
                let read = &mut Cursor::new(payload);
                let source = PayloadSource { read, mime_type: &content_type, encoded: false, truncated: None };
                let body = updated_entry::store_content(rules.volatile, fixture, at, source, &mut writer)?;
                let old = fixture.entry(at)?;
                let new = updated_entry::update(rules.volatile, &old, entry, Some(body));
                writer.replace(fixture, at, &new, false)?;
            }
        }
    }
    let secrets = replacer.placeholders();
    writer.finish()?;
    Ok(secrets)
}

/// Returns the entry with its new response, and the payload.
fn new_entry(old: &Entry, update: EntryUpdate) -> (Entry, Vec<u8>) {
    match update {
        EntryUpdate::Payload(payload) => (old.clone(), payload),
        EntryUpdate::Response(answer) => {
            let mut entry = old.clone();
            let headers = recorded_headers(&answer.headers);
            let location = headers.get("location").map(|to| to_chars(to).into_owned());
            let reason = ::http::StatusCode::from_u16(answer.status).ok().and_then(|status| status.canonical_reason());
            entry.response = Response {
                status: answer.status.into(),
                status_text: reason.unwrap_or_default().to_owned(),
                headers,
                redirect_url: location.unwrap_or_default(),
                body_size: -1,
                ..old.response.clone()
            };
            entry.response.content.mime_type = answer.content_type;
            let payload = match answer.payload {
                AnswerPayload::Bytes(payload) => payload.to_vec(),
                AnswerPayload::Empty | AnswerPayload::Unknown => Vec::new(),
            };
            (entry, payload)
        }
    }
}

/// Returns the headers that a recording keeps. The payload is stored decoded, so that its length on the wire is lost.
fn recorded_headers(headers: &Headers) -> Headers {
    let options = headers.connection_options();
    let mut kept = headers.clone();
    kept.retain(|header| !is_hop_by_hop(&header.name, &options) && !header.name.eq_ignore_ascii_case("content-length"));
    kept
}

/// Corrects a recorded length. With a content coding, it is that of the coded payload, which is unknown.
fn set_length(headers: &mut Headers, length: usize) {
    let is_coded = headers.contains("content-encoding");
    let length_of = |header: &Header| header.name.eq_ignore_ascii_case("content-length");
    if is_coded {
        headers.retain(|header| !length_of(header));
        return;
    }
    let updated = headers.iter().cloned().map(|header| match length_of(&header) {
        true => Header { value: length.to_string().into(), ..header },
        false => header,
    });
    *headers = updated.collect();
}

fn redact(redactor: &mut Redactor<'_>, mut entry: Entry, payload: Vec<u8>) -> (Entry, Vec<u8>) {
    redactor.redact_headers(&mut entry.response.headers);
    if let Some(url) = redactor.redact_url(&entry.response.redirect_url) {
        entry.response.redirect_url = url;
    }
    let payload = match redactor.redact_payload(&entry.response.content.mime_type, &payload) {
        PayloadRedaction::Redacted(redacted) => redacted,
        _ => payload,
    };
    (entry, payload)
}
