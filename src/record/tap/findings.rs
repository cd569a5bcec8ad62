//! Findings about exchanges that were recorded and can't be replayed as they were.

use ::http::{HeaderMap, header};

use super::exchange::{ExchangeTap, ResponseEnd};
use crate::record::journal::heads::EndReason;
use crate::verdict::{CheckId, Finding, Location, Severity};
use harproxy_http::headers::to_chars;

/// A WebSocket, or another protocol, that was recorded.
pub fn websocket(request: String, response: &HeaderMap) -> Finding {
    let protocol = response.get(header::UPGRADE).map(|value| to_chars(value.as_bytes())).unwrap_or_default();
    let text = match protocol.eq_ignore_ascii_case("websocket") {
        true => "this is a WebSocket: its handshake is recorded, its messages are not; replay refuses it".to_owned(),
        false => format!("this changes the protocol to `{protocol}`: its handshake is recorded; replay refuses it"),
    };
    warning(CheckId::WEBSOCKET, request, text)
        .with_hint("a replay of it fails: pass it on to its server with `--passthrough URL`, or record CMD without it")
}

fn warning(check: CheckId, request: String, text: impl Into<String>) -> Finding {
    Finding { at: Location::request(request), ..Finding::new(check, Severity::Warning, text) }
}

impl ExchangeTap {
    /// Adds the findings about the end of an exchange.
    pub(super) fn add_end_findings(&self, response: &ResponseEnd, is_stream: bool) {
        if is_stream {
            let text =
                "client and server answered each other while the request was still being sent; replay refuses it";
            self.add_finding(warning(CheckId::STREAM, self.line(), text).with_hint(
                "a replay of it fails: pass it on to its server with `--passthrough URL`, or record CMD without it",
            ));
        } else if let Some(finding) = self.truncation(response) {
            self.add_finding(finding);
        }
    }

    /// A warning if the response is stored in part only, since a truncated response fails a replay. The recorded
    /// events of a stream that the client or the server left are complete for a replay.
    fn truncation(&self, response: &ResponseEnd) -> Option<Finding> {
        let seen = response.seen;
        let cut = match response.reason {
            EndReason::ClientLeft | EndReason::UpstreamDied if response.has_events => return None,
            EndReason::ClientLeft => "the client left",
            EndReason::UpstreamDied => "upstream broke off",
            _ => {
                let max = self.context.max_body.filter(|max| seen > *max)?;
                let text = format!("a response longer than --max-body ({max} bytes) is stored up to that length");
                let remedy = "a truncated response fails a replay; pass `--fail-on -truncated` to allow it";
                return Some(Finding::new(CheckId::TRUNCATED, Severity::Warning, text).with_hint(remedy));
            }
        };
        let text = format!("{cut} after {seen} bytes of the response; the rest of it is missing");
        let finding = warning(CheckId::TRUNCATED, self.line(), text);
        Some(finding.with_hint("record it again: a truncated response fails a replay"))
    }
}
