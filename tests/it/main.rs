//! Integration tests in one binary, with one file per topic. They use the real binary with real clients, or the core
//! crates with data.

// A failing helper fails its test. An unwrap is the shortest form of that.
#![allow(clippy::expect_used, clippy::panic, clippy::unreachable, clippy::unwrap_used)]

mod access;
mod ageing;
mod architecture;
mod bad_fixtures;
mod bad_input;
mod bodies;
mod bypass;
mod cli;
mod crash_safety;
mod damaged_fixtures;
mod doctor;
mod drift;
mod engine;
mod event_streams;
mod findings;
mod fixtures;
mod foreign_hars;
mod foreign_replay;
mod fuzzed;
mod glob_corpus;
mod har_properties;
mod har_quirks;
mod har_reading;
mod hints;
mod hostile_text;
mod html_report;
mod ignored_parts;
#[cfg(unix)]
mod import;
mod init;
#[cfg(target_os = "linux")]
mod isolate;
mod key_headers;
mod killed;
mod layout;
#[cfg(target_os = "linux")]
mod limits;
mod live;
mod logins;
mod lookup_corpus;
mod merging;
mod near_misses;
#[cfg(target_os = "linux")]
mod no_dialling;
mod node_hook;
mod odd_messages;
mod on_miss;
mod options;
mod placeholders;
mod playwright_recordings;
mod policy;
mod prune;
mod raw_tls;
mod record_handler;
mod refused_payloads;
mod regression;
mod replay;
mod reports;
mod rerecording;
mod reverse;
mod round_trip;
mod secrets;
mod serve;
#[cfg(unix)]
mod sessions;
mod smuggling;
mod spelling;
mod streams;
mod supply_chain;
mod support;
mod this_machine;
mod tls_refusals;
mod trust;
mod twice;
mod upstream_failures;
mod verdict_robust;
mod virtual_hosts;
mod workers;
