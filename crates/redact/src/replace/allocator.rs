//! Placeholders of a fixture: for the markers of a journal, and for the secrets of an existing fixture.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::ops::Range;

use super::Replacer;
use super::marker::{self, Marker, RunId};
use super::placeholder::{self, Placeholder, PlaceholderName, ValueFormat};
use super::store::{Secret, SecretStore};
use crate::base64_text;
use crate::splice::{Splice, WindowReader, remove_overlaps, spliced};

/// The number of a provisional placeholder is the number of its secret plus this. No fixture has such numbers, and JSON
/// numbers with it fit into 64 bits.
const PROVISIONAL: u64 = 90_000_000_000;

/// Gives secrets their placeholders in the order in which their markers are replaced.
///
/// A secret is named after the place of its first marker and gets the next free number of that name, unless it keeps a
/// placeholder of the old fixture.
#[derive(Debug)]
pub struct PlaceholderAllocator {
    run: RunId,
    is_provisional: bool,
    allocated: HashMap<SecretKey, Placeholder>,
    /// Placeholders of secrets of this recording, and those of `[redact.values]`.
    owned: HashSet<Placeholder>,
    /// Placeholders that occur in the old fixture.
    occupied: HashSet<Placeholder>,
    /// The last number of each name.
    last: HashMap<PlaceholderName, u64>,
}

/// Identifies the placeholder of a secret: its number, and the name that its format shares. A secret has one
/// placeholder in all formats with space for a name, and others in formats without it.
type SecretKey = (u64, Option<PlaceholderName>);

impl PlaceholderAllocator {
    #[must_use]
    pub fn new(run: RunId) -> Self {
        PlaceholderAllocator {
            run,
            is_provisional: false,
            allocated: HashMap::new(),
            owned: HashSet::new(),
            occupied: HashSet::new(),
            last: HashMap::new(),
        }
    }

    /// Creates an allocator for comparing a recording with a fixture. Its placeholders are different for different
    /// secrets, and [`PlaceholderAllocator::keep`] recognises them.
    #[must_use]
    pub fn provisional(run: RunId) -> Self {
        PlaceholderAllocator { is_provisional: true, ..PlaceholderAllocator::new(run) }
    }

    /// Returns true if the placeholders are those of the fixture.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !self.is_provisional
    }

    /// Excludes the placeholders in a text of the old fixture from new secrets.
    pub fn exclude_all_in(&mut self, text: &[u8]) {
        self.occupied.extend(placeholder::find(text).map(|found| found.placeholder));
    }

    /// Excludes the placeholders in a text of any length.
    pub fn exclude_all_read(&mut self, read: &mut dyn Read) -> io::Result<()> {
        const CHUNK: usize = 256 << 10;
        /// The length of the longest placeholder that is recognised across two chunks.
        const MAX_PLACEHOLDER: usize = 4 << 10;
        let mut text = Vec::with_capacity(CHUNK + MAX_PLACEHOLDER);
        while read.take(CHUNK as u64).read_to_end(&mut text)? > 0 {
            self.exclude_all_in(&text);
            text.drain(..text.len().saturating_sub(MAX_PLACEHOLDER));
        }
        Ok(())
    }

    /// Reserves a placeholder of `[redact.values]`.
    pub fn reserve(&mut self, placeholder: Placeholder) {
        self.owned.insert(placeholder);
    }

    /// Keeps a placeholder of the old fixture for the secret with this provisional placeholder, unless the secret has
    /// another one or another secret has this one.
    pub fn keep(&mut self, provisional: &Placeholder, format: ValueFormat, placeholder: &Placeholder) {
        let Some(number) = provisional.number.checked_sub(PROVISIONAL) else { return };
        let key = (number, format.shared_name());
        let fits = key.1.as_ref().is_none_or(|name| *name == placeholder.name);
        if fits && !self.allocated.contains_key(&key) && self.owned.insert(placeholder.clone()) {
            self.allocated.insert(key, placeholder.clone());
        }
    }

    pub fn replace_markers<'t>(&mut self, text: &'t [u8]) -> Cow<'t, [u8]> {
        spliced(text, &self.marker_splices(text, 0..text.len()))
    }

    #[must_use]
    pub fn replace_markers_in_string(&mut self, text: String) -> String {
        match self.replace_markers(text.as_bytes()) {
            Cow::Borrowed(_) => text,
            Cow::Owned(replaced) => String::from_utf8(replaced).unwrap_or(text),
        }
    }

    pub fn replace_markers_in<R: Read>(&mut self, read: R) -> impl Read {
        let lookahead = marker::MAX_LEN.max(base64_text::MAX_LEN);
        WindowReader::new(read, lookahead, |text, range| self.marker_splices(text, range))
    }

    /// Replaces the markers that begin in a range of a text.
    fn marker_splices(&mut self, text: &[u8], range: Range<usize>) -> Vec<Splice> {
        let found = marker::find(text, self.run).filter(|(found, _)| range.contains(&found.start));
        let plain = found.map(|(range, marker)| Splice { range, with: marker.format.write(&self.allocate(&marker)) });
        let mut splices: Vec<Splice> = plain.collect();
        for (found, base64) in base64_text::find_markers(text) {
            if range.contains(&found.start)
                && let Cow::Owned(replaced) = self.replace_markers(&base64.text)
            {
                splices.push(Splice { range: found, with: base64.encode(&replaced) });
            }
        }
        remove_overlaps(&mut splices, |splice| splice.range.clone());
        splices
    }

    fn allocate(&mut self, marker: &Marker) -> Placeholder {
        let key = (marker.number, marker.format.shared_name());
        if let Some(placeholder) = self.allocated.get(&key) {
            return placeholder.clone();
        }
        let name = key.1.clone().unwrap_or_else(|| marker.name.clone());
        if self.is_provisional {
            return Placeholder { name, number: PROVISIONAL + marker.number };
        }
        let last = self.last.entry(name.clone()).or_default();
        let mut placeholder = Placeholder { name, number: *last + 1 };
        while self.occupied.contains(&placeholder) || self.owned.contains(&placeholder) {
            placeholder.number += 1;
        }
        *last = placeholder.number;
        self.owned.insert(placeholder.clone());
        self.allocated.insert(key, placeholder.clone());
        placeholder
    }
}

/// Replaces secrets in a fixture by placeholders, numbered in the order in which they are found.
///
/// A fixture is read twice: first with [`FixtureReplacer::store`] to learn its secrets, then with the replacer itself.
#[derive(Debug)]
pub struct FixtureReplacer {
    store: SecretStore,
    allocator: PlaceholderAllocator,
    written: HashSet<String>,
}

impl FixtureReplacer {
    /// Creates the replacer of one fixture with the values of `[redact.values]`.
    #[must_use]
    pub fn new(configured: &[(Placeholder, Secret)]) -> Self {
        let run = RunId::random();
        let mut allocator = PlaceholderAllocator::new(run);
        configured.iter().for_each(|(placeholder, _)| allocator.reserve(placeholder.clone()));
        FixtureReplacer { store: SecretStore::new(run, configured), allocator, written: HashSet::new() }
    }

    /// Returns the replacer for the first reading, whose replacements are discarded.
    pub fn store(&self) -> &SecretStore {
        &self.store
    }

    /// Excludes the placeholders in a text of the fixture from new secrets.
    pub fn exclude_all_in(&mut self, text: &[u8]) {
        self.allocator.exclude_all_in(text);
    }

    /// Excludes the placeholders in a text of any length.
    pub fn exclude_all_read(&mut self, read: &mut dyn Read) -> io::Result<()> {
        self.allocator.exclude_all_read(read)
    }

    /// Returns how many different placeholders were written.
    #[must_use]
    pub fn placeholders(&self) -> usize {
        self.written.len()
    }
}

impl Replacer for &mut FixtureReplacer {
    fn replace(&mut self, secret: &[u8], name: &PlaceholderName, format: ValueFormat) -> String {
        let marker = (&mut &self.store).replace(secret, name, format);
        let placeholder = self.allocator.replace_markers_in_string(marker);
        self.written.insert(placeholder.clone());
        placeholder
    }

    fn find_known(&mut self, text: &[u8]) -> Vec<Range<usize>> {
        (&mut &self.store).find_known(text)
    }

    fn replace_known(&mut self, secret: &[u8]) -> String {
        let marker = (&mut &self.store).replace_known(secret);
        self.allocator.replace_markers_in_string(marker)
    }

    fn learn(&mut self, secret: &[u8], name: &PlaceholderName) {
        (&mut &self.store).learn(secret, name);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marker(number: u64, format: ValueFormat, name: &str) -> Marker {
        Marker { number, format, name: PlaceholderName::new(name) }
    }

    fn token(number: u64, run: RunId) -> String {
        marker(number, ValueFormat::Text, "token").write(run)
    }

    fn placeholder(name: &str, number: u64) -> Placeholder {
        Placeholder { name: PlaceholderName::new(name), number }
    }

    #[test]
    fn secrets_are_numbered_in_order_and_equal_secrets_are_equal() {
        let run = RunId::random();
        let mut allocator = PlaceholderAllocator::new(run);
        let text = format!("{} {} {}", token(9, run), token(4, run), token(9, run));
        assert_eq!(allocator.replace_markers_in_string(text), "REDACTED-token-1 REDACTED-token-2 REDACTED-token-1");
        let elsewhere = marker(4, ValueFormat::Text, "authorization").write(run);
        assert_eq!(allocator.replace_markers_in_string(elsewhere), "REDACTED-token-2");
    }

    #[test]
    fn kept_occupied_and_reserved_placeholders_are_not_allocated() {
        let run = RunId::random();
        let mut allocator = PlaceholderAllocator::new(run);
        allocator.exclude_all_in(b"REDACTED-token-1 REDACTED-token-3");
        allocator.reserve(placeholder("token", 2));
        for (number, old) in [(7, 3), (8, 3), (9, 2)] {
            let provisional = placeholder("any", PROVISIONAL + number);
            allocator.keep(&provisional, ValueFormat::Text, &placeholder("token", old));
        }
        allocator.keep(&placeholder("token", 7), ValueFormat::Text, &placeholder("token", 9));
        let text = format!("{} {} {}", token(7, run), token(8, run), token(9, run));
        let replaced = allocator.replace_markers_in_string(text);
        assert_eq!(replaced, "REDACTED-token-3 REDACTED-token-4 REDACTED-token-5");
    }

    #[test]
    fn formats_are_kept_and_those_without_space_share_a_name() {
        let run = RunId::random();
        let mut allocator = PlaceholderAllocator::new(run);
        let of = |number, format| marker(number, format, "id").write(run);
        let text = format!("{{\"a\":{},\"b\":\"{}\"}}", of(1, ValueFormat::Number), of(2, ValueFormat::Email));
        assert_eq!(allocator.replace_markers_in_string(text), r#"{"a":73322833001,"b":"redacted-1@example.invalid"}"#);
        let found = |text: &str| placeholder::find(text.as_bytes()).map(|found| found.placeholder).collect::<Vec<_>>();
        assert_eq!(found(&allocator.replace_markers_in_string(of(3, ValueFormat::Uuid))), [placeholder("uuid", 1)]);
        assert_eq!(found(&allocator.replace_markers_in_string(of(3, ValueFormat::Base64))), [placeholder("id", 1)]);
    }

    #[test]
    fn provisional_placeholders_are_recognised() {
        let run = RunId::random();
        let of = |number, format| marker(number, format, "id").write(run);
        let text = format!("{} {}", of(5, ValueFormat::Text), of(6, ValueFormat::Number));
        let provisional = PlaceholderAllocator::provisional(run).replace_markers_in_string(text.clone());
        let mut allocator = PlaceholderAllocator::new(run);
        for found in placeholder::find(provisional.as_bytes()) {
            let name = found.format.shared_name().unwrap_or(PlaceholderName::new("old"));
            allocator.keep(&found.placeholder, found.format, &Placeholder { name, number: 70 });
        }
        assert_eq!(allocator.replace_markers_in_string(text), "REDACTED-old-70 73322833070");
    }

    #[test]
    fn text_without_markers_is_not_copied() {
        let mut allocator = PlaceholderAllocator::new(RunId::random());
        let foreign = token(1, RunId::random());
        assert!(matches!(allocator.replace_markers(foreign.as_bytes()), Cow::Borrowed(_)));
    }

    /// Reads in pieces of these lengths, in a cycle.
    struct PiecewiseReader<'a> {
        text: &'a [u8],
        steps: std::iter::Cycle<std::vec::IntoIter<usize>>,
    }

    impl Read for PiecewiseReader<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let step = self.steps.next().unwrap_or(1).min(buf.len());
            self.text.read(&mut buf[..step])
        }
    }

    proptest! {
        #[test]
        fn stream_is_replaced_like_its_text(
            parts in prop::collection::vec((0_u64..4, "[ -~]{0,40}"), 0..20),
            steps in prop::collection::vec(1_usize..200, 1..6),
        ) {
            let run = RunId::random();
            let formats = [ValueFormat::Text, ValueFormat::Uuid, ValueFormat::Number, ValueFormat::Base64];
            let text: String = parts
                .iter()
                .map(|(n, between)| format!("{between}{}", marker(*n, formats[between.len() % 4], "access_token").write(run)))
                .collect();
            let mut streamed = Vec::new();
            let mut allocator = PlaceholderAllocator::new(run);
            allocator.replace_markers_in(PiecewiseReader { text: text.as_bytes(), steps: steps.into_iter().cycle() }).read_to_end(&mut streamed).unwrap();
            prop_assert_eq!(String::from_utf8(streamed).unwrap(), PlaceholderAllocator::new(run).replace_markers_in_string(text));
        }
    }

    fn replaced(replacer: &mut FixtureReplacer, secret: &str, name: &str) -> String {
        let mut replacer = replacer;
        (&mut replacer).replace(secret.as_bytes(), &PlaceholderName::new(name), ValueFormat::Text)
    }

    #[test]
    fn secrets_of_a_fixture_are_numbered_in_order() {
        let mut replacer = FixtureReplacer::new(&[]);
        replacer.exclude_all_in(b"\"REDACTED-token-1\", REDACTED-token-3");
        assert_eq!(replaced(&mut replacer, "one", "token"), "REDACTED-token-2");
        assert_eq!(replaced(&mut replacer, "two", "token"), "REDACTED-token-4");
        assert_eq!(replaced(&mut replacer, "one", "authorization"), "REDACTED-token-2");
        assert_eq!(replacer.placeholders(), 2);
        assert!(!format!("{replacer:?}").contains("two"));
    }

    #[test]
    fn secrets_of_the_first_reading_are_known_in_the_second() {
        let mut replacer = FixtureReplacer::new(&[]);
        (&mut replacer.store()).replace(b"a-long-secret", &PlaceholderName::new("sid"), ValueFormat::Text);
        assert_eq!((&mut &mut replacer).find_known(b"see a-long-secret there"), vec![4..17; 1]);
        assert_eq!((&mut &mut replacer).replace_known(b"a-long-secret"), "REDACTED-sid-1");
        assert_eq!(replaced(&mut replacer, "a-long-secret", "token"), "REDACTED-sid-1");
    }

    #[test]
    fn configured_values_have_their_placeholder_alone() {
        let configured = [(Placeholder { name: PlaceholderName::new("password"), number: 1 }, "wrong".into())];
        let mut replacer = FixtureReplacer::new(&configured);
        assert_eq!(replaced(&mut replacer, "right", "password"), "REDACTED-password-2");
        assert_eq!(replaced(&mut replacer, "wrong", "pwd"), "REDACTED-password-1");
    }
}
