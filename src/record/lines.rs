//! The lines of a head on their way into the journal: which are recorded, and what is left of each without secrets.
//!
//! The heads of one client are much alike. So each connection remembers what became of the lines of its last ones, and a line that
//! comes again is not looked into again, as long as no secret has become known since.

use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::look::Side;
use super::screen::Screen;
use harproxy_http::headers::to_chars;

/// Bytes of a head that are remembered at most: names and values.
const REMEMBERED: usize = 8 << 10;

/// The lines of a head one after the other: a name in lower case, and its value.
pub type Head<'i, 'l> = &'i mut dyn Iterator<Item = (&'l str, &'l [u8])>;

/// The lines of a head, said as the journal has its [`Fields`](super::heads::Fields).
pub struct Lines<'m> {
    heads: MutexGuard<'m, Heads>,
    /// Bytes that they took in HTTP/1.1, before anything was taken out.
    pub size: usize,
}

impl Lines<'_> {
    /// What the journal says of them.
    #[must_use]
    pub fn said(&self) -> &[u8] {
        &self.heads.said
    }
}

/// What became of the last heads of one client connection.
#[derive(Debug, Default)]
pub struct Memory {
    request: Mutex<Heads>,
    response: Mutex<Heads>,
}

impl Memory {
    /// What is recorded of these lines.
    pub fn lines(&self, side: Side, screen: &Screen, lines: Head<'_, '_>) -> Lines<'_> {
        let heads = if side == Side::Request { &self.request } else { &self.response };
        let mut heads = heads.lock().unwrap_or_else(PoisonError::into_inner);
        let size = heads.say(screen, lines);
        Lines { heads, size }
    }
}

/// The heads of one side.
#[derive(Default)]
struct Heads {
    last: Seen,
    /// Room for the next.
    next: Seen,
    /// What is said of the one that came last, for as long as somebody has its [`Lines`].
    said: Vec<u8>,
}

/// There are secrets among them.
impl fmt::Debug for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heads").field("lines", &self.last.lines.len()).finish_non_exhaustive()
    }
}

impl Heads {
    /// Says what is recorded of a head; returns how many bytes its lines took.
    fn say(&mut self, screen: &Screen, lines: Head<'_, '_>) -> usize {
        let Heads { last, next, said } = self;
        // Asked before any line is looked into: what becomes known meanwhile was not looked for.
        let learned = screen.vault().learned();
        if last.learned != learned {
            last.clear(learned);
        }
        said.clear();
        said.shrink_to(4 * REMEMBERED);
        // How many there are, as postcard says it of most.
        said.push(0);
        let (mut size, mut number, mut is_news) = (0, 0_usize, false);
        let mut at = 0;
        for (name, value) in lines {
            size += name.len() + value.len() + ": \r\n".len();
            number += 1;
            let begins = said.len();
            let found = last.find(at, name, value);
            match found {
                Some(found) => said.extend_from_slice(&last.said[last.lines[found].said.clone()]),
                None => say_line(said, name, screen.field(name, value).as_deref().unwrap_or(value)),
            }
            if found != Some(at) && !is_news {
                // Up to here they were those of the last head, one by one.
                is_news = true;
                next.clear(learned);
                last.lines[..at.min(last.lines.len())].iter().for_each(|line| next.add_of(last, line));
            }
            if is_news && size <= REMEMBERED {
                next.add(name.as_bytes(), value, &said[begins..]);
            }
            at = found.unwrap_or(at) + 1;
        }
        if is_news {
            std::mem::swap(last, next);
            if size > REMEMBERED {
                last.clear(learned);
            }
        }
        match u8::try_from(number) {
            Ok(few @ 0..0x80) => said[0] = few,
            _ => drop(said.splice(..1, postcard::to_extend(&number, Vec::new()).unwrap_or_default())),
        }
        size
    }
}

/// A line as it is said in [`Fields`](super::heads::Fields).
fn say_line(said: &mut Vec<u8>, name: &str, value: &[u8]) {
    // Plain data can always be said.
    *said = postcard::to_extend(&(name, to_chars(value)), std::mem::take(said)).unwrap_or_default();
}

/// The lines of one head.
#[derive(Default)]
struct Seen {
    /// How many secrets were known when they were looked into.
    learned: u64,
    /// Names and values as they came.
    text: Vec<u8>,
    /// What was said of them.
    said: Vec<u8>,
    lines: Vec<SeenLine>,
}

struct SeenLine {
    name: Range<usize>,
    value: Range<usize>,
    said: Range<usize>,
}

impl Seen {
    fn clear(&mut self, learned: u64) {
        self.learned = learned;
        self.text.clear();
        self.said.clear();
        self.lines.clear();
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

    fn add(&mut self, name: &[u8], value: &[u8], said: &[u8]) {
        let name = put(&mut self.text, name);
        let value = put(&mut self.text, value);
        let said = put(&mut self.said, said);
        self.lines.push(SeenLine { name, value, said });
    }

    fn add_of(&mut self, other: &Seen, line: &SeenLine) {
        let SeenLine { name, value, said } = line;
        self.add(&other.text[name.clone()], &other.text[value.clone()], &other.said[said.clone()]);
    }
}

fn put(to: &mut Vec<u8>, bytes: &[u8]) -> Range<usize> {
    let from = to.len();
    to.extend_from_slice(bytes);
    from..to.len()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::heads::{Fields, decode};
    use super::*;
    use harproxy_redact::marker::{self, Run};
    use harproxy_redact::{Policy, Vault};

    type Field = (&'static str, &'static str);

    fn screen() -> Screen {
        Screen::new(Arc::new(Policy::default()), Vault::new(Run::random(), &[]))
    }

    /// What the journal says of these lines.
    fn said(memory: &Memory, screen: &Screen, lines: &[Field]) -> Fields {
        let mut lines = lines.iter().map(|(name, value)| (*name, value.as_bytes()));
        decode(memory.lines(Side::Request, screen, &mut lines).said()).unwrap()
    }

    /// The same without a memory.
    fn afresh(screen: &Screen, lines: &[Field]) -> Fields {
        let headers = lines
            .iter()
            .map(|(name, value)| harproxy_http::Header { name: (*name).to_owned(), value: value.as_bytes().into() });
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

    /// Heads drawn from few lines, so that they come again, in other places, twice, and not at all.
    #[test]
    fn whatever_came_before_what_is_said_is_what_would_be_found() {
        let (memory, screen) = (Memory::default(), screen());
        let values = ["", "1", "caf\u{e9}", "Bearer s3cr3t-value", "s3cr3t-value", "another-s3cr3t"];
        let fields = ["x-a", "x-b", "authorization", "cookie"];
        let mut state = 7_u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % below
        };
        let mut head: Vec<Field> = Vec::new();
        for n in 0..3000 {
            match random(6) {
                0 => head.truncate(random(8)),
                1 if !head.is_empty() => head.rotate_left(1),
                2 if !head.is_empty() => drop(head.remove(random(head.len()))),
                _ if head.len() < 9 => head.push((fields[random(4)], values[random(6)])),
                _ => head.clear(),
            }
            // What one line makes known stands in another before it, perhaps.
            afresh(&screen, &head);
            assert_eq!(said(&memory, &screen, &head), afresh(&screen, &head), "{n}: {head:?}");
        }
    }

    #[test]
    fn a_head_of_more_lines_than_one_byte_tells_is_said() {
        let (memory, screen) = (Memory::default(), screen());
        for many in [127, 128, 129, 300, 128, 0] {
            let head = vec![("x-n", "1"); many];
            assert_eq!(said(&memory, &screen, &head), afresh(&screen, &head), "{many}");
        }
    }

    #[test]
    fn of_a_long_head_nothing_is_remembered_and_none_is_told() {
        let (memory, screen) = (Memory::default(), screen());
        let long: &'static str = "x".repeat(5 * REMEMBERED).leak();
        let head = [("x-long", long), HEAD[2]];
        for _ in 0..2 {
            assert_eq!(said(&memory, &screen, &head), afresh(&screen, &head));
        }
        assert!(memory.request.lock().unwrap().last.lines.is_empty());
        let short = [HEAD[0]];
        assert_eq!(said(&memory, &screen, &short), afresh(&screen, &short));
        assert!(
            memory.request.lock().unwrap().said.capacity() <= 4 * REMEMBERED,
            "no connection keeps room for the longest"
        );
        assert!(!format!("{memory:?}").contains("s3cr3t"));
    }

    #[test]
    fn the_size_is_that_of_the_lines_as_they_came() {
        let mut lines = HEAD.iter().map(|(name, value)| (*name, value.as_bytes()));
        let size = Memory::default().lines(Side::Response, &screen(), &mut lines).size;
        assert_eq!(size, HEAD.iter().map(|(name, value)| format!("{name}: {value}\r\n").len()).sum::<usize>());
    }
}
