//! Options of `harproxy merge` and `harproxy git-setup`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

/// `harproxy merge`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["files", "driver"]))]
#[command(after_help = "\
Entries are merged, not lines. An entry is identified by its method, URL, request payload and place in its sequence.

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
Commit .gitattributes: it applies to every clone. The git configuration belongs to one clone: run git-setup once in each.
Without it, git merges fixtures as text.

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
