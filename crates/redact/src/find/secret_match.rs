//! A secret in a text, and the boundaries of tokens.

use std::borrow::Cow;
use std::ops::Range;

use regex::bytes::Regex;

use crate::replace::placeholder::ValueFormat;
use harproxy_http::escape;

/// A secret that was found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretMatch {
    pub(crate) range: Range<usize>,
    pub(crate) name: Cow<'static, str>,
    pub(crate) format: ValueFormat,
}

impl SecretMatch {
    pub(crate) fn text(range: Range<usize>, name: impl Into<Cow<'static, str>>) -> Self {
        SecretMatch { range, name: name.into(), format: ValueFormat::Text }
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
