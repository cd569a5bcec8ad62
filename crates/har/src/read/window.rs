//! A sliding window over the text of a HAR, from which whole JSON values are parsed.
//!
//! The window grows only for a value that is larger than it, so memory depends on the largest entry and not on the
//! file.

use std::io;

use serde::de::DeserializeOwned;

use crate::store::text_store::TextStore;

pub(crate) const CHUNK: usize = 256 * 1024;

/// The byte range of a value in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// The offset of its first byte.
    pub(crate) offset: u64,
    /// Its length in bytes.
    pub(crate) len: u64,
    /// The line of its first byte, from 1.
    pub(crate) line: usize,
}

/// An error that ends the scan.
#[derive(Debug)]
pub(crate) enum ScanError {
    Io(io::Error),
    /// The text is not JSON, or not the expected JSON.
    Syntax {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
        /// The description for the user.
        reason: String,
    },
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        ScanError::Io(error)
    }
}

/// The window and its position.
pub(crate) struct Window<'a> {
    store: &'a TextStore,
    buf: Vec<u8>,
    /// The number of bytes of `buf` that are text.
    filled: usize,
    /// The index of the next byte in `buf`.
    at: usize,
    /// The offset of `buf[0]` in the text.
    base: u64,
    line: usize,
    /// The offset of the first byte of `line`.
    line_start: u64,
    ended: bool,
}

impl<'a> Window<'a> {
    pub(crate) fn new(store: &'a TextStore) -> Self {
        Window { store, buf: vec![0; CHUNK], filled: 0, at: 0, base: 0, line: 1, line_start: 0, ended: false }
    }

    /// Skips the first `n` bytes, a small prefix.
    pub(crate) fn skip(&mut self, n: u64) -> Result<(), ScanError> {
        self.fill()?;
        self.advance(usize::try_from(n).unwrap_or(usize::MAX).min(self.filled));
        Ok(())
    }

    /// The next byte that is not white space, without taking it. `None` at the end.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, ScanError> {
        loop {
            let rest = &self.buf[self.at..self.filled];
            if let Some(skip) = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
                let byte = rest[skip];
                self.advance(skip);
                return Ok(Some(byte));
            }
            self.advance(self.filled - self.at);
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Takes the byte that [`Window::peek`] returned.
    pub(crate) fn take(&mut self) {
        self.advance(1);
    }

    /// Takes `wanted`, or returns an error if the next byte is another one.
    pub(crate) fn expect(&mut self, wanted: u8) -> Result<(), ScanError> {
        match self.peek()? {
            Some(byte) if byte == wanted => {
                self.take();
                Ok(())
            }
            found => Err(self.unexpected(found, &format!("`{}`", char::from(wanted)))),
        }
    }

    /// Takes the comma or `close` after an item. Returns true for a comma, and an error with `wanted` for another byte.
    pub(crate) fn next_item(&mut self, close: u8, wanted: &str) -> Result<bool, ScanError> {
        match self.peek()? {
            Some(byte) if byte == b',' || byte == close => {
                self.take();
                Ok(byte == b',')
            }
            found => Err(self.unexpected(found, wanted)),
        }
    }

    /// The error for a byte other than `wanted`.
    pub(crate) fn unexpected(&self, found: Option<u8>, wanted: &str) -> ScanError {
        let found = match found {
            None => "the end of the file".to_owned(),
            Some(byte @ 0x21..=0x7e) => format!("`{}`", char::from(byte)),
            Some(byte) => format!("byte 0x{byte:02x}"),
        };
        self.syntax(format!("expected {wanted}, found {found}"))
    }

    /// An error at the current position.
    pub(crate) fn syntax(&self, reason: String) -> ScanError {
        ScanError::Syntax { line: self.line, column: self.column(), reason }
    }

    /// The current line, from 1.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// The empty span at the current position.
    pub(crate) fn start(&self) -> Span {
        Span { offset: self.base + self.at as u64, len: 0, line: self.line }
    }

    /// The span from `start` to the current position.
    pub(crate) fn since(&self, start: Span) -> Span {
        Span { len: self.start().offset - start.offset, ..start }
    }

    /// Parses and takes one whole JSON value.
    pub(crate) fn value<T: DeserializeOwned>(&mut self) -> Result<(T, Span), ScanError> {
        if self.peek()?.is_none() {
            return Err(self.unexpected(None, "a value"));
        }
        loop {
            let rest = &self.buf[self.at..self.filled];
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<T>();
            match values.next() {
                // A number at the end of the window may continue behind it.
                Some(Ok(value)) if self.ended || values.byte_offset() < rest.len() => {
                    let len = values.byte_offset();
                    let span = Span { offset: self.base + self.at as u64, len: len as u64, line: self.line };
                    self.advance(len);
                    return Ok((value, span));
                }
                Some(Err(error)) if self.ended || !(error.is_eof() || is_at_end(&error, rest)) => {
                    return Err(self.parse_error(&error));
                }
                _ => {
                    self.fill()?;
                }
            }
        }
    }

    /// Takes the whole text if it is `null` or an empty array.
    pub(crate) fn take_if_empty(&mut self) -> Result<bool, ScanError> {
        let is_empty = match serde_json::from_slice(&self.buf[self.at..self.filled]) {
            Ok(serde_json::Value::Null) => true,
            Ok(serde_json::Value::Array(items)) => items.is_empty(),
            _ => false,
        };
        if is_empty {
            self.advance(self.filled - self.at);
        }
        Ok(is_empty && self.peek()?.is_none())
    }

    /// Parses a value that was skipped before, if it has at most 16 MiB.
    pub(crate) fn reparse(&self, span: Span) -> Option<serde_json::Value> {
        let json = (span.len <= 16 << 20).then(|| self.store.range(span.offset, span.len))?;
        serde_json::from_slice(&json.ok()?).ok()
    }

    fn parse_error(&self, error: &serde_json::Error) -> ScanError {
        let (line, column) = match error.line() {
            0 | 1 => (self.line, self.column() + error.column().saturating_sub(1)),
            below => (self.line + below - 1, error.column()),
        };
        let text = error.to_string();
        let reason = text.rsplit_once(" at line ").map_or(&*text, |(reason, _)| reason).to_owned();
        ScanError::Syntax { line, column, reason }
    }

    fn column(&self) -> usize {
        usize::try_from(self.base + self.at as u64 - self.line_start).unwrap_or(usize::MAX) + 1
    }

    fn advance(&mut self, n: usize) {
        let passed = &self.buf[self.at..self.at + n];
        let breaks = memchr::memchr_iter(b'\n', passed).count();
        if breaks > 0 {
            self.line += breaks;
            let last = memchr::memrchr(b'\n', passed).unwrap_or_default();
            self.line_start = self.base + (self.at + last) as u64 + 1;
        }
        self.at += n;
    }

    /// Reads more text into the window. False at the end of the text.
    fn fill(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.buf.copy_within(self.at..self.filled, 0);
        self.base += self.at as u64;
        self.filled -= self.at;
        self.at = 0;
        if self.filled > self.buf.len() / 2 {
            self.buf.resize(self.buf.len() * 2, 0);
        }
        let n = self.store.read_at(self.base + self.filled as u64, &mut self.buf[self.filled..])?;
        self.filled += n;
        self.ended = n == 0;
        Ok(n > 0)
    }
}

/// True if the error is at the last byte. The parser reports a number that is cut after its sign, point or `e` as
/// invalid and not as incomplete.
fn is_at_end(error: &serde_json::Error, text: &[u8]) -> bool {
    let last = memchr::memrchr(b'\n', text).map_or(0, |at| at + 1);
    error.column() == text.len() - last && error.line() == memchr::memchr_iter(b'\n', text).count() + 1
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;
    use serde_json::Value;
    use serde_json::value::RawValue;

    use super::*;

    const JSON: &str = "{\"n\": [-1, -12.5, 1.25e-3, -0.5E+10, 0],\n \"é\": \"a\\u00e9\\ud83d\\ude00\\n\", \"t\": [true, false, null, {\"x\": -7}]}";

    #[test]
    fn value_is_parsed_whole_when_the_window_ends_inside_it() {
        for cut in 0..=JSON.len() {
            let text = format!("{}{JSON}\n-1", " ".repeat(CHUNK - cut));
            let store = TextStore::Memory(text.into_bytes());
            let (value, span) =
                Window::new(&store).value::<Value>().unwrap_or_else(|stop| panic!("after {cut} bytes: {stop:?}"));
            assert_eq!(
                (value, span.len),
                (serde_json::from_str(JSON).unwrap(), JSON.len() as u64),
                "after {cut} bytes"
            );
            assert!(Window::new(&store).value::<IgnoredAny>().is_ok(), "skipped, after {cut} bytes");
            assert_eq!(Window::new(&store).value::<Box<RawValue>>().unwrap().0.get(), JSON, "raw, after {cut} bytes");
        }
    }

    #[test]
    fn invalid_number_is_reported_at_its_position_without_growing_the_window() {
        for (text, column) in [("-x", 2), ("1.x", 3), ("1e+x", 4), ("-", 1), ("[1,\n-", 1)] {
            for cut in 1..=text.len() {
                let padding = CHUNK - cut;
                let rest = if text.ends_with('x') { " ".repeat(2 * CHUNK) } else { String::new() };
                let store = TextStore::Memory(format!("{}{text}{rest}", " ".repeat(padding)).into_bytes());
                let mut window = Window::new(&store);
                let Err(ScanError::Syntax { line, column: reported, .. }) = window.value::<Value>() else {
                    panic!("{text} is accepted")
                };
                let wanted = if text.contains('\n') { (2, column) } else { (1, padding + column) };
                assert_eq!((line, reported), wanted, "{text} after {cut} bytes");
                assert!(window.buf.len() <= 2 * CHUNK, "{text} after {cut} bytes");
            }
        }
    }
}
