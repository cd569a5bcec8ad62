//! Blocking work on fixtures: reading entries, comparing and rewriting payloads.

use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinError;

/// Few threads, because each may hold an entry of any length in memory, and each keeps memory that it has freed.
const THREADS: usize = 2;

#[expect(clippy::expect_used, reason = "a runtime without I/O and time opens nothing")]
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread().max_blocking_threads(THREADS).build().expect("a runtime without I/O and time")
});

/// Runs blocking work that does not wait for a client on another thread. If the caller is dropped, the work goes on.
pub(super) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    RUNTIME.spawn_blocking(work).await
}
