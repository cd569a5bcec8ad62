//! Options of `harproxy report`.

use std::path::PathBuf;

use clap::Args;

use super::values::parse_report;
use crate::verdict::fail_on::SeverityOverride;

/// `harproxy report`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
An entry is unused if no shard used it. `no-traffic` means that no shard had traffic. The exit status is 0 if the combined
verdict passed, else 1, also if CMD or harproxy failed in a shard.

Examples:
  harproxy report --combine shard-1.json shard-2.json
  harproxy report --combine shards/*.json --fail-on +unused --report all.html --report all.json
")]
pub struct ReportArgs {
    /// Combine the JSON reports of several runs, such as the shards of a CI job
    #[arg(long, value_name = "FILE.json", num_args = 1.., required = true)]
    pub combine: Vec<PathBuf>,
    /// Findings that fail the verdict, or (`+unused,-stale`) a change to the setting of the runs [default: as in the
    /// runs]
    #[arg(long, value_name = "LIST", value_parser = SeverityOverride::parse, allow_hyphen_values = true)]
    pub fail_on: Option<SeverityOverride>,
    /// Write a combined report in the format of its extension (.json, .xml for JUnit, .md, .html); repeatable
    #[arg(long, value_name = "FILE", value_parser = parse_report, id = "combined_report")]
    pub report: Vec<PathBuf>,
}
