//! The finding about a request that upstream did not answer while it was recorded.

use crate::source::advice;
use crate::verdict::{CheckId, Finding, Severity};
use harproxy_http::problem::in_words;
use harproxy_proxy::Origin;
use harproxy_proxy::upstream::UpstreamError;

/// One upstream that is down is one finding, however many requests it fails.
#[must_use]
pub fn finding(to: &Origin, error: &UpstreamError) -> Finding {
    let text =
        format!("{}\nit is recorded as a failure, and replayed as one: the connection is closed", in_words(error));
    Finding { hint: Some(advice(to, error)), ..Finding::new(CheckId::UPSTREAM_FAILED, Severity::Warning, text) }
}
