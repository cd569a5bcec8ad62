//! Replaces markers and known secrets in the content of a journal by placeholders.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;

use harproxy_redact::{Known, Naming, Vault, known};

/// The placeholders of the secrets of a recording.
#[derive(Debug)]
pub struct SecretNames {
    /// Replaces markers by placeholders.
    pub naming: Naming,
    /// The secrets of this process's own recording, which are removed where they were journalled before they were known.
    vault: Option<Arc<Vault>>,
}

impl SecretNames {
    /// Creates names for a journal whose secrets are not known any more.
    #[must_use]
    pub fn new(naming: Naming) -> Self {
        SecretNames { naming, vault: None }
    }

    /// Adds the secrets of the recording.
    pub fn add_known(&mut self, vault: &Arc<Vault>) {
        self.vault = Some(vault.clone());
    }

    /// Whether the recording is known to have found no secret.
    #[must_use]
    pub fn found_none(&self) -> bool {
        self.vault.as_ref().is_some_and(|vault| vault.found() == 0)
    }

    /// Replaces the secrets in a text.
    pub fn redact_text(&mut self, text: String) -> String {
        let swept = match self.vault.as_ref().map(|vault| vault.swept(text.as_bytes())) {
            Some(Cow::Owned(swept)) => String::from_utf8(swept).ok(),
            _ => None,
        };
        self.naming.string(swept.unwrap_or(text))
    }

    /// Replaces the secrets in bytes.
    pub fn redact_bytes(&mut self, bytes: Bytes) -> Bytes {
        let swept = match self.vault.as_ref().map(|vault| vault.swept(&bytes)) {
            Some(Cow::Owned(swept)) => swept.into(),
            _ => bytes,
        };
        match self.naming.text(&swept) {
            Cow::Owned(named) => named.into(),
            Cow::Borrowed(_) => swept,
        }
    }

    /// Replaces the secrets in a stream. An opaque payload is not searched for known secrets.
    pub fn redact_stream<'a>(&'a mut self, read: &'a mut dyn Read, is_opaque: bool) -> Box<dyn Read + 'a> {
        match self.vault.as_deref().filter(|_| !is_opaque) {
            Some(vault) => Box::new(self.naming.reader(known::sweeper(vault, read))),
            None => Box::new(self.naming.reader(read)),
        }
    }
}
