//! Secret names: the words of a name and the table decide its class, and the class and a value decide together.

pub(crate) mod table;
pub(crate) mod value;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{LazyLock, PoisonError, RwLock};

use crate::find::find_redacted;
use crate::policy::Policy;
use table::{CLASSES, FLAGS, FREQUENT, OTHER_WORDS, PUBLIC, SUFFIXES};

/// The location of a name in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameLocation {
    Header,
    /// A parameter of a query or of a fragment.
    Query,
    /// A field of a form, multipart included.
    Form,
    /// A member of JSON, or an argument in GraphQL.
    Member,
}

impl NameLocation {
    pub(crate) const ALL: [Self; 4] = [Self::Header, Self::Query, Self::Form, Self::Member];
}

/// Which values under a name are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameClass {
    /// None because of the name.
    Public,
    /// Values that look random. As members of JSON, where these names often have another meaning, only those that do
    /// not consist of words and numbers.
    SecretIfOpaque,
    /// Values that look random.
    SecretIfRandom,
    /// All values.
    Secret,
    /// All values are replaced. They are not secret, but each request has another one.
    Replaced,
}

impl NameClass {
    /// Returns true if a decoded value is secret under a name of this class. Placeholders look random, and are not.
    pub(crate) fn is_secret_value(self, value: &[u8]) -> bool {
        let is_random = match self {
            NameClass::Public => false,
            NameClass::SecretIfOpaque => value::looks_opaque(value),
            NameClass::SecretIfRandom => value::looks_random(value),
            NameClass::Secret | NameClass::Replaced => return true,
        };
        is_random && !value::is_address(value) && find_redacted(value).is_empty()
    }

    /// Returns the class of a name that seems to be that of a setting: `accept_token`.
    fn of_flag(self) -> Self {
        if self.is_secret() { NameClass::SecretIfOpaque } else { self }
    }

    /// Returns true if values under the name can be secret.
    #[must_use]
    pub fn is_secret(self) -> bool {
        !matches!(self, NameClass::Public | NameClass::Replaced)
    }
}

/// The length of the end of a name that is judged, bytes.
pub(crate) const MAX_NAME: usize = 96;
/// The largest number of words of a name in the table.
const MAX_WORDS: usize = 3;
/// The first word of non-standard headers, which has no meaning.
const NO_WORD: &[u8] = b"x";

/// The largest number of words behind a name that do not change its class.
const MAX_SUFFIXES: usize = 3;

/// A name of the table in one class.
struct TableName {
    class: NameClass,
    locations: &'static [NameLocation],
    is_whole: bool,
    words: usize,
    last: &'static [u8],
}

struct NameTable {
    /// The names of [`CLASSES`], each without separators.
    names: HashMap<Vec<u8>, Vec<TableName>>,
    /// Pairs of [`PUBLIC`]: the word before, and the word.
    public: HashSet<(&'static [u8], &'static [u8])>,
    /// The words of [`FLAGS`].
    flags: HashSet<&'static [u8]>,
    suffixes: HashSet<&'static [u8]>,
    /// All words, by which names without separators are split.
    words: HashSet<&'static [u8]>,
    /// The last words of names.
    last: HashSet<&'static [u8]>,
    /// Words of which each secret name of a member contains one. None contains another.
    needles: Vec<&'static [u8]>,
}

static TABLE: LazyLock<NameTable> = LazyLock::new(NameTable::new);

impl NameTable {
    fn new() -> Self {
        let split = |list: &'static str| list.split_ascii_whitespace().map(str::as_bytes);
        let mut names: HashMap<Vec<u8>, Vec<TableName>> = HashMap::new();
        let mut words: HashSet<&[u8]> = split(OTHER_WORDS).collect();
        let (mut last, mut all_needles) = (HashSet::new(), Vec::new());
        let frequent: HashSet<&[u8]> = split(FREQUENT).collect();
        for row in &CLASSES {
            for name in split(row.names) {
                let (is_whole, name) = name.strip_prefix(b"=").map_or((false, name), |name| (true, name));
                let parts: Vec<&[u8]> = name.split(|&byte| byte == b'_').collect();
                let last_word = parts.last().copied().unwrap_or_default();
                if row.locations.contains(&NameLocation::Member) {
                    all_needles.extend(parts.iter().rev().find(|part| !frequent.contains(*part)));
                }
                last.insert(last_word);
                words.extend(&parts);
                let (class, locations) = (row.class, row.locations);
                let entry = TableName { class, locations, is_whole, words: parts.len(), last: last_word };
                names.entry(parts.concat()).or_default().push(entry);
            }
        }
        let public = PUBLIC.iter().flat_map(|row| split(row.before).map(|before| (before, row.word.as_bytes())));
        let public: HashSet<_> = public.collect();
        words.extend(public.iter().map(|(before, _)| before));
        let flags: HashSet<&[u8]> = split(FLAGS).collect();
        words.extend(&flags);
        all_needles.sort_by_key(|needle: &&[u8]| needle.len());
        let mut needles: Vec<&[u8]> = Vec::new();
        for needle in all_needles {
            if !needles.iter().any(|part| memchr::memmem::find(needle, part).is_some()) {
                needles.push(needle);
            }
        }
        NameTable { names, public, flags, suffixes: split(SUFFIXES).collect(), words, last, needles }
    }

    /// Finds the class of the longest name of the table that the words end with. `None` if there is none.
    fn find(&self, words: &NameWords, location: NameLocation) -> Option<NameClass> {
        let len = words.ranges.len();
        for end in (len.saturating_sub(MAX_SUFFIXES)..=len).rev() {
            let last = words.word(end.saturating_sub(1));
            let counts = if self.last.contains(last) || self.names.contains_key(last) { end.min(MAX_WORDS) } else { 0 };
            for count in (1..=counts).rev() {
                let first = end - count;
                let applies = |name: &&TableName| {
                    let is_spelled = count == 1 || count == name.words && last == name.last;
                    is_spelled && name.locations.contains(&location) && (!name.is_whole || first <= words.last_part)
                };
                let tail = words.concat(first..end);
                if let Some(name) = self.names.get(&*tail).and_then(|names| names.iter().find(applies)) {
                    return Some(match first.checked_sub(1).map(|before| words.word(before)) {
                        Some(before) if self.is_public(before, &tail) => NameClass::Public,
                        Some(before) if self.flags.contains(before) => name.class.of_flag(),
                        _ => name.class,
                    });
                }
            }
            if end == 0 || !self.suffixes.contains(last) {
                return None;
            }
        }
        None
    }

    fn is_public(&self, before: &[u8], name: &[u8]) -> bool {
        self.public.contains(&(before, &b""[..])) || self.public.contains(&(before, name))
    }
}

/// The names of headers whose classes are remembered: clients and servers repeat them in every message.
static HEADER_CLASSES: LazyLock<RwLock<HashMap<Box<[u8]>, NameClass>>> = LazyLock::new(RwLock::default);
/// Maximum number of remembered headers.
const MAX_HEADERS: usize = 1024;

/// Returns the class of a name in a location.
pub(crate) fn classify(location: NameLocation, name: &[u8]) -> NameClass {
    if location != NameLocation::Header || name.len() > MAX_NAME {
        return classify_words(location, name);
    }
    let known = HEADER_CLASSES.read().unwrap_or_else(PoisonError::into_inner).get(name).copied();
    known.unwrap_or_else(|| {
        let class = classify_words(location, name);
        let mut classes = HEADER_CLASSES.write().unwrap_or_else(PoisonError::into_inner);
        if classes.len() < MAX_HEADERS {
            classes.insert(name.into(), class);
        }
        class
    })
}

fn classify_words(location: NameLocation, name: &[u8]) -> NameClass {
    let class = TABLE.find(&NameWords::split(name), location);
    match class.unwrap_or(NameClass::Public) {
        NameClass::SecretIfOpaque if location != NameLocation::Member => NameClass::SecretIfRandom,
        class => class,
    }
}

/// The classes of the last names of members in a text: a list repeats its names.
#[derive(Default)]
pub(crate) struct RecentNames<'t> {
    names: Vec<(&'t [u8], NameClass)>,
    /// The index of the oldest name.
    oldest: usize,
}

impl<'t> RecentNames<'t> {
    const MAX: usize = 32;

    /// Returns the class of the name of a member, as [`Policy::classify`] does.
    pub(crate) fn classify(&mut self, policy: &Policy, name: &'t [u8]) -> NameClass {
        if let Some((_, class)) = self.names.iter().find(|(recent, _)| *recent == name) {
            return *class;
        }
        let class = policy.classify(NameLocation::Member, name);
        match self.names.get_mut(self.oldest) {
            Some(oldest) => *oldest = (name, class),
            None => self.names.push((name, class)),
        }
        self.oldest = (self.oldest + 1) % Self::MAX;
        class
    }
}

/// Returns true if a name contains a word of secrets, although the table does not know its class: `token_data`.
pub(crate) fn is_suspicious(location: NameLocation, name: &[u8]) -> bool {
    let words = NameWords::split(name);
    let is_secret = |at: usize| {
        let word = words.word(at);
        let is_public = at > 0 && TABLE.is_public(words.word(at - 1), word);
        !is_public && TABLE.names.get(word).is_some_and(|names| names.iter().any(|name| !name.is_whole))
    };
    TABLE.find(&words, location).is_none() && (0..words.ranges.len()).any(is_secret)
}

/// Returns the last part of a name that is a path: `password` of `user[password]`, `user.password` and `password[]`.
pub(crate) fn last_part(name: &[u8]) -> &[u8] {
    let is_separator = |byte: &u8| matches!(byte, b'[' | b']' | b'.');
    name.rsplit(is_separator).find(|part| !part.iter().all(u8::is_ascii_digit)).unwrap_or(name)
}

/// Returns true if a value that was found under a name is secret in other places, too. Times are not. Idempotency
/// keys can be identifiers of data, and credentials can be a setting of `fetch` (`same-origin`).
pub(crate) fn is_known_elsewhere(name: &str, value: &[u8]) -> bool {
    if is_signed(name.as_bytes()) {
        return false;
    }
    match classify(NameLocation::Query, name.as_bytes()) {
        NameClass::Replaced => value::looks_random(value),
        _ => name != "credentials" || value::looks_random(value),
    }
}

/// Returns true if a name is that of a signature.
pub(crate) fn is_signature(name: &[u8]) -> bool {
    let words = NameWords::split(name);
    let last = words.ranges.len().checked_sub(1).map(|last| words.word(last));
    last.is_some_and(|last| matches!(last, b"signature" | b"sig" | b"hmac"))
}

/// Returns true if a value under this name changes with each signature beside it: times, and the policies of
/// CloudFront. `se`, `st`, `ske` and `skt` are the times of Azure's shared access signatures.
pub(crate) fn is_signed(name: &[u8]) -> bool {
    const SIGNED: [&str; 9] =
        ["expires", "timestamp", "oauth_timestamp", "signaturetimestamp", "policy", "se", "st", "ske", "skt"];
    SIGNED.iter().any(|signed| name.eq_ignore_ascii_case(signed.as_bytes()))
}

/// Returns words of which the judged part of each secret name of a member contains one, in any case.
pub(crate) fn needles() -> &'static [&'static [u8]] {
    &TABLE.needles
}

/// Returns the last words of secret names.
pub(crate) fn last_words() -> impl Iterator<Item = &'static str> {
    TABLE.last.iter().filter_map(|word| std::str::from_utf8(word).ok())
}

/// The words of a name in lower case.
struct NameWords {
    text: Vec<u8>,
    ranges: Vec<Range<usize>>,
    /// The number of the first word of the last part of a path: 1 in `user[password]`.
    last_part: usize,
}

impl NameWords {
    /// Splits a name at separators, before capitals (`accessToken`, `DDApiKey`) and between the words of the table
    /// (`accesstoken`). Leaves out digits behind a word.
    fn split(name: &[u8]) -> Self {
        let name = &name[name.len().saturating_sub(MAX_NAME)..];
        let mut words = NameWords { text: name.to_ascii_lowercase(), ranges: Vec::with_capacity(8), last_part: 0 };
        let mut is_new_part = true;
        // The first byte and the first word since the last separator.
        let (mut chunk, mut first) = (0, 0);
        let mut at = 0;
        while at < name.len() {
            if !is_word_byte(name[at]) {
                is_new_part |= matches!(name[at], b'[' | b'.' | b'/' | b':' | b'$');
                at += 1;
                continue;
            }
            if at == 0 || !is_word_byte(name[at - 1]) {
                (chunk, first) = (at, words.ranges.len());
            }
            let end = word_end(name, at);
            let digits = name[at..end].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
            let range = at..end - digits;
            at = end;
            if range.is_empty() || &words.text[range.clone()] == NO_WORD {
                continue;
            }
            if std::mem::take(&mut is_new_part) {
                words.last_part = words.ranges.len();
            }
            words.ranges.push(range);
        }
        words.split_last(chunk, first);
        words
    }

    /// Splits the last word if it consists of several words of the table. Joins the words from `first` on, which begin
    /// at the byte `chunk`, if the table has them as one name: `SAMLart` has no capital before its last word.
    fn split_last(&mut self, chunk: usize, first: usize) {
        let Some(last) = self.ranges.last().cloned() else { return };
        if first + 1 < self.ranges.len() && TABLE.names.contains_key(&self.text[chunk..last.end]) {
            self.ranges.truncate(first);
            self.ranges.push(chunk..last.end);
            return;
        }
        let word = &self.text[last.clone()];
        if TABLE.words.contains(word) || TABLE.suffixes.contains(word) || !ends_with_secret(word) {
            return;
        }
        // The position of the last split before each position, if the text before it consists of words.
        let mut splits: Vec<Option<usize>> = vec![None; word.len() + 1];
        splits[0] = Some(0);
        for end in 1..=word.len() {
            let is_word = |start: usize| {
                let part = &word[start..end];
                splits[start].is_some() && (TABLE.words.contains(part) || TABLE.suffixes.contains(part))
            };
            splits[end] = (0..end).find(|&start| is_word(start));
        }
        let mut parts = Vec::new();
        let mut end = word.len();
        while let Some(start) = splits[end].filter(|_| end > 0) {
            parts.push(last.start + start..last.start + end);
            end = start;
        }
        if !parts.is_empty() {
            self.ranges.pop();
            self.ranges.extend(parts.into_iter().rev());
        }
    }

    fn word(&self, at: usize) -> &[u8] {
        self.ranges.get(at).map_or(&[], |range| &self.text[range.clone()])
    }

    fn concat(&self, words: Range<usize>) -> Vec<u8> {
        words.flat_map(|at| self.word(at)).copied().collect()
    }
}

fn ends_with_secret(word: &[u8]) -> bool {
    TABLE.last.iter().any(|last| word.ends_with(last)) || TABLE.suffixes.iter().any(|suffix| word.ends_with(suffix))
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

/// Returns the end of the word that begins at `at`: before a separator, a capital behind a small letter or a digit, or
/// the last capital before a small letter.
fn word_end(name: &[u8], at: usize) -> usize {
    let is_end = |&next: &usize| {
        let (before, byte) = (name[next - 1], name[next]);
        let is_capital = byte.is_ascii_uppercase();
        let starts_camel = is_capital && (before.is_ascii_lowercase() || before.is_ascii_digit());
        let ends_acronym = is_capital
            && before.is_ascii_uppercase()
            && name.get(next + 1).is_some_and(|after| after.is_ascii_lowercase());
        !is_word_byte(byte) || starts_camel || ends_acronym
    };
    (at + 1..name.len()).find(is_end).unwrap_or(name.len())
}
