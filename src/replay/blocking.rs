//! Blocking work on fixtures: reading entries, comparing and rewriting payloads.

use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

/// The number of threads that do such work. Each may hold an entry of any length in memory.
static THREADS: Semaphore = Semaphore::const_new(2);

/// Runs blocking work that does not wait for a client on another thread.
pub(super) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    // The semaphore is never closed.
    let permit = THREADS.acquire().await.ok();
    spawn_blocking(move || {
        // If the client leaves, the work goes on and so does its claim.
        let _permit = permit;
        work()
    })
    .await
}
