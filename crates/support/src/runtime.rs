//! A runtime and the one thread that drives it. Who waits in it from another thread may be held up, by a terminal say, and what was
//! spawned goes on.

use std::io;
use std::sync::mpsc::channel;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A runtime, until it is dropped: then its thread ends, and what was spawned with it.
#[derive(Debug)]
pub struct Runtime {
    handle: Handle,
    _until: DropGuard,
}

impl Runtime {
    /// Starts one whose thread has this name.
    ///
    /// # Errors
    /// When the system has no thread for us, or no descriptors for what it waits with.
    pub fn start(name: impl Into<String>) -> io::Result<Runtime> {
        let until = CancellationToken::new();
        let ended = until.clone();
        let (made, runtime) = channel();
        // Made where it ends: who has one in another runtime must not drop it.
        thread::Builder::new().name(name.into()).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(made.send(Err(error))),
            };
            if made.send(Ok(runtime.handle().clone())).is_ok() {
                runtime.block_on(ended.cancelled());
            }
            // What it has handed to threads beside it may take its time.
            runtime.shutdown_background();
        })?;
        let handle = runtime.recv().map_err(io::Error::other)??;
        Ok(Runtime { handle, _until: until.drop_guard() })
    }

    /// What to spawn with, and to wait with.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spawned_goes_on_while_who_waits_is_held_up() {
        let runtime = Runtime::start("test").unwrap();
        let heard = runtime.handle().block_on(async {
            let (say, hear) = std::sync::mpsc::channel();
            tokio::spawn(async move { say.send("on") });
            hear.recv().unwrap()
        });
        assert_eq!(heard, "on");
    }

    #[test]
    fn it_ends_with_what_was_spawned() {
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
