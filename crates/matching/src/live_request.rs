//! A live request, reduced to what candidates are compared with.

use ::http::HeaderMap;
use harproxy_compare::SentPayload;
use harproxy_redact::Policy;

use super::credentials::Credentials;
use super::key::View;
use super::ranked_headers::RankedHeaders;
use super::score::FieldHashes;

/// A live request, or one that follows a redirect, as it is compared with candidates.
#[derive(Clone, Copy, Debug)]
pub(super) struct LiveRequest<'a, 'p> {
    /// The URL, if a candidate has placeholders in its URL.
    pub(super) url: Option<&'a View<'a, 'a>>,
    pub(super) headers: &'a LiveHeaders,
    pub(super) payload: &'a SentPayload<'p>,
    /// The name of its test.
    pub(super) test: Option<&'a str>,
}

/// The headers of a live request, reduced to what ranks candidates.
#[derive(Debug)]
pub(super) struct LiveHeaders {
    pub(super) fields: FieldHashes,
    pub(super) ranked: RankedHeaders,
    pub(super) credentials: Credentials,
}

impl LiveHeaders {
    pub(super) fn new(headers: &HeaderMap, policy: &Policy) -> Self {
        LiveHeaders {
            fields: FieldHashes::of_request(headers),
            ranked: RankedHeaders::of_request(headers),
            credentials: Credentials::of_request(headers, policy),
        }
    }
}
