//! GraphQL documents (GraphQL Specification, section 2): arguments and input fields of secret names whose values stand in the
//! document itself, and not in its variables.

use std::sync::LazyLock;

use regex::bytes::{Captures, Regex};

use super::shapes::{Hit, compiled};
use super::{Form, Policy};

/// `password: "…"`.
static ARGUMENT: LazyLock<Regex> =
    LazyLock::new(|| compiled(r#"([A-Za-z_][A-Za-z0-9_]{0,63})\s{0,64}:\s{0,64}"((?:[^"\\\r\n]|\\[\x00-\xff])+)""#));

/// How a document begins that says what it is.
const BEGINS: [&[u8]; 4] = [b"query", b"mutation", b"subscription", b"fragment"];

/// Whether a text is meant as a GraphQL document: in JSON a quote follows where here a name does.
pub(super) fn looks_like(text: &[u8]) -> bool {
    // Most texts are told by their first byte.
    if !matches!(text.first(), Some(b'{' | b'q' | b'm' | b's' | b'f' | b' ' | b'\t' | b'\n' | b'\r' | 0x0c)) {
        return false;
    }
    let text = text.trim_ascii_start();
    let names_a_field = |inside: &[u8]| {
        inside.trim_ascii_start().first().is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.'))
    };
    let begins = text.strip_prefix(b"{").is_some_and(names_a_field) || BEGINS.iter().any(|word| text.starts_with(word));
    begins && memchr::memchr(b':', text).is_some()
}

/// What is secret in a document by the names of its arguments: those of JSON members.
pub(super) fn arguments(policy: &Policy, document: &[u8]) -> Vec<Hit> {
    let argument = |found: Captures<'_>| {
        let (name, value) = (found.get(1)?, found.get(2)?);
        let is_secret = policy.json.contains(name.as_bytes());
        let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
        is_secret.then(|| Hit { range: value.range(), name: name.into(), form: Form::Text })
    };
    ARGUMENT.captures_iter(document).filter_map(argument).collect()
}
