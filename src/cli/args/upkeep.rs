//! The options of the commands that look after fixtures.

use std::path::PathBuf;

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

/// `harproxy pack`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy pack hars/api.har
  harproxy pack hars/api.har -o build/api.zip
")]
pub struct PackArgs {
    /// The HAR; its payloads are found by what it says
    #[arg(value_name = "FILE.har")]
    pub file: PathBuf,
    /// The archive [default: FILE.zip, beside the HAR]
    #[arg(short, long, value_name = "FILE.zip", id = "pack_output")]
    pub output: Option<PathBuf>,
    /// Replace an archive that is there
    #[arg(long)]
    pub force: bool,
}

/// `harproxy unpack`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy unpack hars/packed.zip
  harproxy unpack hars/packed.zip -o hars/other.har
")]
pub struct UnpackArgs {
    /// The archive
    #[arg(value_name = "FILE.zip")]
    pub file: PathBuf,
    /// The HAR, beside which its payloads go [default: FILE.har, beside the archive]
    #[arg(short, long, value_name = "FILE.har", id = "unpack_output")]
    pub output: Option<PathBuf>,
    /// Replace a HAR that is there, and its payloads
    #[arg(long)]
    pub force: bool,
}
