//! Replaces markers and known secrets in the content of a journal by placeholders.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;

use harproxy_redact::{PlaceholderAllocator, SecretStore};

#[derive(Debug)]
pub struct SecretNames {
    /// Replaces markers by placeholders.
    pub naming: PlaceholderAllocator,
    /// The secrets of a recording by this process. They are also removed where they were journalled before they were
    /// known.
    secrets: Option<Arc<SecretStore>>,
}

impl SecretNames {
    /// Creates names for the journal of another process, whose secrets are not known.
    #[must_use]
    pub fn new(naming: PlaceholderAllocator) -> Self {
        SecretNames { naming, secrets: None }
    }

    pub fn add_known(&mut self, secrets: &Arc<SecretStore>) {
        self.secrets = Some(secrets.clone());
    }

    /// Returns true if the recording is known to have found no secret.
    #[must_use]
    pub fn found_none(&self) -> bool {
        self.secrets.as_ref().is_some_and(|secrets| secrets.found() == 0)
    }

    pub fn redact_text(&mut self, text: String) -> String {
        let redacted = match self.secrets.as_ref().map(|secrets| secrets.redact_known(text.as_bytes())) {
            Some(Cow::Owned(redacted)) => String::from_utf8(redacted).ok(),
            _ => None,
        };
        self.naming.replace_markers_in_string(redacted.unwrap_or(text))
    }

    pub fn redact_bytes(&mut self, bytes: Bytes) -> Bytes {
        let redacted = match self.secrets.as_ref().map(|secrets| secrets.redact_known(&bytes)) {
            Some(Cow::Owned(redacted)) => redacted.into(),
            _ => bytes,
        };
        match self.naming.replace_markers(&redacted) {
            Cow::Owned(named) => named.into(),
            Cow::Borrowed(_) => redacted,
        }
    }

    /// Replaces the secrets in a stream. An opaque payload is not searched for known secrets.
    pub fn redact_stream<'a>(&'a mut self, read: &'a mut dyn Read, is_opaque: bool) -> Box<dyn Read + 'a> {
        match self.secrets.as_deref().filter(|_| !is_opaque) {
            Some(secrets) => Box::new(self.naming.replace_markers_in(secrets.redact_known_in(read))),
            None => Box::new(self.naming.replace_markers_in(read)),
        }
    }
}
