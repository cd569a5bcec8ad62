//! Reads entries from their fixture in the form that comparisons need.

use std::borrow::Cow;

use harproxy_compare::{
    BodyRules, CutLengths, Fingerprint, Fingerprinter, INSPECTED_BYTES, MatchBody, RecordedPayload,
};
use harproxy_har::{Entry, Fixture, Payload};
use harproxy_http::problem::in_words;

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
    let recorded = payload.reader().and_then(|reader| {
        let failed = |source| harproxy_har::Error::Io { doing: "reading", path: fixture.path().to_owned(), source };
        RecordedPayload::read(reader, payload.len(), rules, &content_type, cut).map_err(failed)
    });
    recorded.unwrap_or_else(|error| RecordedPayload::Unreadable(in_words(&error)))
}

pub(super) fn content_type(entry: &Entry) -> Cow<'_, str> {
    entry.request.headers.get("content-type").map(String::from_utf8_lossy).unwrap_or_default()
}

/// Returns the fingerprint of the parts of an entry's response by which clients distinguish responses: status,
/// `Location`, cookies and payload. All entries that can't be read have the same one.
pub(super) fn read_response_fingerprint(fixture: &Fixture, at: usize) -> Fingerprint {
    let mut fingerprinter = Fingerprinter::default();
    if let Ok(entry) = fixture.entry(at) {
        let response = &entry.response;
        fingerprinter.add("status", &response.status.to_le_bytes());
        for location in response.headers.get_all("location") {
            fingerprinter.add("location", location);
        }
        for cookie in response.headers.get_all("set-cookie") {
            fingerprinter.add("set-cookie", cookie.split(|byte| *byte == b';').next().unwrap_or_default());
        }
        match fixture.payload(at, &response.content) {
            Ok(Payload::NotRecorded) | Err(_) => {}
            Ok(payload) if payload.len() <= INSPECTED_BYTES => {
                fingerprinter.add("payload", &payload.bytes().unwrap_or_default());
            }
            // Reading a long payload would delay the answer. The name of its file has the digest of its bytes.
            Ok(payload) => fingerprinter.add("payload", format!("{payload:?}").as_bytes()),
        }
    }
    fingerprinter.finish()
}
