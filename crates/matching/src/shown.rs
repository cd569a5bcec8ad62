//! A request as it may be told: what the policy calls secret is taken out of it.

use std::borrow::Cow;

use ::http::header::CONTENT_ENCODING;
use ::http::{HeaderMap, HeaderName, HeaderValue};

use super::{Difference, Query, payload};
use harproxy_http::{Headers, NormalUrl};
use harproxy_redact::display::{self, DisplayRedactor};
use harproxy_redact::{PayloadRedaction, Policy};

/// A request without its secrets.
pub(super) struct Shown<'p> {
    pub(super) url: NormalUrl,
    pub(super) headers: HeaderMap,
    body: Option<Vec<u8>>,
    redactor: DisplayRedactor<'p>,
}

/// Of longer payloads nothing is told that stands in them.
pub(super) const LONGEST: usize = 4 << 20;

/// What stands for what can't be told.
const UNTOLD: &str = "REDACTED";

impl<'p> Shown<'p> {
    /// `None`: there is no secret in it.
    pub(super) fn of(query: &Query<'_>, payload: &payload::Sent<'_>, policy: &'p Policy) -> Option<Self> {
        let mut redactor = display::redactor(policy);
        // What is secret by its place in headers and payload is known in what is told of the rest.
        redactor.redact_headers(&mut Headers::from(query.headers));
        let is_told = payload.decoded().len() <= LONGEST;
        if is_told {
            redactor.redact_payload(&payload.content_type(), payload.decoded());
        }
        let url = redactor.redact_url(query.url.as_str());
        let sent = Headers::from(query.headers);
        let mut headers = sent.clone();
        redactor.redact_headers(&mut headers);
        let body = if is_told {
            redactor.redact_payload(&payload.content_type(), payload.decoded())
        } else {
            PayloadRedaction::Opaque
        };
        let body = match body {
            PayloadRedaction::Redacted(body) => Some(body),
            PayloadRedaction::Clean | PayloadRedaction::Opaque => None,
        };
        let body = redactor.redact_undeclared_text(body, payload.decoded());
        if url.is_none() && sent == headers && body.is_none() {
            return None;
        }
        let field = |field: &harproxy_http::Header| {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(&field.value).ok()?))
        };
        // What is left of the payload is decoded.
        let coded = |name: &HeaderName| *name == CONTENT_ENCODING && body.is_some();
        let mut kept = HeaderMap::new();
        for (name, value) in headers.iter().filter_map(field).filter(|(name, _)| !coded(name)) {
            kept.append(name, value);
        }
        let url = url.and_then(|url| NormalUrl::parse_any(&url).ok()).unwrap_or_else(|| query.url.clone());
        Some(Shown { url, headers: kept, body, redactor })
    }

    /// Looks at it as matching looks at the live one.
    pub(super) fn with<T>(
        &self,
        live: &Query<'_>,
        payload: &payload::Sent<'_>,
        look: impl FnOnce(&Query<'_>, &payload::Sent<'_>) -> T,
    ) -> T {
        let body = self.body.as_deref().or(live.body);
        let query = Query { method: live.method, url: &self.url, headers: &self.headers, body };
        match payload.as_digested() {
            Some(digested) => look(&query, &payload::Sent::digested(&self.headers, digested)),
            None => look(&query, &payload::Sent::new(&self.headers, body)),
        }
    }

    /// Whether there is nothing secret in a text.
    pub(super) fn may_tell(&mut self, text: &str) -> bool {
        matches!(self.redactor.redact_text(text.as_bytes()), Cow::Borrowed(_))
    }

    /// Puts in the place of live values what may be told of them. `shown` is in what this differs from the same entry.
    pub(super) fn veil(&mut self, live: Vec<Difference>, mut shown: Vec<Difference>) -> Vec<Difference> {
        let veiled = live.into_iter().map(|mut difference| {
            let same = |other: &Difference| (other.what, &other.name) == (difference.what, &difference.name);
            match shown.iter().position(same) {
                Some(at) => difference = shown.remove(at),
                None => difference.request = difference.request.map(|_| UNTOLD.to_owned()),
            }
            difference.name =
                String::from_utf8_lossy(&self.redactor.redact_text(difference.name.as_bytes())).into_owned();
            difference
        });
        veiled.collect()
    }
}
