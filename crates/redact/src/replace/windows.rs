//! A reader that replaces parts of a text on their way, also across reads.

use std::io::{self, Read};
use std::ops::Range;

use crate::splice::{Splice, write_spliced};
use harproxy_http::escape;

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
