//! Random values that depend on a seed alone.

/// A SplitMix64 generator.
pub struct Random(u64);

impl Random {
    /// A generator for one request: `name` selects another sequence of the same seed.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a, because the hash functions of the standard library may change.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; `None` if `end` is 0.
    pub fn below(&mut self, end: usize) -> Option<usize> {
        let number = self.next();
        (end > 0).then(|| (number % end as u64) as usize)
    }

    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        self.below(items.len()).map(|n| &items[n])
    }

    pub fn letter(&mut self) -> char {
        char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[(self.next() % 36) as usize])
    }

    /// A word of three to eight letters.
    pub fn word(&mut self) -> String {
        let length = 3 + self.next() % 6;
        (0..length).map(|_| char::from(b'a' + (self.next() % 26) as u8)).collect()
    }

    /// A value that differs from `value`: a greater number, another word, or the text with one character replaced.
    pub fn different_from(&mut self, value: &str) -> String {
        if let Ok(number) = value.parse::<u32>() {
            return number.wrapping_add(1 + (self.next() % 50) as u32).to_string();
        }
        let chars = value.chars().count();
        match (self.next().is_multiple_of(2) && !value.contains('%')).then(|| self.below(chars)).flatten() {
            None => self.word(),
            Some(at) => {
                let letter = self.letter();
                value.chars().enumerate().map(|(n, c)| if n == at { letter } else { c }).collect()
            }
        }
    }
}
