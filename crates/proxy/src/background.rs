//! Tasks that outlive their request and must complete before the process exits: final writes of a recorder whose body
//! was cancelled.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Maximum time to wait for the tasks at the end of a run.
const LIMIT: Duration = Duration::from_secs(10);

/// One tracker for the process: bodies are dropped in tasks of both sides, without a reference to their engine. A
/// closed tracker still accepts tasks; waiting returns when it is empty.
static TASKS: LazyLock<TaskTracker> = LazyLock::new(|| {
    let tracker = TaskTracker::new();
    tracker.close();
    tracker
});

/// Runs a task on the current runtime. Without a runtime it is polled once.
pub fn spawn<F>(task: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    match Handle::try_current() {
        Ok(runtime) => drop(TASKS.spawn_on(task, &runtime)),
        Err(_) => drop(task.now_or_never()),
    }
}

/// Waits until all tasks are complete, or a time limit passes.
pub async fn wait() {
    within_limit(TASKS.wait()).await;
}

/// Waits for `future`, with the same time limit.
pub(crate) async fn within_limit(future: impl Future<Output = ()>) {
    if tokio::time::timeout(LIMIT, future).await.is_err() {
        tracing::warn!("gave up waiting for the last tasks after {LIMIT:?}");
    }
}
