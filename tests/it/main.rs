//! The one integration binary: a file a topic. Tests drive the real binary with real clients, or the pure core with data.

// A helper that can't go on fails its test, and that is what an unwrap says.
#![allow(clippy::unwrap_used)]

mod ageing;
mod architecture;
mod bad_fixtures;
mod bad_input;
mod bodies;
mod cli;
mod engine;
mod foreign_hars;
mod glob_corpus;
mod har_properties;
mod har_quirks;
mod har_reading;
mod killed;
mod lookup_corpus;
mod merging;
mod node_hook;
mod on_miss;
mod options;
mod placeholders;
mod policy;
mod quiet;
mod record_handler;
mod regression;
mod replay;
mod round_trip;
mod secrets;
mod streams;
mod support;
mod trust;
mod twice;
mod untouched;
mod upkeep;
mod wire_truth;
mod workers;
