//! Clues: what a journal says of the values of its recording, for whoever finishes it in the place of a process that was
//! killed. By its clue a value is known where it is met again; nothing of it can be read from one.
//!
//! A clue is a keyed digest (HMAC with SHA-256, RFC 2104), and its key is never where clues are: without it not even a guess
//! can be tried. What a look-up goes by are sixteen bits of a keyed hash of what the value begins with.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::known::{self, Before, Beginning, Known, Lexicon, PLACEHOLDER};
use super::marker::{self, Marker, Run};

/// Bytes of a digest: two values that share as many do not occur.
const DIGEST: usize = 16;

/// Makes clues, and knows values by them. Prints as nothing.
#[derive(Clone)]
pub struct ClueKey {
    digests: Hmac<Sha256>,
    /// For a multiplication that mixes, and a mask before it.
    begins: [u64; 2],
}

/// What a journal says of one spelling of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clue {
    begin: u16,
    len: u32,
    digest: [u8; DIGEST],
    /// What stands for it.
    marker: String,
}

/// What every journal says first: whether a key is the one of its clues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMark([u8; DIGEST]);

impl ClueKey {
    /// Of a secret that is kept elsewhere.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block[..secret.len()].copy_from_slice(secret);
        let digests = Hmac::new(&block);
        let mut key = ClueKey { digests, begins: [0; 2] };
        let [mask, factor] = [b"harproxy clue mask", b"harproxy clue fact"].map(|what| {
            let mut half = [0; 8];
            half.copy_from_slice(&key.digest(what)[..8]);
            u64::from_le_bytes(half)
        });
        key.begins = [mask, factor | 1];
        key
    }

    /// By which it is told from other keys.
    #[must_use]
    pub fn mark(&self) -> KeyMark {
        KeyMark(self.digest(b"harproxy clue mark"))
    }

    /// The clue to a value that is one to look for.
    #[must_use]
    pub fn clue(&self, value: &[u8], marker: &Marker, run: Run) -> Option<Clue> {
        let begin = self.begin(*known::beginning(value)?);
        let len = u32::try_from(value.len()).ok()?;
        Some(Clue { begin, len, digest: self.digest(value), marker: marker.write(run) })
    }

    fn begin(&self, begin: Beginning) -> u16 {
        let [mask, factor] = self.begins;
        let mixed = (u64::from_le_bytes(begin) ^ mask).wrapping_mul(factor);
        // The upper bits of a product depend on all lower ones.
        u16::try_from(mixed >> 48).unwrap_or_default()
    }

    fn digest(&self, value: &[u8]) -> [u8; DIGEST] {
        let whole = self.digests.clone().chain_update(value).finalize().into_bytes();
        let mut digest = [0; DIGEST];
        digest.copy_from_slice(&whole[..DIGEST]);
        digest
    }
}

impl fmt::Debug for ClueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClueKey (redacted)")
    }
}

/// The values of a journal, as far as its clues know them.
pub struct Clues {
    key: ClueKey,
    run: Run,
    by_begin: HashMap<u16, Vec<Value>>,
    longest: usize,
}

struct Value {
    len: usize,
    digest: [u8; DIGEST],
    marker: Marker,
}

impl Clues {
    /// Of a recording. A clue that says nothing of this run is none.
    #[must_use]
    pub fn new<'c>(key: ClueKey, run: Run, clues: impl IntoIterator<Item = &'c Clue>) -> Self {
        let mut all = Clues { key, run, by_begin: HashMap::new(), longest: 0 };
        for Clue { begin, len, digest, marker } in clues {
            let whole = marker::find(marker.as_bytes(), run).find(|found| found.range == (0..marker.len()));
            let len = usize::try_from(*len).ok().filter(|len| (known::SHORTEST..=known::LONGEST).contains(len));
            let (Some(found), Some(len)) = (whole, len) else { continue };
            all.longest = all.longest.max(len);
            let value = Value { len, digest: *digest, marker: found.marker };
            all.by_begin.entry(*begin).or_default().push(value);
        }
        all
    }
}

impl Known for Clues {
    fn run(&self) -> Run {
        self.run
    }

    fn longest(&self) -> usize {
        self.longest
    }

    fn known_in(&self, text: &[u8], before: Before, until: usize) -> Vec<(Range<usize>, Marker)> {
        self.all_in(text, before, until)
    }
}

impl Lexicon for Clues {
    fn is_empty(&self) -> bool {
        self.by_begin.is_empty()
    }

    fn may_begin(&self, begin: Beginning) -> bool {
        begin == PLACEHOLDER || self.by_begin.contains_key(&self.key.begin(begin))
    }

    fn at(&self, text: &[u8]) -> Option<(usize, Marker)> {
        let values = self.by_begin.get(&self.key.begin(*text.first_chunk()?))?;
        // Several may have one length, which is digested once.
        let mut lengths: Vec<usize> = values.iter().map(|value| value.len).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        lengths.into_iter().find_map(|len| {
            let digest = self.key.digest(text.get(..len).filter(|_| known::ends(text, len))?);
            let value = values.iter().find(|value| value.len == len && value.digest == digest)?;
            Some((len, value.marker.clone()))
        })
    }
}

impl fmt::Debug for Clues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clues (redacted)")
    }
}
