//! Redaction of an existing fixture: placeholders without the detour of markers.

use std::collections::HashSet;
use std::io::{self, Read};
use std::ops::Range;

use super::Replacer;
use super::allocator::PlaceholderAllocator;
use super::marker::RunId;
use super::placeholder::{Placeholder, PlaceholderName, ValueFormat};
use super::store::SecretStore;
use crate::secret::Secret;

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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(replacer: &mut FixtureReplacer, secret: &str, name: &str) -> String {
        let mut replacer = replacer;
        (&mut replacer).replace(secret.as_bytes(), &PlaceholderName::new(name), ValueFormat::Text)
    }

    #[test]
    fn secrets_are_numbered_in_order() {
        let mut replacer = FixtureReplacer::new(&[]);
        replacer.exclude_all_in(b"\"REDACTED-token-1\", REDACTED-token-3");
        assert_eq!(token(&mut replacer, "one", "token"), "REDACTED-token-2");
        assert_eq!(token(&mut replacer, "two", "token"), "REDACTED-token-4");
        assert_eq!(token(&mut replacer, "one", "authorization"), "REDACTED-token-2");
        assert_eq!(replacer.placeholders(), 2);
        assert!(!format!("{replacer:?}").contains("two"));
    }

    #[test]
    fn secrets_of_the_first_reading_are_known_in_the_second() {
        let mut replacer = FixtureReplacer::new(&[]);
        (&mut replacer.store()).replace(b"a-long-secret", &PlaceholderName::new("sid"), ValueFormat::Text);
        assert_eq!((&mut &mut replacer).find_known(b"see a-long-secret there"), vec![4..17; 1]);
        assert_eq!((&mut &mut replacer).replace_known(b"a-long-secret"), "REDACTED-sid-1");
        assert_eq!(token(&mut replacer, "a-long-secret", "token"), "REDACTED-sid-1");
    }

    #[test]
    fn configured_values_have_their_placeholder_alone() {
        let configured = [(Placeholder { name: PlaceholderName::new("password"), number: 1 }, "wrong".into())];
        let mut replacer = FixtureReplacer::new(&configured);
        assert_eq!(token(&mut replacer, "right", "password"), "REDACTED-password-2");
        assert_eq!(token(&mut replacer, "wrong", "pwd"), "REDACTED-password-1");
    }
}
