//! The options of the commands that look after fixtures.

use clap::Args;

use super::common::FixtureArgs;

/// `harproxy fmt`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy fmt
  harproxy fmt hars/api.har
  harproxy fmt --check
")]
pub struct FmtArgs {
    /// Which fixtures.
    #[command(flatten)]
    pub files: FixtureArgs,
    /// Change nothing: list what is not in canonical form, with the first line that would change, and exit with 1
    #[arg(long)]
    pub check: bool,
}
