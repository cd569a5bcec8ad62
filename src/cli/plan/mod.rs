//! Plans: the parsed options of a command, combined and validated. Errors in a command line are found here, before
//! harproxy opens a port or writes a file.
//!
//! [`run`] has the run around CMD, and a file per command its own part.

mod record;
mod replay;
mod run;

pub use record::{Learning, RecordJob, record_plan, recover_plan};
pub use replay::{ReplayJob, fixtures_or_default, matching_options, scope};
pub use run::{RunPlan, ca_dir, listen_address, upstream_plan};

#[cfg(test)]
mod tests;
