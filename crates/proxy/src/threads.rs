//! The serving threads: one current-thread runtime each, with a connection on one thread from its first byte to its
//! last.
//!
//! A request, its upstream connection and their timers wake no other thread. The price: blocking work on a thread
//! delays its other connections, so it has to run elsewhere (`spawn_blocking`).

use std::io;
use std::sync::Arc;

use harproxy_support::runtime::Runtime;

/// Maximum number of threads. Each takes four file descriptors, and clients need descriptors too.
const MAX_THREADS: usize = 16;

/// The serving threads. They end, with their connections, when this is dropped.
#[derive(Debug)]
pub(crate) struct Threads(Vec<Arc<Runtime>>);

impl Threads {
    /// Starts a thread per processor, up to a maximum, as far as the system allows.
    ///
    /// # Errors
    /// If not even one thread can be started.
    pub(crate) fn start() -> io::Result<Threads> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let start = |n| Runtime::start(format!("serve-{n}")).map(Arc::new);
        let others = (1..processors.min(MAX_THREADS)).map_while(|n| start(n).ok());
        Ok(Threads(std::iter::once(start(0)?).chain(others).collect()))
    }

    /// Assigns a connection to the thread with the fewest connections, until the reference is dropped.
    pub(crate) fn assign(&self) -> Arc<Runtime> {
        self.0.iter().min_by_key(|thread| Arc::strong_count(thread)).unwrap_or(&self.0[0]).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_assigned_evenly_and_assignments_are_reused() {
        let threads = Threads::start().unwrap();
        let all = threads.0.len();
        let mut assignments: Vec<_> = (0..3 * all).map(|_| threads.assign()).collect();
        let counts = || threads.0.iter().map(|thread| Arc::strong_count(thread) - 1);
        assert!(counts().all(|count| count == 3));
        let freed = assignments.swap_remove(all);
        let runtime = freed.handle().id();
        drop(freed);
        assert_eq!(threads.assign().handle().id(), runtime);
        drop(assignments);
        assert_eq!(counts().sum::<usize>(), 0);
    }
}
