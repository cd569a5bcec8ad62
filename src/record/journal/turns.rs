//! Whose turn it is to write a little: whoever commits it, or the thread.
//!
//! A disk that stalls must make nobody wait who serves requests. So the first write that was slow is the last one that who commits
//! does himself, for a good while. It is told how long writes took and has no clock of its own.

use std::time::Duration;

/// After a write of a few kilobytes that took longer the thread has the next ones.
const SLOW: Duration = Duration::from_millis(20);

/// How many writes it has then.
const THREADS: u32 = 1000;

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct Turns {
    slow: Duration,
    /// So many writes are left to the thread.
    threads: u32,
}

impl Default for Turns {
    fn default() -> Self {
        Turns::with(SLOW)
    }
}

impl Turns {
    /// With another notion of slow.
    pub(super) fn with(slow: Duration) -> Self {
        Turns { slow, threads: 0 }
    }

    /// Whether who commits may write.
    pub(super) fn are_the_committers(&self) -> bool {
        self.threads == 0
    }

    /// Who committed has written.
    pub(super) fn committer_wrote(&mut self, took: Duration) {
        if took > self.slow {
            self.threads = THREADS;
        }
    }

    /// The thread writes.
    pub(super) fn thread_writes(&mut self) {
        self.threads = self.threads.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_nanos(1);

    #[test]
    fn who_commits_writes_as_long_as_no_write_is_slow() {
        let mut turns = Turns::default();
        for took in [Duration::ZERO, MOMENT, SLOW] {
            turns.committer_wrote(took);
            assert!(turns.are_the_committers(), "{took:?}");
        }
    }

    #[test]
    fn after_a_slow_write_the_thread_has_the_next_thousand() {
        let mut turns = Turns::default();
        turns.committer_wrote(SLOW + MOMENT);
        for n in 0..1000 {
            assert!(!turns.are_the_committers(), "{n}");
            turns.thread_writes();
        }
        assert!(turns.are_the_committers());
        // How long the thread took is nobody's business: it serves no requests.
        turns.thread_writes();
        assert!(turns.are_the_committers());
    }

    #[test]
    fn each_slow_write_begins_anew() {
        let mut turns = Turns::default();
        for _ in 0..3 {
            turns.committer_wrote(Duration::MAX);
            (0..999).for_each(|_| turns.thread_writes());
            assert!(!turns.are_the_committers());
            turns.thread_writes();
            assert!(turns.are_the_committers());
            turns.committer_wrote(MOMENT);
            assert!(turns.are_the_committers());
        }
    }
}
