//! What looks random enough to be a secret that nobody has named. Only whole values are looked at, and a good many must be left
//! alone: hashes, identifiers, names in camel case, versions, pictures.

use std::collections::HashSet;

use super::leaks::{hash, is_allowed, told};
use super::place::inside_body;
use super::{Check, Finding, Kind, Severity};
use crate::upkeep::sift::{Body, Item, Where};
use harproxy_har::Fixture;
use harproxy_har::values::HarValue;
use harproxy_http::{MediaType, volatile};
use harproxy_json::{CountAll, Node, NodeKind};
use harproxy_redact::placeholder;

/// Shorter values can't be told from identifiers, and longer ones are data, bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=512;
/// Bits a character; random base64 of 32 characters has about 4.6, words of a language about 3.5.
const LEAST: f64 = 4.2;
/// How often the kind of character changes, of all chances; random base64 has about 0.64, `camelCaseNames2` 0.2.
const LEAST_CHANGES: f64 = 0.4;
/// Longer payloads are data, bytes.
const LONGEST_BODY: usize = 1 << 20;
/// How names end whose values look random by their nature and are no secrets.
const PLAIN: [&str; 14] = [
    "id",
    "ids",
    "uuid",
    "guid",
    "hash",
    "digest",
    "checksum",
    "integrity",
    "md5",
    "etag",
    "cursor",
    "boundary",
    "sec-websocket-key",
    "sec-websocket-accept",
];

/// The values that were told.
#[derive(Default)]
pub(super) struct Tokens {
    seen: HashSet<String>,
}

impl Tokens {
    /// Adds what looks random in an item of this part.
    pub(super) fn look(
        &mut self,
        fixture: &Fixture,
        part: &HarValue,
        item: &Item<'_>,
        check: &Check<'_>,
        findings: &mut Vec<Finding>,
    ) {
        match item {
            Item::Spot(spot) => {
                let is_looked_at = match &spot.what {
                    Where::Header(_, name) => {
                        let is_volatile = volatile::is_volatile(&name.to_ascii_lowercase());
                        !is_volatile && !is_plain(name) && !check.policy.is_secret_header(name)
                    }
                    Where::Parameter(name) | Where::Field(name) => {
                        !is_plain(name) && !check.policy.is_secret_parameter(name)
                    }
                    _ => false,
                };
                if is_looked_at {
                    self.value(spot.written, || spot.what.to_string(), check, findings);
                }
            }
            Item::Body(body) if MediaType::parse(&body.content_type).is_json() => {
                if let Some(text) = body.held_text(fixture, part, LONGEST_BODY) {
                    self.body(body, &text, check, findings);
                }
            }
            Item::Body(_) => {}
        }
    }

    fn body(&mut self, body: &Body<'_>, text: &str, check: &Check<'_>, findings: &mut Vec<Finding>) {
        let Some(node) = Node::parse(text, &CountAll) else { return };
        let mut strings = Vec::new();
        collect(&node, "", &mut strings);
        for (name, string) in strings {
            if !is_plain(name) && !check.policy.is_secret_member(name) {
                let written = string.text.trim_matches('"');
                let place =
                    || format!("{} body {}", body.side, inside_body(&body.content_type, text.as_bytes(), string.at));
                self.value(written, place, check, findings);
            }
        }
    }

    fn value(&mut self, value: &str, place: impl Fn() -> String, check: &Check<'_>, findings: &mut Vec<Finding>) {
        if !is_random(value) {
            return;
        }
        let hash = hash(value.as_bytes());
        if is_allowed(check.allow, &hash) || !self.seen.insert(hash.clone()) {
            return;
        }
        let (place, sha256) = (place(), told(&hash));
        let message = format!("{place} looks random, and may be a secret (sha256:{sha256})");
        findings.push(Finding {
            place: Some(place),
            sha256: Some(sha256),
            ..Finding::new(Severity::Warning, Kind::Entropy, message)
        });
    }
}

/// Strings with the name of the nearest member.
fn collect<'n, 't>(node: &'n Node<'t>, name: &'n str, strings: &mut Vec<(&'n str, &'n Node<'t>)>) {
    match &node.kind {
        NodeKind::Scalar if node.text.starts_with('"') => strings.push((name, node)),
        NodeKind::Scalar => {}
        NodeKind::Array(items) => items.iter().for_each(|item| collect(item, name, strings)),
        NodeKind::Object(members) => members.iter().for_each(|member| collect(&member.value, &member.name, strings)),
    }
}

/// Whether values of this name may look random.
fn is_plain(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    PLAIN.iter().any(|end| name.ends_with(end))
}

/// Whether a value looks as if it was drawn at random from letters of both cases and digits.
fn is_random(value: &str) -> bool {
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"+/_=-".contains(&byte);
    let has = |is: fn(&u8) -> bool| value.as_bytes().iter().any(is);
    LENGTHS.contains(&value.len())
        && value.bytes().all(belongs)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
        && !value.starts_with("sha")
        && !value.starts_with('/')
        && placeholder::find(value.as_bytes()).next().is_none()
        && changes(value) >= LEAST_CHANGES
        && entropy(value) >= LEAST
}

/// How often the kind of character changes, of all chances.
fn changes(value: &str) -> f64 {
    let kind = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let changes = value.as_bytes().windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count();
    changes as f64 / (value.len() - 1) as f64
}

/// Shannon's, bits a character.
fn entropy(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    value.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    let len = value.len() as f64;
    let bits = |count: u32| -(f64::from(count) / len) * (f64::from(count) / len).log2();
    counts.into_iter().filter(|count| *count > 0).map(bits).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_values_are_told_from_others() {
        for value in
            ["q7Lx0PzR4vTn8KcWbY2mJd6HsF1gAe5U", "V1StGXR8_Z5jdHi6B-myT9aQ0xKc", "wJalrXUtnFEMIK7MDENGbPxRfiCYq8Zk3T="]
        {
            assert!(is_random(value), "{value}: {} {}", changes(value), entropy(value));
        }
        for value in [
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "0edac7ed-0000-4000-8000-000000000001",
            "getUserAccountDetailsByIdentifier2",
            "application/vnd.github.v3+json",
            "2026-01-02T03:04:05.678Z",
            "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "REDACTED-access_token-1",
            "Mozilla5AppleWebKit537KHTMLlikeGecko",
            "short1A",
        ] {
            assert!(!is_random(value), "{value}: {} {}", changes(value), entropy(value));
        }
    }
}
