//! A copy of the files of a fixture in memory, so that a write to them does not change a running replay.

use std::collections::HashMap;

use bytes::Bytes;

use super::window::Span;

/// The text and payload files of a fixture, as far as they fit the memory budget.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) text: Option<Vec<u8>>,
    /// Payload files as stored, by name.
    pub(crate) payloads: HashMap<String, Bytes>,
}

impl Snapshot {
    /// The bytes of a range of the HAR, if its text is in memory.
    pub(crate) fn text(&self, span: Span) -> Option<&[u8]> {
        let from = usize::try_from(span.offset).ok()?;
        self.text.as_ref()?.get(from..from.checked_add(usize::try_from(span.len).ok()?)?)
    }
}
