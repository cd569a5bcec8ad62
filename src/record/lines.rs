//! The lines of a head on their way into the journal: which are recorded, and what is left of each without secrets.
//!
//! The heads of one client are much alike. So each connection remembers what became of the lines of its last ones, and a line that
//! comes again is not looked into again, as long as no secret has become known since.

use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::look::Side;
use super::screen::Screen;
use crate::http::headers::to_chars;

/// Bytes of a head that are remembered at most: names and values.
const REMEMBERED: usize = 8 << 10;

/// The lines of a head, as the journal has its [`Fields`](super::heads::Fields).
pub struct Lines<'a> {
    lines: Vec<Line<'a>>,
    /// Bytes that they took in HTTP/1.1, before anything was taken out.
    pub size: usize,
}

struct Line<'a> {
    name: &'a str,
    value: &'a [u8],
    /// What is left of the value without secrets; `None` when all is.
    left: Option<Bytes>,
}

/// What became of the last heads of one client connection.
#[derive(Debug, Default)]
pub struct Memory {
    request: Mutex<Seen>,
    response: Mutex<Seen>,
}

/// The lines of one head.
#[derive(Default)]
struct Seen {
    /// How many secrets were known when they were looked into.
    learned: u64,
    /// Names and values.
    text: Vec<u8>,
    lines: Vec<SeenLine>,
}

struct SeenLine {
    name: Range<usize>,
    value: Range<usize>,
    left: Option<Bytes>,
}

/// There are secrets among them.
impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

impl Memory {
    /// What is recorded of these lines.
    pub fn lines<'a>(
        &self,
        side: Side,
        screen: &Screen,
        lines: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Lines<'a> {
        let seen = if side == Side::Request { &self.request } else { &self.response };
        seen.lock().unwrap_or_else(PoisonError::into_inner).lines(screen, lines)
    }
}

impl Seen {
    fn lines<'a>(&mut self, screen: &Screen, from: impl Iterator<Item = (&'a str, &'a [u8])>) -> Lines<'a> {
        // Asked before any line is looked into: what becomes known meanwhile was not looked for.
        let learned = screen.vault().learned();
        if self.learned != learned {
            self.lines.clear();
        }
        let (mut lines, mut size) = (Vec::with_capacity(self.lines.len().max(8)), 0);
        let (mut next, mut is_news) = (0, false);
        for (name, value) in from {
            size += name.len() + value.len() + ": \r\n".len();
            let at = self.find(next, name, value);
            is_news |= at != Some(next);
            next = at.unwrap_or(next) + 1;
            let left = match at {
                Some(at) => self.lines[at].left.clone(),
                None => screen.field(name, value).map(Bytes::from),
            };
            lines.push(Line { name, value, left });
        }
        if is_news {
            self.remember(learned, &lines, size);
        }
        Lines { lines, size }
    }

    /// Where a line is remembered: most likely it is the next, else any.
    fn find(&self, next: usize, name: &str, value: &[u8]) -> Option<usize> {
        let is = |line: &SeenLine| {
            self.text[line.name.clone()] == *name.as_bytes() && self.text[line.value.clone()] == *value
        };
        if self.lines.get(next).is_some_and(is) {
            return Some(next);
        }
        self.lines.iter().position(is)
    }

    fn remember(&mut self, learned: u64, lines: &[Line<'_>], size: usize) {
        self.learned = learned;
        self.lines.clear();
        self.text.clear();
        if size > REMEMBERED {
            return;
        }
        for Line { name, value, left } in lines {
            let name = self.add(name.as_bytes());
            let value = self.add(value);
            self.lines.push(SeenLine { name, value, left: left.clone() });
        }
    }

    fn add(&mut self, text: &[u8]) -> Range<usize> {
        let from = self.text.len();
        self.text.extend_from_slice(text);
        from..self.text.len()
    }
}

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.lines.len()))?;
        for Line { name, value, left } in &self.lines {
            list.serialize_element(&(name, to_chars(left.as_deref().unwrap_or(value))))?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::heads::{Fields, decode, encode};
    use super::*;
    use crate::redact::marker::{self, Run};
    use crate::redact::{Policy, Vault};

    type Field = (&'static str, &'static str);

    fn screen() -> Screen {
        Screen::new(Arc::new(Policy::default()), Vault::new(Run::random(), &[]))
    }

    /// What the journal says of these lines.
    fn said(memory: &Memory, screen: &Screen, lines: &[Field]) -> Fields {
        let lines = lines.iter().map(|(name, value)| (*name, value.as_bytes()));
        decode(&encode(&memory.lines(Side::Request, screen, lines)).unwrap()).unwrap()
    }

    /// The same without a memory.
    fn afresh(screen: &Screen, lines: &[Field]) -> Fields {
        let headers = lines
            .iter()
            .map(|(name, value)| crate::http::Header { name: (*name).to_owned(), value: value.as_bytes().into() });
        screen.fields(Fields(headers.collect()))
    }

    const HEAD: [Field; 4] =
        [("host", "api.test"), ("accept", "*/*"), ("authorization", "Bearer s3cr3t-value"), ("x-id", "1")];

    #[test]
    fn what_is_remembered_is_what_would_be_found() {
        let (memory, screen) = (Memory::default(), screen());
        let first = afresh(&screen, &HEAD);
        assert!(first.0.get("authorization").is_some_and(|value| value != b"Bearer s3cr3t-value"));
        let mut other = HEAD;
        other[3].1 = "2";
        let reversed: Vec<Field> = HEAD.into_iter().rev().collect();
        let twice = [HEAD[1], HEAD[1], HEAD[2]];
        for head in [&HEAD[..], &HEAD, &other, &HEAD[1..], &HEAD, &reversed, &twice, &[], &HEAD] {
            assert_eq!(said(&memory, &screen, head), afresh(&screen, head), "{head:?}");
        }
    }

    #[test]
    fn what_becomes_known_is_found_in_lines_that_came_before() {
        let (memory, screen) = (Memory::default(), screen());
        let head = [("x-note", "s3cr3t-value")];
        for _ in 0..2 {
            assert_eq!(said(&memory, &screen, &head).0.get("x-note"), Some(&b"s3cr3t-value"[..]));
        }
        said(&memory, &screen, &HEAD);
        let value = said(&memory, &screen, &head).0.get("x-note").unwrap().to_vec();
        assert_eq!(marker::find(&value, screen.vault().run()).count(), 1);
    }

    #[test]
    fn of_a_long_head_nothing_is_remembered_and_none_is_told() {
        let (memory, screen) = (Memory::default(), screen());
        let long: &'static str = "x".repeat(REMEMBERED).leak();
        let head = [("x-long", long), HEAD[2]];
        for _ in 0..2 {
            assert_eq!(said(&memory, &screen, &head), afresh(&screen, &head));
        }
        assert!(memory.request.lock().unwrap().lines.is_empty());
        assert!(!format!("{memory:?}").contains("s3cr3t"));
    }

    #[test]
    fn the_size_is_that_of_the_lines_as_they_came() {
        let lines = HEAD.iter().map(|(name, value)| (*name, value.as_bytes()));
        let size = Memory::default().lines(Side::Response, &screen(), lines).size;
        assert_eq!(size, HEAD.iter().map(|(name, value)| format!("{name}: {value}\r\n").len()).sum::<usize>());
    }
}
