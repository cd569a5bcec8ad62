//! Secrets in GraphQL documents: arguments and input fields with a secret name (GraphQL specification, section 2).

use std::sync::LazyLock;

use regex::bytes::{Captures, Regex};

use super::secret_match::{SecretMatch, compile_regex};
use crate::policy::Policy;

/// `password: "…"`.
static ARGUMENT: LazyLock<Regex> = LazyLock::new(|| {
    compile_regex(r#"([A-Za-z_][A-Za-z0-9_]{0,63})\s{0,64}:\s{0,64}"((?:[^"\\\r\n]|\\[\x00-\xff])+)""#)
});

/// The first words of a document.
const KEYWORDS: [&[u8]; 4] = [b"query", b"mutation", b"subscription", b"fragment"];

/// Returns true if a text is a GraphQL document and not JSON, in which a quote would follow the first brace.
pub(crate) fn looks_like(text: &[u8]) -> bool {
    // The first byte excludes most texts.
    if !matches!(text.first(), Some(b'{' | b'q' | b'm' | b's' | b'f' | b' ' | b'\t' | b'\n' | b'\r' | 0x0c)) {
        return false;
    }
    let text = text.trim_ascii_start();
    let begins_field = |inside: &[u8]| {
        inside.trim_ascii_start().first().is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.'))
    };
    let begins =
        text.strip_prefix(b"{").is_some_and(begins_field) || KEYWORDS.iter().any(|word| text.starts_with(word));
    begins && memchr::memchr(b':', text).is_some()
}

/// Finds the string values of arguments whose name is secret as a member of JSON.
pub(crate) fn find_arguments(policy: &Policy, document: &[u8]) -> Vec<SecretMatch> {
    let argument = |found: Captures<'_>| {
        let (name, value) = (found.get(1)?, found.get(2)?);
        let is_secret = policy.members.contains(name.as_bytes());
        is_secret.then(|| SecretMatch::text(value.range(), String::from_utf8_lossy(name.as_bytes()).into_owned()))
    };
    ARGUMENT.captures_iter(document).filter_map(argument).collect()
}
