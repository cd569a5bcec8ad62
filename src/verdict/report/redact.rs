//! Redacts a report with the values that the run knows as secrets at its end. Requests and findings were redacted when
//! they were made, and some values became known later.

use std::borrow::Cow;

use super::Report;
use crate::verdict::explain::{is_near_line, near_lines};
use crate::verdict::request::RequestRow;
use crate::verdict::{EntryView, Finding, PayloadExcerpt};
use harproxy_http::Headers;
use harproxy_redact::RedactionView;

impl Report {
    /// Replaces the known values in all texts. Every format is rendered from the result.
    pub fn redact(&mut self, view: &RedactionView) {
        view.redact_in(&mut self.command);
        self.verdict.findings.iter_mut().for_each(|finding| redact_finding(finding, view));
        self.requests.iter_mut().for_each(|row| redact_row(row, view));
        self.entries.values_mut().for_each(|entry| redact_entry(entry, view));
    }
}

fn redact_finding(finding: &mut Finding, view: &RedactionView) {
    finding
        .at
        .request
        .iter_mut()
        .chain(&mut finding.hint)
        .chain(&mut finding.session)
        .for_each(|text| view.redact_in(text));
    finding.near.iter_mut().for_each(|near| near.redact(view));
    if finding.near.is_empty() {
        return view.redact_in(&mut finding.text);
    }
    // The lines about near entries have excerpts of values, which could end within a secret.
    let others: Vec<&str> = finding.text.lines().filter(|line| !is_near_line(line)).collect();
    finding.text = view.redact_known(&others.join("\n")).into_owned() + &near_lines(&finding.near);
}

fn redact_row(row: &mut RequestRow, view: &RedactionView) {
    let RequestRow { url, session, mime_type, explanation, hint, request_headers, response_headers, payload, .. } = row;
    let texts = session.iter_mut().chain(mime_type).chain(explanation).chain(hint);
    texts.chain([url]).for_each(|text| view.redact_in(text));
    redact_headers(request_headers, view);
    redact_headers(response_headers, view);
    payload.iter_mut().for_each(|payload| redact_payload(payload, view));
}

fn redact_entry(entry: &mut EntryView, view: &RedactionView) {
    view.redact_in(&mut entry.url);
    redact_headers(&mut entry.request_headers, view);
    redact_headers(&mut entry.response_headers, view);
    let payloads = entry.request_payload.iter_mut().chain(&mut entry.response_payload);
    payloads.for_each(|payload| redact_payload(payload, view));
}

fn redact_headers(headers: &mut Headers, view: &RedactionView) {
    let is_clean = |value: &[u8]| matches!(view.redact_known_bytes(value), Cow::Borrowed(_));
    if headers.iter().all(|header| is_clean(&header.value)) {
        return;
    }
    let redacted = headers.iter().map(|header| {
        let mut header = header.clone();
        header.value = view.redact_known_bytes(&header.value).into_owned().into();
        header
    });
    *headers = redacted.collect();
}

fn redact_payload(payload: &mut PayloadExcerpt, view: &RedactionView) {
    let Cow::Owned(redacted) = view.redact_known_bytes(&payload.bytes) else { return };
    if payload.bytes.len() as u64 == payload.size {
        payload.size = redacted.len() as u64;
    }
    payload.bytes = redacted.into();
}
