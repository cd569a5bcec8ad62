//! A long list of entries, read by several threads, and told as one would have.
//!
//! Where an entry begins can't be known in the middle of a text, only guessed: where an object begins with the name that the
//! first entry begins with. What JSON says from a place on does not depend on what stands before it. So each helper reads a
//! stretch from such a place on, and it counts only if the one who reads from the beginning comes to the very same place,
//! between two entries; if he does not, or the helper stopped at something, he reads there himself.

use std::collections::VecDeque;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, Scope, ScopedJoinHandle};

use super::read::Contents;
use super::store::Store;
use super::window::{CHUNK, Place, Span, Window};

/// Who may help to read a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Helpers {
    /// Threads that read, the first included; as many as there are processors when that is not said.
    threads: Option<u64>,
    /// Bytes that are worth a thread.
    shortest: u64,
}

/// More have nothing to gain: reading is then as fast as memory.
const MOST: usize = 8;
/// A millisecond's work.
const SHORTEST: u64 = 1 << 20;

impl Default for Helpers {
    fn default() -> Self {
        Helpers { threads: None, shortest: SHORTEST }
    }
}

impl Helpers {
    /// The places where stretches are to begin, in order, but the first.
    fn divide(self, text: &Range<u64>) -> impl Iterator<Item = u64> + use<> {
        let (start, len) = (text.start, text.end.saturating_sub(text.start));
        let worth = len / self.shortest.max(1);
        // To count the processors takes as long as to read a short text: the system's limits stand in files.
        let threads = || self.threads.unwrap_or_else(processors);
        let parts = if worth > 1 { threads().min(worth).max(1) } else { 1 };
        (1..parts).map(move |part| start + len / parts * part)
    }
}

fn processors() -> u64 {
    thread::available_parallelism().map_or(1, NonZero::get).min(MOST) as u64
}

/// Entries that follow one another.
pub(super) struct Stretch {
    /// Where the first begins.
    start: u64,
    /// What they are, as if the text began there.
    pub(super) contents: Contents,
    /// Behind the last, as if the text began at the first.
    pub(super) end: Place,
}

/// What helpers read.
pub(super) struct Ahead<'scope> {
    /// Where each was to begin, and what it has read.
    pending: VecDeque<(u64, ScopedJoinHandle<'scope, Option<Stretch>>)>,
    /// The nearest that is read.
    nearest: Option<Stretch>,
    /// Nobody wants it any more.
    over: Arc<AtomicBool>,
}

impl<'scope> Ahead<'scope> {
    /// Has the text behind the first entry read, if it is long enough.
    pub(super) fn of<'a: 'scope>(
        window: &Window<'a>,
        first: Option<Span>,
        helpers: Helpers,
        scope: &'scope Scope<'scope, '_>,
    ) -> Self {
        let mut ahead = Ahead { pending: VecDeque::new(), nearest: None, over: Arc::default() };
        let store = window.text();
        let text = window.place().offset..store.len().unwrap_or_default();
        let mut starts = helpers.divide(&text).peekable();
        let name = || first_name(store, first?);
        let Some(name) = starts.peek().and_then(|_| name()) else { return ahead };
        while let Some(start) = starts.next() {
            let stretch = start..starts.peek().copied().unwrap_or(text.end);
            let (name, over) = (name.clone(), ahead.over.clone());
            let read = move || read(store, stretch, &name, &over);
            match thread::Builder::new().name("har".to_owned()).spawn_scoped(scope, read) {
                Ok(helper) => ahead.pending.push_back((start, helper)),
                Err(_) => break,
            }
        }
        ahead
    }

    /// The stretch that begins at this place, if it is one that a helper has read from.
    pub(super) fn read_from(&mut self, offset: u64) -> Option<Stretch> {
        while self.nearest.as_ref().is_none_or(|stretch| stretch.start < offset) {
            self.pending.front().filter(|(start, _)| *start <= offset)?;
            let (_, helper) = self.pending.pop_front()?;
            self.nearest = helper.join().ok().flatten();
        }
        self.nearest.take_if(|stretch| stretch.start == offset)
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
    }
}

/// Reads from the first place in a stretch where an entry seems to begin to the first entry that ends behind it.
fn read(store: &Store, stretch: Range<u64>, name: &[u8], over: &AtomicBool) -> Option<Stretch> {
    let start = likely_start(store, stretch.clone(), name)?;
    let mut window = Window::within(store, start);
    let (mut contents, mut end) = (Contents::default(), None);
    while contents.next_entry(&mut window).is_ok() && !over.load(Relaxed) {
        end = Some(window.place());
        let is_next = window.place().offset < stretch.end && matches!(window.peek(), Ok(Some(b',')));
        if !is_next {
            break;
        }
        window.take();
    }
    Some(Stretch { start, contents, end: end? })
}

/// The name of the first member of an object as it is written, in quotes.
fn first_name(store: &Store, object: Span) -> Option<Box<[u8]>> {
    let text = store.range(object.offset, object.len.min(256)).ok()?;
    let text = text.strip_prefix(b"{")?.trim_ascii_start();
    let end = memchr::memchr2(b'"', b'\\', text.strip_prefix(b"\"")?)?;
    (text[end + 1] == b'"').then(|| text[..end + 2].into())
}

/// More white space than this is not looked past.
const MARGIN: u64 = 4096;

/// The first place in a stretch where, in a list, an object begins with this name.
fn likely_start(store: &Store, stretch: Range<u64>, name: &[u8]) -> Option<u64> {
    let finder = memchr::memmem::Finder::new(name);
    let mut buf = vec![0; CHUNK];
    let mut base = stretch.start;
    while base < stretch.end {
        let len = store.read_at(base, &mut buf).ok()?;
        let text = &buf[..len];
        let found = finder.find_iter(text).find_map(|at| {
            let object = text[..at].trim_ascii_end().strip_suffix(b"{")?;
            matches!(object.trim_ascii_end().last(), Some(b',' | b'[')).then_some(base + object.len() as u64)
        });
        if len < buf.len() || found.is_some() {
            return found.filter(|start| *start < stretch.end);
        }
        base += len as u64 - MARGIN;
    }
    None
}

#[cfg(test)]
mod tests;
