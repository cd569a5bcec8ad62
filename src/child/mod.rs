//! CMD: the environment that makes a client use the proxy and trust its CA, and the process itself: spawn, signals, status.

pub mod docker;
pub mod env;
pub mod files;
mod no_proxy;
pub mod run;
pub mod shell;
pub mod signals;

pub use env::{Change, Facts, Mode, changes};
pub use files::{RunFiles, RunFolder};
pub use run::{ChildStatus, CommandPlan, Ended, SpawnError, run};
pub use signals::{Signal, Signals};
