//! Prefilter of the JSON redaction: finds the strings that can hold a secret, so that all others are skipped.
//!
//! A string without escapes can hold a secret only if it contains one of these needles: the end of a secret member name
//! with its quote, the prefix of a shape, `://`, or the beginning of a view. One Aho-Corasick automaton searches for all of them.

use std::iter::Peekable;
use std::ops::Range;
use std::sync::LazyLock;
use std::vec::IntoIter;

use aho_corasick::{AhoCorasick, AhoCorasickKind, FindIter};
use memchr::{memchr, memchr_iter, memrchr};

use super::shapes;
use crate::base64_text;
use crate::policy::{Policy, members};

/// What a string with a view contains, unless it contains an escape: parameters, character references, HTML.
const VIEWS: [&str; 5] = ["?", "#", "&", "<input", "<meta"];

/// All needles of the built-in table. A policy can only remove some of them.
#[expect(clippy::expect_used, reason = "only more needles than fit into memory make it fail")]
static NEEDLES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    // Camel case has no separators, so that only the part behind the last one is the same in all spellings.
    let names = members().map(|name| format!("{}\"", name.rsplit(['-', '_']).next().unwrap_or_default()));
    let texts = shapes::prefixes().chain([shapes::URL_PREFIX]).chain(base64_text::BEGINNINGS).chain(VIEWS);
    let needles = names.chain(texts.map(str::to_owned));
    let mut builder = AhoCorasick::builder();
    builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(needles).expect("few needles")
});

/// The strings of a JSON text that can hold a secret.
pub(crate) struct Candidates<'t> {
    text: &'t [u8],
    /// Every string is a candidate.
    all: bool,
    /// The positions of known secrets and of tokens of Airtable, whose prefix is too short for a needle, in order.
    known: Peekable<IntoIter<Range<usize>>>,
    /// The needles in the text from the current position on.
    needles: Peekable<FindIter<'static, 't>>,
}

impl<'t> Candidates<'t> {
    /// Searches a JSON text. `known`: the positions of known secrets in it, in order.
    ///
    /// All strings are candidates if the policy has rules without needles.
    pub(crate) fn find(policy: &Policy, text: &'t [u8], known: Vec<Range<usize>>) -> Self {
        let mut known = known;
        let before = known.len();
        known.extend(shapes::find_airtable(text));
        if known.len() > before {
            known.sort_by_key(|range| range.start);
        }
        let all = !policy.paths.is_empty() || !policy.patterns.is_empty() || policy.shapes.has_personal();
        Candidates { text, all, known: known.into_iter().peekable(), needles: NEEDLES.find_iter(text).peekable() }
    }

    /// Returns true if no string from the current position on can hold a secret.
    pub(crate) fn is_empty(&mut self) -> bool {
        !self.all && self.needles.peek().is_none() && self.known.peek().is_none() && memchr(b'\\', self.text).is_none()
    }

    /// Returns true if a string can hold a secret. `string` includes its quotes. Callers must ask in the order of the
    /// text.
    pub(crate) fn contain(&mut self, string: &Range<usize>) -> bool {
        if self.all {
            return true;
        }
        while self.needles.next_if(|needle| needle.end() <= string.start).is_some() {}
        while self.known.next_if(|known| known.end <= string.start).is_some() {}
        self.needles.peek().is_some_and(|needle| needle.end() <= string.end)
            || self.known.peek().is_some_and(|known| known.start < string.end)
            || memchr(b'\\', &self.text[string.clone()]).is_some()
    }
}

/// Returns the last position before `limit` at which an item or a member begins. The text must have no escapes and
/// begin outside of strings. `None` if only the beginning of the text qualifies.
pub(crate) fn last_item(text: &[u8], limit: usize) -> Option<usize> {
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
    use crate::Rules;

    /// Returns the quoted strings of a text that are candidates.
    fn candidates(text: &str) -> Vec<&str> {
        let mut candidates = Candidates::find(&Policy::default(), text.as_bytes(), Vec::new());
        let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
        let strings = quotes.chunks(2).map(|pair| pair[0]..pair.get(1).map_or(text.len(), |end| end + 1));
        strings.filter(|string| candidates.contain(string)).map(|string| &text[string]).collect()
    }

    /// Returns a name as different languages write it.
    fn spellings(name: &str) -> [String; 5] {
        let words: Vec<_> = name.split(['_', '-']).collect();
        let title = |word: &&str| word[..1].to_uppercase() + &word[1..];
        let pascal: String = words.iter().map(title).collect();
        [name.to_owned(), name.to_uppercase(), words.join("-"), pascal[..1].to_lowercase() + &pascal[1..], pascal]
    }

    #[test]
    fn secret_names_are_candidates_in_every_spelling() {
        for name in members() {
            for name in spellings(name).into_iter().filter(|name| Policy::default().members.contains(name.as_bytes())) {
                let text = format!("{{\"a\":\"b\",\"{name}\":\"x\"}}");
                assert_eq!(candidates(&text), [format!("\"{name}\"")]);
            }
        }
        let airtable = format!("pat{}.{}", "a".repeat(14), "0".repeat(64));
        assert_eq!(candidates(&format!("{{\"path\":\"{airtable}\",\"a\":\"pat\"}}")), [format!("\"{airtable}\"")]);
        assert!(candidates("{\"keys\":\"token x\",\"a\":[\"pins\"]}").is_empty());
    }

    #[test]
    fn strings_with_a_shape_prefix_a_url_or_an_escape_are_candidates() {
        let needles = shapes::prefixes().chain([shapes::URL_PREFIX, "\\u0041"]);
        for needle in needles {
            for before in ["", "a (", &" ".repeat(100)] {
                let string = format!("\"{before}{needle}x\"");
                assert_eq!(candidates(&format!("[\"a\",{string},\"b\"]")), [string]);
            }
        }
    }

    #[test]
    fn every_string_is_a_candidate_if_the_policy_has_rules_without_needles() {
        for rules in [
            Rules { personal: true, ..Rules::default() },
            Rules { text: vec!["x".to_owned()], ..Rules::default() },
            Rules { json: vec!["$.a".to_owned()], ..Rules::default() },
        ] {
            let policy = Policy::new(&rules).unwrap();
            let mut candidates = Candidates::find(&policy, b"[\"a\"]", Vec::new());
            assert!(!candidates.is_empty() && candidates.contain(&(1..4)));
        }
    }

    #[test]
    fn strings_that_overlap_a_known_secret_are_candidates() {
        let text = br#"["a","b c","d"]"#;
        let known = |range| Candidates::find(&Policy::default(), text, vec![range]);
        assert!(!known(6..7).contain(&(1..4)) && known(6..7).contain(&(5..10)) && known(6..13).contain(&(11..14)));
        assert!(!known(6..7).contain(&(11..14)) && !known(6..7).is_empty());
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
