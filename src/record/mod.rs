//! Recording: the pipeline forwards everything, the tap journals the exchanges in scope, and the journal is finalised
//! into a fixture.

mod ambiguous;
mod damage;
pub mod entry_diff;
pub(crate) mod entry_view;
mod error;
mod finalise;
mod finish;
mod held;
pub mod journal;
mod lock;
mod outcome;
mod plan;
mod recorder;
mod recover;
mod redaction;
mod router;
mod source;
mod tap;
pub mod twice;

#[cfg(test)]
mod tests;

pub use damage::Damage;
pub use error::Error;
pub(crate) use finalise::updated_entry;
pub use held::RecordingSummary;
pub use lock::{FixtureLock, lock_fixture, remove_stale_files};
pub use outcome::{HostLine, RecordingResult};
pub use plan::{CmdEnd, OnFailure, RecordPlan, UpdateMode, Volatile};
pub use recorder::Recorder;
pub use recover::{Leftover, LeftoverCause, Recovery, discard, fixtures_with_leftovers, recover};
pub use source::RecordingSource;
