//! Ports and threads.

pub(crate) mod server;
pub(crate) mod threads;
