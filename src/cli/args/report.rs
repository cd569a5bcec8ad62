//! The options of `harproxy report`.

use std::path::PathBuf;

use clap::Args;

use super::values::{parse_fail_on, parse_report};

/// `harproxy report`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
An entry is unused if no shard used it, and there was no traffic if no shard saw any. Exits with 0 when the verdict of all
holds, else with 1: also when CMD or harproxy itself had failed in a shard.

Examples:
  harproxy report --combine shard-1.json shard-2.json
  harproxy report --combine shards/*.json --fail-on +unused --report all.html --report all.json
")]
pub struct ReportArgs {
    /// Make one verdict of the JSON reports of many runs, such as the shards of a CI job
    #[arg(long, value_name = "FILE.json", num_args = 1.., required = true)]
    pub combine: Vec<PathBuf>,
    /// Findings that fail the verdict, or (`+unused,-stale`) a change of what the runs said [default: as the runs said]
    #[arg(long, value_name = "LIST", value_parser = parse_fail_on, allow_hyphen_values = true)]
    pub fail_on: Option<String>,
    /// Write a report of it all by its ending (.json, .xml for JUnit, .md, .html); repeatable
    #[arg(long, value_name = "FILE", value_parser = parse_report, id = "combined_report")]
    pub report: Vec<PathBuf>,
}
