//! Redaction as a whole: what a policy leaves of heads and payloads.

mod documented;
mod payloads;
mod places;
mod properties;
mod streams;

use std::collections::HashMap;
use std::ops::Range;

use super::*;
use harproxy_http::Headers;

/// Numbers values as they come.
#[derive(Default)]
struct Numbers {
    given: HashMap<Vec<u8>, (Name, u64)>,
    last: HashMap<Name, u64>,
    /// Secrets with the names they were found at, each time.
    asked: Vec<(String, String)>,
}

impl Namer for &mut Numbers {
    fn stand_in(&mut self, secret: &[u8], name: &Name, form: Form) -> String {
        self.asked.push((String::from_utf8_lossy(secret).into_owned(), name.to_string()));
        let name = form.shared_name().unwrap_or_else(|| name.clone());
        let last = &mut self.last;
        let (name, number) = self.given.entry(secret.to_vec()).or_insert_with(|| {
            let number = last.entry(name.clone()).or_default();
            *number += 1;
            (name, *number)
        });
        form.write(&Placeholder { name: name.clone(), number: *number })
    }

    fn known(&mut self, text: &[u8]) -> Vec<(Range<usize>, String)> {
        let mut found: Vec<(Range<usize>, String)> = Vec::new();
        for (secret, (name, number)) in self.given.iter().filter(|(secret, _)| secret.len() >= 8) {
            for start in memchr::memmem::find_iter(text, secret) {
                let range = start..start + secret.len();
                let free = |at: Option<&u8>| at.is_none_or(|byte| !byte.is_ascii_alphanumeric());
                if free(text[..start].last()) && free(text.get(range.end)) {
                    found.push((range, Form::Text.write(&Placeholder { name: name.clone(), number: *number })));
                }
            }
        }
        found.sort_by_key(|(range, _)| (range.start, usize::MAX - range.end));
        let mut end = 0;
        found.retain(|(range, _)| {
            range.start >= end && {
                end = range.end;
                true
            }
        });
        found
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

/// The URL that is left.
fn url(policy: &Policy, text: &str) -> String {
    let mut numbers = Numbers::default();
    let left = Redactor::new(policy, &mut numbers).url(text).unwrap_or_else(|| text.to_owned());
    let mut again = Numbers::default();
    assert_eq!(Redactor::new(policy, &mut again).url(&left), None, "{text} became {left}");
    left
}

/// The value of a header that is left.
fn header(policy: &Policy, name: &str, value: &str) -> String {
    let mut headers = Headers::default();
    headers.push(name, value.to_owned());
    let mut numbers = Numbers::default();
    Redactor::new(policy, &mut numbers).headers(&mut headers);
    let left = headers.get_str(name).unwrap().to_owned();
    let mut again = Numbers::default();
    Redactor::new(policy, &mut again).headers(&mut headers);
    assert_eq!(again.asked, [], "{name}: {value} became {left}");
    left
}

/// The payload that is left.
fn payload(policy: &Policy, content_type: &str, text: &str) -> String {
    String::from_utf8(bytes(policy, content_type, text.as_bytes()).unwrap()).unwrap()
}

/// The payload that is left, `None` when it could not be looked into.
fn bytes(policy: &Policy, content_type: &str, text: &[u8]) -> Option<Vec<u8>> {
    let once = |text: &[u8]| {
        let mut numbers = Numbers::default();
        match Redactor::new(policy, &mut numbers).payload(content_type, text) {
            Outcome::Clean => Some(text.to_vec()),
            Outcome::Redacted(left) => Some(left),
            Outcome::Opaque => None,
        }
    };
    let left = once(text)?;
    assert_eq!(String::from_utf8_lossy(&once(&left)?), String::from_utf8_lossy(&left), "is left alone the second time");
    Some(left)
}

fn json(policy: &Policy, text: &str) -> String {
    payload(policy, "application/json", text)
}

/// A signed token with a claim that says who.
const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3IiwiZXhwIjoxMDAwfQ.c2lnbmVk";
/// What is left of it but for its signature.
const JWT_LEFT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjEwMDB9.";
