//! The pauses between polls. They grow while nothing changes.

use std::time::Duration;

/// The pause at the start and after a change. It catches connections of a few milliseconds.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(4);
/// Minimum ratio of a pause to the duration of a poll, so that polling takes at most a fifth of a processor.
const COST_RATIO: u32 = 4;

pub(super) struct Pause {
    last: Duration,
    /// The estimated duration of a poll.
    cost: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Pause { last: SHORTEST, cost: Duration::from_micros(500) }
    }
}

impl Pause {
    /// Returns the pause after a poll. On a busy machine a single poll can take long, so the estimate of its duration
    /// at most doubles each time.
    pub(super) fn after_poll(&mut self, took: Duration, has_changed: bool) -> Duration {
        self.cost = took.clamp(Duration::from_micros(1), self.cost * 2);
        self.last = if has_changed { SHORTEST } else { (self.last * 3 / 2).min(LONGEST) };
        self.last.max(self.cost * COST_RATIO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pause_grows_until_something_changes() {
        let mut pause = Pause::default();
        let all: Vec<_> = (0..8).map(|_| pause.after_poll(Duration::ZERO, false)).collect();
        assert!(all.is_sorted() && all[0] < LONGEST, "{all:?}");
        assert_eq!(all[7], LONGEST);
        assert_eq!(pause.after_poll(Duration::ZERO, true), SHORTEST);
    }

    #[test]
    fn pause_is_four_times_as_long_as_a_poll_however_long_that_is() {
        let mut pause = Pause::default();
        assert_eq!(pause.after_poll(50 * MS, true), 4 * MS, "one slow poll changes the estimate little");
        for _ in 0..8 {
            pause.after_poll(50 * MS, true);
        }
        assert_eq!(pause.after_poll(50 * MS, true), 200 * MS);
        assert_eq!(pause.after_poll(5 * MS, false), 20 * MS);
    }
}
