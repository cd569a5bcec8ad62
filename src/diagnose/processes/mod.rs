//! Watches CMD's processes: the programs that run, whether they have harproxy's variables, and their connections to
//! addresses other than harproxy.
//!
//! A thread polls `/proc`, so short-lived processes may be missed. Only Linux shows this without privileges; on other
//! platforms [`ProcessReport::programs`] is `None`. Arguments of programs and values of variables are never stored.

#[cfg(target_os = "linux")]
mod tree;
#[cfg(target_os = "linux")]
mod version;

use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::program::{DirectConnection, Program};

#[cfg(target_os = "linux")]
use tree::ProcessTree;

#[derive(Clone, Debug)]
pub struct WatchPlan {
    /// The proxy's URL in CMD's variables.
    pub proxy: String,
    /// Addresses on which harproxy listens.
    pub own_addresses: Vec<SocketAddr>,
    pub rate: PollRate,
}

/// Polling rate. The interval grows while nothing changes.
#[derive(Clone, Copy, Debug)]
pub struct PollRate {
    /// Interval at the start and after a change.
    pub first: Duration,
    pub longest: Duration,
    /// Minimum ratio of the interval to the duration of a poll. It limits the share of a processor that polling takes.
    pub cost_ratio: u32,
}

/// Estimated duration of a poll. On a busy machine a single poll can take long, so the estimate at most doubles each
/// time.
#[derive(Clone, Copy, Debug)]
struct PollCost(Duration);

impl PollCost {
    const FIRST: PollCost = PollCost(Duration::from_micros(500));

    fn after(self, took: Duration) -> PollCost {
        PollCost(took.clamp(Duration::from_micros(1), self.0 * 2))
    }
}

impl PollRate {
    /// For record and replay: negligible cost.
    pub const LOW: PollRate =
        PollRate { first: Duration::from_millis(5), longest: Duration::from_millis(100), cost_ratio: 20 };
    /// For `harproxy doctor`: catches short-lived processes.
    pub const HIGH: PollRate =
        PollRate { first: Duration::from_millis(1), longest: Duration::from_millis(4), cost_ratio: 2 };

    fn next_interval(self, last: Duration, PollCost(cost): PollCost, has_changed: bool) -> Duration {
        let interval = if has_changed { self.first } else { (last * 3 / 2).min(self.longest) };
        interval.max((cost * self.cost_ratio).min(self.longest * 5))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessReport {
    /// Programs in order of first appearance; `None` on platforms without `/proc`.
    pub programs: Option<Vec<Program>>,
    /// Connections to addresses other than harproxy, without duplicates.
    pub connections: Vec<DirectConnection>,
    /// Programs with connections that closed before their address was read. Most of these lead to harproxy.
    pub short_lived: Vec<String>,
}

/// A running watch. It ends when it is dropped.
#[derive(Debug)]
pub struct ProcessWatch {
    stop: Sender<()>,
    thread: Option<JoinHandle<ProcessReport>>,
}

impl ProcessWatch {
    /// Starts to watch the process `pid` and its descendants. The report stays empty if no thread can be started.
    #[must_use]
    pub fn start(pid: u32, plan: WatchPlan) -> Self {
        let (stop, stopped) = channel();
        let watch = move || {
            let mut tree = ProcessTree::new(pid, &plan);
            let (mut interval, mut cost) = (plan.rate.first, PollCost::FIRST);
            loop {
                let started = Instant::now();
                let has_changed = tree.poll();
                cost = cost.after(started.elapsed());
                interval = plan.rate.next_interval(interval, cost, has_changed);
                if stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                    return tree.into_report();
                }
            }
        };
        ProcessWatch { stop, thread: thread::Builder::new().name("processes".into()).spawn(watch).ok() }
    }

    /// Ends the watch. Blocks for the duration of one poll.
    #[must_use]
    pub fn finish(self) -> ProcessReport {
        drop(self.stop);
        self.thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

/// Stands in for the process tree on platforms without `/proc`.
#[cfg(not(target_os = "linux"))]
struct NoProcesses;
#[cfg(not(target_os = "linux"))]
use NoProcesses as ProcessTree;

#[cfg(not(target_os = "linux"))]
impl NoProcesses {
    fn new(_pid: u32, _plan: &WatchPlan) -> Self {
        NoProcesses
    }

    fn poll(&mut self) -> bool {
        false
    }

    fn into_report(self) -> ProcessReport {
        ProcessReport::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_grows_without_changes_and_limits_the_cost() {
        let ms = Duration::from_millis;
        let rate = PollRate::LOW;
        let mut interval = rate.first;
        let mut all = Vec::new();
        for _ in 0..12 {
            interval = rate.next_interval(interval, PollCost(Duration::ZERO), false);
            all.push(interval);
        }
        assert!(all.is_sorted() && all[0] < ms(10), "{all:?}");
        assert_eq!(all[11], ms(100));
        assert_eq!(rate.next_interval(interval, PollCost(Duration::ZERO), true), ms(5));
        assert_eq!(rate.next_interval(interval, PollCost(ms(20)), true), ms(400));
        assert_eq!(rate.next_interval(interval, PollCost(ms(100)), true), ms(500));
        let once = PollCost::FIRST.after(ms(50));
        assert_eq!(rate.next_interval(interval, once, true), ms(20), "one slow poll changes the estimate little");
    }
}
