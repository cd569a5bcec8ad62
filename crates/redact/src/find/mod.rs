//! Finding secrets in text: by their shape, by the names around them, and by their value once it is known.

pub(crate) mod automaton;
pub(crate) mod known;
mod personal;
pub(crate) mod prefilter;
mod shape_table;
pub(crate) mod shapes;

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;
use regex::bytes::Regex;

use crate::base64_text;
use crate::replace::placeholder::ValueFormat;
use crate::replace::{marker, placeholder};
use harproxy_http::{escape, jwt};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretMatch {
    pub(crate) range: Range<usize>,
    /// The start of the text that makes the value secret, such as its name. A window is not divided behind it.
    pub(crate) from: usize,
    pub(crate) name: Cow<'static, str>,
    pub(crate) format: ValueFormat,
}

impl SecretMatch {
    pub(crate) fn text(range: Range<usize>, name: impl Into<Cow<'static, str>>) -> Self {
        SecretMatch { from: range.start, range, name: name.into(), format: ValueFormat::Text }
    }
}

/// Compiles a regular expression of this crate, in which `\w` is ASCII.
pub(crate) fn compile_regex(pattern: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "the patterns are constants, and a test compiles all of them")]
    regex::bytes::RegexBuilder::new(pattern).unicode(false).build().expect("a valid pattern")
}

/// Returns true if a byte continues a token, and so a placeholder before it.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Returns the number of bytes from `at` on that continue a token.
pub(crate) fn token_rest(text: &[u8], at: usize) -> usize {
    text[at..].iter().take_while(|&&byte| is_token_byte(byte)).count()
}

/// Returns true if a token can begin at `at`: not within a word, but behind an escape such as `%2F` or `\n`.
pub(crate) fn can_begin_token(text: &[u8], at: usize) -> bool {
    let is_within_word = at > 0 && text[at - 1].is_ascii_alphanumeric();
    !is_within_word || escape::ends(&text[..at])
}

/// Returns the redacted parts of a text, in order. A redacted JWT is one part.
pub(crate) fn find_redacted(text: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<_> = placeholder::find(text).map(|found| found.range).collect();
    let mut end = 0;
    found.extend(memmem::find_iter(text, marker::PREFIX).filter_map(|start| {
        (start >= end).then_some(())?;
        end = start + token_rest(text, start);
        Some(jwt::redacted_around(text, start).unwrap_or(start..end))
    }));
    found.extend(base64_text::find_markers(text).into_iter().map(|(range, _)| range));
    found.sort_unstable_by_key(|range| range.start);
    found
}

/// Returns true if a value is already redacted as a whole.
pub(crate) fn is_redacted(value: &[u8]) -> bool {
    find_redacted(value).contains(&(0..value.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_returns_placeholders_markers_and_redacted_jwts() {
        let jwt = "eyJhbGciOiJub25lIn0.e30.REDACTED_0123";
        assert_eq!(
            find_redacted(format!("a {jwt}; REDACTED-x-1 REDACTED_ff.").as_bytes()),
            [2..2 + jwt.len(), 41..53, 54..65]
        );
        assert!(is_redacted(jwt.as_bytes()) && is_redacted(b"73322833001") && is_redacted(b"REDACTED-a-1"));
        assert!(!is_redacted(b"REDACTED-a-1x") && !is_redacted(b"") && !is_redacted(b"Bearer REDACTED-a-1"));
    }
}
