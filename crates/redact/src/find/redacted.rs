//! Text that is already redacted: placeholders, and markers of any recording.

use std::ops::Range;

use memchr::memmem;

use super::secret_match::token_rest;
use crate::replace::{marker, placeholder};
use harproxy_http::jwt;

/// Returns the redacted parts of a text, in order. A redacted JWT is one part.
pub(crate) fn find(text: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<_> = placeholder::find(text).map(|found| found.range).collect();
    let placeholders = found.len();
    let mut end = 0;
    found.extend(memmem::find_iter(text, marker::PREFIX).filter_map(|start| {
        (start >= end).then_some(())?;
        end = start + token_rest(text, start);
        Some(jwt::redacted_around(text, start).unwrap_or(start..end))
    }));
    if found.len() > placeholders {
        found.sort_unstable_by_key(|range| range.start);
    }
    found
}

/// Returns true if a value is already redacted as a whole.
pub(crate) fn is_whole(value: &[u8]) -> bool {
    find(value).contains(&(0..value.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_returns_placeholders_markers_and_redacted_jwts() {
        let jwt = "eyJhbGciOiJub25lIn0.e30.REDACTED_0123";
        assert_eq!(find(format!("a {jwt}; REDACTED-x-1 REDACTED_ff.").as_bytes()), [2..2 + jwt.len(), 41..53, 54..65]);
        assert!(is_whole(jwt.as_bytes()) && is_whole(b"73322833001") && is_whole(b"REDACTED-a-1"));
        assert!(!is_whole(b"REDACTED-a-1x") && !is_whole(b"") && !is_whole(b"Bearer REDACTED-a-1"));
    }
}
