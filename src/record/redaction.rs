//! Redaction while recording: the policy, the secrets found so far, and the memory that payloads may take until they
//! are redacted. All connections share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::journal::heads::HeaderFields;
use harproxy_compare::INSPECTED_BYTES;
use harproxy_http::NormalUrl;
use harproxy_redact::{PayloadRedaction, Policy, Redactor, SecretStore};

/// Payloads up to this length, bytes decoded, are redacted as a whole. Longer ones are redacted piece by piece.
pub const MAX_WHOLE: usize = INSPECTED_BYTES as usize;

/// Memory of all collected payloads together, bytes.
const MAX_RESERVED: usize = 256 << 20;

/// The memory that a payload takes until it is redacted, given back on drop.
pub type MemoryReservation = Option<OwnedSemaphorePermit>;

/// Redacts everything that goes into the journal of one recording.
#[derive(Debug)]
pub struct RecordingRedactor {
    policy: Arc<Policy>,
    secrets: Arc<SecretStore>,
    /// A permit for each byte that collected payloads may still take.
    memory: Arc<Semaphore>,
    opaque: AtomicU64,
}

impl RecordingRedactor {
    /// Creates a redactor that adds the secrets it finds to `secrets`.
    #[must_use]
    pub fn new(policy: Arc<Policy>, secrets: SecretStore) -> Self {
        let memory = Arc::new(Semaphore::new(MAX_RESERVED));
        RecordingRedactor { policy, secrets: Arc::new(secrets), memory, opaque: AtomicU64::new(0) }
    }

    /// Whether nothing is redacted (`--no-redact`).
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.policy.is_off()
    }

    /// The secrets found so far.
    #[must_use]
    pub fn secrets(&self) -> &Arc<SecretStore> {
        &self.secrets
    }

    /// A redactor that replaces secrets by markers of this recording.
    #[must_use]
    pub fn redactor(&self) -> Redactor<'_> {
        Redactor::new(&self.policy, &*self.secrets)
    }

    /// Redacts the fields of a head, or trailers.
    #[must_use]
    pub fn redact_fields(&self, mut fields: HeaderFields) -> HeaderFields {
        self.redactor().redact_headers(&mut fields.0);
        fields
    }

    #[must_use]
    pub fn redact_url(&self, url: NormalUrl) -> String {
        self.redactor().redact_url(url.as_str()).unwrap_or_else(|| url.into())
    }

    /// Redacts a decoded payload that is complete. Counts it if it is opaque.
    #[must_use]
    pub fn redact_payload(&self, content_type: &str, payload: &[u8]) -> PayloadRedaction {
        let outcome = self.redactor().redact_payload(content_type, payload);
        if outcome == PayloadRedaction::Opaque {
            self.count_opaque();
        }
        outcome
    }

    #[must_use]
    pub fn redact_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.redactor().redact_text(text.as_bytes())).into_owned()
    }

    /// Adds memory for `bytes` of a collected payload to its reservation. Returns false if all payloads together would
    /// take more than 256 MiB.
    #[must_use]
    pub fn try_reserve(&self, bytes: usize, reservation: &mut MemoryReservation) -> bool {
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(more) = self.memory.clone().try_acquire_many_owned(permits) else { return false };
        match reservation {
            Some(reservation) => reservation.merge(more),
            None => *reservation = Some(more),
        }
        true
    }

    /// Counts a payload that is stored unredacted because its format is not text.
    pub fn count_opaque(&self) {
        self.opaque.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of opaque payloads.
    #[must_use]
    pub fn opaque_payloads(&self) -> u64 {
        self.opaque.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_redact::RunId;

    fn redactor() -> RecordingRedactor {
        RecordingRedactor::new(Arc::default(), SecretStore::new(RunId::random(), &[]))
    }

    #[test]
    fn url_and_payload_are_redacted_once_their_value_is_known() {
        let redactor = redactor();
        let text = br#"{"note":"s3cr3t-value"}"#;
        let url = || NormalUrl::parse("https://api.test/notes/s3cr3t-value").unwrap();
        assert_eq!(redactor.redact_payload("application/json", text), PayloadRedaction::Clean);
        assert_eq!(redactor.redact_url(url()), url().to_string());
        let mut fields = HeaderFields::default();
        fields.0.push("authorization", "Bearer s3cr3t-value");
        assert_ne!(redactor.redact_fields(fields.clone()), fields);
        assert!(!redactor.redact_url(url()).contains("s3cr3t"));
        assert!(matches!(redactor.redact_payload("application/json", text), PayloadRedaction::Redacted(_)));
    }

    #[test]
    fn reserved_bytes_are_bounded_over_all_payloads_and_released_on_drop() {
        let redactor = redactor();
        let (mut one, mut two) = (None, None);
        assert!(redactor.try_reserve(MAX_RESERVED - 10, &mut one) && redactor.try_reserve(10, &mut two));
        assert!(!redactor.try_reserve(1, &mut two));
        drop(one);
        assert!(redactor.try_reserve(MAX_RESERVED - 10, &mut two) && !redactor.try_reserve(1, &mut two));
        drop(two);
        assert_eq!(redactor.memory.available_permits(), MAX_RESERVED);
    }
}
