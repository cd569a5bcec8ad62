//! `--latency`: how long an answer lets wait for its first byte.

use std::time::Duration;

use harproxy_har::Entry;

/// How long answers take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Latency {
    /// They come at once.
    #[default]
    None,
    /// As long as the recorded ones took, times this.
    Recorded(f64),
    /// This long.
    Fixed(Duration),
}

/// No entry lets wait longer than this.
const LONGEST: Duration = Duration::from_secs(3600);

impl Latency {
    /// The wait before the answer of an entry begins. Of a recorded one it is all of its time but that of receiving the
    /// payload.
    pub(super) fn of(self, entry: &Entry) -> Duration {
        match self {
            Latency::None => Duration::ZERO,
            Latency::Fixed(wait) => wait,
            Latency::Recorded(times) => {
                let millis = (entry.time - entry.timings.receive.unwrap_or_default()).max(0.0) * times;
                Duration::try_from_secs_f64(millis / 1000.0).map_or(LONGEST, |wait| wait.min(LONGEST))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_is_the_time_to_the_first_byte() {
        let mut entry = Entry { time: 250.0, ..Entry::default() };
        assert_eq!(Latency::Recorded(1.0).of(&entry), Duration::from_millis(250));
        entry.timings.receive = Some(50.0);
        assert_eq!(Latency::Recorded(1.0).of(&entry), Duration::from_millis(200));
        assert_eq!(Latency::Recorded(0.5).of(&entry), Duration::from_millis(100));
        assert_eq!(Latency::Fixed(Duration::from_millis(7)).of(&entry), Duration::from_millis(7));
        assert_eq!(Latency::None.of(&entry), Duration::ZERO);
    }

    #[test]
    fn times_that_are_none_are_no_wait() {
        for time in [-1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(Latency::Recorded(1.0).of(&Entry { time, ..Entry::default() }), Duration::ZERO, "{time}");
        }
        for time in [1e15, 1e300, f64::MAX] {
            assert_eq!(Latency::Recorded(1.0).of(&Entry { time, ..Entry::default() }), LONGEST, "{time}");
        }
    }
}
