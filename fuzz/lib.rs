//! The invariants that are fuzzed.

// Those that the tests share with us say by a panic what does not hold.
#![allow(clippy::unwrap_used)]

#[path = "../tests/invariants/mod.rs"]
pub mod invariants;
