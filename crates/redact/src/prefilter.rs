//! Prefilter of the JSON walk: finds the strings that can hold a secret, so that all others are stepped over.
//!
//! A string without escapes can hold a secret only if it contains a needle: the end of a secret member name with its quote,
//! the beginning of a shape, or `://`. One Aho-Corasick automaton searches for all of them in the text in lower case.

use std::iter::Peekable;
use std::ops::Range;
use std::sync::LazyLock;
use std::vec::IntoIter;

use aho_corasick::{AhoCorasick, Input};
use memchr::{memchr, memchr_iter, memrchr};

use super::policy::Policy;
use super::{AnyRedactor, shapes};

/// Bytes that are converted to lower case at a time.
const CHUNK: usize = 16 << 10;

/// All needles of the built-in table; a policy can only remove some of them. Up to 64 needles are searched for with SIMD
/// instructions.
static NEEDLES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let shapes = shapes::beginnings().map(str::to_ascii_lowercase);
    let names = Policy::default();
    let names = names.json.folded().map(|name| format!("{}\"", String::from_utf8_lossy(last_word(name))));
    let mut needles: Vec<String> = shapes.chain(names).chain([shapes::URL.to_owned()]).collect();
    needles.sort_unstable();
    needles.dedup();
    shapes::automaton(&needles)
});

/// The part of a folded name behind its last hyphen. In camel case, what is before it ends differently.
fn last_word(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b'-').next().unwrap_or_default()
}

/// The strings of a JSON text that can hold a secret. They are asked for in the order of the text.
pub(super) struct Candidates<'t> {
    text: &'t [u8],
    /// Every string is a candidate.
    all: bool,
    /// Known values, in order.
    known: Peekable<IntoIter<Range<usize>>>,
    /// A part of the text in lower case, and its offset.
    lower: Vec<u8>,
    offset: usize,
    /// Where the search goes on.
    searched: usize,
    /// The last byte of the next needle.
    next: Option<usize>,
}

impl AnyRedactor<'_, '_> {
    /// Searches a JSON text for strings that can hold a secret. All are candidates if the policy has rules for any
    /// text.
    pub(super) fn candidates<'t>(&mut self, text: &'t [u8]) -> Candidates<'t> {
        let Policy { paths, text: patterns, shapes, .. } = self.policy;
        let all = !paths.is_empty() || !patterns.is_empty() || shapes.has_personal();
        let known: Vec<_> = self.namer.known(text).into_iter().map(|(range, _)| range).collect();
        let known = known.into_iter().peekable();
        let mut candidates = Candidates { text, all, known, lower: Vec::new(), offset: 0, searched: 0, next: None };
        if !all {
            candidates.find_next();
        }
        candidates
    }
}

impl Candidates<'_> {
    /// Returns true if no string from the current position on can hold a secret.
    pub(super) fn is_empty(&mut self) -> bool {
        !self.all && self.next.is_none() && self.known.peek().is_none() && memchr(b'\\', self.text).is_none()
    }

    /// Returns true if a string can hold a secret. The range includes its quotes.
    pub(super) fn has(&mut self, string: &Range<usize>) -> bool {
        while self.next.is_some_and(|next| next < string.start) {
            self.find_next();
        }
        while self.known.next_if(|known| known.end <= string.start).is_some() {}
        self.all
            || self.next.is_some_and(|next| next < string.end)
            || self.known.peek().is_some_and(|known| known.start < string.end)
            || memchr(b'\\', &self.text[string.clone()]).is_some()
    }

    fn find_next(&mut self) {
        loop {
            let from = self.searched - self.offset;
            if let Some(found) = NEEDLES.find(Input::new(&self.lower).range(from..)) {
                self.searched = self.offset + found.end();
                self.next = Some(self.searched - 1);
                return;
            }
            let end = self.offset + self.lower.len();
            if end == self.text.len() {
                self.next = None;
                return;
            }
            // A needle can begin in the last bytes of this chunk.
            self.offset = self.searched.max(end.saturating_sub(NEEDLES.max_pattern_len() - 1));
            self.searched = self.offset;
            let chunk = &self.text[self.offset..self.text.len().min(self.offset + CHUNK)];
            self.lower.clear();
            self.lower.extend(chunk.iter().map(u8::to_ascii_lowercase));
        }
    }
}

/// The last position before `limit` at which an item or a member begins, in a text without escapes that begins outside of
/// strings. `None` if there is none but the first.
pub(super) fn last_item(text: &[u8], limit: usize) -> Option<usize> {
    let text = &text[..limit.min(text.len())];
    let quote_before = |at: usize| memrchr(b'"', &text[..at]);
    let last = quote_before(text.len())?;
    let is_open = memchr_iter(b'"', text).count() % 2 == 1;
    let mut begin = if is_open { last } else { quote_before(last)? };
    if text[..begin].trim_ascii_end().ends_with(b":") {
        begin = quote_before(quote_before(begin)?)?;
    }
    (begin > 0).then_some(begin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Name, Namer, Redactor, Rules, table};

    /// The quoted strings of a text that are candidates.
    fn candidates(text: &str) -> Vec<&str> {
        let policy = Policy::default();
        let mut redactor = Redactor::new(&policy, NoneKnown);
        let mut candidates = redactor.candidates(text.as_bytes());
        let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
        let strings = quotes.chunks(2).map(|pair| pair[0]..pair.get(1).map_or(text.len(), |end| end + 1));
        strings.filter(|string| candidates.has(string)).map(|string| &text[string]).collect()
    }

    struct NoneKnown;

    impl Namer for NoneKnown {
        fn stand_in(&mut self, _: &[u8], name: &Name, _: crate::Form) -> String {
            name.to_string()
        }

        fn known(&mut self, _: &[u8]) -> Vec<(Range<usize>, String)> {
            Vec::new()
        }
    }

    /// A name in the spellings of different languages.
    fn spellings(name: &str) -> [String; 5] {
        let words: Vec<_> = name.split(['_', '-']).collect();
        let title = |word: &&str| word[..1].to_uppercase() + &word[1..];
        let pascal: String = words.iter().map(title).collect();
        [name.to_owned(), name.to_uppercase(), words.join("-"), pascal[..1].to_lowercase() + &pascal[1..], pascal]
    }

    #[test]
    fn secret_names_are_candidates_in_every_spelling() {
        let only_parameter = |name: &&str| !table::NOT_IN_JSON.contains(name);
        for name in table::PARAMETERS.into_iter().filter(only_parameter).chain(table::ONLY_IN_JSON) {
            for name in spellings(name).into_iter().filter(|name| Policy::default().json.contains(name.as_bytes())) {
                let text = format!("{{\"a\":\"b\",\"{name}\":\"x\"}}");
                assert_eq!(candidates(&text), [format!("\"{name}\"")]);
            }
        }
        assert!(candidates("{\"keys\":\"token x\",\"a\":[\"pins\"]}").is_empty());
    }

    #[test]
    fn beginnings_of_shapes_urls_and_escapes_are_candidates() {
        let needles = shapes::beginnings().chain([shapes::URL, "\\u0041"]);
        for needle in needles {
            for before in ["", "a (", &" ".repeat(100)] {
                let string = format!("\"{before}{needle}x\"");
                assert_eq!(candidates(&format!("[\"a\",{string},\"b\"]")), [string]);
            }
        }
    }

    #[test]
    fn needles_are_found_across_chunks() {
        for fill in CHUNK - 12..CHUNK + 3 {
            let text = format!("[\"{}\",\"password\",\"b\",\"{}\",\"pin\"]", "x".repeat(fill), "x".repeat(2 * CHUNK));
            assert_eq!(candidates(&text), ["\"password\"", "\"pin\""], "{fill}");
        }
    }

    #[test]
    fn every_string_is_a_candidate_under_a_rule_for_any_text() {
        for rules in [
            Rules { personal: true, ..Rules::default() },
            Rules { text: vec!["x".to_owned()], ..Rules::default() },
            Rules { json: vec!["$.a".to_owned()], ..Rules::default() },
        ] {
            let policy = Policy::new(&rules).unwrap();
            let mut redactor = Redactor::new(&policy, NoneKnown);
            let mut candidates = redactor.candidates(b"[\"a\"]");
            assert!(!candidates.is_empty() && candidates.has(&(1..4)));
        }
    }

    #[test]
    fn last_item_begins_at_the_last_string_or_member_name() {
        let last = |text: &str| last_item(text.as_bytes(), text.len());
        assert_eq!(last("[\"a\",\"b\",\"c"), Some(9));
        assert_eq!(last("[\"a\",\"b\""), Some(5));
        assert_eq!(last("[\"a\",\"b\":\"c"), Some(5));
        assert_eq!(last("[\"a\",\"b\" : \"c\""), Some(5));
        assert_eq!(last("{\"a\":\"c"), Some(1));
        assert_eq!([last("\"a\":1"), last("[1,2"), last("[")], [None, None, None]);
    }
}
