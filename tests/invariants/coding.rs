//! Content codings of messages and fixtures.

use harproxy_http::coding;

use super::support::first_line;

/// The largest payload that is decoded, bytes.
const LIMIT: u64 = 1 << 20;
/// The largest number of codings that are removed.
const MAX_CODINGS: usize = 8;

/// The first line is a `Content-Encoding`, the rest a coded payload.
pub fn check(data: &[u8]) {
    let Some((field, payload)) = first_line(data) else { return };
    let Some(codings) = coding::codings([field.as_bytes()]) else { return };
    assert!(codings.len() <= MAX_CODINGS, "{} codings", codings.len());
    let decoded = coding::decode(&codings, payload, LIMIT);
    assert!(decoded.is_none_or(|decoded| decoded.len() as u64 <= LIMIT));
    let mut coded = Vec::new();
    coding::encode(&codings, &mut &*payload, &mut coded).unwrap();
    assert_eq!(coding::decode(&codings, &coded, LIMIT).as_deref(), Some(payload), "{field} loses bytes");
}
