//! Chooses the placeholders of the secrets of a recording. A secret keeps the placeholder at the same place of the old
//! entry. Otherwise it gets the next free number of the name of its first place.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::Value;

use super::arrangement::Arrangement;
use super::har_error;
use super::index::{ExchangeHeads, JournalIndex};
use super::payload::JournalledPayload;
use crate::record::journal::JournalReader;
use crate::record::{Error, RecordPlan};
use harproxy_compare::INSPECTED_BYTES;
use harproxy_har::model::Body;
use harproxy_har::{Entry, Fixture};
use harproxy_http::headers::to_chars;
use harproxy_http::{Header, Headers, MediaType, cookies};
use harproxy_redact::placeholder::{self, PlaceholderMatch};
use harproxy_redact::{PlaceholderAllocator, RunId};

/// Returns the names for a fixture that replaces `old`, if there is one. The names of `reader` must be provisional.
pub fn choose(
    plan: &RecordPlan,
    run: RunId,
    old: Option<(&Fixture, &Arrangement)>,
    index: &JournalIndex,
    reader: &mut JournalReader,
) -> Result<PlaceholderAllocator, Error> {
    let mut naming = PlaceholderAllocator::new(run);
    for (placeholder, _) in &plan.values {
        naming.reserve(placeholder.clone());
    }
    let Some((fixture, arrangement)) = old else { return Ok(naming) };
    for &(new, entry) in &arrangement.pairs {
        // An entry that cannot be read has no placeholders to keep.
        let Ok(old) = fixture.entry(entry) else { continue };
        let exchange = &index.exchanges[new];
        let heads = exchange.heads(reader).map_err(har_error)?;
        align_heads(&heads, &old, &mut naming);
        let meta = &index.meta;
        for (payload, body) in [
            (JournalledPayload::of_request(exchange, &heads, meta), old.request.post_data.as_ref()),
            (JournalledPayload::of_response(exchange, &heads, meta), Some(&old.response.content)),
        ] {
            let Some(body) = body else { continue };
            let new = new_text(&payload, reader)?;
            if placeholder::occurs_in(&new)
                && let Some(old) = old_text(fixture, entry, body)
            {
                let places = |text: &[u8]| payload_places(&body.mime_type, text);
                align(&places(&new), &places(&old), &mut naming);
            }
        }
    }
    // Only entries that are written anew may need new numbers.
    if arrangement.changed + arrangement.added > 0 {
        (0..fixture.entries()).for_each(|entry| reserve_numbers(fixture, entry, &mut naming));
    }
    Ok(naming)
}

fn new_text(payload: &JournalledPayload<'_>, reader: &mut JournalReader) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    payload.store(reader, |source| {
        text.clear();
        source.read.take(INSPECTED_BYTES).read_to_end(&mut text).map_err(har_error)?;
        Ok(Body::default())
    })?;
    Ok(text)
}

fn old_text(fixture: &Fixture, entry: usize, body: &Body) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let read = fixture.payload(entry, body).ok()?.reader().ok()?;
    read.take(INSPECTED_BYTES).read_to_end(&mut text).ok()?;
    Some(text)
}

/// The placeholders of a part of a message, by the name of their place.
#[derive(Default)]
struct Places(BTreeMap<String, Vec<PlaceholderMatch>>);

impl Places {
    fn add(&mut self, place: &str, text: &[u8]) {
        for found in placeholder::find(text) {
            self.0.entry(place.to_owned()).or_default().push(found);
        }
    }

    /// Adds `name=value` pairs of a query or form.
    fn add_form(&mut self, form: &[u8]) {
        for pair in form.split(|&byte| byte == b'&') {
            let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
            self.add(&format!("?{}", to_chars(name)), pair);
        }
    }

    fn add_json(&mut self, path: &str, value: &Value) {
        match value {
            Value::String(text) => self.add(path, text.as_bytes()),
            Value::Number(number) => self.add(path, number.to_string().as_bytes()),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(at, item)| self.add_json(&format!("{path}/{at}"), item));
            }
            Value::Object(members) => {
                members.iter().for_each(|(name, member)| self.add_json(&format!("{path}/{name}"), member));
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}

fn align_heads(new: &ExchangeHeads, old: &Entry, naming: &mut PlaceholderAllocator) {
    align(&url_places(&new.request.url), &url_places(&old.request.url), naming);
    if let Some(response) = &new.response {
        let [mut new, mut kept] = [Places::default(), Places::default()];
        new.add("", response.reason.as_bytes());
        kept.add("", old.response.status_text.as_bytes());
        align(&new, &kept, naming);
    }
    let response = new.response.as_ref().map(|response| (&response.headers.0, &old.response.headers));
    let trailers = new.end.as_ref().map(|end| (&end.trailers.0, &old.response.trailers));
    let request = (&new.request.headers.0, &old.request.headers);
    for (new, old) in [request].into_iter().chain(response).chain(trailers) {
        align(&header_places(new), &header_places(old), naming);
    }
}

/// Gives secrets the old placeholders at their places. A place with another number of placeholders is skipped.
fn align(new: &Places, old: &Places, naming: &mut PlaceholderAllocator) {
    for (place, new) in &new.0 {
        let Some(old) = old.0.get(place).filter(|old| old.len() == new.len()) else { continue };
        for (new, old) in new.iter().zip(old) {
            naming.keep(&new.placeholder, new.format, &old.placeholder);
        }
    }
}

fn url_places(url: &str) -> Places {
    let mut places = Places::default();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    places.add("", path.as_bytes());
    places.add_form(query.as_bytes());
    places
}

fn header_places(headers: &Headers) -> Places {
    let mut places = Places::default();
    for Header { name, value } in headers {
        let name = name.to_ascii_lowercase();
        if !matches!(&*name, "cookie" | "set-cookie") {
            places.add(&name, value);
            continue;
        }
        for (cookie, value) in cookies::pairs(value) {
            places.add(&format!("{name} {}", to_chars(cookie)), value);
        }
    }
    places
}

fn payload_places(mime_type: &str, payload: &[u8]) -> Places {
    let mut places = Places::default();
    if MediaType::parse(mime_type).is_form_of(payload) {
        places.add_form(payload);
    } else if let Ok(value) = serde_json::from_slice(payload) {
        places.add_json("", &value);
    } else {
        places.add("", payload);
    }
    places
}

/// Reserves the numbers of all placeholders in an entry.
fn reserve_numbers(fixture: &Fixture, entry: usize, naming: &mut PlaceholderAllocator) {
    let Ok(parsed) = fixture.entry(entry) else { return };
    let Entry { request, response, .. } = &*parsed;
    naming.exclude_all_in(request.url.as_bytes());
    for header in request.headers.iter().chain(&response.headers).chain(&response.trailers) {
        naming.exclude_all_in(&header.value);
    }
    for body in request.post_data.iter().chain([&response.content]) {
        if !harproxy_redact::is_opaque(&body.mime_type)
            && let Ok(mut text) = fixture.payload(entry, body).and_then(|payload| payload.reader())
        {
            // A payload that cannot be read has no placeholders.
            let _ = naming.exclude_all_read(&mut text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_redact::{Placeholder, PlaceholderName, Replacer, SecretStore, ValueFormat};

    fn numbers(Places(places): &Places) -> Vec<(String, Vec<u64>)> {
        let list = places
            .iter()
            .map(|(place, found)| (place.clone(), found.iter().map(|found| found.placeholder.number).collect()));
        list.collect()
    }

    fn one(place: &str, number: u64) -> (String, Vec<u64>) {
        (place.to_owned(), vec![number])
    }

    #[test]
    fn placeholders_are_found_by_their_places() {
        let url = url_places("https://u:REDACTED-userinfo-1@h/p?a=1&token=REDACTED-token-2&sig=REDACTED-sig-3");
        assert_eq!(numbers(&url), [one("", 1), one("?sig", 3), one("?token", 2)]);
        let mut headers = Headers::default();
        headers.push("Cookie", "a=REDACTED-a-1; theme=dark; b=REDACTED-b-2");
        headers.push("set-cookie", "sid=REDACTED-sid-3; Path=/");
        headers.push("authorization", "Bearer REDACTED-authorization-4");
        let headers = header_places(&headers);
        assert_eq!(
            numbers(&headers),
            [one("authorization", 4), one("cookie a", 1), one("cookie b", 2), one("set-cookie sid", 3)]
        );
        let json = br#"{"a":[{"t":"REDACTED-t-1"}],"n":73322833002,"x":"y"}"#;
        assert_eq!(numbers(&payload_places("application/json", json)), [one("/a/0/t", 1), one("/n", 2)]);
        let form = b"a=REDACTED-a-1&b=2";
        assert_eq!(numbers(&payload_places("application/x-www-form-urlencoded", form)), [one("?a", 1)]);
        assert_eq!(numbers(&payload_places("text/plain", b"x REDACTED-a-1 y")), [one("", 1)]);
    }

    #[test]
    fn secrets_keep_the_placeholders_of_their_members_when_these_move() {
        let run = RunId::random();
        let secrets = SecretStore::new(run, &[]);
        let marker = |secret: &[u8]| (&mut &secrets).replace(secret, &PlaceholderName::new("x"), ValueFormat::Text);
        let (a, b) = (marker(b"a"), marker(b"b"));
        let new = format!(r#"{{"new":1,"b":"{b}","a":"{a}"}}"#);
        let new = PlaceholderAllocator::provisional(run).replace_markers_in_string(new);
        let old = br#"{"a":"REDACTED-token-1","b":"REDACTED-token-5"}"#;
        let mut naming = PlaceholderAllocator::new(run);
        align(&payload_places("", new.as_bytes()), &payload_places("", old), &mut naming);
        let placeholder = |number| Placeholder { name: PlaceholderName::new("token"), number }.to_string();
        let expected = format!("{} {}", placeholder(1), placeholder(5));
        assert_eq!(naming.replace_markers_in_string(format!("{a} {b}")), expected);
    }
}
