//! The options of the commands that look after fixtures.

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

/// `harproxy ls`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy ls
  harproxy ls hars/api.har --json
  harproxy ls | grep ' 404 '
")]
pub struct LsArgs {
    /// Which fixtures.
    #[command(flatten)]
    pub files: FixtureArgs,
    /// An object a line: `fixture`, `entry`, `method`, `url`, `status`, `mimeType`, `size`, `file`
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
    /// Entries, as `ls` names them; with --all, fixtures
    #[arg(value_name = "FILE#N", required = true)]
    pub entries: Vec<OsString>,
    /// Show every entry of each FILE, and nothing of when and where it was recorded (for `git diff`)
    #[arg(short, long)]
    pub all: bool,
    /// With --all: name payload files, but show nothing of what is in them
    #[arg(long, requires = "all")]
    pub no_files: bool,
    /// An object a line: the entry, with the text of its payloads inside
    #[arg(long)]
    pub json: bool,
    /// Only the bytes of the decoded response payload
    #[arg(long, conflicts_with_all = ["json", "all"])]
    pub body: bool,
    /// With --body: those of the request
    #[arg(long, requires = "body")]
    pub request: bool,
    /// Print to the terminal as it is, not through HARPROXY_PAGER, PAGER or less
    #[arg(long)]
    pub no_pager: bool,
}

/// `harproxy redact`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
What git has already keeps the values: a secret that was committed has to be changed where it is valid.

Examples:
  harproxy redact --dry-run
  harproxy redact
  harproxy redact hars/api.har
")]
pub struct RedactArgs {
    /// Which fixtures.
    #[command(flatten)]
    pub files: FixtureArgs,
    /// Change nothing: say what would be taken out
    #[arg(long)]
    pub dry_run: bool,
    /// Where the policy is read from.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `harproxy check`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Exits with 1 when there is a problem: a secret that is left, an entry or a payload that can't be used, a payload file that
nothing refers to, a conflict of git. Warnings alone exit with 0. A value that is no secret goes on the list `allow` under
[check] in harproxy.toml, by the hash that is printed.

Examples:
  harproxy check
  harproxy check hars/api.har --max-age 180d
  harproxy check --json
")]
pub struct CheckArgs {
    /// Which fixtures.
    #[command(flatten)]
    pub files: FixtureArgs,
    /// Warn of entries that are older than this, such as `180d` [default: `max-age` under [replay]]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub max_age: Option<Duration>,
    /// An object a line for each finding, and nothing else
    #[arg(long)]
    pub json: bool,
    /// Where the policy is read from.
    #[command(flatten)]
    pub config: ConfigArgs,
}
