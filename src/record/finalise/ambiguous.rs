//! Finds entries whose requests differ only in secrets but have different answers: replay cannot tell them apart.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::{normal, without_secrets};
use crate::verdict::{CheckId, Finding, Location, Severity};
use harproxy_har::model::Body;
use harproxy_har::{Entry, Fixture};
use harproxy_redact::Placeholder;
use harproxy_redact::placeholder;

/// Longer payloads are compared by their beginning, bytes.
const LOOKED_INTO: u64 = 16 << 20;

type Secrets = BTreeSet<Placeholder>;
type Sum = [u8; 32];

/// The secrets in an entry's request, and the hash of its answer.
struct Asked {
    entry: usize,
    secrets: Secrets,
    answer: (i32, Sum),
}

/// Returns a finding for each request that was answered differently to different secrets.
/// Secrets that occur in an answer of the fixture or in `known`, the policy's values, can be told apart.
pub fn find(fixture: &Fixture, known: &Secrets) -> Vec<Finding> {
    let mut alike: HashMap<(&str, String), Vec<usize>> = HashMap::new();
    for head in fixture.heads().iter() {
        alike.entry((head.method, without_secrets(&normal(head.url)))).or_default().push(head.entry);
    }
    let mut alike: Vec<Vec<usize>> = alike.into_values().filter(|entries| entries.len() > 1).collect();
    alike.sort_unstable();
    let mut given = None;
    let mut findings = Vec::new();
    for entries in alike {
        let mut by_payload: HashMap<Sum, Vec<Asked>> = HashMap::new();
        for entry in entries {
            if let Some((payload, asked)) = asked(fixture, entry) {
                by_payload.entry(payload).or_default().push(asked);
            }
        }
        let mut groups: Vec<Vec<Asked>> = by_payload.into_values().collect();
        groups.sort_unstable_by_key(|group| group[0].entry);
        for group in groups {
            let told_apart = |differ: &Secrets| {
                let given = given.get_or_insert_with(|| given_by(fixture));
                differ.iter().any(|secret| known.contains(secret) || given.contains(secret))
            };
            findings.extend(guessed(&group, told_apart).and_then(|differ| finding(fixture, &group, &differ)));
        }
    }
    findings
}

/// The secrets that tell some of these apart, where only a guess can.
fn guessed(group: &[Asked], mut told_apart: impl FnMut(&Secrets) -> bool) -> Option<Secrets> {
    let first = group.first()?;
    let neighbours = group.windows(2).map(|pair| (&pair[0], &pair[1]));
    for (one, other) in group.iter().skip(1).map(|other| (first, other)).chain(neighbours) {
        let differ: Secrets = one.secrets.symmetric_difference(&other.secrets).cloned().collect();
        if !differ.is_empty() && one.answer != other.answer && !told_apart(&differ) {
            return Some(differ);
        }
    }
    None
}

fn finding(fixture: &Fixture, group: &[Asked], differ: &Secrets) -> Option<Finding> {
    let last = differ.iter().max_by_key(|secret| secret.number)?;
    let entry = group.iter().find(|asked| asked.secrets.contains(last))?.entry;
    let request = &fixture.entry(entry).ok()?.request;
    let names: Vec<String> = differ.iter().map(|secret| format!("`{secret}`")).collect();
    let explanation = format!(
        "{} entries differ only in redacted places ({}) and in their answers: at replay it is a guess which one is meant",
        group.len(),
        names.join(", ")
    );
    let short = last.to_string();
    let short = short.strip_prefix(placeholder::PREFIX).unwrap_or(&short);
    let remedy = format!(
        "let the test send the placeholder itself (`{last}`), or name the value in harproxy.toml: `[redact.values]` \
         `{short} = \"env:NAME_OF_A_VARIABLE\"`"
    );
    Some(Finding {
        at: Location {
            entry: Some(entry),
            fixture: Some(fixture.path().display().to_string()),
            ..Location::request(format!("{} {}", request.method, request.url))
        },
        hint: Some(remedy),
        ..Finding::new(CheckId::AMBIGUOUS, Severity::Warning, explanation)
    })
}

/// `None` for an entry that can't be read.
fn asked(fixture: &Fixture, entry: usize) -> Option<(Sum, Asked)> {
    let parsed = fixture.entry(entry).ok()?;
    let Entry { request, response, .. } = &*parsed;
    let mut secrets = Secrets::new();
    collect(&mut secrets, request.url.as_bytes());
    for header in &request.headers {
        collect(&mut secrets, &header.value);
    }
    let payload = match &request.post_data {
        Some(body) => text(fixture, entry, body).ok()?,
        None => Vec::new(),
    };
    collect(&mut secrets, &payload);
    let answer = text(fixture, entry, &response.content).ok()?;
    let sum = |text: &[u8]| Sha256::digest(placeholder::mask(text)).into();
    Some((sum(&payload), Asked { entry, secrets, answer: (response.status, sum(&answer)) }))
}

/// Returns the placeholders that occur in the fixture's responses: headers, trailers and payloads.
fn given_by(fixture: &Fixture) -> Secrets {
    let mut given = Secrets::new();
    for entry in 0..fixture.entries() {
        let Ok(parsed) = fixture.entry(entry) else { continue };
        for header in parsed.response.headers.iter().chain(&parsed.response.trailers) {
            collect(&mut given, &header.value);
        }
        if let Ok(text) = text(fixture, entry, &parsed.response.content) {
            collect(&mut given, &text);
        }
    }
    given
}

fn collect(secrets: &mut Secrets, text: &[u8]) {
    secrets.extend(placeholder::find(text).map(|found| found.placeholder));
}

fn text(fixture: &Fixture, entry: usize, body: &Body) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let payload = fixture.payload(entry, body).map_err(io::Error::other)?;
    payload.reader().map_err(io::Error::other)?.take(LOOKED_INTO).read_to_end(&mut text)?;
    Ok(text)
}
