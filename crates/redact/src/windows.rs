//! Streams that pass through a change of their text which needs to see the whole of what it changes.

use std::io::{self, Read};

/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;

/// Bytes that most texts have less of.
const FIRST: usize = 4 << 10;

/// What is done to a text, window by window.
pub trait Window {
    /// Puts out what is settled of the text and says how much of it that was; the rest comes again with more behind it. Of
    /// the `last` all has to be settled.
    fn settle(&mut self, text: &[u8], last: bool, out: &mut Vec<u8>) -> usize;
}

/// A stream with something done to it.
pub struct Windows<R, W> {
    read: R,
    window: W,
    /// Read and not settled.
    text: Vec<u8>,
    /// Settled, from `given` on not read yet.
    out: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R: Read, W: Window> Windows<R, W> {
    /// `read` with what `window` does to it.
    pub fn new(read: R, window: W) -> Self {
        Windows { read, window, text: Vec::new(), out: Vec::new(), given: 0, ended: false }
    }

    fn more(&mut self) -> io::Result<()> {
        // What a short text needs and no more: most are, and all that is reserved here is reserved for each of them.
        self.text.reserve(if self.text.is_empty() { FIRST } else { PIECE });
        let read = self.read.by_ref().take(PIECE as u64).read_to_end(&mut self.text)?;
        self.ended = read < PIECE;
        self.out.clear();
        self.given = 0;
        let settled = self.window.settle(&self.text, self.ended, &mut self.out);
        self.text.drain(..settled);
        Ok(())
    }
}

impl<R: Read, W: Window> Read for Windows<R, W> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.given == self.out.len() && !self.ended {
            self.more()?;
        }
        let given = buf.len().min(self.out.len() - self.given);
        buf[..given].copy_from_slice(&self.out[self.given..self.given + given]);
        self.given += given;
        Ok(given)
    }
}
