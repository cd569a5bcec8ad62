//! Plans: the parsed options of a command, combined and validated. Errors in a command line are found here, before
//! harproxy opens a port or writes a file.
//!
//! [`run`] has the run around CMD, and a file per command its own part.

mod doctor;
mod error;
mod explain;
mod matching;
mod record;
mod replay;
mod run;
mod upstream;

pub use doctor::DoctorJob;
pub use error::Error;
pub use explain::ExplainJob;
pub use matching::fixtures_or_default;
pub use record::{Learning, RecordJob, recover_plan};
pub use replay::ReplayJob;
pub use run::{RunPlan, ca_dir, listen_address};

#[cfg(test)]
mod tests;
