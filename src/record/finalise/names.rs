//! Chooses the placeholders of the secrets of a recording: the placeholder that stands in the same place of the old
//! entry, else the next free number of the name of its first place.

use std::collections::HashMap;
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
use harproxy_http::{Headers, MediaType};
use harproxy_redact::placeholder::{self, PlaceholderMatch};
use harproxy_redact::{PlaceholderAllocator, RunId};

/// The longest placeholder, bytes.
const MAX_PLACEHOLDER: usize = 4 << 10;

/// Names for writing a fixture, over an old one if there is one. The names of `reader` must be provisional.
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
        // An entry that can't be read has no placeholders to keep.
        let Ok(old) = fixture.entry(entry) else { continue };
        let exchange = &index.exchanges[new];
        let heads = exchange.heads(reader).map_err(har_error)?;
        align_heads(&heads, &old, &mut naming);
        let max_body = index.meta.max_body;
        for (payload, body) in [
            (JournalledPayload::of_request(exchange, &heads, max_body), old.request.post_data.as_ref()),
            (JournalledPayload::of_response(exchange, &heads, max_body), Some(&old.response.content)),
        ] {
            let Some(body) = body else { continue };
            let new = new_text(&payload, reader)?;
            if placeholder::occurs_in(&new)
                && let Some(old) = old_text(fixture, entry, body)
            {
                align(payload_places(&body.mime_type, &new), payload_places(&body.mime_type, &old), &mut naming);
            }
        }
    }
    // Only entries that are written anew may need new numbers.
    if arrangement.changed + arrangement.added > 0 {
        for entry in 0..fixture.entries() {
            reserve_numbers(fixture, entry, &mut naming);
        }
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

/// Placeholders by their place in a message, in order.
type Places = HashMap<String, Vec<PlaceholderMatch>>;

fn align_heads(new: &ExchangeHeads, old: &Entry, naming: &mut PlaceholderAllocator) {
    align(url_places(&new.request.url), url_places(&old.request.url), naming);
    align(header_places(&new.request.headers.0), header_places(&old.request.headers), naming);
    if let Some(response) = &new.response {
        align(header_places(&response.headers.0), header_places(&old.response.headers), naming);
    }
    if let Some(end) = &new.end {
        align(header_places(&end.trailers.0), header_places(&old.response.trailers), naming);
    }
}

/// Lets secrets keep the placeholders that stand in their places.
fn align(new: Places, mut old: Places, naming: &mut PlaceholderAllocator) {
    let mut places: Vec<(String, Vec<PlaceholderMatch>)> = new.into_iter().collect();
    places.sort_by(|a, b| a.0.cmp(&b.0));
    for (place, new) in places {
        let old = old.remove(&place).unwrap_or_default();
        if new.len() == old.len() {
            for (new, old) in new.iter().zip(&old) {
                naming.keep(&new.placeholder, new.format, &old.placeholder);
            }
        }
    }
}

fn add(places: &mut Places, place: &str, text: &[u8]) {
    let mut found = placeholder::find(text).peekable();
    if found.peek().is_some() {
        places.entry(place.to_owned()).or_default().extend(found);
    }
}

fn url_places(url: &str) -> Places {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut places = form_places(query.as_bytes());
    add(&mut places, "", path.as_bytes());
    places
}

fn header_places(headers: &Headers) -> Places {
    let mut places = Places::new();
    for header in headers {
        let name = header.name.to_ascii_lowercase();
        let cookies: Vec<&[u8]> = match &*name {
            "cookie" => header.value.split(|&byte| byte == b';').collect(),
            "set-cookie" => vec![&header.value],
            _ => {
                add(&mut places, &name, &header.value);
                continue;
            }
        };
        for cookie in cookies {
            let cookie_name = cookie.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
            add(&mut places, &format!("{name} {}", to_chars(cookie_name)), cookie);
        }
    }
    places
}

fn payload_places(mime_type: &str, payload: &[u8]) -> Places {
    let media = MediaType::parse(mime_type);
    if media.is_form_of(payload) {
        return form_places(payload);
    }
    let mut places = Places::new();
    match serde_json::from_slice::<Value>(payload) {
        Ok(value) => json_places(&mut places, &mut String::new(), &value),
        Err(_) => add(&mut places, "", payload),
    }
    places
}

fn form_places(form: &[u8]) -> Places {
    let mut places = Places::new();
    for pair in form.split(|&byte| byte == b'&') {
        let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
        add(&mut places, &format!("?{}", to_chars(name)), pair);
    }
    places
}

fn json_places(places: &mut Places, path: &mut String, value: &Value) {
    let len = path.len();
    match value {
        Value::String(text) => add(places, path, text.as_bytes()),
        Value::Number(number) => add(places, path, number.to_string().as_bytes()),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                path.push_str(&format!("/{at}"));
                json_places(places, path, item);
                path.truncate(len);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                path.push('/');
                path.push_str(name);
                json_places(places, path, member);
                path.truncate(len);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
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
        if !harproxy_redact::is_opaque(&body.mime_type) {
            // A missing payload has no placeholders.
            let _ = reserve_payload_numbers(fixture, entry, body, naming);
        }
    }
}

fn reserve_payload_numbers(
    fixture: &Fixture,
    entry: usize,
    body: &Body,
    naming: &mut PlaceholderAllocator,
) -> Result<(), harproxy_har::Error> {
    let mut read = fixture.payload(entry, body)?.reader()?;
    let mut text = Vec::new();
    loop {
        let more = (&mut read).take(INSPECTED_BYTES).read_to_end(&mut text).map_err(har_error)?;
        naming.exclude_all_in(&text);
        if more == 0 {
            return Ok(());
        }
        // A placeholder may cross the edge of the window.
        text.drain(..text.len().saturating_sub(MAX_PLACEHOLDER));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_redact::{Placeholder, PlaceholderName, Replacer, SecretStore, ValueFormat};

    fn numbers(places: &Places) -> Vec<(String, Vec<u64>)> {
        let mut list: Vec<_> = places
            .iter()
            .map(|(place, found)| (place.clone(), found.iter().map(|found| found.placeholder.number).collect()))
            .collect();
        list.sort();
        list
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
        align(payload_places("", new.as_bytes()), payload_places("", old), &mut naming);
        let placeholder = |number| Placeholder { name: PlaceholderName::new("token"), number }.to_string();
        let expected = format!("{} {}", placeholder(1), placeholder(5));
        assert_eq!(naming.replace_markers_in_string(format!("{a} {b}")), expected);
    }
}
