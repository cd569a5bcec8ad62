//! Entries of fixtures as reports show them, without secrets.

use harproxy_har::Fixture;
use harproxy_har::model::Body;
use harproxy_http::Headers;
use harproxy_redact::{PayloadRedaction, Policy, display};

use super::excerpt::{ExcerptBudget, PayloadExcerpt};

/// An entry of a fixture as reports show it.
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
    pub fn of(fixture: &Fixture, entry: usize, policy: &Policy, budget: &mut ExcerptBudget) -> Option<Self> {
        let line = fixture.heads().get(entry).map(|head| head.line);
        let recorded = fixture.entry(entry).ok()?;
        let (request, response) = (&recorded.request, &recorded.response);
        let mut redactor = display::redactor(policy);
        let (mut request_headers, mut response_headers) = (request.headers.clone(), response.headers.clone());
        redactor.redact_headers(&mut request_headers);
        redactor.redact_headers(&mut response_headers);
        let mut payload = |body: &Body| {
            let excerpt = PayloadExcerpt::read(&body.mime_type, &fixture.payload(entry, body).ok()?, budget)?;
            Some(match redactor.redact_payload(&body.mime_type, &excerpt.bytes) {
                PayloadRedaction::Redacted(redacted) => {
                    let size = if excerpt.is_cut() { excerpt.size } else { redacted.len() as u64 };
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
