//! A request without its secrets, as an explanation shows it.

use std::borrow::Cow;

use ::http::header::CONTENT_ENCODING;
use ::http::{HeaderMap, HeaderName, HeaderValue};
use harproxy_compare::SentPayload;
use harproxy_compare::payload_diff::EXPLAINED_BYTES;

use super::{Difference, Query};
use harproxy_http::{Headers, NormalUrl};
use harproxy_redact::{PayloadRedaction, RedactionView, Redactor};

/// A request whose secrets are replaced.
pub(super) struct RedactedRequest<'p> {
    pub(super) url: NormalUrl,
    pub(super) headers: HeaderMap,
    body: Option<Vec<u8>>,
    redactor: Redactor<'p>,
}

/// Stands for a value that has no counterpart in the redacted request.
const REDACTED: &str = "REDACTED";

impl<'p> RedactedRequest<'p> {
    /// Replaces the secrets of a request. Returns `None` if it has none.
    pub(super) fn new(query: &Query<'_>, view: &'p RedactionView) -> Option<Self> {
        let payload = &query.payload;
        let mut redactor = view.redactor();
        // The redactor learns the secrets of headers and payload first, and finds them everywhere else.
        redactor.redact_headers(&mut Headers::from(payload.headers()));
        let is_shown = payload.decoded().len() <= EXPLAINED_BYTES;
        if is_shown {
            redactor.redact_payload(&payload.content_type(), payload.decoded());
        }
        let url = redactor.redact_url(query.url.as_str());
        let sent = Headers::from(payload.headers());
        let mut headers = sent.clone();
        redactor.redact_headers(&mut headers);
        let redacted = is_shown.then(|| redactor.redact_payload(&payload.content_type(), payload.decoded()));
        let body = if let Some(PayloadRedaction::Redacted(body)) = redacted { Some(body) } else { None };
        let body = if is_shown { redactor.redact_undeclared_text(body, payload.decoded()) } else { None };
        if url.is_none() && sent == headers && body.is_none() {
            return None;
        }
        let field = |field: &harproxy_http::Header| {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(&field.value).ok()?))
        };
        // A redacted payload is decoded.
        let is_obsolete = |name: &HeaderName| *name == CONTENT_ENCODING && body.is_some();
        let kept = headers.iter().filter_map(field).filter(|(name, _)| !is_obsolete(name)).collect();
        let url = url.and_then(|url| NormalUrl::parse_any(&url).ok()).unwrap_or_else(|| query.url.clone());
        Some(RedactedRequest { url, headers: kept, body, redactor })
    }

    /// Returns the redacted request in the form of the live one.
    pub(super) fn query<'a>(&'a self, live: &'a Query<'_>) -> Query<'a> {
        let payload = match live.payload.digested() {
            Some(digested) => SentPayload::from_digests(&self.headers, digested),
            None => SentPayload::new(&self.headers, Some(self.body.as_deref().unwrap_or(live.payload.raw()))),
        };
        Query { method: live.method, url: &self.url, payload }
    }

    /// Returns true if a text contains no secret.
    pub(super) fn is_clean(&mut self, text: &str) -> bool {
        matches!(self.redactor.redact_text(text.as_bytes()), Cow::Borrowed(_))
    }

    /// Replaces the differences of the live request by those of the redacted request from the same entry.
    pub(super) fn redact_values(&mut self, live: Vec<Difference>, mut redacted: Vec<Difference>) -> Vec<Difference> {
        let redact = |mut difference: Difference| {
            let is_same = |other: &Difference| (other.part, &other.name) == (difference.part, &difference.name);
            match redacted.iter().position(is_same) {
                Some(at) => difference = redacted.remove(at),
                None => difference.request = difference.request.map(|_| REDACTED.to_owned()),
            }
            difference.name =
                String::from_utf8_lossy(&self.redactor.redact_text(difference.name.as_bytes())).into_owned();
            difference
        };
        live.into_iter().map(redact).collect()
    }
}
