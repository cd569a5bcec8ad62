//! Crash safety: kills at any moment, a full disk, a second harproxy, a terminal that closes.
//!
//! Two guarantees are tested: an exchange that a client saw complete is not lost, and a fixture is the old one or the
//! new one.

mod damaged;
mod faults;
mod load;
mod locks;
mod process;
mod random;
mod shutdown;
mod writers;
