//! Writes imported exchanges as a fixture: through redaction, and by the canonical writer.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::Path;

use serde_json::Map;

use super::exchange::ImportedExchange;
use crate::fixtures::exclude_placeholders;
use harproxy_glob::Globs;
use harproxy_har::model::{Body, Entry, Request, Response, Timings, started_text};
use harproxy_har::write::{ContentMode, FixtureWriter, PayloadSource, WriteSummary};
use harproxy_har::{Error, Fixture};
use harproxy_http::coding::{codings, decode};
use harproxy_http::headers::{is_hop_by_hop, to_chars};
use harproxy_http::url::Parts;
use harproxy_http::{DecodeLimit, Headers};
use harproxy_redact::{FixtureReplacer, PayloadRedaction, Placeholder, Policy, Redactor, Secret};

/// Writes the exchanges into a new fixture, in their order. Returns the number of different secrets that were replaced,
/// too.
///
/// # Errors
/// The fixture can't be written.
pub fn write(
    output: &Path,
    exchanges: Vec<ImportedExchange>,
    content: ContentMode,
    policy: &Policy,
    given: &[(Placeholder, Secret)],
) -> Result<(WriteSummary, usize), Error> {
    let exchanges: Vec<ImportedExchange> = exchanges.into_iter().map(decoded).collect();
    let mut replacer = FixtureReplacer::new(given);
    // The first pass finds all secrets, so that each is replaced wherever it stands.
    for exchange in &exchanges {
        for text in [exchange.url.as_bytes(), &exchange.received, exchange.sent.as_deref().unwrap_or_default()] {
            replacer.exclude_all_in(text);
        }
        redacted(&mut Redactor::new(policy, replacer.store()), exchange);
    }
    let scope: BTreeSet<String> = exchanges.iter().map(|it| format!("{}/**", Parts::of(&it.url).site())).collect();
    let mut writer = FixtureWriter::create(output, content, &Vec::from_iter(scope))?;
    for exchange in &exchanges {
        let exchange = redacted(&mut Redactor::new(policy, &mut replacer), exchange);
        let entry = entry(&exchange, &mut writer)?;
        writer.entry(&entry)?;
    }
    let values = replacer.placeholders();
    Ok((writer.finish()?, values))
}

/// Adds an exchange to a fixture of harproxy, at its end.
///
/// # Errors
/// The fixture can't be read or written. It is then unchanged.
pub fn add(
    fixture: &Fixture,
    exchange: ImportedExchange,
    policy: &Policy,
    given: &[(Placeholder, Secret)],
) -> Result<(), Error> {
    let exchange = decoded(exchange);
    let mut replacer = FixtureReplacer::new(given);
    exclude_placeholders(fixture, &mut replacer)?;
    for text in [exchange.url.as_bytes(), &exchange.received, exchange.sent.as_deref().unwrap_or_default()] {
        replacer.exclude_all_in(text);
    }
    redacted(&mut Redactor::new(policy, replacer.store()), &exchange);
    let mut scope = fixture.scope().unwrap_or_default().to_vec();
    if !scope.is_empty() && !Globs::new(&scope).is_ok_and(|globs| globs.matches(&exchange.url)) {
        // The path alone: other requests to a server that was not recorded stay out of scope.
        let url = Parts::of(&exchange.url);
        scope.push(format!("{}{}**", url.site(), url.path));
    }
    let content = ContentMode::of(fixture, 0..fixture.entries())?;
    let mut writer = FixtureWriter::create(fixture.path(), content, &scope)?.based_on(fixture)?;
    for at in 0..fixture.entries() {
        writer.keep(fixture, at)?;
    }
    let exchange = redacted(&mut Redactor::new(policy, &mut replacer), &exchange);
    let entry = entry(&exchange, &mut writer)?;
    writer.entry(&entry)?;
    writer.finish()?;
    Ok(())
}

/// Removes content codings and hop-by-hop headers. A tool may have removed the coding of a payload and kept the header.
fn decoded(mut exchange: ImportedExchange) -> ImportedExchange {
    if let Some(sent) = &mut exchange.sent {
        decode_payload(&exchange.request_headers, sent);
    }
    decode_payload(&exchange.response_headers, &mut exchange.received);
    for headers in [&mut exchange.request_headers, &mut exchange.response_headers] {
        let options = headers.connection_options();
        *headers = headers.iter().map(|header| (header.name.to_ascii_lowercase(), header.value.clone())).fold(
            Headers::default(),
            |mut kept, (name, value)| {
                if !is_hop_by_hop(&name, &options) && !name.starts_with(':') {
                    kept.push(name, value);
                }
                kept
            },
        );
    }
    // The length on the wire; harproxy states its own.
    exchange.response_headers.retain(|header| header.name != "content-length");
    exchange.request_headers.retain(|header| header.name != "content-length");
    if !exchange.request_headers.contains("host") {
        let authority = Parts::of(&exchange.url).authority().to_owned();
        exchange.request_headers.push_front("host", authority);
    }
    exchange
}

fn decode_payload(headers: &Headers, payload: &mut Vec<u8>) {
    let limit = DecodeLimit::default().of(payload.len() as u64);
    let decoded = codings(headers.get_all("content-encoding")).and_then(|codings| decode(&codings, payload, limit));
    if let Some(decoded) = decoded {
        *payload = decoded;
    }
}

fn redacted(redactor: &mut Redactor<'_>, exchange: &ImportedExchange) -> ImportedExchange {
    let mut exchange = exchange.clone();
    if let Some(url) = redactor.redact_url(&exchange.url) {
        exchange.url = url;
    }
    redactor.redact_headers(&mut exchange.request_headers);
    let content_type = content_type(&exchange.request_headers).into_owned();
    if let Some(sent) = &mut exchange.sent {
        redact_payload(redactor, &content_type, sent);
    }
    if let Cow::Owned(reason) = redactor.redact_text(exchange.reason.as_bytes()) {
        exchange.reason = String::from_utf8_lossy(&reason).into_owned();
    }
    if let Some(name) = &mut exchange.name
        && let Cow::Owned(redacted) = redactor.redact_text(name.as_bytes())
    {
        *name = String::from_utf8_lossy(&redacted).into_owned();
    }
    redactor.redact_headers(&mut exchange.response_headers);
    let content_type = self::content_type(&exchange.response_headers).into_owned();
    redact_payload(redactor, &content_type, &mut exchange.received);
    exchange
}

fn redact_payload(redactor: &mut Redactor<'_>, content_type: &str, payload: &mut Vec<u8>) {
    if let PayloadRedaction::Redacted(redacted) = redactor.redact_payload(content_type, payload) {
        *payload = redacted;
    }
}

fn content_type(headers: &Headers) -> Cow<'_, str> {
    headers.get("content-type").map(to_chars).unwrap_or_default()
}

fn entry(exchange: &ImportedExchange, writer: &mut FixtureWriter) -> Result<Entry, Error> {
    let post_data = match &exchange.sent {
        Some(sent) => Some(store(writer, sent, &exchange.request_headers, FixtureWriter::post_data)?),
        None => None,
    };
    let content = store(writer, &exchange.received, &exchange.response_headers, FixtureWriter::content)?;
    let status = ::http::StatusCode::from_u16(exchange.status).ok();
    let canonical = status.and_then(|status| status.canonical_reason()).unwrap_or_default();
    let location = exchange.response_headers.get("location").map(|to| to_chars(to).into_owned());
    let mut own = Map::new();
    own.extend(exchange.session.as_ref().map(|session| ("session".to_owned(), session.clone().into())));
    own.extend(exchange.name.as_ref().map(|name| ("name".to_owned(), name.clone().into())));
    let date = exchange.response_headers.get_str("date").and_then(super::exchange::parse_time);
    Ok(Entry {
        started: started_text(exchange.started.or(date).unwrap_or_default()),
        time: exchange.time,
        request: Request {
            method: exchange.method.clone(),
            url: exchange.url.clone(),
            http_version: exchange.http_version.clone(),
            headers: exchange.request_headers.clone(),
            body_size: exchange.sent.as_ref().map_or(0, |sent| length(sent)),
            post_data,
            headers_size: -1,
            ..Request::default()
        },
        response: Response {
            status: exchange.status.into(),
            status_text: if exchange.reason.is_empty() { canonical.to_owned() } else { exchange.reason.clone() },
            http_version: exchange.http_version.clone(),
            headers: exchange.response_headers.clone(),
            content,
            redirect_url: location.unwrap_or_default(),
            headers_size: -1,
            body_size: -1,
            ..Response::default()
        },
        timings: Timings { send: Some(0.0), wait: Some(exchange.time), receive: Some(0.0), ..Timings::default() },
        harproxy: (!own.is_empty()).then_some(own),
        ..Entry::default()
    })
}

fn store(
    writer: &mut FixtureWriter,
    payload: &[u8],
    headers: &Headers,
    store: impl FnOnce(&mut FixtureWriter, PayloadSource<'_>) -> Result<Body, Error>,
) -> Result<Body, Error> {
    let content_type = content_type(headers);
    let read = &mut Cursor::new(payload);
    store(writer, PayloadSource { read, mime_type: &content_type, encoded: false, truncated: None })
}

fn length(payload: &[u8]) -> i64 {
    i64::try_from(payload.len()).unwrap_or(i64::MAX)
}
