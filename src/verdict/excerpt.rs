//! Payloads as reports show them: decoded, and cut to a maximum length.

use std::collections::HashSet;
use std::io::Read;

use bytes::Bytes;

use harproxy_har::Payload;

/// The beginning of a decoded payload, or all of it.
#[derive(Clone, Debug, Default)]
pub struct PayloadExcerpt {
    pub mime_type: String,
    pub bytes: Bytes,
    pub size: u64,
}

impl PayloadExcerpt {
    /// The maximum length of an excerpt in bytes.
    pub const MAX_LENGTH: usize = 256 * 1024;

    #[must_use]
    pub fn of(mime_type: impl Into<String>, payload: &[u8]) -> Self {
        let bytes = Bytes::copy_from_slice(&payload[..payload.len().min(PayloadExcerpt::MAX_LENGTH)]);
        PayloadExcerpt { mime_type: mime_type.into(), bytes, size: payload.len() as u64 }
    }

    /// The beginning of a stored payload; `None` if it is empty or can't be read. If the budget is used up, the excerpt
    /// has the size and no bytes.
    pub(super) fn read(mime_type: &str, payload: &Payload, budget: &mut ExcerptBudget) -> Option<Self> {
        let excerpt = match payload {
            Payload::Empty | Payload::NotRecorded => return None,
            _ if budget.left == 0 => PayloadExcerpt { size: payload.len(), ..PayloadExcerpt::of(mime_type, &[]) },
            Payload::Bytes(bytes) => PayloadExcerpt::of(mime_type, bytes),
            Payload::File(file) => {
                let mut bytes = Vec::new();
                payload.reader().ok()?.take(PayloadExcerpt::MAX_LENGTH as u64).read_to_end(&mut bytes).ok()?;
                PayloadExcerpt { mime_type: mime_type.to_owned(), bytes: bytes.into(), size: file.len }
            }
        };
        let bytes = budget.share(excerpt.bytes);
        Some(PayloadExcerpt { bytes, ..excerpt })
    }

    /// Returns true if the payload is longer than the excerpt.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        (self.bytes.len() as u64) < self.size
    }
}

/// Limits the memory of excerpts. Equal excerpts share their bytes.
#[derive(Debug)]
pub struct ExcerptBudget {
    left: usize,
    kept: HashSet<Bytes>,
}

impl ExcerptBudget {
    #[must_use]
    pub fn of(bytes: usize) -> Self {
        ExcerptBudget { left: bytes, kept: HashSet::new() }
    }

    fn share(&mut self, bytes: Bytes) -> Bytes {
        if let Some(equal) = self.kept.get(&bytes) {
            return equal.clone();
        }
        self.left = self.left.saturating_sub(bytes.len());
        self.kept.insert(bytes.clone());
        bytes
    }
}
