//! The fuzzed invariants.

// The shared invariants panic when they are violated.
#![allow(clippy::unwrap_used)]

#[path = "../tests/invariants/mod.rs"]
pub mod invariants;
