//! Memory that is kept until the process ends. Whoever sends an answer counts himself in and out of the memory that it lies in, several
//! times, and a count that several processors write to in turn has each of them wait for the others. What is never given back
//! needs no count. There is a limit to it, for a run that goes on for days while its fixtures are edited: what comes
//! after is counted.

use std::ops::{Deref, Range};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// How much is kept, bytes.
const LIMIT: usize = 256 << 20;

/// How much is asked for at once, bytes: answers lie side by side, and little is left between them.
const PIECE: usize = 256 << 10;

static KEPT: Mutex<Arena> = Mutex::new(Arena { free: &mut [], left: LIMIT });

/// Bytes that answers share.
#[derive(Debug)]
pub(super) enum Kept {
    /// Until the process ends.
    Ever(&'static [u8]),
    /// While somebody holds them.
    Counted(Bytes),
}

impl Kept {
    /// These bytes, in memory that is kept, while there is some.
    pub(super) fn new(bytes: &[u8]) -> Self {
        keep(bytes).map_or_else(|| Kept::Counted(Bytes::copy_from_slice(bytes)), Kept::Ever)
    }

    /// Some of them; none where there are fewer.
    pub(super) fn slice(&self, range: Range<usize>) -> Bytes {
        match self {
            Kept::Ever(bytes) => Bytes::from_static(bytes.get(range).unwrap_or_default()),
            Kept::Counted(bytes) => bytes.get(range).map_or_else(Bytes::new, |some| bytes.slice_ref(some)),
        }
    }
}

impl Deref for Kept {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Kept::Ever(bytes) => bytes,
            Kept::Counted(bytes) => bytes,
        }
    }
}

/// This text, while there is memory for it.
pub(super) fn keep_text(text: &str) -> Option<&'static str> {
    std::str::from_utf8(keep(text.as_bytes())?).ok()
}

fn keep(bytes: &[u8]) -> Option<&'static [u8]> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).keep(bytes)
}

struct Arena {
    free: &'static mut [u8],
    /// What may still be asked for, bytes.
    left: usize,
}

impl Arena {
    fn keep(&mut self, bytes: &[u8]) -> Option<&'static [u8]> {
        if bytes.len() > self.free.len() {
            let piece = PIECE.max(bytes.len());
            self.left = self.left.checked_sub(piece)?;
            self.free = Box::leak(vec![0; piece].into_boxed_slice());
        }
        let (kept, free) = std::mem::take(&mut self.free).split_at_mut(bytes.len());
        self.free = free;
        kept.copy_from_slice(bytes);
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_lies_side_by_side_until_there_is_enough() {
        let mut arena = Arena { free: &mut [], left: 2 * PIECE };
        let (one, two) = (arena.keep(b"one").unwrap(), arena.keep(b"two").unwrap());
        assert_eq!((one, two, arena.left), (&b"one"[..], &b"two"[..], PIECE));
        assert_eq!(one.as_ptr_range().end, two.as_ptr());
        assert_eq!(arena.keep(&vec![b'x'; PIECE - 5]).unwrap().len(), PIECE - 5, "where the first piece has no room");
        assert_eq!((arena.keep(b"three!"), arena.left), (None, 0));
        assert_eq!(arena.keep(b"three"), Some(&b"three"[..]));
        assert_eq!(arena.keep(b""), Some(&b""[..]));
    }

    #[test]
    fn bytes_and_text_are_what_they_were() {
        for kept in [Kept::new(b"a\0b"), Kept::Counted(Bytes::from_static(b"a\0b"))] {
            assert_eq!((&*kept, &kept.slice(1..3)[..], &kept.slice(1..4)[..]), (&b"a\0b"[..], &b"\0b"[..], &b""[..]));
        }
        assert_eq!(keep_text("a–b"), Some("a–b"));
    }
}
