//! Options of `report`, `config`, `completions` and `man`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::values::{Words, choices, parse_report};
use crate::verdict::fail_on::{SeverityOverride, describe_kinds};

/// `harproxy config`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy config
  harproxy config replay
  harproxy config record --glob 'https://api.example.com/**' --content embed
  harproxy config --changed
  harproxy config --json
")]
pub struct SettingsArgs {
    /// Print a JSON object per setting instead of tables
    #[arg(long)]
    pub json: bool,
    /// Only the settings that are not the default
    #[arg(long)]
    pub changed: bool,
    /// The configuration file [default: harproxy.toml, searched upward from here]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only the settings of this command [default: both]
    #[arg(value_name = "record|replay|drift", value_parser = choices(SECTIONS))]
    pub section: Option<&'static str>,
    /// Options of the command, as on the command line
    #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub line: Vec<OsString>,
}

const SECTIONS: Words<&'static str> = &[("record", "", "record"), ("replay", "", "replay"), ("drift", "", "drift")];

/// `harproxy completions`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy completions bash > harproxy.bash
  harproxy completions zsh > _harproxy
  harproxy completions fish > harproxy.fish
")]
pub struct CompletionsArgs {
    /// Shell to print completions for
    #[arg(value_name = "SHELL", value_parser = choices(SHELLS))]
    pub shell: Shell,
}

const SHELLS: Words<Shell> = &[
    ("bash", "", Shell::Bash),
    ("zsh", "", Shell::Zsh),
    ("fish", "", Shell::Fish),
    ("powershell", "", Shell::PowerShell),
    ("elvish", "", Shell::Elvish),
];

/// `harproxy man`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy man > harproxy.1
  harproxy man record > harproxy-record.1
  harproxy man ca trust
  harproxy man --dir share/man/man1
")]
pub struct ManArgs {
    /// Command to print the page of [default: harproxy itself]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Write the pages of all commands into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub dir: Option<PathBuf>,
}

/// `harproxy report`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
An entry is unused if no shard used it. `no-traffic` means that no shard had traffic. The exit \
status is 0 if the combined verdict passed, else 1, also if CMD or harproxy failed in a shard.

Examples:
  harproxy report --combine shard-1.json shard-2.json
  harproxy report --combine shards/*.json --fail-on +unused --report all.html
")]
pub struct ReportArgs {
    /// Combine the JSON reports of several runs, such as the shards of a CI job
    #[arg(long, value_name = "FILE.json", num_args = 1.., required = true)]
    pub combine: Vec<PathBuf>,
    /// Findings that fail the verdict, or (`+unused,-stale`) a change to the setting of the runs [default: as in the
    /// runs]
    #[arg(long, value_name = "LIST", value_parser = SeverityOverride::parse, allow_hyphen_values = true)]
    #[arg(long_help = describe_kinds("as in the runs"))]
    pub fail_on: Option<SeverityOverride>,
    /// Write a combined report in the format of its extension (.json, .xml for JUnit, .md, .html); repeatable
    #[arg(long, value_name = "FILE", value_parser = parse_report, id = "combined_report")]
    pub report: Vec<PathBuf>,
}
