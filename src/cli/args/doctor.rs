//! The options of `harproxy doctor`.

use std::ffi::OsString;

use clap::Args;

use super::common::{AuthorityArgs, ConfigArgs, ListenArgs, UpstreamArgs};

/// `harproxy doctor`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The exit status is 0 when all came through the proxy, 1 when something went past it, refused its certificate or
nothing came, and CMD's own when that is not 0.

Examples:
  harproxy doctor -- curl -s http://localhost:8000/api/users
  harproxy doctor --json -- ./run-the-tests.sh
")]
pub struct DoctorArgs {
    /// The program to run, once, through a proxy that lets everything pass and records nothing
    #[arg(last = true, value_name = "CMD", required = true)]
    pub cmd: Vec<OsString>,
    /// The diagnosis as JSON on standard output; CMD's own output goes to standard error
    #[arg(long)]
    pub json: bool,
    /// Where to listen.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// The way out.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    /// Where the authority lives.
    #[command(flatten)]
    pub authority: AuthorityArgs,
    /// Options of `record`, whose section of the configuration it reads.
    #[command(flatten)]
    pub config: ConfigArgs,
}
