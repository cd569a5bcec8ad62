//! `--latency`: the time before the first byte of a response.

use std::time::Duration;

use harproxy_har::Entry;

/// The delay of responses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Latency {
    /// No delay.
    #[default]
    None,
    /// The recorded delay, times this factor.
    Recorded(f64),
    /// A fixed delay.
    Fixed(Duration),
}

/// The longest delay of a recorded response.
const LONGEST: Duration = Duration::from_secs(3600);

impl Latency {
    /// The delay of an entry's response. The recorded delay is the time of the entry without that of receiving the
    /// payload (`timings.receive`).
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
    fn recorded_delay_leaves_out_the_time_to_receive_the_payload() {
        let mut entry = Entry { time: 250.0, ..Entry::default() };
        assert_eq!(Latency::Recorded(1.0).of(&entry), Duration::from_millis(250));
        entry.timings.receive = Some(50.0);
        assert_eq!(Latency::Recorded(1.0).of(&entry), Duration::from_millis(200));
        assert_eq!(Latency::Recorded(0.5).of(&entry), Duration::from_millis(100));
        assert_eq!(Latency::Fixed(Duration::from_millis(7)).of(&entry), Duration::from_millis(7));
        assert_eq!(Latency::None.of(&entry), Duration::ZERO);
    }

    #[test]
    fn invalid_time_is_no_delay_and_a_long_one_is_capped() {
        for time in [-1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(Latency::Recorded(1.0).of(&Entry { time, ..Entry::default() }), Duration::ZERO, "{time}");
        }
        for time in [1e15, 1e300, f64::MAX] {
            assert_eq!(Latency::Recorded(1.0).of(&Entry { time, ..Entry::default() }), LONGEST, "{time}");
        }
    }
}
