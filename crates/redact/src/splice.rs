//! Replacements of parts of a text.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ops::Range;

/// A replacement of a part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    pub range: Range<usize>,
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
pub(crate) fn shifted(splices: Vec<Splice>, offset: usize) -> impl Iterator<Item = Splice> {
    splices.into_iter().map(move |splice| splice.shifted(offset))
}

/// Returns the splices of a part of a text, a subslice of it, as splices of the text.
pub(crate) fn of_part(text: &[u8], part: &[u8], splices: Vec<Splice>) -> impl Iterator<Item = Splice> + use<> {
    shifted(splices, (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize))
}

/// Applies splices, which are in order and do not overlap. `None` if there are none.
#[must_use]
pub fn apply_splices(text: &[u8], splices: &[Splice]) -> Option<Vec<u8>> {
    if splices.is_empty() {
        return None;
    }
    let mut out = Vec::new();
    write_spliced(text, 0..text.len(), splices, &mut out);
    Some(out)
}

/// Applies splices like [`apply_splices`], without a copy if there are none.
pub(crate) fn spliced<'t>(text: &'t [u8], splices: &[Splice]) -> Cow<'t, [u8]> {
    apply_splices(text, splices).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Writes a part of a text with splices, whose ranges are in the text.
pub(crate) fn write_spliced(text: &[u8], part: Range<usize>, splices: &[Splice], out: &mut Vec<u8>) {
    out.reserve(part.len());
    let mut copied = part.start;
    for Splice { range, with } in splices {
        out.extend_from_slice(text.get(copied..range.start).unwrap_or_default());
        out.extend_from_slice(with.as_bytes());
        copied = range.end.max(copied);
    }
    out.extend_from_slice(text.get(copied..part.end).unwrap_or_default());
}

/// Sorts matches by their position, and removes those that overlap an earlier or a longer one.
pub(crate) fn remove_overlaps<T>(found: &mut Vec<T>, range: impl Fn(&T) -> Range<usize>) {
    found.sort_by_key(|found| (range(found).start, Reverse(range(found).end)));
    let mut end = 0;
    found.retain(|found| {
        let is_separate = range(found).start >= end;
        end = if is_separate { range(found).end } else { end };
        is_separate
    });
}
