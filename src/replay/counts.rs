//! Counts that every request adds to. Each thread adds in a place of its own: a place that several processors write to in turn has each
//! of them wait for the others.

use std::array::from_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Threads that have a place of their own; what is more share.
const PLACES: usize = 16;

/// So many counts.
#[derive(Debug)]
pub(super) struct Shared<const N: usize>(Box<[Place<N>; PLACES]>);

/// Aligned as far as processors fetch memory at once.
#[derive(Debug)]
#[repr(align(128))]
struct Place<const N: usize>([AtomicU64; N]);

thread_local! {
    static PLACE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % PLACES
    };
}

impl<const N: usize> Shared<N> {
    /// All of them 0.
    pub(super) fn new() -> Self {
        Shared(Box::new(from_fn(|_| Place(from_fn(|_| AtomicU64::new(0))))))
    }

    /// Adds to one.
    pub(super) fn add(&self, which: usize, number: u64) {
        // A thread that is ending has no place any more.
        let place = PLACE.try_with(|place| *place).unwrap_or_default();
        self.0[place].0[which].fetch_add(number, Ordering::Relaxed);
    }

    /// What one has come to.
    pub(super) fn get(&self, which: usize) -> u64 {
        self.0.iter().map(|place| place.0[which].load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_however_many_threads_count() {
        let counts = Shared::<2>::new();
        std::thread::scope(|scope| {
            for thread in 0..3 * PLACES as u64 {
                let counts = &counts;
                scope.spawn(move || {
                    for _ in 0..100 {
                        counts.add(0, 1);
                        counts.add(1, thread);
                    }
                });
            }
        });
        let threads = 3 * PLACES as u64;
        assert_eq!((counts.get(0), counts.get(1)), (threads * 100, threads * (threads - 1) / 2 * 100));
    }
}
