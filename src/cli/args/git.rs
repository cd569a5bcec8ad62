//! The options of `harproxy merge` and `harproxy git-setup`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

/// `harproxy merge`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["files", "driver"]))]
#[command(after_help = "\
Entries are merged, not lines: an entry is known by its method, its URL, the payload of its request, and its turn.

Examples:
  harproxy merge hars/api.har hars/more.har
  harproxy merge -o hars/all.zip hars/api.har hars/more.har
  harproxy merge -o hars/all.har --adopt hars/api.har devtools.har

As a git merge driver, which `harproxy git-setup` installs:
  harproxy merge --driver %O %A %B %P --marker-size %L
")]
pub struct MergeArgs {
    /// The fixtures: the entries of the first, then what each later one adds; a request that was answered in another way
    /// there has one turn more
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where the result goes, by its ending a HAR with its payload folder or a .zip; it may be one of FILE
    /// [default: the first FILE]
    #[arg(short, long, value_name = "FILE", id = "merged")]
    pub output: Option<PathBuf>,
    /// Make entries of other tools' HARs harproxy's own; without it the two are not mixed
    #[arg(long, conflicts_with = "driver")]
    pub adopt: bool,
    /// Merge two branches of a fixture: their common ancestor, ours (where the result goes), theirs, and its path in the
    /// repository; exits with 1 when there are conflicts
    #[arg(long, num_args = 4, value_names = ["BASE", "OURS", "THEIRS", "PATH"], conflicts_with_all = ["files", "merged"])]
    #[arg(allow_hyphen_values = true)]
    pub driver: Vec<PathBuf>,
    /// How many characters a conflict marker has
    #[arg(long, value_name = "N", default_value_t = 7, requires = "driver")]
    pub marker_size: usize,
}

/// `harproxy git-setup`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
.gitattributes is for all who clone the repository: commit it. The configuration is this clone's alone: everyone who
clones runs git-setup once. Where it was not run, git merges fixtures as text.

Examples:
  harproxy git-setup
  harproxy git-setup --check
")]
pub struct GitSetupArgs {
    /// Fixtures, or folders of them [default: hars/, and every fixture of harproxy's own that git knows]
    #[arg(value_name = "FILE|DIR")]
    pub fixtures: Vec<PathBuf>,
    /// Change nothing: say what is missing, and exit with 1 if anything is
    #[arg(long)]
    pub check: bool,
}
