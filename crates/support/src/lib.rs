//! Small utilities that several crates share: atomic and regular files, temporary folders, printing of outside text,
//! shell quoting, locks, runtimes, and messages to the kernel and between processes.

#![forbid(unsafe_code)]

pub mod atomic_file;
pub mod link;
#[cfg(target_os = "linux")]
pub mod netlink;
#[cfg(target_os = "linux")]
pub mod packet_filter;
#[cfg(target_os = "linux")]
pub mod passed_socket;
pub mod printable;
pub mod regular_file;
pub mod runtime;
pub mod shell_quote;
pub mod sync;
pub mod temp;
