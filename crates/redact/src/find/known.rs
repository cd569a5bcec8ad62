//! Finding values that are known to be secret wherever they occur, as whole words.

use std::collections::HashMap;
use std::ops::Range;

use aho_corasick::{AhoCorasick, Input};

use super::shapes::{MAX_NEEDLES, automaton};
use super::{can_begin_token, token_rest};

/// The length of the shortest value that is searched for, bytes. A shorter value is too likely to occur by chance.
pub(crate) const MIN_LEN: usize = 8;
/// The length of the longest value that is searched for, bytes. A longer value does not occur in other places.
pub(crate) const MAX_LEN: usize = 64 << 10;
/// Words that are not searched for although they are values: they occur in paths and member names.
#[rustfmt::skip]
const WORDS: [&str; 14] = [
    "password", "username", "undefined", "anonymous", "changeme", "localhost", "redacted", "required", "disabled",
    "authorization", "access_token", "refresh_token", "client_secret", "example.com",
];

/// The first bytes of placeholders and markers.
const REDACTED: Prefix = *b"REDACTED";

type Prefix = [u8; MIN_LEN];

#[derive(Default)]
pub(crate) struct KnownValues {
    by_prefix: HashMap<Prefix, Vec<Box<[u8]>>>,
    /// Searches for all prefixes. `None` if there are too many for a fast search: then each word is looked up.
    automaton: Option<AhoCorasick>,
    pub(crate) longest: usize,
}

impl KnownValues {
    /// Adds a value. Short, long and common values are ignored.
    pub(crate) fn insert(&mut self, value: &[u8]) {
        let is_word = || WORDS.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
        let Some(prefix) = value.first_chunk().filter(|_| value.len() <= MAX_LEN && !is_word()) else { return };
        self.longest = self.longest.max(value.len());
        let values = self.by_prefix.entry(*prefix).or_default();
        values.push(value.into());
        if values.len() == 1 {
            let is_few = self.by_prefix.len() < MAX_NEEDLES;
            self.automaton = is_few.then(|| automaton(&self.by_prefix.keys().chain([&REDACTED]).collect::<Vec<_>>()));
        }
    }

    /// Finds the values that begin in a range of a text, in order. If two values begin in one place, the longer one is
    /// found. Names within placeholders are skipped.
    pub(crate) fn find(&self, text: &[u8], range: Range<usize>) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut at = range.start;
        while let Some(start) = self.next_prefix(text, at).filter(|start| *start < range.end) {
            at = start + 1;
            if !can_begin_token(text, start) {
                continue;
            }
            if text[start..].starts_with(&REDACTED) {
                at = start + token_rest(text, start);
            } else if let Some(len) = self.value_at(&text[start..]) {
                at = start + len;
                found.push(start..at);
            }
        }
        found
    }

    /// Returns the position of the next prefix from `at` on.
    fn next_prefix(&self, text: &[u8], at: usize) -> Option<usize> {
        if self.by_prefix.is_empty() {
            return None;
        }
        if let Some(automaton) = &self.automaton {
            return automaton.find(Input::new(text).range(at..)).map(|found| found.start());
        }
        let is_prefix = |at: usize| {
            let prefix = text[at..].first_chunk();
            prefix.is_some_and(|prefix| *prefix == REDACTED || self.by_prefix.contains_key(prefix))
        };
        (at..text.len()).find(|&at| can_begin_token(text, at) && is_prefix(at))
    }

    /// Returns the length of the longest value that a text begins with and that ends a word.
    fn value_at(&self, text: &[u8]) -> Option<usize> {
        let ends_word = |len: usize| text.get(len).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let values = self.by_prefix.get(text.first_chunk()?)?.iter();
        values.filter(|value| text.starts_with(value) && ends_word(value.len())).map(|value| value.len()).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'t>(values: &[&str], text: &'t str) -> Vec<&'t str> {
        let mut known = KnownValues::default();
        values.iter().for_each(|value| known.insert(value.as_bytes()));
        known.find(text.as_bytes(), 0..text.len()).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn values_are_found_as_whole_words() {
        let text =
            "s3cr3t-value/1 as3cr3t-value/1 2Fs3cr3t-value/1 %2Fs3cr3t-value/1 s3cr3t-value/12 \\ns3cr3t-value/1";
        assert_eq!(found(&["s3cr3t-value/1"], text).len(), 3);
        assert_eq!(found(&["abcdefgh", "abcdefgh-ijkl"], "abcdefgh-ijkl abcdefgh-ijk"), ["abcdefgh-ijkl", "abcdefgh"]);
    }

    #[test]
    fn short_values_and_common_words_are_not_found() {
        assert!(found(&["short", "password", "Localhost"], "short password localhost Localhost").is_empty());
    }

    #[test]
    fn values_within_placeholders_are_not_found() {
        for text in ["REDACTED-x-secret-key-1", "REDACTED_00secret-key", "\"REDACTED-secret-key-2\""] {
            assert!(found(&["secret-key"], text).is_empty(), "{text}");
        }
    }

    #[test]
    fn each_of_many_values_is_found() {
        let values: Vec<String> = (0..300).map(|n| format!("{n}-value-{n}")).collect();
        let values: Vec<&str> = values.iter().map(|value| &**value).collect();
        assert_eq!(found(&values, &values.join(" ")), values);
        assert_eq!(found(&values[..9], &values.join(" ")), &values[..9]);
    }
}
