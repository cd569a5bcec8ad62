//! Runs CMD: prepares its environment (proxy and CA), spawns it, forwards signals and returns its status.

pub mod env;
pub mod files;
pub mod run;
pub mod shell;
pub mod signals;

pub use env::{Facts, VariableChange, changes};
pub use files::{RunFiles, RunFolder};
pub use run::{CommandPlan, Ended, SpawnError, run};
pub use signals::{Signal, Signals};
