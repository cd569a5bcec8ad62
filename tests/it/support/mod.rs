//! Support for the tests: origins, a client that reports complete responses, and a sandbox for the binary.

pub mod archive;
pub mod client;
pub mod origin;
pub mod raw;
pub mod rig;
pub mod sandbox;
pub mod terminal;

use std::path::PathBuf;

/// The path of a file in the repository.
pub fn repo(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a future to completion on a new runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
