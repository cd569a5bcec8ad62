//! Options of the commands that maintain fixtures, also in git.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};

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
    #[command(flatten)]
    pub files: FixtureArgs,
    /// Change nothing: list fixtures that are not in canonical form with the first line to change, and exit with 1.
    /// Layout 1 of older versions is accepted
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
The exit status is 1 if there is a problem: a remaining secret, an unusable entry or payload, a
payload file without entry, a git conflict. It is 0 if there are only warnings. Add the printed
hash of a value that is not secret to `allow` under [check] in harproxy.toml.

Examples:
  harproxy check
  harproxy check hars/api.har --max-age 180d
  harproxy check --json
")]
pub struct CheckArgs {
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

/// `harproxy merge`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["files", "driver"]))]
#[command(after_help = "\
Entries are merged, not lines. An entry is identified by its method, URL, request payload and
place in its sequence.

Examples:
  harproxy merge hars/api.har hars/more.har
  harproxy merge -o hars/all.zip hars/api.har hars/more.har
  harproxy merge -o hars/all.har --adopt hars/api.har devtools.har

As a git merge driver, which `harproxy git-setup` installs:
  harproxy merge --driver %O %A %B %P --marker-size %L
")]
pub struct MergeArgs {
    /// Fixtures to merge: the entries of the first, then those that each later one adds; a different response to the
    /// same request becomes the next one in its sequence
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Result: a HAR with its payload folder, or a .zip; it may be one of FILE
    /// [default: the first FILE]
    #[arg(short, long, value_name = "FILE", id = "merged")]
    pub output: Option<PathBuf>,
    /// Convert entries of other tools' HARs; without it they are not mixed with harproxy's own
    #[arg(long, conflicts_with = "driver")]
    pub adopt: bool,
    /// Merge two branches of a fixture: common ancestor, ours (receives the result), theirs, path in the repository;
    /// exits with 1 if there are conflicts
    #[arg(long, num_args = 4, value_names = ["BASE", "OURS", "THEIRS", "PATH"], conflicts_with_all = ["files", "merged"])]
    #[arg(allow_hyphen_values = true)]
    pub driver: Vec<PathBuf>,
    /// Length of a conflict marker
    #[arg(long, value_name = "N", default_value_t = 7, requires = "driver")]
    pub marker_size: usize,
}

/// `harproxy git-setup`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Commit .gitattributes: it applies to every clone. The git configuration belongs to one clone: run
git-setup once in each. Without it, git merges fixtures as text.

Examples:
  harproxy git-setup
  harproxy git-setup --check
")]
pub struct GitSetupArgs {
    /// Fixtures, or folders of them [default: hars/, and every fixture of harproxy that git tracks]
    #[arg(value_name = "FILE|DIR")]
    pub fixtures: Vec<PathBuf>,
    /// Change nothing: list missing settings, and exit with 1 if there are any
    #[arg(long)]
    pub check: bool,
}
