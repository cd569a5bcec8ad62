//! Removes secrets of live answers from findings.

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, HeaderValue};

use super::checks;
use super::evidence::{AnswerPayload, ObservedAnswer};
use super::finding::DriftFinding;
use harproxy_redact::RedactionView;

/// Learns the secrets of an answer whose values findings show.
pub fn learn_secrets(view: &RedactionView, findings: &[DriftFinding], answer: &ObservedAnswer) {
    let shows_values =
        |finding: &DriftFinding| [checks::VALUE_CHANGED, checks::ENUM_VALUE_ADDED].contains(&finding.check);
    if let AnswerPayload::Bytes(payload) = &answer.payload
        && findings.iter().any(shows_values)
    {
        let mut headers = HeaderMap::new();
        if let Ok(content_type) = HeaderValue::from_str(&answer.content_type) {
            headers.insert(CONTENT_TYPE, content_type);
        }
        view.learn_payload(&headers, payload);
    }
}

/// Removes secrets from the texts of findings.
pub fn redact(view: &RedactionView, findings: &mut [DriftFinding]) {
    let mut redactor = view.redactor();
    for finding in findings {
        for text in [Some(&mut finding.text), finding.suggestion.as_mut()].into_iter().flatten() {
            *text = String::from_utf8_lossy(&redactor.redact_text(text.as_bytes())).into_owned();
            view.redact_in(text);
        }
    }
}
