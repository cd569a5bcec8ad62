//! Replacements of parts of a text.

use std::ops::Range;

/// A replacement of a part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// The bytes that are replaced.
    pub range: Range<usize>,
    /// The new text.
    pub with: String,
}

impl Splice {
    /// Returns the splice for a text that contains this one at `offset`.
    #[must_use]
    pub fn shifted(self, offset: usize) -> Splice {
        Splice { range: self.range.start + offset..self.range.end + offset, with: self.with }
    }
}

/// Returns the splices for a text that contains this one at `offset`.
pub(super) fn shifted(splices: Vec<Splice>, offset: usize) -> impl Iterator<Item = Splice> {
    splices.into_iter().map(move |splice| splice.shifted(offset))
}

/// Applies splices, which are in order and do not overlap. `None` if there are none.
#[must_use]
pub fn apply_splices(text: &[u8], splices: &[Splice]) -> Option<Vec<u8>> {
    if splices.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut copied = 0;
    for Splice { range, with } in splices {
        out.extend_from_slice(text.get(copied..range.start).unwrap_or_default());
        out.extend_from_slice(with.as_bytes());
        copied = range.end.max(copied);
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    Some(out)
}
