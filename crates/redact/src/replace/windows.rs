//! A reader that changes text on its way. Each change sees the whole text that it replaces, also across reads.

use std::io::{self, Read};

/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;

/// Bytes that are reserved for the first read. Most texts are shorter.
const FIRST_CHUNK: usize = 4 << 10;

/// A change of a text that is available window by window.
pub(crate) trait WindowFilter {
    /// Writes the changed beginning of a text to `out`. Returns the length of the text that it replaces. The rest comes
    /// again with more text behind it. The last window must be written completely.
    fn filter(&mut self, text: &[u8], is_last: bool, out: &mut Vec<u8>) -> usize;
}

/// Reads a stream through a filter.
pub(crate) struct WindowReader<R, F> {
    read: R,
    filter: F,
    /// Text that was read and not filtered.
    text: Vec<u8>,
    /// Filtered text.
    out: Vec<u8>,
    /// The length of the filtered text that the caller has read.
    consumed: usize,
    is_ended: bool,
}

impl<R: Read, F: WindowFilter> WindowReader<R, F> {
    pub(crate) fn new(read: R, filter: F) -> Self {
        WindowReader { read, filter, text: Vec::new(), out: Vec::new(), consumed: 0, is_ended: false }
    }

    fn filter_more(&mut self) -> io::Result<()> {
        self.text.reserve(if self.text.is_empty() { FIRST_CHUNK } else { CHUNK });
        let read = self.read.by_ref().take(CHUNK as u64).read_to_end(&mut self.text)?;
        self.is_ended = read < CHUNK;
        self.out.clear();
        self.consumed = 0;
        let filtered = self.filter.filter(&self.text, self.is_ended, &mut self.out);
        self.text.drain(..filtered);
        Ok(())
    }
}

impl<R: Read, F: WindowFilter> Read for WindowReader<R, F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.consumed == self.out.len() && !self.is_ended {
            self.filter_more()?;
        }
        let len = buf.len().min(self.out.len() - self.consumed);
        buf[..len].copy_from_slice(&self.out[self.consumed..self.consumed + len]);
        self.consumed += len;
        Ok(len)
    }
}
