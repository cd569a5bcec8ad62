//! Tests of the replayer behind the proxy engine, in this process: responses and verdicts.

mod again;
mod answers;
mod misses;
mod scope;
pub mod stage;
