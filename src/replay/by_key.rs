//! What is known of keys, where a request is one step of memory away from it. From a large fixture each request needs another answer,
//! and what no processor has at hand is waited for as long as a thirtieth of a request takes; looked up in an order that halves, or
//! along a chain, it is waited for several times.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use prefetch_index::prefetch_index;

use harproxy_matching::Key;

/// A value for each of some keys, once and for all. Each is at the place where its key belongs or, where others had been there before, at
/// the next that was free. What has a place keeps it, so that nobody who asks waits, and who puts waits for who puts just there.
#[derive(Debug)]
pub(super) struct ByKey<T> {
    pages: Box<[OnceLock<Page<T>>]>,
    /// A byte of the key that is at each place, 0 where none is, and above it the [`Hint`] of its value. They are so few that a processor
    /// has them at hand, mostly; and of the places themselves just one is looked at, mostly.
    words: Box<[AtomicU64]>,
}

/// What can be told of a value before its place is at hand, so that what it leads to is fetched at the same time: 56 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hint(u64);

/// The bits of a key's byte.
const TAG: u32 = u8::BITS;

impl Hint {
    /// These bits, but for the highest eight, which are left out.
    pub(super) fn new(bits: u64) -> Self {
        Hint(bits << TAG >> TAG)
    }

    /// The bits.
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    fn of(word: u64) -> Self {
        Hint(word >> TAG)
    }

    fn behind(self, tag: u8) -> u64 {
        self.0 << TAG | u64::from(tag)
    }
}

/// A value of which something can be told.
pub(super) trait Hinted {
    /// The same each time.
    fn hint(&self) -> Hint;
}

/// Places that there is memory for when the first of them is filled.
type Page<T> = Box<[Place<T>; PLACES]>;
const PLACES: usize = 64;

/// It begins where a line of memory does, as processors fetch it: what has no more than 64 bytes is there with one.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Place<T>(OnceLock<(Key, T)>);

impl<T: Hinted> ByKey<T> {
    /// With room for so many keys.
    pub(super) fn new(keys: usize) -> Self {
        // A quarter of them stays free: what is not there is soon known.
        let pages = (keys + keys / 3 + 1).div_ceil(PLACES);
        ByKey {
            pages: (0..pages).map(|_| OnceLock::new()).collect(),
            words: (0..pages * PLACES).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// What there is for a key, and what `ahead` made of its hint while it was fetched. Where another key has the same byte and comes first,
    /// `ahead` is called with that one's hint before.
    pub(super) fn get<A>(&self, key: Key, ahead: impl Fn(Hint) -> A) -> Option<(&T, A)> {
        for (place, hint) in self.likely(key) {
            let made = ahead(hint);
            match place.0.get()? {
                (there, value) if *there == key => return Some((value, made)),
                _ => {}
            }
        }
        None
    }

    /// Has what these keys have fetched, of all of them at the same time; `ahead` is called with what can be told of each.
    pub(super) fn fetch(&self, keys: impl Iterator<Item = Key> + Clone, ahead: impl Fn(Hint)) {
        for key in keys.clone() {
            prefetch_index(&self.words[..], key.place(self.words.len()));
        }
        for key in keys {
            if let Some((_, hint)) = self.likely(key).next() {
                ahead(hint);
            }
        }
    }

    /// The places with a key's byte, being fetched, and what can be told of their values.
    fn likely(&self, key: Key) -> impl Iterator<Item = (&Place<T>, Hint)> {
        let tag = tag(key);
        let words = self.way(key).map(|place| (place, self.words[place].load(Acquire)));
        let likely = words.take_while(|(_, word)| *word as u8 != 0).filter(move |(_, word)| *word as u8 == tag);
        likely.map_while(|(place, word)| {
            let page = self.pages[place / PLACES].get()?;
            prefetch_index(&page[..], place % PLACES);
            Some((&page[place % PLACES], Hint::of(word)))
        })
    }

    /// Puts what `make` makes, unless there is something for the key. Where there are more keys than there is room for, that is all.
    pub(super) fn put(&self, key: Key, make: impl Fn() -> T) {
        for place in self.way(key) {
            let page = self.pages[place / PLACES].get_or_init(|| Box::new([const { Place(OnceLock::new()) }; PLACES]));
            let (there, value) = page[place % PLACES].0.get_or_init(|| (key, make()));
            // Whoever comes second may come before the first has said so. Written once: all threads read it.
            if self.words[place].load(Relaxed) == 0 {
                self.words[place].store(value.hint().behind(tag(*there)), Release);
            }
            if *there == key {
                return;
            }
        }
    }

    /// All places, from the one where a key belongs.
    fn way(&self, key: Key) -> impl Iterator<Item = usize> {
        let all = self.words.len();
        let first = key.place(all);
        (first..all).chain(0..first)
    }
}

fn tag(key: Key) -> u8 {
    key.byte().max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    impl Hinted for usize {
        fn hint(&self) -> Hint {
            Hint::new(*self as u64)
        }
    }

    impl Hinted for (usize, usize) {
        fn hint(&self) -> Hint {
            Hint::new((self.0 << 8 | self.1) as u64)
        }
    }

    fn get<T: Hinted>(by_key: &ByKey<T>, key: Key) -> Option<&T> {
        let (value, hint) = by_key.get(key, |hint| hint)?;
        assert_eq!(hint, value.hint());
        Some(value)
    }

    fn key(n: usize) -> Key {
        Key::of("GET", &format!("https://a.test/{n}"))
    }

    #[test]
    fn each_key_has_what_was_put_first_and_others_have_nothing() {
        for keys in [0, 1, 2, 63, 1000] {
            let by_key = ByKey::new(keys);
            for n in 0..keys {
                assert_eq!(get(&by_key, key(n)), None);
                by_key.put(key(n), || n);
                by_key.put(key(n), || panic!("put twice"));
            }
            for n in 0..2 * keys + 1 {
                assert_eq!(get(&by_key, key(n)).copied(), (n < keys).then_some(n));
            }
        }
    }

    #[test]
    fn what_has_no_room_is_left_out() {
        let by_key = ByKey::new(1);
        let room = by_key.words.len();
        (0..2 * room).for_each(|n| by_key.put(key(n), || n));
        for n in 0..2 * room {
            assert_eq!(get(&by_key, key(n)).copied(), (n < room).then_some(n));
        }
    }

    #[test]
    fn a_hint_is_told_but_for_its_highest_byte() {
        for bits in [0, 1, 0xff, u64::MAX >> 8, u64::MAX] {
            let hint = Hint::new(bits);
            assert_eq!((hint.bits(), Hint::of(hint.behind(7))), (bits & u64::MAX >> 8, hint));
            assert_eq!(hint.behind(7) as u8, 7);
        }
    }

    #[test]
    fn threads_that_put_at_the_same_time_agree() {
        const KEYS: usize = 500;
        let (by_key, start) = (ByKey::new(KEYS), Barrier::new(4));
        let seen: Vec<Vec<(usize, usize)>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let (by_key, start) = (&by_key, &start);
                    scope.spawn(move || {
                        start.wait();
                        let put = |n| {
                            by_key.put(key(n), || (n, thread));
                            *get(by_key, key(n)).unwrap()
                        };
                        (0..KEYS).map(put).collect()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (n, first) in seen[0].iter().enumerate() {
            assert_eq!(first.0, n);
            assert!(seen.iter().all(|one| one[n] == *first));
        }
    }
}
