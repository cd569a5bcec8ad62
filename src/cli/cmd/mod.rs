//! One file a command.

pub mod ca;
pub mod check;
pub mod config;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod drift;
pub mod env;
pub mod explain;
pub mod fmt;
pub mod git_setup;
pub mod glob;
pub mod import;
pub mod init;
pub mod ls;
pub mod manual;
pub mod merge;
pub mod pack;
pub mod prune;
pub mod record;
pub mod recover;
pub mod redact;
pub mod replay;
pub mod report;
pub mod rm;
pub mod show;
