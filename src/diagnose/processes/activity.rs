//! The times at which CMD's programs ran.
//!
//! A program that did not run did not open or close a connection. So a connection that closed while all of CMD's
//! programs waited is of another program.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far the time of a close can be off: the kernel's timers and processor times have steps of up to 10 ms.
const TOLERANCE: Duration = Duration::from_millis(30);
/// The time after which the kernel forgets a closed connection.
const FORGOTTEN: Duration = Duration::from_secs(65);

pub(super) struct Activity {
    /// Times in which a program may have run, in order.
    busy: VecDeque<(Instant, Instant)>,
    last_poll: Instant,
}

impl Activity {
    /// Begins before CMD.
    pub(super) fn begin(now: Instant) -> Self {
        Activity { busy: VecDeque::new(), last_poll: now }
    }

    /// Notes a poll, and whether a program ran since the last one.
    pub(super) fn add_poll(&mut self, now: Instant, has_run: bool) {
        let since = std::mem::replace(&mut self.last_poll, now);
        if !has_run {
            return;
        }
        while self.busy.front().is_some_and(|(_, until)| now.duration_since(*until) > FORGOTTEN) {
            self.busy.pop_front();
        }
        match self.busy.back_mut() {
            Some((_, until)) if *until == since => *until = now,
            _ => self.busy.push_back((since, now)),
        }
    }

    /// Returns true if a program may have run at about this time. After the last poll that is not known.
    pub(super) fn has_run_at(&self, at: Instant) -> bool {
        let (from, to) = (at.checked_sub(TOLERANCE).unwrap_or(at), at + TOLERANCE);
        to >= self.last_poll || self.busy.iter().any(|(since, until)| *since <= to && from <= *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_may_have_run_between_the_polls_that_show_it_and_after_the_last_one() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut activity = Activity::begin(at(0));
        for (ms, has_run) in [(100, true), (200, true), (300, false), (1000, false), (1200, true), (2000, false)] {
            activity.add_poll(at(ms), has_run);
        }
        for (ms, expected) in [
            (0, true),
            (150, true),
            (200, true),
            (229, true),
            (231, false),
            (600, false),
            (969, false),
            (971, true),
            (1100, true),
            (1229, true),
            (1500, false),
            (1969, false),
            (1971, true),
            (3000, true),
        ] {
            assert_eq!(activity.has_run_at(at(ms)), expected, "{ms}");
        }
        assert_eq!(activity.busy.len(), 2, "adjacent times are joined");
    }

    #[test]
    fn times_that_the_kernel_has_forgotten_are_dropped() {
        let start = Instant::now();
        let mut activity = Activity::begin(start);
        for second in 1..=1000 {
            activity.add_poll(start + Duration::from_secs(second), second % 2 == 0);
        }
        assert!(activity.busy.len() < 40, "{}", activity.busy.len());
        assert!(activity.has_run_at(start + Duration::from_secs(960)));
    }
}
