//! HARs of other tools, with the members of Polly.js and HTTP Toolkit.

use std::io::Read;

use super::exchange::{ImportedExchange, ImportedFile, parse_time};
use harproxy_har::Fixture;
use harproxy_har::model::{Body, Entry};

/// Imports the entries of a HAR or an archive. Returns the reason if it can't be read.
///
/// # Errors
/// The file is not a HAR.
pub fn import(file: &mut ImportedFile<'_>) -> Result<(), harproxy_har::Error> {
    let fixture = Fixture::open(file.path)?;
    for number in 0..fixture.entries() {
        let entry = match fixture.entry(number) {
            Ok(entry) => entry,
            Err(error) => {
                file.lose(0, format!("entry {number} is left out: {error}"));
                continue;
            }
        };
        match exchange(&fixture, number, &entry) {
            Ok(exchange) => file.add(0, exchange),
            Err(text) => {
                file.lose(0, format!("entry {number} ({} {}) {text}", entry.request.method, entry.request.url))
            }
        }
    }
    Ok(())
}

fn exchange(fixture: &Fixture, number: usize, entry: &Entry) -> Result<ImportedExchange, String> {
    let Entry { request, response, .. } = entry;
    if response.status <= 0 {
        return Err("has no response: it is left out".to_owned());
    }
    if response.status == 101 {
        return Err("is a WebSocket: its messages are left out".to_owned());
    }
    let read = |body: &Body| {
        let mut bytes = Vec::new();
        let payload = fixture.payload(number, body).map_err(|error| format!("is left out: {error}"))?;
        let mut reader = payload.reader().map_err(|error| format!("is left out: {error}"))?;
        reader.read_to_end(&mut bytes).map_err(|error| format!("is left out: {error}"))?;
        Ok::<_, String>(bytes)
    };
    let sent = request.post_data.as_ref().map(read).transpose()?.filter(|sent| !sent.is_empty());
    let mut request_headers = request.headers.clone();
    if let Some(body) = request.post_data.as_ref().filter(|_| sent.is_some())
        && !request_headers.contains("content-type")
        && !body.mime_type.is_empty()
    {
        request_headers.push("content-type", body.mime_type.clone());
    }
    let mut response_headers = response.headers.clone();
    if !response_headers.contains("content-type") && !response.content.mime_type.is_empty() {
        response_headers.push("content-type", response.content.mime_type.clone());
    }
    Ok(ImportedExchange {
        session: entry.session().map(str::to_owned),
        started: parse_time(&entry.started),
        time: entry.time.max(0.0),
        method: request.method.clone(),
        url: request.url.clone(),
        http_version: request.http_version.clone(),
        request_headers,
        sent,
        status: u16::try_from(response.status).unwrap_or_default(),
        reason: response.status_text.clone(),
        response_headers,
        received: read(&response.content)?,
        ..ImportedExchange::default()
    })
}
