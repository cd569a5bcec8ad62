//! Options of the commands that maintain fixtures.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::common::{ConfigArgs, FixtureArgs};
use super::values::parse_duration;

/// `harproxy fmt`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy fmt
  harproxy fmt hars/api.har
  harproxy fmt --check
")]
pub struct FmtArgs {
    /// The fixtures.
    #[command(flatten)]
    pub files: FixtureArgs,
    /// Change nothing: list fixtures that are not in canonical form with the first line to change, and exit with 1
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
    /// HAR to pack, with the payload files that it refers to
    #[arg(value_name = "FILE.har")]
    pub file: PathBuf,
    /// The archive [default: FILE.zip, beside the HAR]
    #[arg(short, long, value_name = "FILE.zip", id = "pack_output")]
    pub output: Option<PathBuf>,
    /// Replace an existing archive
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
    /// HAR to write, with its payloads beside it [default: FILE.har, beside the archive]
    #[arg(short, long, value_name = "FILE.har", id = "unpack_output")]
    pub output: Option<PathBuf>,
    /// Replace an existing HAR and its payloads
    #[arg(long)]
    pub force: bool,
}

/// `harproxy ls`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy ls
  harproxy ls hars/api.har --json
  harproxy ls | grep ' 404 '
")]
pub struct LsArgs {
    /// The fixtures.
    #[command(flatten)]
    pub files: FixtureArgs,
    /// Print a JSON object per line: `fixture`, `entry`, `method`, `url`, `status`, `mimeType`, `size`, `file`
    #[arg(long)]
    pub json: bool,
}

/// `harproxy show`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy show 'hars/api.har#0'
  harproxy show --all hars/api.har
  harproxy show --body 'hars/api.har#0' > users.json
  harproxy show --json 'hars/api.har#0'
")]
pub struct ShowArgs {
    /// Entries as printed by `ls`; with --all, fixtures
    #[arg(value_name = "FILE#N", required = true)]
    pub entries: Vec<OsString>,
    /// Show every entry of each FILE without times and addresses (for `git diff`)
    #[arg(short, long)]
    pub all: bool,
    /// With --all: name payload files without showing their content
    #[arg(long, requires = "all")]
    pub no_files: bool,
    /// Print a JSON object per entry, including the text of its payloads
    #[arg(long)]
    pub json: bool,
    /// Print only the bytes of the decoded response payload
    #[arg(long, conflicts_with_all = ["json", "all"])]
    pub body: bool,
    /// With --body: print the request payload
    #[arg(long, requires = "body")]
    pub request: bool,
    /// Print directly to the terminal, without HARPROXY_PAGER, PAGER or less
    #[arg(long)]
    pub no_pager: bool,
}

/// `harproxy redact`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Earlier git commits keep the removed values: revoke every secret that was committed.

Examples:
  harproxy redact --dry-run
  harproxy redact
  harproxy redact hars/api.har
")]
pub struct RedactArgs {
    /// The fixtures.
    #[command(flatten)]
    pub files: FixtureArgs,
    /// Change nothing: list values to redact
    #[arg(long)]
    pub dry_run: bool,
    /// `--config`, for the redaction policy.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `harproxy check`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The exit status is 1 if there is a problem: a remaining secret, an unusable entry or payload, an unreferenced payload file,
a git conflict. It is 0 if there are only warnings. Add the printed hash of a value that is not secret to `allow` under
[check] in harproxy.toml.

Examples:
  harproxy check
  harproxy check hars/api.har --max-age 180d
  harproxy check --json
")]
pub struct CheckArgs {
    /// The fixtures.
    #[command(flatten)]
    pub files: FixtureArgs,
    /// Warn about entries older than this, such as `180d` [default: `max-age` under [replay]]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub max_age: Option<Duration>,
    /// Print only a JSON object per finding
    #[arg(long)]
    pub json: bool,
    /// `--config`, for the redaction policy.
    #[command(flatten)]
    pub config: ConfigArgs,
}
