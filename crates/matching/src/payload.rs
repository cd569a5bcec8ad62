//! Reads entries from their fixture in the form that comparisons need.

use std::borrow::Cow;

use harproxy_compare::{
    Body, BodyRules, Content, CutLengths, INSPECTED_BYTES, MatchBody, RecordedPayload, RedactedPlaces, Request,
    Response, ResponseDigests,
};
use harproxy_har::{Entry, Fixture, Payload, model};
use harproxy_http::problem::in_words;
use harproxy_http::url::normal;

/// Reads the payload of an entry's request. An error becomes [`RecordedPayload::Unreadable`].
pub(super) fn read_recorded(fixture: &Fixture, at: usize, entry: &Entry, rules: &BodyRules) -> RecordedPayload {
    // Other tools leave payloads out. A fixture of harproxy has every payload that was sent.
    let without = if fixture.is_own() { RecordedPayload::Absent } else { RecordedPayload::Any };
    if rules.mode == MatchBody::Ignore {
        return RecordedPayload::Any;
    }
    let Some(body) = &entry.request.post_data else { return without };
    let payload = match fixture.payload(at, body) {
        Ok(Payload::Empty) => return without,
        Ok(Payload::NotRecorded) => return RecordedPayload::Any,
        Ok(payload) => payload,
        Err(error) => return RecordedPayload::Unreadable(in_words(&error)),
    };
    let content_type = content_type(entry);
    let cut = body.truncated.as_ref().map(|cut| CutLengths { kept: cut.kept, total: cut.total });
    let recorded = if RecordedPayload::needs_bytes(rules, &content_type, payload.len()) {
        payload.bytes().map(|bytes| RecordedPayload::from_bytes(rules, &content_type, &bytes, cut))
    } else {
        payload.reader().and_then(|reader| {
            let failed = |source| harproxy_har::Error::Io { doing: "reading", path: fixture.path().to_owned(), source };
            RecordedPayload::from_reader(reader, &content_type, cut).map_err(failed)
        })
    };
    recorded.unwrap_or_else(|error| RecordedPayload::Unreadable(in_words(&error)))
}

pub(super) fn content_type(entry: &Entry) -> Cow<'_, str> {
    entry.request.headers.get("content-type").map(String::from_utf8_lossy).unwrap_or_default()
}

/// Returns the redacted places of an entry's request. An entry that can't be read has none.
pub(super) fn read_redacted_places(fixture: &Fixture, at: usize) -> RedactedPlaces {
    let Ok(entry) = fixture.entry(at) else { return RedactedPlaces::default() };
    let model::Request { method, url, headers, post_data, .. } = &entry.request;
    let url = normal(url).unwrap_or(Cow::Borrowed(url));
    let body = post_data.as_ref().map_or_else(Body::empty, |body| Body::new("", content(fixture, at, body)));
    RedactedPlaces::new(&Request { method: method.into(), url, headers: Cow::Borrowed(headers), body })
}

/// Returns the digests of an entry's response. All entries that can't be read have the same ones.
pub(super) fn read_response_digests(fixture: &Fixture, at: usize) -> ResponseDigests {
    let entry = fixture.entry(at).ok();
    let none = model::Response::default();
    let response = entry.as_ref().map_or(&none, |entry| &entry.response);
    ResponseDigests::new(&Response {
        status: response.status,
        reason: None,
        headers: Cow::Borrowed(&response.headers),
        trailers: Cow::Borrowed(&response.trailers),
        body: Body::new("", content(fixture, at, &response.content)),
        failure: None,
    })
}

fn content(fixture: &Fixture, at: usize, body: &model::Body) -> Content<'static> {
    match fixture.payload(at, body) {
        Ok(Payload::NotRecorded) => Content::NotKept,
        Ok(payload) if payload.len() <= INSPECTED_BYTES => {
            payload.bytes().map_or(Content::Empty, |bytes| Content::of_bytes(bytes.to_vec()))
        }
        // Reading a long payload would delay the answer. The name of its file has the digest of its bytes.
        Ok(payload) => Content::of_bytes(format!("{payload:?}").into_bytes()),
        Err(_) => Content::Empty,
    }
}
