//! Names of fields go through an HTTP/1.1 connection as they are spelt, beside hyper, which then has no map of them to make of every head: it reads and
//! writes lower case. What is read is looked at on its way to hyper, and the head that hyper writes is spelt on its way out.

use std::io::{self, IoSlice};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use ::http::Extensions;

use harproxy_http::spelling::{Reader, Spelling, is_start};

/// What is kept of memory that a head took, in bytes.
const KEPT: usize = 8 * 1024;

/// As many parts are written at once with a head.
const PARTS: usize = 8;

/// How names are spelt at one end of a connection. A [`Spelling`] goes from one to the other among the extensions of a message; where there is none, or
/// where nobody knew where a head begins, as behind requests that a client sends before it has an answer, they go on in lower case, or as a head before
/// had them, which means the same.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The end of the head that is being read has not come.
    reads: AtomicBool,
    reader: Mutex<Reader>,
    is_due: AtomicBool,
    /// Of the head that is written next.
    due: Mutex<Option<Spelling>>,
}

impl Names {
    /// The next byte that is read begins a head.
    pub(super) fn begin(&self) {
        lock(&self.reader).begin();
        self.reads.store(true, Relaxed);
    }

    /// Whether the end of the head that was begun last has not come.
    pub(super) fn reads(&self) -> bool {
        self.reads.load(Relaxed)
    }

    /// Bytes were read.
    pub(super) fn read(&self, bytes: &[u8]) {
        if self.reads() {
            let mut reader = lock(&self.reader);
            reader.read(bytes);
            self.reads.store(!reader.is_through(), Relaxed);
        }
    }

    /// Lets the message whose head was read last say how its names are spelt.
    pub(super) fn tell(&self, message: &mut Extensions) {
        if let Some(spelling) = lock(&self.reader).spelling() {
            message.insert(spelling.clone());
        }
    }

    /// What is made of the heads of the interim answers before the head that was read last.
    pub(super) fn interim<T: Default>(&self, make: impl FnOnce(&[u8]) -> T) -> T {
        match lock(&self.reader).interim() {
            [] => T::default(),
            heads => make(heads),
        }
    }

    /// The head of this message is written next.
    pub(super) fn write(&self, message: &Extensions) {
        let spelling = message.get::<Spelling>();
        if spelling.is_some() || self.is_due.load(Relaxed) {
            *lock(&self.due) = spelling.cloned();
            self.is_due.store(spelling.is_some(), Relaxed);
        }
    }
}

/// What is written for hyper.
#[derive(Debug, Default)]
pub(super) struct Pen {
    /// The part of hyper's that begins with a head, spelt, while it is not all written.
    head: Vec<u8>,
    written: usize,
}

impl Pen {
    /// Writes with `write`, and if a head begins the first of `parts` and is due, that as it is spelt. Bytes of `parts` that were written are told.
    pub(super) fn write(
        &mut self,
        names: &Names,
        parts: &[IoSlice<'_>],
        write: impl FnOnce(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Some(first) = parts.first().filter(|first| !first.is_empty()) else { return write(parts) };
        if !(self.goes_on(first) || names.is_due.load(Relaxed) && self.take(names, first)) {
            return write(parts);
        }
        let mut spelt = [IoSlice::new(&[]); PARTS];
        let head = &self.head[self.written..];
        spelt[0] = IoSlice::new(head);
        // What hyper has put behind it meanwhile comes when its turn is.
        let count = if first.len() == head.len() { parts.len().min(PARTS) } else { 1 };
        spelt[1..count].copy_from_slice(&parts[1..count]);
        let written = write(&spelt[..count]);
        if let Poll::Ready(Ok(len)) = written {
            let left = head.len().saturating_sub(len);
            self.written = self.head.len() - left;
            if left == 0 {
                self.written = 0;
                self.head.clear();
                self.head.shrink_to(KEPT);
            }
        }
        written
    }

    /// Whether bytes begin with what is left of a head. When hyper has thrown that away, as it does at a change of protocol, so do we.
    fn goes_on(&mut self, bytes: &[u8]) -> bool {
        let left = &self.head[self.written..];
        if !left.is_empty() && !bytes.get(..left.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(left)) {
            self.written = 0;
            self.head.clear();
        }
        !self.head.is_empty()
    }

    /// Spells the head that bytes begin with; `false`: they begin with none, or none is due.
    fn take(&mut self, names: &Names, bytes: &[u8]) -> bool {
        let mut due = lock(&names.due);
        // Behind the rest of something else it could not be told from a payload.
        if !is_start(bytes) {
            *due = None;
            names.is_due.store(false, Relaxed);
        }
        let Some(spelling) = &*due else { return false };
        self.head.extend_from_slice(bytes);
        // Behind that of an interim answer it is still due.
        if spelling.apply(&mut self.head) {
            *due = None;
            names.is_due.store(false, Relaxed);
        }
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOWER: &[u8] = b"HTTP/1.1 200 OK\r\nx-a: 1\r\n\r\n";
    const SPELT: &[u8] = b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n";

    fn names() -> Names {
        let (names, mut message) = (Names::default(), Extensions::new());
        names.begin();
        names.read(SPELT);
        names.tell(&mut message);
        names.write(&message);
        names
    }

    /// Writes at most `most` bytes at a time.
    fn write(pen: &mut Pen, names: &Names, mut parts: Vec<&[u8]>, most: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while !parts.is_empty() {
            let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
            let written = pen.write(names, &slices, |slices| {
                let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
                let len = all.len().min(most);
                out.extend_from_slice(&all[..len]);
                Poll::Ready(Ok(len))
            });
            let Poll::Ready(Ok(mut written)) = written else { panic!("{written:?}") };
            assert!(written > 0);
            while let Some(part) = parts.first_mut() {
                let len = written.min(part.len());
                *part = &part[len..];
                written -= len;
                if !part.is_empty() {
                    break;
                }
                parts.remove(0);
            }
        }
        out
    }

    #[test]
    fn a_head_is_spelt_however_little_is_written_at_a_time() {
        for most in 1..100 {
            let (names, mut pen) = (names(), Pen::default());
            let parts: [&[u8]; 12] = [LOWER, b"x-a: 1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9", b"a", b"b"];
            assert_eq!(write(&mut pen, &names, parts.to_vec(), most), [SPELT, b"x-a: 123456789ab"].concat());
            assert_eq!(write(&mut pen, &names, vec![LOWER], most), LOWER, "only the head that is due");
        }
    }

    #[test]
    fn what_is_put_behind_a_head_that_is_half_written_comes_behind_it() {
        let (names, mut pen) = (names(), Pen::default());
        let some = |len: usize| move |slices: &[IoSlice<'_>]| Poll::Ready(Ok::<_, io::Error>(slices[0].len().min(len)));
        assert!(matches!(pen.write(&names, &[IoSlice::new(LOWER)], some(5)), Poll::Ready(Ok(5))));
        let longer = [&LOWER[5..], LOWER].concat();
        assert_eq!(write(&mut pen, &names, vec![&longer, b"x-a"], 7), [&SPELT[5..], LOWER, b"x-a"].concat());
    }

    #[test]
    fn what_comes_before_the_head_goes_as_it_is() {
        let (names, mut pen) = (names(), Pen::default());
        let before: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        assert_eq!(write(&mut pen, &names, vec![before], 10), before);
        assert_eq!(write(&mut pen, &names, vec![LOWER], 10), SPELT);
    }

    #[test]
    fn a_payload_is_not_spelt_though_it_looks_like_the_head_that_was_due() {
        let (names, mut pen) = (names(), Pen::default());
        // The head comes behind the rest of another one, where nobody looks for it.
        assert_eq!(
            write(&mut pen, &names, vec![&[b"-b: 1\r\n\r\n", LOWER].concat()], 10),
            [b"-b: 1\r\n\r\n", LOWER].concat()
        );
        assert_eq!(write(&mut pen, &names, vec![LOWER], 10), LOWER);
    }

    #[test]
    fn what_hyper_throws_away_of_a_head_is_not_written() {
        let (names, mut pen) = (names(), Pen::default());
        let five = |slices: &[IoSlice<'_>]| Poll::Ready(Ok::<_, io::Error>(slices[0].len().min(5)));
        assert!(matches!(pen.write(&names, &[IoSlice::new(LOWER)], five), Poll::Ready(Ok(5))));
        for bytes in [&b"of another protocol, and longer than what is left of the head"[..], b"short"] {
            assert_eq!(write(&mut pen, &names, vec![bytes], 100), bytes);
        }
    }
}
