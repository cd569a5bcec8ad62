//! Prefilter of the JSON redaction: finds the strings that can hold a secret, so that all others are skipped.
//!
//! A string without escapes can hold a secret only if it is the name of a secret member, or if it contains the prefix
//! of a shape, `://`, or the beginning of a view. One Aho-Corasick automaton searches for these texts and for the words
//! that secret names contain.

use std::iter::Peekable;
use std::ops::Range;
use std::sync::LazyLock;
use std::vec::IntoIter;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, Match, MatchKind};
use memchr::{memchr, memchr_iter, memchr2, memrchr};

use super::shapes;
use crate::base64_text;
use crate::names::{self, NameClass, NameLocation, RecentNames};
use crate::policy::Policy;

/// Texts of which a string with a view contains one, unless it contains an escape: parameters, character references,
/// HTML.
const VIEWS: [&str; 6] = ["?", "#", "&", "<input", "<meta", "%22"];

/// All needles of the built-in tables, first the words of names. A policy can only remove some of them.
#[expect(clippy::expect_used, reason = "only more needles than fit into memory make it fail")]
static NEEDLES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let prefixes = shapes::prefixes().chain([shapes::URL_PREFIX]).chain(base64_text::BEGINNINGS).chain(VIEWS);
    let needles = names::needles().iter().copied().chain(prefixes.map(str::as_bytes));
    let mut builder = AhoCorasick::builder();
    // A word and a prefix may begin in one place: the longer one, the prefix, decides.
    builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).match_kind(MatchKind::LeftmostLongest);
    builder.build(needles).expect("few needles")
});

/// The needles in a text that can belong to a secret, in the order of their strings.
struct Needles<'p, 't> {
    policy: &'p Policy,
    text: &'t [u8],
    at: usize,
    names: RecentNames<'t>,
}

impl Iterator for Needles<'_, '_> {
    /// The end of a needle.
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let needle = NEEDLES.find(Input::new(self.text).range(self.at..))?;
            if is_prefix(&needle) || self.is_in_secret_name(&needle) {
                self.at = needle.end();
                return Some(needle.end());
            }
            // Another needle may begin within this one.
            self.at = needle.start() + 1;
        }
    }
}

/// Returns true for the prefix of a shape, false for a word of names.
fn is_prefix(needle: &Match) -> bool {
    needle.pattern().as_usize() >= names::needles().len()
}

impl Needles<'_, '_> {
    /// Returns true if a word stands in a string without escapes that is the name of a member, and if the value of the
    /// member can be secret. Only the end of a long name decides.
    fn is_in_secret_name(&mut self, word: &Match) -> bool {
        let text = self.text;
        let behind = &text[word.end()..text.len().min(word.end() + names::MAX_NAME)];
        let Some(close) = memchr(b'"', behind).map(|len| word.end() + len) else {
            return word.end() + names::MAX_NAME > text.len();
        };
        // `"PASSWORD=…"` and `"<password>…"`.
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        if matches!(text[word.end()..close].iter().find(|byte| !is_name(byte)), Some(b'=' | b'>')) {
            return true;
        }
        let colon = skip_any_space(text, close + 1);
        let value = skip_any_space(text, colon + 1);
        let from = close.saturating_sub(names::MAX_NAME);
        let Some(before) = text.get(from..word.start()) else { return false };
        let start = memrchr(b'"', before).map_or(from, |quote| from + quote + 1);
        let is_string = match (text.get(colon), text.get(value)) {
            (None, _) | (Some(b':'), None | Some(b'[')) => false,
            (Some(b':'), Some(b'"')) => true,
            (Some(b',' | b'}'), _) => return self.names_another_value(start..close),
            _ => return false,
        };
        let class = self.names.classify(self.policy, &text[start..close]);
        let inside = text.get(value + 1..).unwrap_or_default();
        match memchr2(b'"', b'\\', inside).filter(|_| is_string) {
            Some(end) if inside[end] == b'"' => class.is_secret_value(&inside[..end]),
            _ => class != NameClass::Public,
        }
    }
}

impl Needles<'_, '_> {
    /// Returns true if a string is the secret name in `{"name": "password", …}` or `["Authorization", …]`.
    fn names_another_value(&self, string: Range<usize>) -> bool {
        let before = self.text.get(..string.start.saturating_sub(1)).unwrap_or_default().trim_ascii_end();
        let member = before.strip_suffix(b":").map(<[u8]>::trim_ascii_end);
        let inside = member.and_then(|member| member.strip_suffix(b"\""));
        let is_whole = |name: &&[u8]| inside?.strip_suffix(*name)?.ends_with(b"\"").then_some(());
        let is_named = NAME_MEMBERS.iter().any(|name| is_whole(name).is_some());
        let is_secret = |location| self.policy.classify(location, &self.text[string.clone()]) != NameClass::Public;
        (is_named || before.ends_with(b"[")) && (is_secret(NameLocation::Member) || is_secret(NameLocation::Header))
    }
}

/// The members whose value names the value of another member.
pub(crate) const NAME_MEMBERS: [&[u8]; 3] = [b"name", b"key", b"field"];

/// Skips the white space of JSON, and other white space that lenient writers put between tokens.
fn skip_any_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b'\t'..=b'\r' | b' ')).count()
}

/// The strings of a JSON text that can hold a secret.
pub(crate) struct Candidates<'p, 't> {
    text: &'t [u8],
    /// Every string is a candidate.
    all: bool,
    /// The positions of known secrets and of tokens of Airtable, whose prefix is too short for a needle, in order.
    known: Peekable<IntoIter<Range<usize>>>,
    /// The ends of needles in the text from the current position on.
    needles: Peekable<Needles<'p, 't>>,
}

impl<'p, 't> Candidates<'p, 't> {
    /// Searches a JSON text. `known`: the positions of known secrets in it, in order.
    ///
    /// All strings are candidates if the policy has rules without needles.
    pub(crate) fn find(policy: &'p Policy, text: &'t [u8], mut known: Vec<Range<usize>>) -> Self {
        let before = known.len();
        known.extend(shapes::find_airtable(text));
        if known.len() > before {
            known.sort_by_key(|range| range.start);
        }
        let all = !policy.paths.is_empty() || !policy.patterns.is_empty() || policy.shapes.has_personal();
        let needles = Needles { policy, text, at: 0, names: RecentNames::default() };
        Candidates { text, all, known: known.into_iter().peekable(), needles: needles.peekable() }
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
        while self.needles.next_if(|end| *end <= string.start).is_some() {}
        while self.known.next_if(|known| known.end <= string.start).is_some() {}
        self.needles.peek().is_some_and(|end| *end <= string.end)
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
    use crate::NameLocation;
    use crate::Rules;
    use crate::names::table::CLASSES;

    /// Returns the quoted strings of a text that are candidates.
    fn candidates(text: &str) -> Vec<&str> {
        let policy = Policy::default();
        let mut candidates = Candidates::find(&policy, text.as_bytes(), Vec::new());
        let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
        let strings = quotes.chunks(2).map(|pair| pair[0]..pair.get(1).map_or(text.len(), |end| end + 1));
        strings.filter(|string| candidates.contain(string)).map(|string| &text[string]).collect()
    }

    /// Returns a name of words as different languages write it.
    fn spellings(words: &[&str]) -> [String; 8] {
        let title = |word: &&str| word[..1].to_uppercase() + &word[1..];
        let pascal: String = words.iter().map(title).collect();
        let camel = pascal[..1].to_lowercase() + &pascal[1..];
        let name = words.join("_");
        let path = format!("user[{name}][]");
        [name.to_uppercase(), words.join("-"), words.join("."), words.concat(), name, pascal, camel, path]
    }

    #[test]
    fn secret_names_are_candidates_in_every_spelling() {
        let policy = Policy::default();
        for name in CLASSES.iter().flat_map(|row| row.names.split_ascii_whitespace()) {
            for (before, behind) in
                [("", ""), ("my", ""), ("", "confirmation"), ("new", "value"), ("", "2"), ("x", "1")]
            {
                let words = [before].into_iter().chain(name.trim_start_matches('=').split('_')).chain([behind]);
                let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
                for name in spellings(&words) {
                    let is_secret = policy.classify(NameLocation::Member, name.as_bytes()) != NameClass::Public;
                    let text = format!("{{\"a\":\"b\",\"{name}\" :\"q7Lx0PzR4vTn8KcW\"}}");
                    // Some names contain the prefix of a shape.
                    let lower = name.to_ascii_lowercase();
                    let has_prefix = shapes::prefixes().any(|prefix| lower.contains(&prefix.to_ascii_lowercase()));
                    let is_candidate = is_secret || has_prefix;
                    let expected = is_candidate.then(|| format!("\"{name}\""));
                    assert_eq!(candidates(&text), expected.as_slice(), "{text}");
                }
            }
        }
        assert!(
            candidates("{\"token\":\"x\",\"pin\":1,\"secret\":{},\"state\":\"requires_payment_method\"}").is_empty()
        );
        assert!(candidates("{\"keys\":\"token\",\"a\":[\"pin\"],\"next_token\":\"password\"}").is_empty());
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
        let policy = Policy::default();
        let known = |range| Candidates::find(&policy, text, vec![range]);
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
