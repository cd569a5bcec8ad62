//! Options of `config`, `completions` and `man`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::values::{Words, choices};

/// `harproxy config`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy config
  harproxy config replay
  harproxy config record --glob '**/api/**' --content embed
  harproxy config --json
")]
pub struct SettingsArgs {
    /// Print a JSON object per setting instead of tables
    #[arg(long)]
    pub json: bool,
    /// The configuration file [default: harproxy.toml, searched upward from here]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only the settings of this command [default: both]
    #[arg(value_name = "record|replay", value_parser = choices(SECTIONS))]
    pub section: Option<&'static str>,
    /// Options of the command, as on the command line
    #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub line: Vec<OsString>,
}

const SECTIONS: Words<&'static str> = &[("record", "", "record"), ("replay", "", "replay")];

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
