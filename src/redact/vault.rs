//! The secrets of one recording, in memory alone: equal values get equal markers, and what was found at a named place is
//! known wherever else it stands.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::marker::{self, Marker, Run, Value};
use super::windows::{Window, Windows};
use super::{Form, Name, Namer, Placeholder, placeholder, spellings};
use crate::http::escape;

/// Shorter values are too likely to stand elsewhere by chance, bytes.
const SHORTEST: usize = 8;
/// Longer ones are not looked for, bytes: nobody repeats them outside the place they belong to.
const LONGEST: usize = 64 << 10;
/// Values that are words: looking for them would take paths and names of members apart.
const WORDS: [&str; 14] = [
    "password",
    "username",
    "undefined",
    "anonymous",
    "changeme",
    "localhost",
    "redacted",
    "required",
    "disabled",
    "authorization",
    "access_token",
    "refresh_token",
    "client_secret",
    "example.com",
];

/// What stood before a text, as far as it says whether a word begins there.
type Before = [u8; escape::LONGEST];
const NOTHING: Before = [b' '; escape::LONGEST];

/// The values of one recording. Shared by all its connections; `&Vault` is the [`Namer`] that gives markers.
pub struct Vault {
    run: Run,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By value as it was found, and as it is written elsewhere.
    secrets: HashMap<Box<[u8]>, Secret>,
    known: Known,
    /// Values found.
    found: u64,
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
            inner.learn(text.as_bytes(), &secret);
        }
        Vault { run, inner: RwLock::new(inner) }
    }

    /// The recording's run.
    #[must_use]
    pub fn run(&self) -> Run {
        self.run
    }

    /// How many different values were found.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.read().found
    }

    /// The text with markers for known values: for what was written down before they were known.
    pub fn swept<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let mut out = Vec::new();
        let swept = self.sweep(text, NOTHING, text.len(), &mut out);
        if swept == 0 { Cow::Borrowed(text) } else { Cow::Owned([&out, &text[swept..]].concat()) }
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

    /// [`Vault::swept`] of a stream.
    pub fn sweeper<R: Read>(&self, read: R) -> impl Read {
        Windows::new(read, Sweep { vault: self, longest: self.read().known.longest, before: NOTHING })
    }

    fn sweep(&self, text: &[u8], before: Before, until: usize, out: &mut Vec<u8>) -> usize {
        let mut kept = 0;
        for (range, marker) in self.known_in(text, before, until) {
            out.extend_from_slice(&text[kept..range.start]);
            out.extend_from_slice(marker.write(self.run).as_bytes());
            kept = range.end;
        }
        kept
    }

    /// Known values that begin before `until`; `before` is what stands before the text.
    fn known_in(&self, text: &[u8], before: Before, until: usize) -> Vec<(Range<usize>, Marker)> {
        let inner = self.read();
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(start) = inner.known.next(text, before, at, until) {
            let Some(value) = inner.known.at(&text[start..]) else {
                at = start + 1;
                continue;
            };
            at = start + value.len();
            if let Some(Secret { value, name, form }) = inner.secrets.get(value).cloned() {
                found.push((start..at, Marker { value, form, name }));
            }
        }
        found
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
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
                inner.learn(secret, &found);
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

impl Inner {
    fn learn(&mut self, value: &[u8], secret: &Secret) {
        let all = if value.len() > LONGEST { vec![value.into()] } else { spellings::of(value) };
        for value in all {
            if !self.secrets.contains_key(&value) {
                self.known.add(&value);
                self.secrets.insert(value, secret.clone());
            }
        }
    }
}

/// Values by their first eight bytes.
#[derive(Default)]
struct Known {
    values: HashMap<[u8; SHORTEST], Vec<Box<[u8]>>>,
    /// Bits of what values begin with: most texts hold none, and most places are passed by a look here.
    begins: Begins,
    longest: usize,
}

/// How placeholders begin; places where one does are looked at too.
const PLACEHOLDER: &[u8; SHORTEST] = b"REDACTED";

#[derive(Clone)]
struct Begins([u64; 64]);

impl Default for Begins {
    fn default() -> Self {
        let mut begins = Begins([0; 64]);
        begins.add(*PLACEHOLDER);
        begins
    }
}

impl Begins {
    fn bit(begin: [u8; SHORTEST]) -> (usize, u64) {
        // Fibonacci hashing: the upper bits of a product depend on all lower ones.
        let hash = u64::from_le_bytes(begin).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
        (usize::try_from(hash >> 6).unwrap_or(0), 1 << (hash & 63))
    }

    fn add(&mut self, begin: [u8; SHORTEST]) {
        let (word, bit) = Begins::bit(begin);
        self.0[word] |= bit;
    }

    fn may_have(&self, begin: [u8; SHORTEST]) -> bool {
        let (word, bit) = Begins::bit(begin);
        self.0[word] & bit != 0
    }
}

impl Known {
    fn add(&mut self, value: &[u8]) {
        let word = || WORDS.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
        let Some(begin) = value.first_chunk().filter(|_| value.len() <= LONGEST && !word()) else { return };
        self.begins.add(*begin);
        self.longest = self.longest.max(value.len());
        self.values.entry(*begin).or_default().push(value.into());
    }

    /// The next place before `until` where a known value may begin.
    fn next(&self, text: &[u8], before: Before, mut at: usize, until: usize) -> Option<usize> {
        if self.values.is_empty() {
            return None;
        }
        while at < until {
            let begin = text[at..].first_chunk()?;
            if !self.begins.may_have(*begin) {
                at += 1;
                continue;
            }
            let inside = is_inside(before, text, at);
            if !inside && begin == PLACEHOLDER {
                // A name within what stands for a value already is no value.
                let letters = text[at..].iter().position(|&b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')));
                at += letters.unwrap_or(text.len() - at);
                continue;
            }
            if !inside {
                return Some(at);
            }
            at += 1;
        }
        None
    }

    /// The longest value that a text begins with and that ends there.
    fn at(&self, text: &[u8]) -> Option<&[u8]> {
        let values = self.values.get(text.first_chunk()?)?;
        let ends = |len: usize| text.get(len).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let whole = values.iter().filter(|value| text.starts_with(value) && ends(value.len()));
        whole.max_by_key(|value| value.len()).map(|value| &**value)
    }
}

/// Whether a place is within a word; the last letter of an escape (`%2F`, `\n`) is none of its own.
fn is_inside(stood: Before, text: &[u8], at: usize) -> bool {
    let stood = before(stood, text, at);
    stood.last().is_some_and(u8::is_ascii_alphanumeric) && !escape::ends(&stood)
}

/// What stands before a place of a text that `stood` stands before.
fn before(stood: Before, text: &[u8], at: usize) -> Before {
    let mut before = stood;
    if let Some((_, last)) = text[..at].split_last_chunk() {
        return *last;
    }
    before.rotate_left(at);
    before[escape::LONGEST - at..].copy_from_slice(&text[..at]);
    before
}

struct Sweep<'v> {
    vault: &'v Vault,
    longest: usize,
    before: Before,
}

impl Window for Sweep<'_> {
    fn settle(&mut self, text: &[u8], last: bool, out: &mut Vec<u8>) -> usize {
        // A value that begins before is here as a whole, and what stands behind it.
        let held = self.longest.max(marker::LONGEST);
        let until = if last { text.len() } else { text.len().saturating_sub(held) };
        let swept = self.vault.sweep(text, self.before, until, out);
        out.extend_from_slice(&text[swept.min(until)..until]);
        let settled = swept.max(until);
        self.before = before(self.before, text, settled);
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"s3cr3t-value/1";

    fn vault() -> Vault {
        Vault::new(Run::random(), &[])
    }

    fn token(vault: &Vault, secret: &[u8]) -> String {
        (&mut &*vault).stand_in(secret, &Name::new("token"), Form::Text)
    }

    fn swept(vault: &Vault, text: &str) -> String {
        String::from_utf8(vault.swept(text.as_bytes()).into_owned()).unwrap()
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
        vault.sweeper(text.as_bytes()).read_to_end(&mut streamed).unwrap();
        assert_eq!(String::from_utf8(streamed).unwrap(), swept(&vault, &text));
    }

    #[test]
    fn nothing_is_told() {
        let vault = vault();
        token(&vault, SECRET);
        assert_eq!(format!("{vault:?}"), "Vault (redacted)");
    }
}
