//! Multipart payloads, as a whole and as a stream.

use harproxy_http::multipart::{Piece, Splitter, parts};
use harproxy_redact::Policy;

use super::support::{first_line, redacted};

/// The first line is a boundary, the rest a payload.
pub fn check(data: &[u8]) {
    let Some((boundary, payload)) = first_line(data) else { return };
    if boundary.is_empty() || boundary.contains('\r') {
        return;
    }
    let whole = parts(payload, boundary);
    for size in [1, 3, 64, payload.len().max(1)] {
        let passed = passed(payload, boundary, size);
        let expected = whole
            .as_ref()
            .map(|parts| parts.iter().map(|part| (part.headers.to_vec(), part.body.to_vec())).collect::<Vec<_>>());
        assert_eq!(passed, expected, "in pieces of {size}");
    }
    for part in whole.iter().flatten() {
        let _ = part.name();
        assert!(part.headers.len() + part.body.len() <= payload.len());
    }
    let content_type = format!("multipart/form-data; boundary=\"{}\"", boundary.replace(['"', '\\'], ""));
    let policy = Policy::default();
    let left = redacted(&policy, &content_type, payload);
    assert_eq!(redacted(&policy, &content_type, &left), left, "twice is not once");
}

type Parts = Vec<(Vec<u8>, Vec<u8>)>;

fn passed(payload: &[u8], boundary: &str, size: usize) -> Option<Parts> {
    let (mut splitter, mut parts, mut part) = (Splitter::new(boundary), Parts::new(), (Vec::new(), Vec::new()));
    for piece in payload.chunks(size) {
        splitter.push(piece, |piece| match piece {
            Piece::Headers(text) => part.0.extend_from_slice(text),
            Piece::Body(text) => part.1.extend_from_slice(text),
            Piece::End => parts.push(std::mem::take(&mut part)),
        });
    }
    splitter.is_closed().then_some(parts)
}
