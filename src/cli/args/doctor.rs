//! Options of `harproxy doctor`.

use std::ffi::OsString;

use clap::Args;

use super::common::{AuthorityArgs, ConfigArgs, ListenArgs, UpstreamArgs};

/// `harproxy doctor`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The exit status is 0 if all traffic came through the proxy. It is 1 if traffic bypassed the proxy, refused its certificate,
or if there was none. It is CMD's status if that is not 0.

Examples:
  harproxy doctor -- curl -s http://localhost:8000/api/users
  harproxy doctor --json -- ./run-the-tests.sh
")]
pub struct DoctorArgs {
    /// Program to run once, through a proxy that forwards everything and records nothing
    #[arg(last = true, value_name = "CMD", required = true)]
    pub cmd: Vec<OsString>,
    /// Print the diagnosis as JSON on standard output; the output of CMD goes to standard error
    #[arg(long)]
    pub json: bool,
    /// Options of the proxy port.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Options of upstream connections.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    /// `--ca-dir`.
    #[command(flatten)]
    pub authority: AuthorityArgs,
    /// `--config`. The command reads the `[record]` section.
    #[command(flatten)]
    pub config: ConfigArgs,
}
