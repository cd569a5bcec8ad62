//! Redaction of text without a structure: shapes, GraphQL arguments, patterns of the policy, and known secrets.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::{Captures, Regex};

use super::Redactor;
use super::views::merge_views;
use crate::find::{SecretMatch, compile_regex, find_redacted, is_redacted, token_rest};
use crate::names::NameLocation;
use crate::policy::Policy;
use crate::replace::jwt;
use crate::replace::placeholder::{PlaceholderName, ValueFormat};
use crate::splice::{Splice, spliced};

/// The length of the shortest shape of the table and of the shortest known secret, bytes.
const MIN_LEN: usize = 8;

/// `password: "…"` or `password: """…"""`, an argument or an input field in GraphQL (GraphQL specification, section 2).
static ARGUMENT: LazyLock<Regex> = LazyLock::new(|| {
    compile_regex(
        r#"([A-Za-z_][A-Za-z0-9_]{0,63})\s{0,64}:\s{0,64}(?:"""((?:[^"\\]|\\[\x00-\xff]|"{1,2}[^"\\])+)"""|"((?:[^"\\\r\n]|\\[\x00-\xff])+)")"#,
    )
});

/// The first words of a GraphQL document.
const KEYWORDS: [&[u8]; 4] = [b"query", b"mutation", b"subscription", b"fragment"];

impl Redactor<'_> {
    pub fn redact_text<'t>(&mut self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if self.policy.is_off() {
            return Cow::Borrowed(text);
        }
        spliced(text, &self.text_splices(text, false))
    }

    /// Returns the replacement of a value that is secret because of its place. `None` if it is empty or already
    /// redacted.
    pub fn replace_value(&mut self, value: &[u8], name: &PlaceholderName) -> Option<String> {
        (!value.is_empty() && !is_redacted(value)).then(|| self.replace_secret(value, name, ValueFormat::Text))
    }

    /// Returns a splice that replaces a text from `from` on, if it is not empty or already redacted.
    pub(super) fn value_splice(&mut self, text: &[u8], from: usize, name: &PlaceholderName) -> Vec<Splice> {
        let with = self.replace_value(&text[from..], name);
        with.map(|with| Splice { range: from..text.len(), with }).into_iter().collect()
    }

    /// Returns the replacement of a secret. A JWT remains a JWT.
    pub(super) fn replace_secret(&mut self, secret: &[u8], name: &PlaceholderName, format: ValueFormat) -> String {
        if !jwt::is_token(secret) {
            return self.replacer.replace(secret, name, format);
        }
        let signature = self.replacer.replace(secret, name, ValueFormat::Text);
        jwt::redact(secret, &signature).unwrap_or(signature)
    }

    /// Finds the secrets in a text that is not secret because of its place. `encoded`: the text was percent-encoded.
    pub(super) fn text_splices(&mut self, text: &[u8], encoded: bool) -> Vec<Splice> {
        self.partial_text_splices(text, encoded, None, Vec::new()).0
    }

    /// Finds the secrets in the first part of a text that goes on behind `limit`. Returns the length of the part that
    /// is complete, too. `matches` are secrets that the caller has found.
    pub(super) fn partial_text_splices(
        &mut self,
        text: &[u8],
        encoded: bool,
        limit: Option<usize>,
        mut matches: Vec<SecretMatch>,
    ) -> (Vec<Splice>, usize) {
        let views = self.view_splices(text);
        find_matches(self.policy, text, encoded, &mut matches);
        let known = if text.len() < MIN_LEN { Vec::new() } else { self.replacer.find_known(text) };
        if matches.is_empty() && known.is_empty() && views.is_empty() && limit.is_none() {
            return (Vec::new(), text.len());
        }
        let mut known: Vec<(Range<usize>, String)> =
            known.into_iter().map(|range| (range.clone(), self.replacer.replace_known(&text[range]))).collect();
        // Redacted parts are kept.
        let redacted = find_redacted(text);
        matches.retain(|found| !overlaps(&redacted, &found.range));
        matches.sort_by_key(|found| found.range.start);
        known.retain(|(range, _)| !overlaps(&redacted, range));
        // A view that goes on behind the text is not kept together.
        let whole_views = views.iter().map(|view| view.range.clone()).filter(|range| range.end < text.len());
        let in_text = matches.iter().map(|found| found.from..found.range.end).chain(whole_views);
        let in_text = in_text.chain(known.iter().map(|(range, _)| range.clone()));
        let end = limit.map_or(text.len(), |limit| complete_end(text, limit, redacted.iter().cloned().chain(in_text)));
        let mut splices = merge_views(views);
        settle_overlaps(&mut splices, &mut matches);
        splices.retain(|splice| splice.range.end <= end);
        for SecretMatch { range, name, format, .. } in merge_overlapping(matches, end) {
            let with = self.replace_secret(&text[range.clone()], &PlaceholderName::new(&name), format);
            splices.push(Splice { range, with });
        }
        splices.sort_by_key(|splice| splice.range.start);
        let matched: Vec<Range<usize>> = splices.iter().map(|splice| splice.range.clone()).collect();
        let mut free_from = 0;
        for (Range { start, end: known_end }, with) in known {
            // A token that goes on behind the secret needs its own replacement.
            let rest = token_rest(text, known_end);
            let range = start..known_end + rest;
            if start < free_from || range.end > end || overlaps(&matched, &range) {
                continue;
            }
            free_from = range.end;
            let with = match rest {
                0 => with,
                _ => self.replace_secret(&text[range.clone()], &PlaceholderName::new("value"), ValueFormat::Text),
            };
            splices.push(Splice { range, with });
        }
        splices.sort_by_key(|splice| splice.range.start);
        (splices, end)
    }
}

/// Makes one secret of matches that overlap. Drops those that go on behind `end`.
fn merge_overlapping(matches: Vec<SecretMatch>, end: usize) -> Vec<SecretMatch> {
    let mut merged: Vec<SecretMatch> = Vec::with_capacity(matches.len());
    for found in matches.into_iter().filter(|found| found.range.end <= end) {
        match merged.last_mut().filter(|last| found.range.start < last.range.end) {
            Some(last) => last.range.end = last.range.end.max(found.range.end),
            None => merged.push(found),
        }
    }
    merged
}

/// Keeps one of a match and the splices of views that overlap it: the splice that contains it, else the match, which
/// then covers the splices.
fn settle_overlaps(splices: &mut Vec<Splice>, matches: &mut Vec<SecretMatch>) {
    let mut covered = vec![false; splices.len()];
    matches.retain_mut(|found| {
        let Range { start, end } = found.range;
        let first = splices.partition_point(|splice| splice.range.end <= start);
        let overlapping = first..splices.partition_point(|splice| splice.range.start < end);
        let ranges = splices.get(overlapping.clone()).unwrap_or_default().iter().map(|splice| &splice.range);
        if ranges.clone().any(|range| range.start <= start && end <= range.end) {
            return false;
        }
        for range in ranges {
            found.range = found.range.start.min(range.start)..found.range.end.max(range.end);
        }
        covered[overlapping].fill(true);
        true
    });
    let mut covered = covered.into_iter();
    splices.retain(|_| covered.next() == Some(false));
}

/// Adds shapes, GraphQL arguments and patterns in a text to `matches`, in no order.
fn find_matches(policy: &Policy, text: &[u8], encoded: bool, matches: &mut Vec<SecretMatch>) {
    if text.len() >= MIN_LEN || policy.shapes.has_personal() {
        policy.shapes.find(text, encoded, matches);
    }
    if is_graphql(text) {
        matches.extend(find_members(policy, &ARGUMENT, text));
    }
    for pattern in &policy.patterns {
        let found = pattern.find_iter(text).filter(|found| !found.is_empty());
        // The rest of a token would become a part of the placeholder.
        matches.extend(
            found.map(|found| SecretMatch::text(found.start()..found.end() + token_rest(text, found.end()), "text")),
        );
    }
}

fn overlaps(ranges: &[Range<usize>], range: &Range<usize>) -> bool {
    let after = ranges.partition_point(|other| other.end <= range.start);
    ranges.get(after).is_some_and(|other| other.start < range.end)
}

/// Returns the end of the complete part of a text that goes on: behind the last separator before `limit`, and not
/// within one of `parts`. A part that ends with the text may go on, too.
fn complete_end(text: &[u8], limit: usize, parts: impl Iterator<Item = Range<usize>>) -> usize {
    let limit = limit.min(text.len());
    let ends_token = |byte: &u8| byte.is_ascii_whitespace() || b"\"'<>,;{}()".contains(byte);
    let mut end = text[..limit].iter().rposition(ends_token).map_or(limit, |at| at + 1);
    let mut parts: Vec<_> = parts.filter(|range| range.end > end).collect();
    parts.sort_by_key(|range| range.start);
    for range in parts.into_iter().filter(|range| range.start < limit) {
        if range.start < end {
            end = if range.end < text.len() { range.end } else { range.start };
        }
    }
    end
}

/// Returns true if a text is a GraphQL document and not JSON, in which a quote would follow the first brace.
pub(super) fn is_graphql(text: &[u8]) -> bool {
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

/// Finds the values of a pattern with a name and a value, if the name is secret as a member of JSON.
pub(super) fn find_members(policy: &Policy, pattern: &Regex, text: &[u8]) -> Vec<SecretMatch> {
    let member = |found: Captures<'_>| {
        let (name, value) = (found.get(1)?.as_bytes(), found.get(2).or_else(|| found.get(3))?);
        let class = policy.classify(NameLocation::Member, name);
        let from = found.get(0)?.start();
        class.is_secret_value(value.as_bytes()).then(|| SecretMatch {
            from,
            ..SecretMatch::text(value.range(), String::from_utf8_lossy(name).into_owned())
        })
    };
    pattern.captures_iter(text).filter_map(member).collect()
}
