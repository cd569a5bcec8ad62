//! The threads that serve. Each has a runtime of its own and keeps a connection from its first byte to its last: a request, its
//! connection to upstream and their timers wake nobody else, and no processor takes over what another one has at hand. What may
//! take long is done elsewhere (`spawn_blocking`), or the other connections of the thread would wait for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::runtime::Handle;

use harproxy_support::runtime::Runtime;

/// As many there are at most: each takes four descriptors, and clients want theirs.
const MOST: usize = 16;

/// All of them. They end when this is dropped, and what they still had with them.
#[derive(Debug)]
pub(super) struct Threads {
    first: Arc<Thread>,
    others: Vec<Arc<Thread>>,
}

/// One of them.
#[derive(Debug)]
struct Thread {
    runtime: Runtime,
    /// How many connections it has.
    has: AtomicUsize,
}

/// A connection's place with a thread, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Thread>);

impl Threads {
    /// As many as there are processors for us, within bounds, and as the system has threads and descriptors for us.
    ///
    /// # Errors
    /// Those of [`Runtime::start`], when there is not even one.
    pub(super) fn start() -> io::Result<Threads> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let first = Thread::start(0)?;
        let others = (1..processors.min(MOST)).map_while(|n| Thread::start(n).ok()).collect();
        Ok(Threads { first, others })
    }

    /// A place with the one that has the fewest connections.
    pub(super) fn place(&self) -> Place {
        let has = |thread: &Arc<Thread>| thread.has.load(Relaxed);
        let least =
            self.others.iter().fold(&self.first, |least, next| if has(next) < has(least) { next } else { least });
        least.has.fetch_add(1, Relaxed);
        Place(least.clone())
    }
}

impl Thread {
    fn start(n: usize) -> io::Result<Arc<Thread>> {
        Ok(Arc::new(Thread { runtime: Runtime::start(format!("serve-{n}"))?, has: AtomicUsize::new(0) }))
    }
}

impl Place {
    /// Where what belongs to the connection runs.
    pub(super) fn runtime(&self) -> &Handle {
        self.0.runtime.handle()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.has.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_evenly_and_a_place_that_is_left_is_given_again() {
        let threads = Threads::start().unwrap();
        let all = 1 + threads.others.len();
        let mut places: Vec<Place> = (0..3 * all).map(|_| threads.place()).collect();
        let counts = || std::iter::once(&threads.first).chain(&threads.others).map(|thread| thread.has.load(Relaxed));
        assert!(counts().all(|has| has == 3));
        let left = places.swap_remove(all);
        let runtime = left.runtime().id();
        drop(left);
        assert_eq!(threads.place().runtime().id(), runtime);
        drop(places);
        assert_eq!(counts().sum::<usize>(), 0);
    }
}
