//! harproxy records the HTTP and HTTPS traffic of any program into HAR files and replays it strictly.
//!
//! This crate is the application; the libraries are under `crates/`. ARCHITECTURE.md describes both.

#![forbid(unsafe_code)]

pub mod admin;
pub mod child;
pub mod cli;
pub mod control;
pub mod diagnose;
pub mod drift;
pub mod fixtures;
pub mod import;
pub mod init;
pub mod isolate;
mod local_api;
pub mod pipeline;
pub mod record;
pub mod replay;
pub mod serve;
pub mod source;
pub mod trust;
pub mod verdict;
