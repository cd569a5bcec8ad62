//! The secrets of one recording. They are kept in memory only.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::Replacer;
use super::marker::{self, Marker, RunId};
use super::placeholder::{self, Placeholder, PlaceholderName, ValueFormat};
use crate::find::known::spellings;
use crate::find::known::{KnownValues, MAX_LEN};
use crate::names::is_known_elsewhere;
use crate::splice::{Splice, WindowReader, spliced};

/// The secrets of one recording, shared by its connections. `&SecretStore` is the [`Replacer`] that writes markers.
///
/// A secret that was found at a named place is known from then on in any text.
pub struct SecretStore {
    run: RunId,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The secrets by all their spellings.
    secrets: HashMap<Box<[u8]>, StoredSecret>,
    known: KnownValues,
    /// The number of the last secret.
    last: u64,
    /// The number of secrets that `[redact.values]` defines.
    configured: u64,
    /// The approximate memory of the learned secrets, bytes.
    learned_bytes: usize,
}

/// The memory of the secrets that [`SecretStore::learn`] keeps, bytes. Further ones are not kept.
const MAX_LEARNED: usize = 64 << 20;
/// The approximate memory of a secret beside its bytes.
const SECRET_OVERHEAD: usize = 256;

#[derive(Clone)]
struct StoredSecret {
    number: u64,
    /// The name of the place where it was found first.
    name: PlaceholderName,
    format: ValueFormat,
    /// The placeholder that `[redact.values]` defines.
    configured: Option<Placeholder>,
}

impl SecretStore {
    /// Creates the store of a recording with the values of `[redact.values]`.
    #[must_use]
    pub fn new(run: RunId, configured: &[(Placeholder, Secret)]) -> Self {
        let mut inner = Inner::default();
        for (placeholder, value) in configured.iter().filter(|(_, value)| !value.reveal().is_empty()) {
            let name = placeholder.name.clone();
            inner.insert(value.reveal().as_bytes(), name, ValueFormat::Text, Some(placeholder.clone()));
        }
        inner.configured = inner.last;
        SecretStore { run, inner: RwLock::new(inner) }
    }

    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Returns how many different secrets were found, without those of `[redact.values]`.
    #[must_use]
    pub fn found(&self) -> u64 {
        let inner = self.read();
        inner.last - inner.configured
    }

    /// Returns name and format of the place where a known secret was found first.
    #[must_use]
    pub fn first_place(&self, secret: &[u8]) -> Option<(PlaceholderName, ValueFormat)> {
        self.read().secrets.get(secret).map(|known| (known.name.clone(), known.format))
    }

    /// Remembers a secret for [`SecretStore::redact_for_display`], unless too many are remembered.
    pub(crate) fn learn(&self, secret: &[u8], name: &PlaceholderName, format: ValueFormat) {
        let is_known = |inner: &Inner| inner.secrets.contains_key(secret) || inner.learned_bytes >= MAX_LEARNED;
        if is_known(&self.read()) {
            return;
        }
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        // Another connection may have added it meanwhile.
        if !is_known(&inner) {
            inner.learned_bytes += SECRET_OVERHEAD + 4 * secret.len();
            inner.insert(secret, name.clone(), format, None);
        }
    }

    /// Replaces known secrets by `REDACTED-` and their name, for people.
    pub fn redact_for_display<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let inner = self.read();
        let known = inner.known.find(text, 0..text.len()).into_iter();
        let by_name = |range: Range<usize>| Splice { with: inner.display_name(&text[range.clone()]), range };
        spliced(text, &known.map(by_name).collect::<Vec<_>>())
    }

    /// Returns the text that stands for a known secret when it is shown.
    pub(crate) fn display_name(&self, secret: &[u8]) -> String {
        self.read().display_name(secret)
    }

    pub(crate) fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        self.read().known.find(text, 0..text.len())
    }

    /// Replaces known secrets in a text that was journalled before they were known.
    #[must_use]
    pub fn redact_known<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        spliced(text, &self.known_splices(text, 0..text.len()))
    }

    /// Replaces known secrets in a stream: see [`SecretStore::redact_known`].
    pub fn redact_known_in<'s, R: Read + 's>(&'s self, read: R) -> impl Read + 's {
        let longest = self.read().known.longest.max(marker::MAX_LEN);
        WindowReader::new(read, longest, |text, range| self.known_splices(text, range))
    }

    /// Replaces the known secrets that begin in a range of a text.
    fn known_splices(&self, text: &[u8], range: Range<usize>) -> Vec<Splice> {
        let inner = self.read();
        let marker = |range: Range<usize>| Splice { with: inner.write_known(&text[range.clone()], self.run), range };
        inner.known.find(text, range).into_iter().map(marker).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replacer for &SecretStore {
    fn replace(&mut self, secret: &[u8], name: &PlaceholderName, format: ValueFormat) -> String {
        let known = self.read().secrets.get(secret).cloned();
        let known = known.unwrap_or_else(|| {
            let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
            // Another connection may have added it meanwhile.
            let known = inner.secrets.get(secret).cloned();
            known.unwrap_or_else(|| inner.insert(secret, name.clone(), format, None))
        });
        known.write(name, format, self.run)
    }

    fn find_known(&mut self, text: &[u8]) -> Vec<Range<usize>> {
        self.find(text)
    }

    fn replace_known(&mut self, secret: &[u8]) -> String {
        self.read().write_known(secret, self.run)
    }
}

/// Prints no secrets.
impl fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretStore (redacted)")
    }
}

impl Inner {
    /// Adds a secret in all spellings that are not known yet.
    fn insert(
        &mut self,
        value: &[u8],
        name: PlaceholderName,
        format: ValueFormat,
        configured: Option<Placeholder>,
    ) -> StoredSecret {
        self.last += 1;
        let secret = StoredSecret { number: self.last, name, format, configured };
        let all = if value.len() > MAX_LEN { vec![(value.into(), format)] } else { spellings(value, format) };
        let is_known = is_known_elsewhere(secret.name.as_str(), value);
        for (spelling, format) in all {
            if !self.secrets.contains_key(&spelling) {
                if is_known {
                    self.known.insert(&spelling);
                }
                self.secrets.insert(spelling, StoredSecret { format, ..secret.clone() });
            }
        }
        secret
    }

    fn display_name(&self, secret: &[u8]) -> String {
        let name = self.secrets.get(secret).map(|known| known.name.to_string()).unwrap_or_default();
        format!("{}{name}", placeholder::PREFIX)
    }

    fn write_known(&self, secret: &[u8], run: RunId) -> String {
        let known = self.secrets.get(secret);
        known.map(|known| known.write(&known.name, known.format, run)).unwrap_or_default()
    }
}

impl StoredSecret {
    /// Writes the marker, or the configured placeholder if the format has space for its name.
    fn write(&self, name: &PlaceholderName, format: ValueFormat, run: RunId) -> String {
        match &self.configured {
            Some(placeholder) if format.shared_name().is_none() => format.write(placeholder),
            _ => Marker { number: self.number, format, name: name.clone() }.write(run),
        }
    }
}

/// A secret from the configuration. `Debug` prints it as `(redacted)`.
///
/// ```
/// use harproxy_redact::Secret;
/// let secret = Secret::from("t0k3n");
/// assert_eq!(format!("{secret:?}"), "(redacted)");
/// assert_eq!(secret.reveal(), "t0k3n");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Returns the value itself, which must not be printed.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Box<str>>> From<T> for Secret {
    fn from(value: T) -> Self {
        Secret(value.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const SECRET: &[u8] = b"s3cr3t-value/1";

    fn store() -> SecretStore {
        SecretStore::new(RunId::random(), &[])
    }

    fn token(store: &SecretStore, secret: &[u8]) -> String {
        (&mut &*store).replace(secret, &PlaceholderName::new("token"), ValueFormat::Text)
    }

    fn redacted(store: &SecretStore, text: &str) -> String {
        String::from_utf8(store.redact_known(text.as_bytes()).into_owned()).unwrap()
    }

    fn numbers(store: &SecretStore, text: &str) -> Vec<u64> {
        marker::find(text.as_bytes(), store.run()).map(|found| found.1.number).collect()
    }

    #[test]
    fn equal_values_have_one_number_in_every_place_and_format() {
        let store = store();
        let one = token(&store, SECRET);
        let two = (&mut &store).replace(SECRET, &PlaceholderName::new("authorization"), ValueFormat::Base64);
        let other = token(&store, b"another-one");
        assert_eq!(numbers(&store, &format!("{one} {two} {other}")), [1, 1, 2]);
        assert_eq!(store.found(), 2);
        assert_eq!(numbers(&store, &token(&store, b"s3cr3t-value%2F1")), [1]);
    }

    #[test]
    fn secrets_are_known_in_every_spelling() {
        let store = store();
        let marker = token(&store, SECRET);
        for (text, is_known) in [
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
            assert_eq!(redacted(&store, text).contains(&marker), is_known, "{text}");
        }
    }

    #[test]
    fn known_secrets_are_displayed_by_name() {
        let store = store();
        token(&store, SECRET);
        let display = |text: &str| String::from_utf8(store.redact_for_display(text.as_bytes()).into_owned()).unwrap();
        assert_eq!(display("https://a.test/é/s3cr3t-value%2F1/x"), "https://a.test/é/REDACTED-token/x");
        assert_eq!(display("https://a.test/x"), "https://a.test/x");
    }

    #[test]
    fn learned_secrets_are_bounded() {
        let store = store();
        store.learn(SECRET, &PlaceholderName::new("token"), ValueFormat::Text);
        store.inner.write().unwrap().learned_bytes = MAX_LEARNED;
        store.learn(b"another-value", &PlaceholderName::new("token"), ValueFormat::Text);
        let shown = store.redact_for_display(b"s3cr3t-value/1 another-value").into_owned();
        assert_eq!(String::from_utf8(shown).unwrap(), "REDACTED-token another-value");
    }

    #[test]
    fn markers_and_placeholders_are_not_redacted_again() {
        let store = store();
        token(&store, b"secret-key");
        let marker = (&mut &store).replace(SECRET, &PlaceholderName::new("x-secret-key"), ValueFormat::Text);
        for text in [marker, "REDACTED-x-secret-key-1".to_owned(), "\"REDACTED-secret-key-2\"".to_owned()] {
            assert_eq!(redacted(&store, &text), text);
        }
    }

    #[test]
    fn configured_values_have_their_configured_placeholder() {
        let placeholder = Placeholder { name: PlaceholderName::new("password"), number: 2 };
        let store = SecretStore::new(RunId::random(), &[(placeholder, "pw-2-long-enough".into())]);
        let replacement = (&mut &store).replace(b"pw-2-long-enough", &PlaceholderName::new("pwd"), ValueFormat::Text);
        assert_eq!(replacement, "REDACTED-password-2");
        assert_eq!(redacted(&store, "pw-2-long-enough"), "REDACTED-password-2");
        assert_eq!(store.found(), 0);
    }

    #[test]
    fn stream_is_redacted_like_its_text() {
        let store = store();
        token(&store, SECRET);
        let text: String = (0..9000).map(|n| format!("{}s3cr3t-value/1{} ", "x".repeat(n % 7 / 6), n % 3)).collect();
        let text = text.replace("10 ", "1 ");
        let mut streamed = Vec::new();
        store.redact_known_in(text.as_bytes()).read_to_end(&mut streamed).unwrap();
        assert_eq!(String::from_utf8(streamed).unwrap(), redacted(&store, &text));
    }

    #[test]
    fn debug_output_has_no_secrets() {
        let store = store();
        token(&store, SECRET);
        assert_eq!(format!("{store:?}"), "SecretStore (redacted)");
    }
}
