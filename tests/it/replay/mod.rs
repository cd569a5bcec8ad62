//! Tests of the replayer behind the proxy engine, in this process: responses and verdicts.

mod answers;
mod misses;
mod response_cache;
mod scope;
pub mod stage;
