//! Invariants for untrusted bytes, one file per parser: `check` accepts any input, and panics if an invariant is
//! violated. `cargo test` runs them over seeds and their mutations (`tests/it/fuzzed.rs`), `cargo fuzz` over any input
//! (`scripts/fuzz`). Both use this code.

pub mod chunked;
pub mod coding;
pub mod glob;
pub mod har;
pub mod journal_damage;
pub mod journal_tail;
pub mod json_path;
pub mod lookup;
pub mod multipart;
pub mod pieces;
pub mod policy;
pub mod url;
pub mod zip;

mod support;
