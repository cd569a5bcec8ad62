//! What a recording does about secrets: its policy, the values it has found, and how much it may hold to look for more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;

use super::heads::{Fields, Told};
use harproxy_http::NormalUrl;
use harproxy_redact::{Glimpsed, Outcome, Policy, Redactor, Vault};

/// A payload is looked into as a whole up to this length, bytes, decoded; longer ones pass through a window.
pub const LOOKED_INTO: usize = 16 << 20;

/// All payloads together that are held for that, bytes.
const HELD: usize = 256 << 20;

/// What stands between the traffic and the journal. Shared by all connections.
#[derive(Debug)]
pub struct Screen {
    policy: Arc<Policy>,
    vault: Arc<Vault>,
    held: AtomicUsize,
    opaque: AtomicU64,
}

impl Screen {
    /// Nothing found yet.
    #[must_use]
    pub fn new(policy: Arc<Policy>, vault: Vault) -> Self {
        Screen { policy, vault: Arc::new(vault), held: AtomicUsize::new(0), opaque: AtomicU64::new(0) }
    }

    /// Whether everything passes as it is.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.policy.is_off()
    }

    /// The values found.
    #[must_use]
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// Gives away the clues to what was found since it was last done: see [`Vault::give_clues`].
    pub fn give_clues(&self, give: impl FnOnce(Told)) {
        self.vault.give_clues(|mark, clues| give(Told { mark, clues }));
    }

    /// The policy at work, giving markers.
    #[must_use]
    pub fn redactor(&self) -> Redactor<'_, &Vault> {
        Redactor::new(&self.policy, &self.vault)
    }

    /// Takes secrets out of the fields of a head, or trailers.
    #[must_use]
    pub fn fields(&self, mut fields: Fields) -> Fields {
        if !self.is_off() {
            self.redactor().headers(&mut fields.0);
        }
        fields
    }

    /// Takes secrets out of a URL.
    #[must_use]
    pub fn url(&self, url: NormalUrl) -> String {
        self.redactor().url(url.as_str()).unwrap_or_else(|| url.into())
    }

    /// Takes secrets out of a payload that is whole.
    #[must_use]
    pub fn payload(&self, content_type: &str, payload: &[u8]) -> Outcome {
        let outcome = self.redactor().payload(content_type, payload);
        if outcome == Outcome::Opaque {
            self.passed_opaque();
        }
        outcome
    }

    /// Glances at a piece of a JSON payload before it is looked into, where it is at hand.
    #[must_use]
    pub fn glimpsed(&self, piece: Bytes) -> Glimpsed<Bytes> {
        Glimpsed::new(piece, &self.policy)
    }

    /// Takes secrets out of a message.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        if self.is_off() {
            return text.to_owned();
        }
        String::from_utf8_lossy(&self.redactor().text(text.as_bytes())).into_owned()
    }

    /// A payload could not be looked into.
    pub fn passed_opaque(&self) {
        self.opaque.fetch_add(1, Ordering::Relaxed);
    }

    /// How many payloads could not be looked into.
    #[must_use]
    pub fn opaque(&self) -> u64 {
        self.opaque.load(Ordering::Relaxed)
    }
}

/// Bytes that one payload holds, of what all may hold together; given back when this is dropped.
#[derive(Debug)]
pub struct Hold {
    screen: Arc<Screen>,
    bytes: usize,
}

impl Hold {
    /// Holds nothing yet.
    #[must_use]
    pub fn new(screen: Arc<Screen>) -> Self {
        Hold { screen, bytes: 0 }
    }

    /// Whether so many more may be held.
    pub fn more(&mut self, bytes: usize) -> bool {
        let held = self.screen.held.fetch_add(bytes, Ordering::Relaxed);
        let fits = held + bytes <= HELD;
        if fits {
            self.bytes += bytes;
        } else {
            self.screen.held.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.screen.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_redact::marker::Run;

    #[test]
    fn url_and_payload_are_redacted_once_their_value_is_known() {
        let screen = Screen::new(Arc::default(), Vault::new(Run::random(), &[]));
        let text = br#"{"note":"s3cr3t-value"}"#;
        let url = || NormalUrl::parse("https://api.test/notes/s3cr3t-value").unwrap();
        assert_eq!(screen.payload("application/json", text), Outcome::Clean);
        assert_eq!(screen.url(url()), url().to_string());
        let mut fields = Fields::default();
        fields.0.push("authorization", "Bearer s3cr3t-value");
        assert_ne!(screen.fields(fields.clone()), fields);
        assert!(!screen.url(url()).contains("s3cr3t"));
        assert!(matches!(screen.payload("application/json", text), Outcome::Redacted(_)));
    }

    #[test]
    fn held_bytes_are_bounded_over_all_payloads_and_given_back() {
        let screen = Arc::new(Screen::new(Arc::default(), Vault::new(Run::random(), &[])));
        let (mut one, mut two) = (Hold::new(screen.clone()), Hold::new(screen.clone()));
        assert!(one.more(HELD - 10) && two.more(10) && !two.more(1));
        drop(one);
        assert!(two.more(HELD - 10) && !two.more(1));
        drop(two);
        assert_eq!(screen.held.load(Ordering::Relaxed), 0);
    }
}
