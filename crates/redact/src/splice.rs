//! Replacements of parts of a text, and a reader that applies them to a stream, also across reads.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::io::{self, Read};
use std::ops::Range;

use harproxy_http::escape;

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

/// Returns the splices of a part of a text, a subslice of it, as splices of the text.
pub(crate) fn of_part(text: &[u8], part: &[u8], splices: Vec<Splice>) -> impl Iterator<Item = Splice> + use<> {
    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    splices.into_iter().map(move |splice| splice.shifted(offset))
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

/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;

/// Reads a stream with replacements.
///
/// `find` gets a window of the text and returns the splices that begin in a range of it. They may end behind the range.
/// Before the range are the bytes that decide whether a word begins with it.
pub(crate) struct WindowReader<R, F> {
    read: R,
    find: F,
    /// The number of bytes behind the range that `find` needs.
    lookahead: usize,
    text: Vec<u8>,
    /// The length of the text that is done.
    done: usize,
    out: Vec<u8>,
    /// The length of the new text that the caller has read.
    consumed: usize,
    is_ended: bool,
}

impl<R: Read, F: FnMut(&[u8], Range<usize>) -> Vec<Splice>> WindowReader<R, F> {
    pub(crate) fn new(read: R, lookahead: usize, find: F) -> Self {
        let (text, out) = (Vec::new(), Vec::new());
        WindowReader { read, find, lookahead, text, done: 0, out, consumed: 0, is_ended: false }
    }

    fn replace_more(&mut self) -> io::Result<()> {
        self.is_ended = self.read.by_ref().take(CHUNK as u64).read_to_end(&mut self.text)? < CHUNK;
        self.out.clear();
        self.consumed = 0;
        let len = self.text.len();
        let until = if self.is_ended { len } else { len.saturating_sub(self.lookahead).max(self.done) };
        let splices = (self.find)(&self.text, self.done..until);
        let done = splices.last().map_or(until, |last| last.range.end.max(until));
        write_spliced(&self.text, self.done..done, &splices, &mut self.out);
        self.text.drain(..done.saturating_sub(escape::LONGEST));
        self.done = done.min(escape::LONGEST);
        Ok(())
    }
}

impl<R: Read, F: FnMut(&[u8], Range<usize>) -> Vec<Splice>> Read for WindowReader<R, F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.consumed == self.out.len() && !self.is_ended {
            self.replace_more()?;
        }
        let len = (&self.out[self.consumed..]).read(buf)?;
        self.consumed += len;
        Ok(len)
    }
}
