//! A sieve over bytes: it passes over a text, as many bytes at a time as the processor takes, up to the next place at which one of
//! some needles may stand.
//!
//! A needle is told by four bytes in a row. Each place of the four has a table of 16 for the lower and one for the upper half of
//! its byte, which say in which of eight buckets there is a needle with such a half there: one instruction looks 16 to 64 bytes
//! up at once. Whether it is a needle that stands there, and which, exact tables say.

use std::ops::Range;

use fearless_simd::prelude::*;
use fearless_simd::{Level, Simd, dispatch, u8x16};

/// Bytes by which a needle is told.
pub(super) const GRAM: usize = 4;

/// The needles that may stand at a place, a bit each.
pub(super) type Needles = u128;

/// Which bytes a needle may have at each place of its four.
pub(super) type Gram = [Class; GRAM];

/// A set of bytes.
#[derive(Clone, Copy)]
pub(super) struct Class([bool; 256]);

impl Class {
    /// All there are.
    pub(super) const ANY: Class = Class([true; 256]);

    /// Those of which this is said.
    pub(super) fn of(has: impl Fn(u8) -> bool) -> Self {
        let mut class = Class([false; 256]);
        (0..=u8::MAX).for_each(|byte| class.0[usize::from(byte)] = has(byte));
        class
    }

    /// Its halves of bytes.
    fn halves(&self) -> [u16; 2] {
        self.bytes().fold([0; 2], |[lower, upper], byte| [lower | 1 << (byte & 0x0f), upper | 1 << (byte >> 4)])
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(|byte| self.0[usize::from(*byte)])
    }
}

/// The tables of some needles.
pub(super) struct Sieve {
    level: Level,
    /// By place, and lower and upper half: buckets.
    halves: [[[u8; 16]; 2]; GRAM],
    /// By place and byte: needles.
    exact: Box<[[Needles; 256]; GRAM]>,
}

impl Sieve {
    /// For these, of which there are no more than [`Needles`] has bits.
    pub(super) fn new(grams: &[Gram]) -> Self {
        assert!(grams.len() <= Needles::BITS as usize, "a bit for each needle");
        let mut exact = Box::new([[0; 256]; GRAM]);
        for (needle, gram) in grams.iter().enumerate() {
            for (classes, class) in exact.iter_mut().zip(gram) {
                class.bytes().for_each(|byte| classes[usize::from(byte)] |= 1 << needle);
            }
        }
        let buckets = shared_out(grams);
        let mut halves = [[[0; 16]; 2]; GRAM];
        for (bit, Bucket(places)) in buckets.iter().enumerate() {
            for (tables, masks) in halves.iter_mut().zip(places) {
                for (table, mask) in tables.iter_mut().zip(masks) {
                    (0..16).filter(|half| mask & (1 << half) != 0).for_each(|half| table[half] |= 1 << bit);
                }
            }
        }
        Sieve { level: Level::new(), halves, exact }
    }

    /// The first place from `from` on at which the last of a needle's four bytes may stand, and which needles they are the bytes
    /// of. What stands before the text is taken for white space. Adds to `quotes` how many there are up to that place.
    pub(super) fn next(&self, text: &[u8], from: usize, quotes: &mut usize) -> Option<(usize, Needles)> {
        let begun = from.max(GRAM - 1).min(text.len());
        let first = self.one_by_one(text, from..begun, quotes);
        first.or_else(|| dispatch!(self.level, simd => scan(simd, self, text, begun, quotes)))
    }

    fn one_by_one(&self, text: &[u8], mut places: Range<usize>, quotes: &mut usize) -> Option<(usize, Needles)> {
        places.find_map(|at| {
            *quotes += usize::from(text[at] == b'"');
            self.needles_at(text, at)
        })
    }

    /// Which needles' bytes end here.
    #[inline(always)]
    fn needles_at(&self, text: &[u8], at: usize) -> Option<(usize, Needles)> {
        let byte =
            |place: usize| (at + place + 1).checked_sub(GRAM).and_then(|at| text.get(at)).copied().unwrap_or(b' ');
        let needles = self
            .exact
            .iter()
            .enumerate()
            .fold(Needles::MAX, |all, (place, classes)| all & classes[usize::from(byte(place))]);
        (needles != 0).then_some((at, needles))
    }
}

/// [`Sieve::next`] from where four bytes are there.
#[inline(always)]
fn scan<S: Simd>(simd: S, sieve: &Sieve, text: &[u8], from: usize, quotes: &mut usize) -> Option<(usize, Needles)> {
    let width = S::u8s::LEN;
    if text.len() < width + GRAM - 1 {
        return sieve.one_by_one(text, from..text.len(), quotes);
    }
    // Closures would not be inlined, and what is not inlined does without the processor's instructions.
    let mut tables = [[S::u8s::splat(simd, 0); 2]; GRAM];
    for (tables, halves) in tables.iter_mut().zip(&sieve.halves) {
        for (table, half) in tables.iter_mut().zip(halves) {
            *table = S::u8s::block_splat(u8x16::from_slice(simd, half));
        }
    }
    let mut at = from;
    while at < text.len() {
        // The last time some are looked at again.
        let start = at.min(text.len() - width);
        let mut buckets = S::u8s::splat(simd, u8::MAX);
        for (place, [lower, upper]) in tables.iter().enumerate() {
            let first = start + place + 1 - GRAM;
            let bytes = S::u8s::from_slice(simd, &text[first..first + width]);
            let lower = lower.swizzle_dyn_within_blocks(bytes & 0x0f);
            let upper = upper.swizzle_dyn_within_blocks(bytes >> 4);
            buckets = buckets & lower & upper;
        }
        let quoted = S::u8s::from_slice(simd, &text[start..start + width]).simd_eq(S::u8s::splat(simd, b'"'));
        let quoted = quoted.to_bitmask() >> (at - start);
        let mut marked = buckets.simd_ne(S::u8s::splat(simd, 0)).to_bitmask() >> (at - start);
        while marked != 0 {
            let next = marked.trailing_zeros();
            if let Some(found) = sieve.needles_at(text, at + next as usize) {
                *quotes += (quoted << (u64::BITS - 1 - next)).count_ones() as usize;
                return Some(found);
            }
            marked &= marked - 1;
        }
        *quotes += quoted.count_ones() as usize;
        at = start + width;
    }
    None
}

/// How often each needle is put into another bucket.
const ROUNDS: usize = 3;

/// The needles in eight buckets, so that they let little through that is none.
fn shared_out(grams: &[Gram]) -> [Bucket; 8] {
    let alone: Vec<_> = grams.iter().map(|gram| Bucket(gram.map(|class| class.halves()))).collect();
    // What lets much through by itself first: others had better not share its bucket.
    let mut order: Vec<_> = (0..alone.len()).collect();
    order.sort_by(|a, b| alone[*b].lets_through().total_cmp(&alone[*a].lets_through()));
    let (mut places, mut buckets) = (vec![None; alone.len()], [Bucket::default(); 8]);
    for needle in std::iter::repeat_n(order, ROUNDS).flatten() {
        if let Some(place) = places[needle].take() {
            let others = alone.iter().zip(&places).filter(|(_, other)| **other == Some(place));
            buckets[place] = others.fold(Bucket::default(), |bucket, (other, _)| bucket.with(other));
        }
        let more = |bucket: &Bucket| bucket.with(&alone[needle]).lets_through() - bucket.lets_through();
        let costs = buckets.iter().map(more).enumerate();
        if let Some((best, _)) = costs.min_by(|(_, a), (_, b)| a.total_cmp(b)) {
            places[needle] = Some(best);
            buckets[best] = buckets[best].with(&alone[needle]);
        }
    }
    buckets
}

/// Needles that share a bit: which halves of bytes they have at each place.
#[derive(Clone, Copy, Default)]
struct Bucket([[u16; 2]; GRAM]);

impl Bucket {
    fn with(mut self, other: &Bucket) -> Self {
        for (halves, others) in self.0.iter_mut().zip(&other.0) {
            halves[0] |= others[0];
            halves[1] |= others[1];
        }
        self
    }

    /// How much of a text like JSON would pass for one of them.
    fn lets_through(&self) -> f32 {
        let share = |[lower, upper]: &[u16; 2]| -> f32 {
            if [*lower, *upper] == [u16::MAX; 2] {
                return 1.0;
            }
            let rows = OFTEN.iter().enumerate().filter(|(half, _)| upper & (1 << half) != 0).map(|(_, row)| row);
            rows.flat_map(|row| row.iter().enumerate())
                .map(|(half, often)| if lower & (1 << half) != 0 { *often } else { 0.0 })
                .sum()
        };
        self.0.iter().map(share).product()
    }
}

/// How often a byte stands in JSON, about, by its upper and its lower half.
const OFTEN: [[f32; 16]; 16] = {
    let mut often = [[0.0; 16]; 16];
    let mut byte = 0;
    while byte < 256 {
        often[byte >> 4][byte & 0x0f] = match byte as u8 {
            b'"' => 0.12,
            // More than their share: letters come in words.
            b'a' | b'c' | b'd' | b'e' | b'i' | b'l' | b'm' | b'n' | b'o' | b'r' | b's' | b't' | b'u' => 0.08,
            b'a'..=b'z' => 0.02,
            b'0'..=b'9' | b' ' | b',' | b':' | b'{' | b'}' => 0.015,
            b'A'..=b'Z' | b'_' | b'-' | b'.' | b'/' => 0.004,
            _ => 0.0005,
        };
        byte += 1;
    }
    often
};

#[cfg(test)]
mod tests {
    use super::*;

    fn only(byte: u8) -> Class {
        Class::of(move |other| other == byte)
    }

    fn sieve(needles: &[&str]) -> Sieve {
        let gram = |needle: &&str| {
            let mut gram = [Class::ANY; GRAM];
            gram.iter_mut().rev().zip(needle.bytes().rev()).for_each(|(class, byte)| *class = only(byte));
            gram
        };
        Sieve::new(&needles.iter().map(gram).collect::<Vec<_>>())
    }

    fn next(sieve: &Sieve, text: &[u8], from: usize) -> (Option<(usize, Needles)>, usize) {
        let mut quotes = 0;
        (sieve.next(text, from, &mut quotes), quotes)
    }

    #[test]
    fn a_needle_is_found_wherever_it_stands() {
        let needles = ["abcd", "\\", "y\"", "AbcD", "0123", "zz9", "\u{e9}x", "a---", "b---", "c---"];
        let sieve = sieve(&needles);
        for len in (0..200).chain([1000]) {
            let mut text = vec![b'.'; len];
            assert_eq!(next(&sieve, &text, 0), (None, 0));
            for (bit, needle) in needles.iter().enumerate() {
                for at in 0..(len + 1).saturating_sub(needle.len()) {
                    text[at..at + needle.len()].copy_from_slice(needle.as_bytes());
                    let end = at + needle.len() - 1;
                    let quotes = needle.matches('"').count();
                    for from in [0, at / 2, at] {
                        let found = (Some((end, 1 << bit)), quotes);
                        assert_eq!(next(&sieve, &text, from), found, "{needle} at {at} of {len}");
                    }
                    assert_eq!(next(&sieve, &text, end + 1), (None, 0));
                    text.fill(b'.');
                }
            }
        }
    }

    #[test]
    fn all_levels_find_the_same() {
        let mut sieve = sieve(&["ken\"", "\\", "://", "AKIA", "eyJ", "t_li", "ion\"", "ord\""]);
        let mut seed = 1u32;
        let text: Vec<u8> = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b"aeiknort\"\\:/AKIeyJ_l"[(seed >> 24) as usize % 20]
        })
        .take(100_000)
        .collect();
        let quotes = text.iter().filter(|byte| **byte == b'"').count();
        let all = |sieve: &Sieve| {
            let (mut found, mut counted) = (Vec::new(), 0);
            while let Some(one) = sieve.next(&text, found.last().map_or(0, |(at, _)| at + 1), &mut counted) {
                found.push(one);
            }
            assert_eq!(counted, quotes);
            found
        };
        let by_one: Vec<_> = (0..text.len()).filter_map(|at| sieve.needles_at(&text, at)).collect();
        assert!(by_one.len() > 1000);
        assert_eq!(all(&sieve), by_one);
        sieve.level = Level::baseline();
        assert_eq!(all(&sieve), by_one);
    }
}
