//! What holds for any bytes from outside, a parser a file: `check` takes whatever comes and panics where an invariant does not
//! hold. `cargo test` runs them over seeds and mutations of them (`tests/it/fuzzed.rs`), `cargo fuzz` without end
//! (`scripts/fuzz`); both find the same things because both are this code.

pub mod chunked;
pub mod glob;
pub mod har;
pub mod journal_tail;
pub mod json_path;
pub mod multipart;
pub mod pieces;
pub mod policy;
pub mod url;
pub mod zip;

mod support;
