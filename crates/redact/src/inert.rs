//! What is left alone: placeholders, and the markers that stand for them while a recording goes on.

use std::ops::Range;

use memchr::memmem;

use super::placeholder;
use harproxy_http::jwt;

/// How a marker begins.
const MARKER_BEGINS: &str = "REDACTED_";

/// The stretches of a text that are no secrets any more, in order; of a redacted JWT, all of it.
pub(super) fn find(text: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<_> = placeholder::find(text).map(|found| found.range).collect();
    let known = found.len();
    let mut end = 0;
    found.extend(memmem::find_iter(text, MARKER_BEGINS).filter_map(|start| {
        (start >= end).then_some(())?;
        end = start + text[start..].iter().take_while(|&&byte| is_token(byte)).count();
        Some(jwt::redacted_around(text, start).unwrap_or(start..end))
    }));
    if found.len() > known {
        found.sort_unstable_by_key(|range| range.start);
    }
    found
}

/// Whether all of a value is one of them.
pub(super) fn is_whole(value: &[u8]) -> bool {
    find(value).contains(&(0..value.len()))
}

/// Whether a byte goes on with a placeholder that stands before it.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_markers_and_redacted_tokens() {
        let jwt = "eyJhbGciOiJub25lIn0.e30.REDACTED_0123";
        assert_eq!(find(format!("a {jwt}; REDACTED-x-1 REDACTED_ff.").as_bytes()), [2..2 + jwt.len(), 41..53, 54..65]);
        assert!(is_whole(jwt.as_bytes()) && is_whole(b"73322833001") && is_whole(b"REDACTED-a-1"));
        assert!(!is_whole(b"REDACTED-a-1x") && !is_whole(b"") && !is_whole(b"Bearer REDACTED-a-1"));
    }
}
