//! Work that nobody waits for while the engine runs, and that a drain must not cut off: what watchers still write after their
//! body was cancelled.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// How long the end of a run waits for what should end at once: a few bytes written to a file, a task that was told to stop.
const LIMIT: Duration = Duration::from_secs(10);

/// One for the process: bodies are dropped in tasks of both hops, and none of them knows whose it is. Closed from the start,
/// which for a tracker means only that waiting ends when it is empty.
static ENDINGS: LazyLock<TaskTracker> = LazyLock::new(|| {
    let tracker = TaskTracker::new();
    tracker.close();
    tracker
});

/// Lets `ending` run to its end on the runtime that this is called in.
pub fn spawn<F>(ending: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    if let Ok(runtime) = Handle::try_current() {
        spawn_on(&runtime, ending);
    }
}

/// Lets `ending` run to its end on `runtime`.
pub(super) fn spawn_on<F>(runtime: &Handle, ending: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    ENDINGS.spawn_on(ending, runtime);
}

/// Waits until none is left.
pub async fn done() {
    within_limit(ENDINGS.wait()).await;
}

/// Waits for `ending`, but not for ever.
pub(super) async fn within_limit(ending: impl Future<Output = ()>) {
    if tokio::time::timeout(LIMIT, ending).await.is_err() {
        tracing::warn!("gave up waiting for the last tasks after {LIMIT:?}");
    }
}
