//! What the tests stand on: an origin that can misbehave, a client that shows all it got, and a sandbox for the binary.

pub mod client;
pub mod origin;
pub mod raw;
pub mod rig;
pub mod sandbox;
pub mod terminal;

use std::path::PathBuf;

/// A file of the repository.
pub fn repo(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a future to its end on a runtime of its own.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
