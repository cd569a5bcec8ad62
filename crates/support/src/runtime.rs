//! A current-thread tokio runtime on a thread of its own. Spawned tasks continue while a thread that called `block_on`
//! is blocked elsewhere, for example by a stopped terminal.

use std::io;
use std::sync::mpsc::channel;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running runtime. Dropping it ends its thread and its tasks.
#[derive(Debug)]
pub struct Runtime {
    handle: Handle,
    _stop: DropGuard,
}

impl Runtime {
    /// Starts a runtime whose thread has this name.
    ///
    /// # Errors
    /// When the system refuses a thread or the descriptors for polling.
    pub fn start(name: impl Into<String>) -> io::Result<Runtime> {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (started, runtime) = channel();
        // Built on its own thread: a runtime must not be dropped inside another one.
        thread::Builder::new().name(name.into()).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error))),
            };
            if started.send(Ok(runtime.handle().clone())).is_ok() {
                runtime.block_on(stopped.cancelled());
            }
            // Does not wait for tasks on the blocking pool.
            runtime.shutdown_background();
        })?;
        let handle = runtime.recv().map_err(io::Error::other)??;
        Ok(Runtime { handle, _stop: stop.drop_guard() })
    }

    /// Handle for `spawn` and `block_on`.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_run_while_the_waiting_thread_is_blocked() {
        let runtime = Runtime::start("test").unwrap();
        let received = runtime.handle().block_on(async {
            let (sender, receiver) = std::sync::mpsc::channel();
            tokio::spawn(async move { sender.send("on") });
            receiver.recv().unwrap()
        });
        assert_eq!(received, "on");
    }

    #[test]
    fn drop_ends_all_tasks() {
        let runtime = Runtime::start("test").unwrap();
        let (kept, ended) = tokio::sync::oneshot::channel::<()>();
        runtime.handle().spawn(async {
            let _kept = kept;
            std::future::pending::<()>().await;
        });
        drop(runtime);
        assert!(ended.blocking_recv().is_err());
    }
}
