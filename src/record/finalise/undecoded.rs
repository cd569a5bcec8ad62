//! The findings about payloads that are stored as received, because they decode beyond `--max-decoded`.

use super::index::{JournalIndex, PayloadPieces};
use super::{Error, har_error};
use crate::record::journal::JournalReader;
use crate::verdict::{CheckId, Finding, Location, Severity};
use harproxy_http::DecodeLimit;

/// Returns a finding for each of these payloads. The fixture must have been written.
pub fn find(index: &JournalIndex, reader: &mut JournalReader) -> Result<Vec<Finding>, Error> {
    let limit = index.meta.max_decoded.map(DecodeLimit::new).unwrap_or_default().bytes();
    let mut findings = Vec::new();
    for exchange in &index.exchanges {
        for (message, pieces) in [("request", &exchange.sent), ("response", &exchange.received)] {
            if pieces.exceeds_limit.get() {
                let request = exchange.heads(reader).map_err(har_error)?.request;
                findings.push(finding(format!("{} {}", request.method, request.url), message, pieces, limit));
            }
        }
    }
    Ok(findings)
}

fn finding(request: String, message: &str, pieces: &PayloadPieces, limit: u64) -> Finding {
    let text = format!(
        "the payload of the {message} is stored as received, with its Content-Encoding: its {} bytes decode to more than \
         --max-decoded ({limit} bytes) and 100 times its length; its secrets are not redacted",
        pieces.len()
    );
    let hint = "if it is what you want to record, pass a larger `--max-decoded SIZE`, or `--max-body SIZE` to cut it";
    let at = Location::request(request);
    Finding { at, ..Finding::new(CheckId::UNDECODED, Severity::Warning, text) }.with_hint(hint)
}
