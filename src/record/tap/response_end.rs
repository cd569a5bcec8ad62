//! The end of a recorded response, and the findings about exchanges that can't be replayed as they were.

use ::http::{HeaderMap, header};

use crate::record::journal::heads::{DecodedPayload, EndReason, HeaderFields};
use crate::verdict::{CheckId, Finding, Location, Severity};
use harproxy_har::model::Chunk;
use harproxy_http::headers::to_chars;

/// The end of a response.
#[derive(Debug, Default)]
pub struct ResponseEnd {
    pub reason: EndReason,
    /// Encoded bytes of the payload.
    pub seen: u64,
    pub trailers: HeaderFields,
    /// Set if the payload was journalled decoded.
    pub decoded: Option<DecodedPayload>,
    pub chunks: Vec<Chunk>,
    /// The beginning of the payload can be replayed, since it consists of events.
    pub has_events: bool,
}

const CANNOT_BE_REPLAYED: &str =
    "a replay of it fails: pass it on to its server with `--passthrough URL`, or record CMD without it";

/// A WebSocket, or another protocol, that was recorded.
pub fn websocket(request: String, response: &HeaderMap) -> Finding {
    let protocol = response.get(header::UPGRADE).map(|value| to_chars(value.as_bytes())).unwrap_or_default();
    let text = match protocol.eq_ignore_ascii_case("websocket") {
        true => "this is a WebSocket: its handshake is recorded, its messages are not; replay refuses it".to_owned(),
        false => format!("this changes the protocol to `{protocol}`: its handshake is recorded; replay refuses it"),
    };
    warning(CheckId::WEBSOCKET, request, text).with_hint(CANNOT_BE_REPLAYED)
}

fn warning(check: CheckId, request: String, text: impl Into<String>) -> Finding {
    Finding { at: Location::request(request), ..Finding::new(check, Severity::Warning, text) }
}

/// A duplex exchange that was recorded.
pub fn duplex(request: String) -> Finding {
    let text = "client and server answered each other while the request was still being sent; replay refuses it";
    warning(CheckId::STREAM, request, text).with_hint(CANNOT_BE_REPLAYED)
}

impl ResponseEnd {
    /// A warning if the response is stored in part only, since a truncated response fails a replay. The recorded
    /// events of a stream that the client or the server left are complete for a replay.
    pub fn truncation(&self, request: String, max_body: Option<u64>) -> Option<Finding> {
        let seen = self.seen;
        let cut = match self.reason {
            EndReason::ClientLeft | EndReason::UpstreamDied if self.has_events => return None,
            EndReason::ClientLeft => "the client left",
            EndReason::UpstreamDied => "upstream broke off",
            _ => {
                let max = max_body.filter(|max| seen > *max)?;
                let text = format!("a response longer than --max-body ({max} bytes) is stored up to that length");
                let remedy = "a truncated response fails a replay; pass `--fail-on -truncated` to allow it";
                return Some(Finding::new(CheckId::TRUNCATED, Severity::Warning, text).with_hint(remedy));
            }
        };
        let text = format!("{cut} after {seen} bytes of the response; the rest of it is missing");
        let finding = warning(CheckId::TRUNCATED, request, text);
        Some(finding.with_hint("record it again: a truncated response fails a replay"))
    }
}
