//! Proposals for a project that begins to use harproxy: its test command, the globs of the APIs that it calls,
//! `harproxy.toml`, and a step for its CI. All of it is computed from file names, texts and counts of requests.

mod ci;
mod detect;
mod proposal;

pub use ci::CiSystem;
pub use detect::{TestSetup, detect};
pub use proposal::{ProposedGlobs, config_text, missing_globs};
