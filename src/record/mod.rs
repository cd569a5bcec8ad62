//! Recording: the pipeline forwards everything, the tap journals the exchanges in scope, and the journal is finalised into a
//! fixture.

mod error;
mod finalise;
mod held;
pub mod journal;
mod lock;
mod outcome;
mod plan;
mod problem;
mod recorder;
mod recover;
mod redaction;
mod router;
mod source;
mod tap;
mod volatile;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use held::RecordingSummary;
pub use lock::{FixtureLock, lock_fixture, remove_stale_files};
pub use outcome::{HostLine, Outcome};
pub use plan::{CmdEnd, OnFailure, RecordPlan, UpdateMode};
pub use recorder::Recorder;
pub use recover::{Leftover, LeftoverCause, Recovery, discard, fixtures_with_leftovers, recover};
pub use source::RecordingSource;
pub use volatile::Volatile;
