//! The top-level help: the commands in groups, exit statuses, and where the documentation is.

use std::fmt::Write as _;

use clap::{Args, Command};

/// The commands by task, in the order of the help.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Record & replay", &["record", "replay", "serve", "ctl", "recover", "report", "demo"]),
    ("Diagnose", &["doctor", "explain", "drift", "glob", "config"]),
    ("Fixtures", &["ls", "show", "diff", "check", "redact", "fmt", "merge", "rm", "prune", "pack", "unpack"]),
    ("Set-up", &["init", "import", "env", "ca", "git-setup", "completions", "man", "help", "version"]),
];

/// The text behind the options of `harproxy --help`.
pub const AFTER_HELP: &str = "\
Every option of record and replay can also be set with a variable, such as --miss-status with HARPROXY_MISS_STATUS, \
and in harproxy.toml.

Exit statuses:
  0    the run passed, or the command did its work
  1    a finding failed the run, or a check found a problem
  2    the command line, a configuration file or a fixture is not usable
  3    harproxy itself failed: a port, a file, a lock
  126  CMD cannot be executed
  127  CMD does not exist
  130  interrupted
  CMD's own status, if CMD failed

Documentation: docs/README.md beside the source; `harproxy help COMMAND`; `harproxy man COMMAND`

Start here:
  harproxy demo
";

/// Width of the help, as in the attribute of `Cli`.
pub const MAX_WIDTH: usize = 110;

/// `harproxy help`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy help
  harproxy help record
  harproxy help ca trust
")]
pub struct HelpArgs {
    /// Command to explain [default: harproxy itself]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Gives the top-level help the groups of commands.
pub fn with_groups(command: Command) -> Command {
    let text = groups(&command, columns());
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{text}Options:\n{{options}}{{after-help}}"
    ))
}

fn groups(command: &Command, columns: usize) -> String {
    let header = clap::builder::Styles::default();
    let (header, literal) = (*header.get_header(), *header.get_literal());
    let width = GROUPS.iter().flat_map(|(_, names)| *names).map(|name| name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(text, "{header}{title}:{header:#}");
        for command in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let lines = textwrap::wrap(&about, columns.saturating_sub(width + 4).max(20));
            let name = command.get_name();
            for (n, line) in lines.iter().enumerate() {
                let name = if n == 0 { name } else { "" };
                let gap = width - name.len() + 2;
                let _ = writeln!(text, "  {literal}{name}{literal:#}{:gap$}{line}", "");
            }
        }
        text.push('\n');
    }
    text
}

/// Returns the width for which clap wraps: that of the terminal, or COLUMNS.
fn columns() -> usize {
    let terminal = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let variable = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(variable).filter(|columns| *columns > 0).unwrap_or(100).min(MAX_WIDTH)
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let grammar = Cli::grammar();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        let mut commands: Vec<&str> = grammar.get_subcommands().map(Command::get_name).collect();
        grouped.sort_unstable();
        commands.sort_unstable();
        assert_eq!(grouped, commands);
    }

    /// clap wraps the text behind the options. A line break inside a paragraph would be a second wrap.
    #[test]
    fn paragraphs_after_the_options_are_single_lines_and_examples_fit() {
        fn check(command: &Command) {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            for pair in lines.windows(2) {
                let is_text = |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
                assert!(!(is_text(pair[0]) && is_text(pair[1])), "{}: {pair:?}", command.get_name());
            }
            for line in lines.iter().filter(|line| line.starts_with("  ")) {
                assert!(line.len() <= 80, "{}: {line}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::grammar());
    }
}
