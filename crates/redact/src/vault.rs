//! The secrets of one recording, in memory alone: equal values get equal markers, and what was found at a named place is
//! known wherever else it stands.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use aho_corasick::{AhoCorasick, Input};

use super::clue::{Clue, ClueKey, KeyMark};
use super::known::{self, Before, Beginning, Known, LONGEST, Lexicon, NOTHING, PLACEHOLDER};
use super::marker::{Marker, Run, Value};
use super::{Form, Name, Namer, Placeholder, placeholder, shapes, spellings};

/// The values of one recording. Shared by all its connections; `&Vault` is the [`Namer`] that gives markers.
pub struct Vault {
    run: Run,
    /// Makes clues to what is found, for whoever goes on when this process is gone.
    key: Option<ClueKey>,
    inner: RwLock<Inner>,
    /// There are clues that nobody has been given.
    has_clues: AtomicBool,
    /// Counts the values that became known.
    learned: AtomicU64,
}

#[derive(Default)]
struct Inner {
    /// By value as it was found, and as it is written elsewhere.
    secrets: HashMap<Box<[u8]>, Secret>,
    beginnings: Beginnings,
    /// Values found.
    found: u64,
    /// Nobody has been given these.
    clues: Vec<Clue>,
}

/// What stands for a value.
#[derive(Clone)]
struct Secret {
    value: Value,
    /// Of the place where it was first seen, for places without a name of their own.
    name: Name,
    form: Form,
}

impl Vault {
    /// For a recording, with the values that `[redact.values]` gives.
    #[must_use]
    pub fn new(run: Run, given: &[(Placeholder, super::Secret)]) -> Self {
        let mut inner = Inner::default();
        let given = given.iter().map(|(placeholder, value)| (placeholder, value.reveal()));
        for (Placeholder { name, number }, text) in given.filter(|(_, text)| !text.is_empty()) {
            let secret = Secret { value: Value::Given(*number), name: name.clone(), form: Form::Text };
            // Whoever goes on is given them, too: clues to them nobody needs.
            inner.learn(text.as_bytes(), &secret);
        }
        let (inner, has_clues, learned) = (RwLock::new(inner), AtomicBool::new(false), AtomicU64::new(0));
        Vault { run, key: None, inner, has_clues, learned }
    }

    /// The same, with [clues](Vault::give_clues) to what is found from now on.
    #[must_use]
    pub fn making_clues(self, key: Option<ClueKey>) -> Self {
        Vault { key, ..self }
    }

    /// The recording's run.
    #[must_use]
    pub fn run(&self) -> Run {
        self.run
    }

    /// Another number each time a value has become known: what was found in a text may be found no longer to be all.
    #[must_use]
    pub fn learned(&self) -> u64 {
        self.learned.load(Ordering::Acquire)
    }

    /// How many different values were found.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.read().found
    }

    /// Gives away the clues to values that were found since it was last done, with the vault held: whoever has a marker of
    /// one of them, and comes here with it, comes out when its clue has been given away.
    pub fn give_clues(&self, give: impl FnOnce(KeyMark, Vec<Clue>)) {
        let Some(key) = self.key.as_ref().filter(|_| self.has_clues.load(Ordering::Acquire)) else { return };
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if !inner.clues.is_empty() {
            give(key.mark(), std::mem::take(&mut inner.clues));
        }
        self.has_clues.store(false, Ordering::Release);
    }

    /// The text without known values, for the log: names stand for them.
    pub fn told<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut told = String::new();
        let mut kept = 0;
        for (range, Marker { name, .. }) in self.known_in(text.as_bytes(), NOTHING, text.len()) {
            // Escapes and the edges of words are ASCII, so that both are edges of characters.
            told.push_str(text.get(kept..range.start).unwrap_or_default());
            told.push_str(placeholder::BEGINS);
            told.push_str(name.as_str());
            kept = range.end;
        }
        if kept == 0 { Cow::Borrowed(text) } else { Cow::Owned(told + text.get(kept..).unwrap_or_default()) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known for Vault {
    fn run(&self) -> Run {
        self.run
    }

    fn longest(&self) -> usize {
        self.read().beginnings.longest
    }

    fn known_in(&self, text: &[u8], before: Before, until: usize) -> Vec<(Range<usize>, Marker)> {
        self.read().all_in(text, before, until)
    }
}

impl Namer for &Vault {
    fn stand_in(&mut self, secret: &[u8], name: &Name, form: Form) -> String {
        let known = self.read().secrets.get(secret).cloned();
        let known = known.unwrap_or_else(|| {
            let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
            // Another connection may have brought it meanwhile.
            inner.secrets.get(secret).cloned().unwrap_or_else(|| {
                inner.found += 1;
                let found = Secret { value: Value::Found(inner.found), name: name.clone(), form };
                let spellings = inner.learn(secret, &found);
                self.learned.fetch_add(1, Ordering::Release);
                if let Some(key) = &self.key {
                    let marker = found.marker();
                    inner.clues.extend(spellings.iter().filter_map(|value| key.clue(value, &marker, self.run)));
                    self.has_clues.store(true, Ordering::Release);
                }
                found
            })
        });
        let name = if matches!(known.value, Value::Given(_)) { known.name } else { name.clone() };
        Marker { value: known.value, form, name }.write(self.run)
    }

    fn known(&mut self, text: &[u8]) -> Vec<(Range<usize>, String)> {
        let known = self.known_in(text, NOTHING, text.len()).into_iter();
        known.map(|(range, marker)| (range, marker.write(self.run))).collect()
    }
}

/// Its values are nobody's business.
impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault (redacted)")
    }
}

impl Secret {
    fn marker(&self) -> Marker {
        Marker { value: self.value, form: self.form, name: self.name.clone() }
    }
}

impl Inner {
    /// What was learned: the spellings that were not known.
    fn learn(&mut self, value: &[u8], secret: &Secret) -> Vec<Box<[u8]>> {
        let mut all = if value.len() > LONGEST { vec![value.into()] } else { spellings::of(value) };
        all.retain(|value| !self.secrets.contains_key(value));
        for value in &all {
            self.beginnings.add(value);
            self.secrets.insert(value.clone(), secret.clone());
        }
        all
    }
}

impl Lexicon for Inner {
    fn is_empty(&self) -> bool {
        self.beginnings.values.is_empty()
    }

    fn may_begin(&self, begin: Beginning) -> bool {
        begin == PLACEHOLDER || self.beginnings.values.contains_key(&begin)
    }

    fn at(&self, text: &[u8]) -> Option<(usize, Marker)> {
        let value = self.beginnings.at(text)?;
        Some((value.len(), self.secrets.get(value)?.marker()))
    }

    fn begins(&self, text: &[u8]) -> impl FnMut(usize) -> Option<usize> {
        self.beginnings.search(text)
    }
}

/// Values by their first eight bytes, for which a text is searched.
#[derive(Default)]
struct Beginnings {
    values: HashMap<Beginning, Vec<Box<[u8]>>>,
    /// Automata with the beginnings that they search for. Each has more of them than the next, so that of n values each is
    /// compiled about log2(n) times.
    automata: Vec<(Vec<Beginning>, AhoCorasick)>,
    longest: usize,
}

impl Beginnings {
    fn add(&mut self, value: &[u8]) {
        let Some(begin) = known::beginning(value) else { return };
        self.longest = self.longest.max(value.len());
        if self.automata.is_empty() {
            self.automata.push((vec![PLACEHOLDER], shapes::automaton(&[PLACEHOLDER])));
        }
        let alike = self.values.entry(*begin).or_default();
        alike.push(value.into());
        if alike.len() == 1 {
            let mut begins = vec![*begin];
            while let Some((more, _)) = self.automata.pop_if(|(last, _)| last.len() <= begins.len()) {
                begins.extend(more);
            }
            let automaton = shapes::automaton(&begins);
            self.automata.push((begins, automaton));
        }
    }

    /// Finds the first place in a text, from an ascending position on, where a value or a placeholder may begin.
    fn search(&self, text: &[u8]) -> impl FnMut(usize) -> Option<usize> {
        let find =
            |automaton: &AhoCorasick, at| automaton.find(Input::new(text).range(at..)).map(|found| found.start());
        let mut next: Vec<_> = self.automata.iter().map(|(_, automaton)| (automaton, find(automaton, 0))).collect();
        move |at| {
            for (automaton, next) in &mut next {
                if next.is_some_and(|next| next < at) {
                    *next = find(automaton, at);
                }
            }
            next.iter().filter_map(|(_, next)| *next).min()
        }
    }

    /// The longest value that a text begins with and that ends there.
    fn at(&self, text: &[u8]) -> Option<&[u8]> {
        let values = self.values.get(text.first_chunk()?)?;
        let whole = values.iter().filter(|value| text.starts_with(value) && known::ends(text, value.len()));
        whole.max_by_key(|value| value.len()).map(|value| &**value)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::Clues;
    use super::super::known::sweeper;
    use super::super::marker;
    use super::*;

    const SECRET: &[u8] = b"s3cr3t-value/1";

    fn vault() -> Vault {
        Vault::new(Run::random(), &[])
    }

    fn token(vault: &Vault, secret: &[u8]) -> String {
        (&mut &*vault).stand_in(secret, &Name::new("token"), Form::Text)
    }

    /// Whoever goes by clues alone finds the same.
    fn swept(vault: &Vault, text: &str) -> String {
        let swept = String::from_utf8(vault.swept(text.as_bytes()).into_owned()).unwrap();
        let key = ClueKey::new(&[7; 32]);
        let found = |secret: &Secret| matches!(secret.value, Value::Found(_));
        let clues: Vec<Clue> = {
            let inner = vault.read();
            let all = inner.secrets.iter().filter(|(_, secret)| found(secret));
            all.filter_map(|(value, secret)| key.clue(value, &secret.marker(), vault.run)).collect()
        };
        if vault.read().secrets.values().all(found) {
            let clues = Clues::new(key, vault.run, &clues);
            assert_eq!(String::from_utf8_lossy(&clues.swept(text.as_bytes())), swept);
            let mut streamed = Vec::new();
            sweeper(&clues, text.as_bytes()).read_to_end(&mut streamed).unwrap();
            assert_eq!(String::from_utf8(streamed).unwrap(), swept);
        }
        swept
    }

    fn values(vault: &Vault, text: &str) -> Vec<Value> {
        marker::find(text.as_bytes(), vault.run()).map(|found| found.marker.value).collect()
    }

    #[test]
    fn equal_values_have_one_number_whatever_the_place_and_form() {
        let vault = vault();
        let one = token(&vault, SECRET);
        let two = (&mut &vault).stand_in(SECRET, &Name::new("authorization"), Form::Base64);
        let other = token(&vault, b"another-one");
        assert_eq!(values(&vault, &format!("{one} {two} {other}")), [1, 1, 2].map(Value::Found));
        assert_eq!(vault.found(), 2);
        let encoded = token(&vault, b"s3cr3t-value%2F1");
        assert_eq!(values(&vault, &encoded), [Value::Found(1)]);
    }

    #[test]
    fn a_value_is_known_as_a_whole_token_in_every_spelling() {
        let vault = vault();
        let marker = token(&vault, SECRET);
        for (text, found) in [
            ("s3cr3t-value/1", true),
            ("a s3cr3t-value/1, b", true),
            ("\"s3cr3t-value\\/1\"", true),
            ("q=s3cr3t-value%2F1&r", true),
            ("q=s3cr3t-value%2f1", true),
            ("next=%2Fs3cr3t-value/1", true),
            ("\"key:\\ns3cr3t-value/1\"", true),
            ("\"a=b\\u0026s3cr3t-value/1\"", true),
            ("as3cr3t-value/1", false),
            ("2Fs3cr3t-value/1", false),
            ("s3cr3t-value/12", false),
            ("s3cr3t-value/", false),
        ] {
            assert_eq!(swept(&vault, text).contains(&marker), found, "{text}");
        }
    }

    #[test]
    fn what_is_known_is_told_by_its_name() {
        let vault = vault();
        token(&vault, SECRET);
        assert_eq!(vault.told("https://a.test/é/s3cr3t-value%2F1/x"), "https://a.test/é/REDACTED-token/x");
        assert_eq!(vault.told("https://a.test/x"), "https://a.test/x");
    }

    #[test]
    fn short_values_and_words_are_not_looked_for() {
        let vault = vault();
        for value in ["short", "password", "Localhost"] {
            token(&vault, value.as_bytes());
            assert_eq!(swept(&vault, &format!("/{value}/reset")), format!("/{value}/reset"));
        }
        assert_eq!(vault.found(), 3);
    }

    #[test]
    fn the_longer_of_two_values_is_meant() {
        let vault = vault();
        token(&vault, b"abcdefgh");
        token(&vault, b"abcdefgh-ijkl");
        assert_eq!(values(&vault, &swept(&vault, "abcdefgh-ijkl abcdefgh abcdefgh-ijk")), [2, 1, 1].map(Value::Found));
    }

    #[test]
    fn what_stands_for_a_value_is_left_alone() {
        let vault = vault();
        token(&vault, b"secret-key");
        let marker = (&mut &vault).stand_in(SECRET, &Name::new("x-secret-key"), Form::Text);
        for text in [marker, "REDACTED-x-secret-key-1".to_owned(), "\"REDACTED-secret-key-2\"".to_owned()] {
            assert_eq!(swept(&vault, &text), text);
        }
    }

    #[test]
    fn given_values_keep_the_placeholder_that_was_given() {
        let placeholder = Placeholder { name: Name::new("password"), number: 2 };
        let vault = Vault::new(Run::random(), &[(placeholder, "pw-2-long-enough".into())]);
        let marker = (&mut &vault).stand_in(b"pw-2-long-enough", &Name::new("pwd"), Form::Text);
        let text = format!("{marker} {}", swept(&vault, "pw-2-long-enough"));
        let found: Vec<_> = marker::find(text.as_bytes(), vault.run()).map(|found| found.marker).collect();
        assert_eq!(found.len(), 2);
        for marker in found {
            assert_eq!((marker.value, marker.name.as_str()), (Value::Given(2), "password"));
        }
        assert_eq!(vault.found(), 0);
    }

    #[test]
    fn a_stream_is_swept_as_its_text_is() {
        let vault = vault();
        token(&vault, SECRET);
        let text: String = (0..9000).map(|n| format!("{}s3cr3t-value/1{} ", "x".repeat(n % 7 / 6), n % 3)).collect();
        let text = text.replace("10 ", "1 ");
        let mut streamed = Vec::new();
        sweeper(&vault, text.as_bytes()).read_to_end(&mut streamed).unwrap();
        assert_eq!(String::from_utf8(streamed).unwrap(), swept(&vault, &text));
    }

    #[test]
    fn a_clue_is_given_away_once_and_only_where_there_is_a_key() {
        let given = |vault: &Vault| {
            let mut given = Vec::new();
            vault.give_clues(|_, clues| given = clues);
            given
        };
        let without = vault();
        token(&without, SECRET);
        assert_eq!(given(&without), []);
        let vault = vault().making_clues(Some(ClueKey::new(&[7; 32])));
        for value in [SECRET, b"short", b"password", SECRET] {
            token(&vault, value);
        }
        let clues = given(&vault);
        // `/` is spelled in several ways.
        assert!(clues.len() > 2 && given(&vault).is_empty(), "{clues:?}");
        let another = Clues::new(ClueKey::new(&[8; 32]), vault.run, &clues);
        assert_eq!(another.swept(SECRET), SECRET, "without its key a clue says nothing");
        let said = postcard::to_extend(&clues, Vec::new()).unwrap();
        assert!(!said.windows(5).any(|part| SECRET.windows(5).any(|of_it| part == of_it)));
    }

    #[test]
    fn nothing_is_told() {
        let vault = vault();
        token(&vault, SECRET);
        assert_eq!(format!("{vault:?}"), "Vault (redacted)");
    }
}
