//! Looking at CMD's processes while they run: which programs they are, whether they still have harproxy's variables, and which
//! connections they open that do not lead to harproxy.
//!
//! A thread looks at intervals; what lives shorter than one may be missed. Only Linux shows all this without privileges
//! (`/proc`); elsewhere nothing is seen, and that is said ([`Observed::programs`] is `None`). No argument of a program and no
//! value of a variable is kept.

#[cfg(target_os = "linux")]
mod proc;
#[cfg(target_os = "linux")]
mod version;

use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::verdict::clues::{Connection, Program};

#[cfg(target_os = "linux")]
use proc::Eye;

/// What to look for, and how often.
#[derive(Clone, Debug)]
pub struct LookPlan {
    /// The proxy's URL as CMD has it in its variables.
    pub proxy: String,
    /// Where harproxy listens.
    pub ours: Vec<SocketAddr>,
    /// How often.
    pub pace: Pace,
}

/// How often to look.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The first interval, and the one after something new.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
    /// An interval is at least so many times what a look costs: the share of a processor that looking may take.
    pub rest: u32,
}

/// The time that passed is no measure of what a look costs where others want the processor too: one that took long says
/// little, and several do.
#[derive(Clone, Copy, Debug)]
struct Cost(Duration);

impl Cost {
    const FIRST: Cost = Cost(Duration::from_micros(500));

    fn after(self, took: Duration) -> Cost {
        Cost(took.clamp(Duration::from_micros(1), self.0 * 2))
    }
}

impl Pace {
    /// Beside a run: it must cost next to nothing.
    pub const BESIDE: Pace = Pace { first: Duration::from_millis(5), longest: Duration::from_millis(100), rest: 20 };
    /// When looking is the point.
    pub const CLOSE: Pace = Pace { first: Duration::from_millis(1), longest: Duration::from_millis(4), rest: 2 };

    fn next(self, last: Duration, Cost(cost): Cost, new: bool) -> Duration {
        let interval = if new { self.first } else { (last * 3 / 2).min(self.longest) };
        interval.max((cost * self.rest).min(self.longest * 5))
    }
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The programs that ran, in order of first appearance; `None` where they can't be seen.
    pub programs: Option<Vec<Program>>,
    /// Their connections that do not lead to harproxy, each once.
    pub connections: Vec<Connection>,
    /// Programs with connections that had ended before it could be seen where they led; most lead to harproxy.
    pub unseen: Vec<String>,
}

/// A look at CMD that goes on until it is ended or dropped.
#[derive(Debug)]
pub struct Look {
    stop: Sender<()>,
    thread: Option<JoinHandle<Observed>>,
}

impl Look {
    /// Begins to look at the process `pid` and those below it. Where no thread can be had, nothing is seen.
    #[must_use]
    pub fn at(pid: u32, plan: LookPlan) -> Look {
        let (stop, stopped) = channel();
        let begin = move || {
            let mut eye = Eye::at(pid, &plan);
            let (mut interval, mut cost) = (plan.pace.first, Cost::FIRST);
            loop {
                let begun = Instant::now();
                let new = eye.look();
                cost = cost.after(begun.elapsed());
                interval = plan.pace.next(interval, cost, new);
                if stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                    return eye.observed();
                }
            }
        };
        Look { stop, thread: thread::Builder::new().name("look".into()).spawn(begin).ok() }
    }

    /// Ends it. Blocks for as long as one look takes.
    #[must_use]
    pub fn end(self) -> Observed {
        drop(self.stop);
        self.thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

/// Sees nothing.
#[cfg(not(target_os = "linux"))]
struct Eye;

#[cfg(not(target_os = "linux"))]
impl Eye {
    fn at(_pid: u32, _plan: &LookPlan) -> Self {
        Eye
    }

    fn look(&mut self) -> bool {
        false
    }

    fn observed(self) -> Observed {
        Observed::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_while_nothing_happens_and_never_cost_much() {
        let ms = Duration::from_millis;
        let pace = Pace::BESIDE;
        let mut interval = pace.first;
        let mut all = Vec::new();
        for _ in 0..12 {
            interval = pace.next(interval, Cost(Duration::ZERO), false);
            all.push(interval);
        }
        assert!(all.is_sorted() && all[0] < ms(10), "{all:?}");
        assert_eq!(all[11], ms(100));
        assert_eq!(pace.next(interval, Cost(Duration::ZERO), true), ms(5));
        assert_eq!(pace.next(interval, Cost(ms(20)), true), ms(400));
        assert_eq!(pace.next(interval, Cost(ms(100)), true), ms(500));
        let once = Cost::FIRST.after(ms(50));
        assert_eq!(pace.next(interval, once, true), ms(20), "one that took long says little");
    }
}
