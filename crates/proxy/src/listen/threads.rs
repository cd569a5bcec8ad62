//! The serving threads: one current-thread runtime each, with a connection on one thread from its first byte to its last.
//!
//! A request, its upstream connection and their timers wake no other thread. The price: blocking work on a thread delays its
//! other connections, so it has to run elsewhere (`spawn_blocking`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::runtime::Handle;

use harproxy_support::runtime::Runtime;

/// Maximum number of threads. Each takes four file descriptors, and clients need descriptors too.
const MAX_THREADS: usize = 16;

/// The serving threads. They end, with their connections, when this is dropped.
#[derive(Debug)]
pub(crate) struct Threads {
    first: Arc<ServingThread>,
    others: Vec<Arc<ServingThread>>,
}

#[derive(Debug)]
struct ServingThread {
    runtime: Runtime,
    /// Number of connections.
    connections: AtomicUsize,
}

/// A connection's assignment to a thread, until it is dropped.
#[derive(Debug)]
pub(crate) struct ThreadAssignment(Arc<ServingThread>);

impl Threads {
    /// Starts a thread per processor, up to a maximum, as far as the system allows.
    ///
    /// # Errors
    /// If not even one thread can be started.
    pub(crate) fn start() -> io::Result<Threads> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let first = ServingThread::start(0)?;
        let others = (1..processors.min(MAX_THREADS)).map_while(|n| ServingThread::start(n).ok()).collect();
        Ok(Threads { first, others })
    }

    /// Assigns a connection to the thread with the fewest connections.
    pub(crate) fn assign(&self) -> ThreadAssignment {
        let count = |thread: &Arc<ServingThread>| thread.connections.load(Relaxed);
        let least =
            self.others.iter().fold(&self.first, |least, next| if count(next) < count(least) { next } else { least });
        least.connections.fetch_add(1, Relaxed);
        ThreadAssignment(least.clone())
    }
}

impl ServingThread {
    fn start(n: usize) -> io::Result<Arc<ServingThread>> {
        let runtime = Runtime::start(format!("serve-{n}"))?;
        Ok(Arc::new(ServingThread { runtime, connections: AtomicUsize::new(0) }))
    }
}

impl ThreadAssignment {
    /// The runtime of the thread.
    pub(crate) fn runtime(&self) -> &Handle {
        self.0.runtime.handle()
    }
}

impl Drop for ThreadAssignment {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_assigned_evenly_and_assignments_are_reused() {
        let threads = Threads::start().unwrap();
        let all = 1 + threads.others.len();
        let mut assignments: Vec<ThreadAssignment> = (0..3 * all).map(|_| threads.assign()).collect();
        let counts =
            || std::iter::once(&threads.first).chain(&threads.others).map(|thread| thread.connections.load(Relaxed));
        assert!(counts().all(|count| count == 3));
        let freed = assignments.swap_remove(all);
        let runtime = freed.runtime().id();
        drop(freed);
        assert_eq!(threads.assign().runtime().id(), runtime);
        drop(assignments);
        assert_eq!(counts().sum::<usize>(), 0);
    }
}
