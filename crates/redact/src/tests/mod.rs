//! Tests of the redactor with all formats together.

mod corpus;
mod documented;
mod names;
mod payloads;
mod properties;
mod streams;
mod views;

use std::collections::HashMap;
use std::ops::Range;

use super::*;
use harproxy_http::Headers;

/// Numbers secrets in the order in which they are found.
#[derive(Default)]
struct TestReplacer {
    placeholders: HashMap<Vec<u8>, Placeholder>,
    last: HashMap<PlaceholderName, u64>,
    /// All replaced secrets with their names.
    replaced: Vec<(String, String)>,
}

impl Replacer for &mut TestReplacer {
    fn replace(&mut self, secret: &[u8], name: &PlaceholderName, format: ValueFormat) -> String {
        self.replaced.push((String::from_utf8_lossy(secret).into_owned(), name.to_string()));
        let name = format.shared_name().unwrap_or_else(|| name.clone());
        let last = &mut self.last;
        let placeholder = self.placeholders.entry(secret.to_vec()).or_insert_with(|| {
            let number = last.entry(name.clone()).or_default();
            *number += 1;
            Placeholder { name, number: *number }
        });
        format.write(placeholder)
    }

    fn find_known(&mut self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for secret in self.placeholders.keys().filter(|secret| secret.len() >= 8) {
            for start in memchr::memmem::find_iter(text, secret) {
                let range = start..start + secret.len();
                let is_boundary = |at: Option<&u8>| at.is_none_or(|byte| !byte.is_ascii_alphanumeric());
                if is_boundary(text[..start].last()) && is_boundary(text.get(range.end)) {
                    found.push(range);
                }
            }
        }
        found.sort_by_key(|range| (range.start, usize::MAX - range.end));
        let mut end = 0;
        found.retain(|range| {
            range.start >= end && {
                end = range.end;
                true
            }
        });
        found
    }

    fn replace_known(&mut self, secret: &[u8]) -> String {
        self.placeholders[secret].to_string()
    }
}

fn rules(f: impl FnOnce(&mut Rules)) -> Policy {
    let mut rules = Rules::default();
    f(&mut rules);
    Policy::new(&rules).unwrap()
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Redacts a URL, and checks that redacting it again changes nothing.
fn url(policy: &Policy, text: &str) -> String {
    let mut replacer = TestReplacer::default();
    let left = Redactor::new(policy, &mut replacer).redact_url(text).unwrap_or_else(|| text.to_owned());
    let mut again = TestReplacer::default();
    assert_eq!(Redactor::new(policy, &mut again).redact_url(&left), None, "{text} became {left}");
    left
}

/// Redacts the value of a header, and checks that redacting it again changes nothing.
fn header(policy: &Policy, name: &str, value: &str) -> String {
    let mut headers = Headers::default();
    headers.push(name, value.to_owned());
    let mut replacer = TestReplacer::default();
    Redactor::new(policy, &mut replacer).redact_headers(&mut headers);
    let left = headers.get_str(name).unwrap().to_owned();
    let mut again = TestReplacer::default();
    Redactor::new(policy, &mut again).redact_headers(&mut headers);
    assert_eq!(again.replaced, [], "{name}: {value} became {left}");
    left
}

/// Redacts a payload that is text.
fn payload(policy: &Policy, content_type: &str, text: &str) -> String {
    String::from_utf8(bytes(policy, content_type, text.as_bytes()).unwrap()).unwrap()
}

/// Redacts a payload, and checks that redacting it again changes nothing. `None` if it is opaque.
fn bytes(policy: &Policy, content_type: &str, text: &[u8]) -> Option<Vec<u8>> {
    let once = |text: &[u8]| {
        let mut replacer = TestReplacer::default();
        match Redactor::new(policy, &mut replacer).redact_payload(content_type, text) {
            PayloadRedaction::Clean => Some(text.to_vec()),
            PayloadRedaction::Redacted(left) => Some(left),
            PayloadRedaction::Opaque => None,
        }
    };
    let left = once(text)?;
    assert_eq!(String::from_utf8_lossy(&once(&left)?), String::from_utf8_lossy(&left), "redacted again");
    Some(left)
}

fn json(policy: &Policy, text: &str) -> String {
    payload(policy, "application/json", text)
}

/// A signed token with a claim that is removed.
const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3IiwiZXhwIjoxMDAwfQ.c2lnbmVk";
/// The redacted token without its signature.
const REDACTED_JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjEwMDB9.";
