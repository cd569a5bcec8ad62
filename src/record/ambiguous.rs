//! Finds entries whose requests differ only in secrets but have different responses: replay cannot tell them apart.

use std::collections::{BTreeSet, HashMap};

use super::entry_view::{self, normal_url};
use crate::verdict::{CheckId, Finding, Location, Severity};
use harproxy_compare::{Content, Digest, Fingerprint, Fingerprinter, KEY_HEADERS, key_header_values};
use harproxy_har::{Entry, Fixture};
use harproxy_redact::{Placeholder, placeholder};

type Placeholders = BTreeSet<Placeholder>;

/// An entry of a group whose requests differ only in secrets.
struct GroupedEntry {
    index: usize,
    placeholders: Placeholders,
    status: i32,
    response: Digest,
}

/// Returns a finding for each request that was answered differently to different secrets.
/// Secrets that occur in a response of the fixture or in `known`, the policy's values, can be told apart.
pub fn find(fixture: &Fixture, known: &Placeholders) -> Vec<Finding> {
    let mut by_url: HashMap<(&str, Digest), Vec<usize>> = HashMap::new();
    for head in fixture.heads().iter() {
        let url = fingerprint(normal_url(head.url).as_bytes()).digest;
        by_url.entry((head.method, url)).or_default().push(head.entry);
    }
    let mut groups: HashMap<(usize, Digest), Vec<GroupedEntry>> = HashMap::new();
    for entries in by_url.into_values().filter(|entries| entries.len() > 1) {
        for &index in &entries {
            if let Some((payload, entry)) = read(fixture, index) {
                groups.entry((entries[0], payload)).or_default().push(entry);
            }
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_unstable_by_key(|((first, _), group)| (*first, group[0].index));
    let mut in_responses = None;
    let mut is_known = |placeholders: &Placeholders| {
        let in_responses = in_responses.get_or_insert_with(|| response_placeholders(fixture));
        placeholders.iter().any(|secret| known.contains(secret) || in_responses.contains(secret))
    };
    let findings = groups.iter().filter_map(|(_, group)| {
        let different = different_placeholders(group, &mut is_known)?;
        finding(fixture, group, &different)
    });
    findings.collect()
}

/// Returns the placeholders by which two entries with different responses differ, if no other rule tells them apart.
fn different_placeholders(
    group: &[GroupedEntry],
    mut is_known: impl FnMut(&Placeholders) -> bool,
) -> Option<Placeholders> {
    let with_first = group.iter().skip(1).map(|other| (&group[0], other));
    let neighbours = group.windows(2).map(|pair| (&pair[0], &pair[1]));
    with_first.chain(neighbours).find_map(|(one, other)| {
        let different: Placeholders = one.placeholders.symmetric_difference(&other.placeholders).cloned().collect();
        let is_same_response = (one.status, one.response) == (other.status, other.response);
        (!different.is_empty() && !is_same_response && !is_known(&different)).then_some(different)
    })
}

fn finding(fixture: &Fixture, group: &[GroupedEntry], different: &Placeholders) -> Option<Finding> {
    let last = different.iter().max_by_key(|secret| secret.number)?;
    let entry = group.iter().find(|entry| entry.placeholders.contains(last))?.index;
    let request = &fixture.entry(entry).ok()?.request;
    let names: Vec<String> = different.iter().map(|secret| format!("`{secret}`")).collect();
    let explanation = format!(
        "{} entries differ only in redacted places ({}) and in their answers: replay with CMD accepts them only in \
         recorded order, each once",
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

/// Reads an entry, and the digest of the key headers and payload of its request. Returns `None` for an entry that
/// cannot be read.
fn read(fixture: &Fixture, index: usize) -> Option<(Digest, GroupedEntry)> {
    let entry = fixture.entry(index).ok()?;
    let Entry { request, response, .. } = &*entry;
    let payload = content_fingerprint(&entry_view::request_body(fixture, index, &entry).ok()?.content);
    let content = content_fingerprint(&entry_view::response_body(fixture, index, &entry).ok()?.content);
    let mut placeholders = Placeholders::from_iter(payload.placeholders);
    for text in std::iter::once(request.url.as_bytes()).chain(request.headers.iter().map(|header| &header.value[..])) {
        placeholders.extend(placeholder::find(text).map(|found| found.placeholder));
    }
    let mut key = Fingerprinter::default();
    key.add("payload", &payload.digest);
    key_header_values(&request.headers, &KEY_HEADERS).iter().for_each(|(name, value)| key.add(name, value));
    Some((key.finish().digest, GroupedEntry { index, placeholders, status: response.status, response: content.digest }))
}

/// Returns the placeholders that occur in the fixture's responses: headers, trailers and payloads.
fn response_placeholders(fixture: &Fixture) -> Placeholders {
    let mut placeholders = Placeholders::new();
    for index in 0..fixture.entries() {
        let Ok(entry) = fixture.entry(index) else { continue };
        for header in entry.response.headers.iter().chain(&entry.response.trailers) {
            placeholders.extend(placeholder::find(&header.value).map(|found| found.placeholder));
        }
        if let Ok(body) = entry_view::response_body(fixture, index, &entry) {
            placeholders.extend(content_fingerprint(&body.content).placeholders);
        }
    }
    placeholders
}

fn content_fingerprint(content: &Content<'_>) -> Fingerprint {
    match content {
        Content::Long { digest, .. } => fingerprint(digest),
        _ => fingerprint(content.bytes().unwrap_or_default()),
    }
}

fn fingerprint(text: &[u8]) -> Fingerprint {
    let mut fingerprinter = Fingerprinter::default();
    fingerprinter.add("", text);
    fingerprinter.finish()
}
