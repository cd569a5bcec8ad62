//! `delay`: the time before an answer.

use std::time::Duration;

use serde_json::{Value, json};

/// The longest delay.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// A delay of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Delay {
    Fixed(Duration),
    /// As long as the recorded answer took.
    Recorded,
    /// Between two durations, chosen by the number of the request and the seed: the same in every run.
    Range {
        min: Duration,
        max: Duration,
        seed: u64,
    },
}

impl Delay {
    /// Returns the delay as the configuration has it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let text = |duration: &Duration| millis_text(*duration);
        match self {
            Delay::Fixed(delay) => text(delay).into(),
            Delay::Recorded => "recorded".into(),
            Delay::Range { min, max, seed } => json!({ "min": text(min), "max": text(max), "seed": seed }),
        }
    }

    /// Returns the delay of the request with this number, from 1. `recorded` is the time that the entry took.
    #[must_use]
    pub fn of(&self, number: u64, recorded: Option<Duration>) -> Duration {
        let delay = match self {
            Delay::Fixed(delay) => *delay,
            Delay::Recorded => recorded.unwrap_or_default(),
            Delay::Range { min, max, seed } => {
                let share = (mix(seed.wrapping_add(number)) >> 11) as f64 / (1_u64 << 53) as f64;
                *min + max.saturating_sub(*min).mul_f64(share)
            }
        };
        delay.min(LONGEST)
    }
}

/// Writes a duration as the configuration has it, with microseconds as the fraction.
#[must_use]
pub fn millis_text(duration: Duration) -> String {
    format!("{}ms", duration.as_micros() as f64 / 1000.0)
}

/// SplitMix64 (Steele, Lea and Flood 2014): a number that looks random, and is the same for the same input.
fn mix(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Returns the share of a text among all texts, from 0 to 1: the same in every run.
#[must_use]
pub fn share_of(text: &str) -> f64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (mix(hash) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_reproducible_and_inside_its_limits() {
        let (min, max) = (Duration::from_millis(100), Duration::from_millis(300));
        let range = Delay::Range { min, max, seed: 7 };
        let delays: Vec<Duration> = (0..1000).map(|number| range.of(number, None)).collect();
        assert!(delays.iter().all(|delay| (min..=max).contains(delay)));
        assert!(
            delays.iter().min() < Some(&Duration::from_millis(110))
                && delays.iter().max() > Some(&Duration::from_millis(290))
        );
        assert_eq!(delays, (0..1000).map(|number| range.of(number, None)).collect::<Vec<_>>());
        assert_eq!(Delay::Recorded.of(1, Some(min)), min);
        assert_eq!(Delay::Fixed(Duration::from_secs(1 << 20)).of(1, None), LONGEST);
    }

    #[test]
    fn shares_are_spread_evenly() {
        let below = (0..10_000).filter(|n| share_of(&format!("session-{n}")) < 0.1).count();
        assert!((900..1_100).contains(&below), "{below}");
    }
}
