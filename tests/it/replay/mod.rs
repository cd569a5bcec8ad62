//! The replayer behind the engine, in this process: what a request gets, in the order that decides it, and what the verdict
//! says of it.

mod again;
mod answers;
mod misses;
mod scope;
pub mod stage;
