//! Payloads that many answers have, as those of errors, of empty lists and of what is asked again and again. A fixture's folder has such a payload once, and so
//! has memory: those that follow the first few refer to it. Among a hundred thousand answers it is at hand then, where each one's own would have to be waited for.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, OnceLock, PoisonError};

/// So many answers have one of their own first: what is needed with a rare payload should lie with it, as it is fetched with it.
const FEW: u32 = 16;

/// A shorter one, bytes, is always its answer's own: referring to it would save next to nothing.
const SHORT: usize = 128;

/// So many are there once, and so many are looked at. What comes after is its answer's own.
const MOST: usize = 1024;
const MOST_SEEN: usize = 1 << 17;

/// Which of them a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(NonZeroU32);

impl Number {
    /// As a number that is never 0.
    pub(super) fn get(self) -> u32 {
        self.0.get()
    }

    /// The one that has been such a number.
    pub(super) fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Number)
    }
}

/// What many answers have.
#[derive(Debug)]
pub(super) struct Alike {
    seen: Mutex<Seen>,
    /// The first is number 1.
    numbered: Box<[OnceLock<&'static [u8]>]>,
}

#[derive(Debug, Default)]
struct Seen {
    payloads: HashMap<&'static [u8], Times>,
    /// Those with a number.
    numbered: usize,
}

#[derive(Clone, Copy, Debug)]
enum Times {
    Few(u32),
    Many(Number),
}

impl Default for Alike {
    fn default() -> Self {
        Alike { seen: Mutex::default(), numbered: (0..MOST).map(|_| OnceLock::new()).collect() }
    }
}

impl Alike {
    /// Counts one more answer with this payload; its number, if there were more than a few before. Where one that has none lies is to be [told](Alike::saw).
    pub(super) fn number(&self, payload: &[u8]) -> Option<Number> {
        if payload.len() < SHORT {
            return None;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { payloads, numbered } = &mut *seen;
        let place = *numbered;
        let times = payloads.get_mut(payload)?;
        match times {
            Times::Many(number) => return Some(*number),
            Times::Few(few) if *few < FEW => {
                *few += 1;
                return None;
            }
            Times::Few(_) => {}
        }
        let number = u32::try_from(place + 1).ok().and_then(Number::new)?;
        let there = self.numbered.get(place)?;
        *times = Times::Many(number);
        *numbered += 1;
        let (first, _) = payloads.get_key_value(payload)?;
        let _ = there.set(first);
        Some(number)
    }

    /// This payload of an answer lies here, until the process ends.
    pub(super) fn saw(&self, payload: &'static [u8]) {
        if payload.len() < SHORT {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.payloads.len() < MOST_SEEN {
            seen.payloads.entry(payload).or_insert(Times::Few(1));
        }
    }

    /// The payload with a number.
    pub(super) fn get(&self, number: Number) -> &'static [u8] {
        let place = number.get() as usize - 1;
        self.numbered.get(place).and_then(OnceLock::get).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of so many answers with this payload: the numbers that they have.
    fn numbers(alike: &Alike, payload: &'static [u8], answers: u32) -> Vec<Option<Number>> {
        let one = |_| {
            let number = alike.number(payload);
            if number.is_none() {
                alike.saw(payload);
            }
            number
        };
        (0..answers).map(one).collect()
    }

    #[test]
    fn what_follows_the_first_few_refers_to_the_first() {
        let alike = Alike::default();
        for (number, payload) in (1..).zip([&[b'a'; 200][..], &[b'b'; SHORT]]) {
            let all = numbers(&alike, payload, FEW + 3);
            let (few, many) = all.split_at(FEW as usize);
            assert!(few.iter().all(Option::is_none));
            assert_eq!(many, [Number::new(number); 3]);
            let shared = alike.get(many[0].unwrap());
            assert_eq!(shared.as_ptr(), payload.as_ptr());
        }
    }

    #[test]
    fn what_is_short_is_each_ones_own() {
        let alike = Alike::default();
        assert!(numbers(&alike, &[b'a'; SHORT - 1], FEW + 3).iter().all(Option::is_none));
        assert!(alike.seen.lock().unwrap().payloads.is_empty());
    }

    #[test]
    fn beyond_the_limit_each_has_its_own() {
        let alike = Alike::default();
        for n in 0..=MOST {
            let payload: &'static [u8] = format!("{n:0SHORT$}").into_bytes().leak();
            let last = numbers(&alike, payload, FEW + 2).pop().unwrap();
            assert_eq!(last.map(|number| alike.get(number)), (n < MOST).then_some(payload), "{n}");
        }
    }
}
