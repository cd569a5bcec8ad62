//! Entries of fixtures and payloads as reports show them: without secrets, and cut to a maximum length.

use std::collections::HashSet;
use std::io::Read;

use bytes::Bytes;

use harproxy_har::model::Body;
use harproxy_har::{Fixture, Payload};
use harproxy_http::Headers;
use harproxy_redact::{PayloadRedaction, RedactionView};

#[derive(Clone, Debug)]
pub struct EntryView {
    pub method: String,
    pub url: String,
    pub status: u16,
    /// The entry's line in the HAR, counted from 1.
    pub line: Option<usize>,
    pub request_headers: Headers,
    pub request_payload: Option<PayloadExcerpt>,
    pub response_headers: Headers,
    pub response_payload: Option<PayloadExcerpt>,
}

impl EntryView {
    /// Reads an entry; `None` if it can't be read. A payload that can't be read, or that the budget has no room for, is
    /// left out. Secrets are redacted, since fixtures of other tools may contain some.
    #[must_use]
    pub fn of(fixture: &Fixture, entry: usize, view: &RedactionView, budget: &mut ExcerptBudget) -> Option<Self> {
        let line = fixture.heads().get(entry).map(|head| head.line);
        let recorded = fixture.entry(entry).ok()?;
        let (request, response) = (&recorded.request, &recorded.response);
        let mut redactor = view.redactor();
        let (mut request_headers, mut response_headers) = (request.headers.clone(), response.headers.clone());
        redactor.redact_headers(&mut request_headers);
        redactor.redact_headers(&mut response_headers);
        let mut payload = |body: &Body| {
            let excerpt = PayloadExcerpt::read(&body.mime_type, &fixture.payload(entry, body).ok()?, budget)?;
            Some(match redactor.redact_payload(&body.mime_type, &excerpt.bytes) {
                PayloadRedaction::Redacted(redacted) => {
                    let is_cut = (excerpt.bytes.len() as u64) < excerpt.size;
                    let size = if is_cut { excerpt.size } else { redacted.len() as u64 };
                    PayloadExcerpt { bytes: redacted.into(), size, ..excerpt }
                }
                PayloadRedaction::Clean | PayloadRedaction::Opaque => excerpt,
            })
        };
        let request_payload = request.post_data.as_ref().and_then(&mut payload);
        let response_payload = payload(&response.content);
        Some(EntryView {
            method: request.method.clone(),
            url: redactor.redact_url(&request.url).unwrap_or_else(|| request.url.clone()),
            status: u16::try_from(response.status).unwrap_or_default(),
            line,
            request_headers,
            request_payload,
            response_headers,
            response_payload,
        })
    }
}

/// The beginning of a decoded payload, or all of it.
#[derive(Clone, Debug, Default)]
pub struct PayloadExcerpt {
    pub mime_type: String,
    pub bytes: Bytes,
    pub size: u64,
}

impl PayloadExcerpt {
    /// The maximum length of an excerpt in bytes.
    pub const MAX_LENGTH: usize = 256 * 1024;

    #[must_use]
    pub fn of(mime_type: impl Into<String>, payload: &[u8]) -> Self {
        let bytes = Bytes::copy_from_slice(&payload[..payload.len().min(PayloadExcerpt::MAX_LENGTH)]);
        PayloadExcerpt { mime_type: mime_type.into(), bytes, size: payload.len() as u64 }
    }

    /// Reads the beginning of a stored payload; `None` if it is empty or can't be read. If the budget is used up, the
    /// excerpt has the size and no bytes.
    fn read(mime_type: &str, payload: &Payload, budget: &mut ExcerptBudget) -> Option<Self> {
        let excerpt = match payload {
            Payload::Empty | Payload::NotRecorded => return None,
            _ if budget.left == 0 => PayloadExcerpt { size: payload.len(), ..PayloadExcerpt::of(mime_type, &[]) },
            Payload::Bytes(bytes) => PayloadExcerpt::of(mime_type, bytes),
            Payload::File(file) => {
                let mut bytes = Vec::new();
                payload.reader().ok()?.take(PayloadExcerpt::MAX_LENGTH as u64).read_to_end(&mut bytes).ok()?;
                PayloadExcerpt { mime_type: mime_type.to_owned(), bytes: bytes.into(), size: file.len }
            }
        };
        let bytes = budget.share(excerpt.bytes);
        Some(PayloadExcerpt { bytes, ..excerpt })
    }
}

/// Limits the memory of excerpts. Equal excerpts share their bytes.
#[derive(Debug)]
pub struct ExcerptBudget {
    left: usize,
    kept: HashSet<Bytes>,
}

impl ExcerptBudget {
    #[must_use]
    pub fn of(bytes: usize) -> Self {
        ExcerptBudget { left: bytes, kept: HashSet::new() }
    }

    fn share(&mut self, bytes: Bytes) -> Bytes {
        if let Some(equal) = self.kept.get(&bytes) {
            return equal.clone();
        }
        self.left = self.left.saturating_sub(bytes.len());
        self.kept.insert(bytes.clone());
        bytes
    }
}
