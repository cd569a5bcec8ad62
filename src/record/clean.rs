//! Payloads and URLs in which no secret was. What comes again, byte for byte, is not looked into again, as long as no secret has become known
//! since: tests ask for the same things again and again, and looking is a fifth of what a recorded exchange computes.
//!
//! They are remembered by a hash of 128 bits, whose seed is another in each run: nobody can make a payload that is taken for another.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use twox_hash::XxHash3_128;

/// How many are remembered at most; one takes 16 bytes.
const REMEMBERED: usize = 4096;

/// The texts that came last and had no secret in them. Shared by all connections.
pub(super) struct Clean {
    seed: u64,
    /// By the last bits of their hash. A place that two write to at once has the half of each, which is the hash of none.
    places: Box<[(AtomicU64, AtomicU64)]>,
}

/// What is looked into.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    Url,
    /// What it is called decides where secrets are looked for.
    Payload {
        content_type: &'a str,
    },
}

/// What a text is remembered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u128);

impl Default for Clean {
    fn default() -> Self {
        let places = (0..REMEMBERED).map(|_| Default::default()).collect();
        Clean { seed: RandomState::new().hash_one("clean"), places }
    }
}

impl fmt::Debug for Clean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clean").finish_non_exhaustive()
    }
}

impl Clean {
    /// The key of a text while so many secrets are known.
    pub(super) fn key(&self, learned: u64, text: Text<'_>, bytes: &[u8]) -> Key {
        let mut seed = self.seed ^ learned;
        if let Text::Payload { content_type } = text {
            seed = XxHash3_128::oneshot_with_seed(seed, content_type.as_bytes()) as u64;
        }
        Key(XxHash3_128::oneshot_with_seed(seed, bytes))
    }

    /// Whether this text came before, and had no secret in it.
    pub(super) fn has(&self, key: Key) -> bool {
        let (low, high) = self.place(key);
        (low.load(Ordering::Relaxed), high.load(Ordering::Relaxed)) == key.halves()
    }

    /// Remembers a text that has no secret in it.
    pub(super) fn add(&self, key: Key) {
        let ((low, high), halves) = (self.place(key), key.halves());
        low.store(halves.0, Ordering::Relaxed);
        high.store(halves.1, Ordering::Relaxed);
    }

    fn place(&self, key: Key) -> &(AtomicU64, AtomicU64) {
        &self.places[key.0 as usize % REMEMBERED]
    }
}

impl Key {
    fn halves(self) -> (u64, u64) {
        (self.0 as u64, (self.0 >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_is_known_and_nothing_else() {
        let json = Text::Payload { content_type: "application/json" };
        let clean = Clean::default();
        let key = clean.key(0, json, b"{}");
        assert!(!clean.has(key));
        clean.add(key);
        assert!(clean.has(clean.key(0, json, b"{}")));
        for other in [
            clean.key(1, json, b"{}"),
            clean.key(0, Text::Url, b"{}"),
            clean.key(0, Text::Payload { content_type: "" }, b"{}"),
            clean.key(0, Text::Payload { content_type: "application/json{" }, b"}"),
            clean.key(0, json, b"[]"),
        ] {
            assert!(other != key && !clean.has(other));
        }
        assert_ne!(Clean::default().key(0, json, b"{}"), key, "each run has a seed of its own");
    }

    #[test]
    fn the_last_ones_are_remembered() {
        let clean = Clean::default();
        let keys: Vec<Key> = (0..3 * REMEMBERED).map(|n| clean.key(0, Text::Url, &n.to_le_bytes())).collect();
        keys.iter().for_each(|&key| clean.add(key));
        assert!(clean.has(keys[keys.len() - 1]));
        assert!((1..=REMEMBERED).contains(&keys.iter().filter(|&&key| clean.has(key)).count()));
    }
}
