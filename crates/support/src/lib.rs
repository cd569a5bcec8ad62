//! Small utilities that several crates share: atomic and regular files, temporary folders, printing of outside text,
//! shell quoting, locks and runtimes.

#![forbid(unsafe_code)]

pub mod atomic_file;
pub mod link;
pub mod printable;
pub mod regular_file;
pub mod runtime;
pub mod shell_quote;
pub mod sync;
pub mod temp;
