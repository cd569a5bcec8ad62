//! The account of a request. Counts, findings, events, reports and the `x-harproxy` header derive from it.

use std::fmt::Write as _;

use ::http::HeaderValue;

use crate::verdict::explain::EntryPlace;
use crate::verdict::request::{ResultKind, SourceKind};
use crate::verdict::{CheckId, Finding};
use harproxy_proxy::upstream::UpstreamError;
use harproxy_support::printable::Shown as _;

/// The outcome of a request. Stages and sources fill it in while the request passes them.
#[derive(Debug, Default)]
pub struct Outcome {
    pub source: SourceKind,
    /// The result; `None` until a stage or a source decided.
    pub result: Option<ResultKind>,
    pub in_scope: bool,
    /// The entry that answered; for a miss, the most similar one.
    pub entry: Option<EntryPlace>,
    /// The entries of redirect targets that were followed from it. The last one answered.
    pub followed: Vec<usize>,
    /// Of an entry that does not match: its similarity in percent (`--closest`).
    pub closest: Option<u8>,
    /// The sources of a rule that did not answer, and why.
    pub fallback: Vec<String>,
    /// The route rules that applied.
    pub rules: Vec<String>,
    /// The rule whose option makes or refuses the answer.
    pub answering_rule: Option<String>,
    pub findings: Vec<Finding>,
    /// Why the request was refused: one sentence, or a few lines.
    pub explanation: Option<String>,
    /// The option or command that helps.
    pub hint: Option<String>,
    /// The number of the exchange in the journal.
    pub exchange: Option<u64>,
    /// The decoded and redacted payload of the request, if no entry has it.
    pub payload: Option<Vec<u8>>,
    /// Why upstream sent no response. The response is then harproxy's own.
    pub upstream_error: Option<UpstreamError>,
}

impl Outcome {
    pub fn decide(&mut self, result: ResultKind, source: SourceKind) {
        (self.result, self.source) = (Some(result), source);
    }

    /// The result. A request without a decision counts as refused.
    #[must_use]
    pub fn result(&self) -> ResultKind {
        self.result.unwrap_or_default()
    }

    /// Returns true if a finding of this check is about the request.
    #[must_use]
    pub fn has_finding(&self, check: &CheckId) -> bool {
        self.findings.iter().any(|finding| finding.check == *check)
    }

    fn cannot_be_replayed(&self) -> bool {
        self.has_finding(&CheckId::WEBSOCKET) || self.has_finding(&CheckId::STREAM)
    }

    /// The value of the `x-harproxy` header; `None` if the response has none.
    #[must_use]
    pub fn mark(&self) -> Option<HeaderValue> {
        let mark = self.answer_mark()?;
        if self.fallback.is_empty() {
            return Some(mark);
        }
        let fallback = format!("; fallback={}", self.fallback.join(", "));
        HeaderValue::from_maybe_shared(bytes::Bytes::from([mark.as_bytes(), fallback.as_bytes()].concat())).ok()
    }

    /// The mark without the sources that did not answer.
    fn answer_mark(&self) -> Option<HeaderValue> {
        let mark = match self.result? {
            ResultKind::Live if self.source == SourceKind::LivePatched => "live; patched",
            ResultKind::Served if self.entry.is_none() => return self.rule_mark(),
            ResultKind::Served => return self.entry_mark(),
            ResultKind::Miss => "miss",
            // No entry could answer a WebSocket or a duplex exchange in scope.
            ResultKind::Refused if self.cannot_be_replayed() => "miss",
            ResultKind::Refused if self.answering_rule.is_some() => return self.rule_mark(),
            // A rule, a key or a control header. Other refusals have no mark.
            ResultKind::Refused if self.source == SourceKind::MadeUp => "made-up",
            ResultKind::Refused => return None,
            ResultKind::OutOfScope => "out-of-scope",
            ResultKind::Noise if self.source == SourceKind::None => "noise",
            ResultKind::Preflight => "preflight",
            ResultKind::Local => "local",
            // harproxy itself answers, in place of upstream.
            ResultKind::Failed => return None,
            ResultKind::Noise | ResultKind::Live | ResultKind::Recorded | ResultKind::Passed | ResultKind::Tunnel => {
                "live"
            }
        };
        Some(HeaderValue::from_static(mark))
    }

    /// Returns the mark of an answer that a rule made.
    fn rule_mark(&self) -> Option<HeaderValue> {
        let Some(rule) = &self.answering_rule else { return Some(HeaderValue::from_static("made-up")) };
        HeaderValue::from_maybe_shared(bytes::Bytes::from(format!("rule; id={}", rule.shown()))).ok()
    }

    fn entry_mark(&self) -> Option<HeaderValue> {
        let EntryPlace { fixture, entry, .. } = self.entry.as_ref()?;
        let kind = self.closest.map_or_else(|| "replay".to_owned(), |score| format!("closest; score={score}"));
        let mut mark = format!("{kind}; entry={}#{entry}", fixture.shown());
        for (n, followed) in self.followed.iter().enumerate() {
            // Writing to a string never fails.
            let _ = write!(mark, "{}#{followed}", if n == 0 { "; followed=" } else { "," });
        }
        if self.source == SourceKind::FixturePatched {
            mark.push_str("; patched");
        }
        HeaderValue::from_maybe_shared(bytes::Bytes::from(mark)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Severity;

    fn mark(outcome: &Outcome) -> Option<String> {
        outcome.mark().map(|mark| String::from_utf8_lossy(mark.as_bytes()).into_owned())
    }

    #[test]
    fn mark_of_a_served_request_names_the_entry_and_the_redirects() {
        let entry = EntryPlace { fixture: "hars/api\n.har".into(), entry: 12, line: None };
        let mut outcome = Outcome { entry: Some(entry), ..Outcome::default() };
        assert_eq!(mark(&outcome), None, "nothing was decided");
        outcome.decide(ResultKind::Served, SourceKind::Fixture);
        assert_eq!(mark(&outcome).unwrap(), r"replay; entry=hars/api\n.har#12");
        outcome.followed = vec![13, 4];
        assert_eq!(mark(&outcome).unwrap(), r"replay; entry=hars/api\n.har#12; followed=#13,#4");
    }

    #[test]
    fn mark_of_a_refused_request_says_miss_when_it_cannot_be_replayed() {
        let mut outcome = Outcome::default();
        outcome.decide(ResultKind::Refused, SourceKind::None);
        assert_eq!(mark(&outcome), None);
        outcome.findings.push(Finding::new(CheckId::WEBSOCKET, Severity::Warning, ""));
        assert_eq!(mark(&outcome).unwrap(), "miss");
    }

    #[test]
    fn mark_of_noise_says_whether_it_was_forwarded() {
        let mut outcome = Outcome::default();
        outcome.decide(ResultKind::Noise, SourceKind::Live);
        assert_eq!(mark(&outcome).unwrap(), "live");
        outcome.source = SourceKind::None;
        assert_eq!(mark(&outcome).unwrap(), "noise");
    }
}
