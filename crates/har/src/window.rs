//! A window that slides over a HAR's text: one pass, in chunks, of which the parser sees whole JSON values.
//!
//! The window grows only when a single value is larger than it, so memory follows the largest entry, not the file.

use std::io;

use serde::de::DeserializeOwned;

use super::store::Store;

pub(super) const CHUNK: usize = 256 * 1024;

/// Where a value stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Its first byte.
    pub(super) offset: u64,
    /// Its length in bytes.
    pub(super) len: u64,
    /// The line of its first byte, from 1.
    pub(super) line: usize,
}

/// What stops the pass.
#[derive(Debug)]
pub(super) enum Stop {
    /// Reading failed.
    Io(io::Error),
    /// The text is not JSON, or not the JSON that stands here.
    Syntax {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
        /// What is wrong.
        reason: String,
    },
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Io(error)
    }
}

/// The window and where it stands.
pub(super) struct Window<'a> {
    store: &'a Store,
    buf: Vec<u8>,
    /// Bytes of `buf` that are text.
    filled: usize,
    /// The next byte, in `buf`.
    at: usize,
    /// The offset of `buf[0]` in the text.
    base: u64,
    line: usize,
    /// Offset of the first byte of `line`.
    line_start: u64,
    ended: bool,
}

impl<'a> Window<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Window { store, buf: vec![0; CHUNK], filled: 0, at: 0, base: 0, line: 1, line_start: 0, ended: false }
    }

    /// Passes over the first `n` bytes, a small prefix.
    pub(super) fn skip(&mut self, n: u64) -> Result<(), Stop> {
        self.fill()?;
        self.advance(usize::try_from(n).unwrap_or(usize::MAX).min(self.filled));
        Ok(())
    }

    /// The next byte that is not white space, without taking it; `None` at the end.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, Stop> {
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

    /// Takes the byte that [`Window::peek`] showed.
    pub(super) fn take(&mut self) {
        self.advance(1);
    }

    /// Takes `wanted`, or says that something else stands here.
    pub(super) fn expect(&mut self, wanted: u8) -> Result<(), Stop> {
        match self.peek()? {
            Some(byte) if byte == wanted => {
                self.take();
                Ok(())
            }
            found => Err(self.unexpected(found, &format!("`{}`", char::from(wanted)))),
        }
    }

    /// Takes what stands behind an item of a list or an object that ends with `close`: whether there is another, or the error that
    /// `wanted` should stand here.
    pub(super) fn another(&mut self, close: u8, wanted: &str) -> Result<bool, Stop> {
        match self.peek()? {
            Some(byte) if byte == b',' || byte == close => {
                self.take();
                Ok(byte == b',')
            }
            found => Err(self.unexpected(found, wanted)),
        }
    }

    /// The error that `wanted` should stand here.
    pub(super) fn unexpected(&self, found: Option<u8>, wanted: &str) -> Stop {
        let found = match found {
            None => "the end of the file".to_owned(),
            Some(byte @ 0x21..=0x7e) => format!("`{}`", char::from(byte)),
            Some(byte) => format!("byte 0x{byte:02x}"),
        };
        self.syntax(format!("expected {wanted}, found {found}"))
    }

    /// An error at the place where the window stands.
    pub(super) fn syntax(&self, reason: String) -> Stop {
        Stop::Syntax { line: self.line, column: self.column(), reason }
    }

    /// The line where the window stands, from 1.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Parses and takes one whole JSON value.
    pub(super) fn value<T: DeserializeOwned>(&mut self) -> Result<(T, Span), Stop> {
        if self.peek()?.is_none() {
            return Err(self.unexpected(None, "a value"));
        }
        loop {
            let rest = &self.buf[self.at..self.filled];
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<T>();
            match values.next() {
                // A number that touches the end of the window may go on behind it.
                Some(Ok(value)) if self.ended || values.byte_offset() < rest.len() => {
                    let len = values.byte_offset();
                    let span = Span { offset: self.base + self.at as u64, len: len as u64, line: self.line };
                    self.advance(len);
                    return Ok((value, span));
                }
                Some(Err(error)) if self.ended || !(error.is_eof() || stands_at_end(&error, rest)) => {
                    return Err(self.at_error(&error));
                }
                _ => {
                    self.fill()?;
                }
            }
        }
    }

    /// Takes what is all of the text if that is `null` or an empty list.
    pub(super) fn take_if_nothing(&mut self) -> Result<bool, Stop> {
        let nothing = match serde_json::from_slice(&self.buf[self.at..self.filled]) {
            Ok(serde_json::Value::Null) => true,
            Ok(serde_json::Value::Array(items)) => items.is_empty(),
            _ => false,
        };
        if nothing {
            self.advance(self.filled - self.at);
        }
        Ok(nothing && self.peek()?.is_none())
    }

    /// A value that was passed over, unless it is very large.
    pub(super) fn again(&self, span: Span) -> Option<serde_json::Value> {
        let json = (span.len <= 16 << 20).then(|| self.store.range(span.offset, span.len))?;
        serde_json::from_slice(&json.ok()?).ok()
    }

    fn at_error(&self, error: &serde_json::Error) -> Stop {
        let (line, column) = match error.line() {
            0 | 1 => (self.line, self.column() + error.column().saturating_sub(1)),
            below => (self.line + below - 1, error.column()),
        };
        let text = error.to_string();
        let reason = text.rsplit_once(" at line ").map_or(&*text, |(reason, _)| reason).to_owned();
        Stop::Syntax { line, column, reason }
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

    /// Reads more behind what is there; false at the end of the text.
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

/// Whether it is what ends a text that the parser stumbled over: a number that is cut after its sign, its point or its `e` is an
/// invalid one to it, and not one that goes on.
fn stands_at_end(error: &serde_json::Error, text: &[u8]) -> bool {
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
    fn a_value_is_whole_wherever_the_window_cuts_it() {
        for cut in 0..=JSON.len() {
            let text = format!("{}{JSON}\n-1", " ".repeat(CHUNK - cut));
            let store = Store::Memory(text.into_bytes());
            let (value, span) =
                Window::new(&store).value::<Value>().unwrap_or_else(|stop| panic!("after {cut} bytes: {stop:?}"));
            assert_eq!(
                (value, span.len),
                (serde_json::from_str(JSON).unwrap(), JSON.len() as u64),
                "after {cut} bytes"
            );
            assert!(Window::new(&store).value::<IgnoredAny>().is_ok(), "passed over, after {cut} bytes");
            assert_eq!(Window::new(&store).value::<Box<RawValue>>().unwrap().0.get(), JSON, "raw, after {cut} bytes");
        }
    }

    #[test]
    fn what_is_no_number_is_told_where_it_stands_and_read_no_further() {
        for (text, column) in [("-x", 2), ("1.x", 3), ("1e+x", 4), ("-", 1), ("[1,\n-", 1)] {
            for cut in 1..=text.len() {
                let padding = CHUNK - cut;
                let rest = if text.ends_with('x') { " ".repeat(2 * CHUNK) } else { String::new() };
                let store = Store::Memory(format!("{}{text}{rest}", " ".repeat(padding)).into_bytes());
                let mut window = Window::new(&store);
                let Err(Stop::Syntax { line, column: told, .. }) = window.value::<Value>() else {
                    panic!("{text} is taken")
                };
                let wanted = if text.contains('\n') { (2, column) } else { (1, padding + column) };
                assert_eq!((line, told), wanted, "{text} after {cut} bytes");
                assert!(window.buf.len() <= 2 * CHUNK, "{text} after {cut} bytes");
            }
        }
    }
}
