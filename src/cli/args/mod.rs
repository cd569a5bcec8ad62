//! What was typed: the options of each command, parsed into types. Nothing here does I/O or looks further than one option;
//! [`super::plan`] turns it into finished plans. Doc comments are the help.

pub mod about;
pub mod ca;
pub mod common;
pub mod doctor;
pub mod explain;
pub mod git;
pub mod record;
pub mod replay;
pub mod report;
pub mod upkeep;
pub mod values;
pub mod variables;

use std::ffi::OsString;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, FromArgMatches, Parser, Subcommand};

use super::config::{self, Config};
use super::ui::{Color, LogFormat, Progress, Ui};
use crate::child::shell::Shell;
use about::{CompletionsArgs, ManArgs, SettingsArgs};
use ca::CaArgs;
use common::{AuthorityArgs, ConfigArgs, ListenArgs};
use doctor::DoctorArgs;
use explain::ExplainArgs;
use git::{GitSetupArgs, MergeArgs};
use record::{RecordArgs, RecoverArgs};
use replay::ReplayArgs;
use report::ReportArgs;
use upkeep::{CheckArgs, FmtArgs, LsArgs, PackArgs, RedactArgs, ShowArgs, UnpackArgs};
use values::{choices, parse_glob};

const EXAMPLES: &str = "\
Every option of record and replay can also be given as a variable: --miss-status as HARPROXY_MISS_STATUS.

Start here:
  harproxy demo
";

/// Record the HTTP and HTTPS traffic of any program into HAR files, and replay it strictly.
#[derive(Debug, Parser)]
#[command(name = "harproxy", version, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 110)]
#[command(disable_help_subcommand = true, subcommand_required = true, infer_long_args = false)]
pub struct Cli {
    /// How to talk.
    #[command(flatten)]
    pub talk: TalkArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How harproxy talks; the same for every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct TalkArgs {
    /// Print nothing but errors and what failed
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log each request (-v), then everything (-vv); HARPROXY_LOG takes a finer filter
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// When to use colour; `auto` is on a terminal, and honours NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", value_parser = choices(Color::WORDS))]
    pub color: Color,
    /// When to tell requests while they come; `auto` is on a terminal and without CMD
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", value_parser = choices(Progress::WORDS))]
    pub progress: Progress,
    /// The form of what goes to standard error, and of the line that says harproxy is ready
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", value_parser = choices(LogFormat::WORDS))]
    pub log_format: LogFormat,
}

impl TalkArgs {
    /// What talks so.
    #[must_use]
    pub fn ui(&self) -> Ui {
        Ui::new(self.quiet, self.verbose > 0, self.log_format, self.color, self.progress)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record what goes through the proxy into a fixture
    Record(Box<RecordArgs>),
    /// Serve fixtures back, strictly: what was not recorded fails the run
    Replay(Box<ReplayArgs>),
    /// Accept what a killed or failed recording left, or drop it
    Recover(Box<RecoverArgs>),
    /// Record and replay against an embedded HTTPS API, offline
    Demo,
    /// Run CMD once, and say what goes past the proxy or does not trust it, and the remedy
    Doctor(Box<DoctorArgs>),
    /// Print the variables that make a program use the proxy, as `-- CMD` would set them
    Env(EnvArgs),
    /// Say which entry would answer a request and why, or what keeps every entry from it
    Explain(Box<ExplainArgs>),
    /// Say which of the URLs on standard input the globs match
    Glob(GlobArgs),
    /// List the entries of fixtures, one a line
    Ls(LsArgs),
    /// Show an entry, or all of a fixture, decoded and laid out
    Show(ShowArgs),
    /// Say whether fixtures are valid and complete, and whether a secret is left in them
    Check(CheckArgs),
    /// Take secrets out of fixtures that are there already
    Redact(RedactArgs),
    /// Put fixtures in canonical form: the same content is the same bytes
    Fmt(FmtArgs),
    /// Make one fixture of several; also the git merge driver
    Merge(MergeArgs),
    /// Make git merge and show fixtures by their entries
    GitSetup(GitSetupArgs),
    /// Make one archive of a HAR and its payload files
    Pack(PackArgs),
    /// Make a HAR and its payload files of an archive
    Unpack(UnpackArgs),
    /// Make one verdict of the reports of many runs
    Report(ReportArgs),
    /// The certificate authority: where it is, what it is, and what trusts it
    Ca(CaArgs),
    /// The effective settings, and where each comes from
    Config(SettingsArgs),
    /// Print what a shell is to know of the command line
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them into a folder
    Man(ManArgs),
}

impl Command {
    /// What it takes from the configuration: the section of its options, if it has any, and where the rest goes.
    fn configured(&mut self) -> Option<(Option<&'static str>, &mut ConfigArgs)> {
        match self {
            Command::Record(args) => Some((Some("record"), &mut args.config)),
            Command::Recover(args) => Some((Some("record"), &mut args.config)),
            Command::Doctor(args) => Some((Some("record"), &mut args.config)),
            Command::Replay(args) => Some((Some("replay"), &mut args.config)),
            Command::Explain(args) => Some((Some("replay"), &mut args.config)),
            // What a replay takes for old, and looks into.
            Command::Check(args) => Some((Some("replay"), &mut args.config)),
            Command::Redact(args) => Some((None, &mut args.config)),
            _ => None,
        }
    }

    /// Whether it is a proxy without CMD.
    #[must_use]
    pub fn serves_alone(&self) -> bool {
        match self {
            Command::Record(args) => args.cmd.is_empty(),
            Command::Replay(args) => args.cmd.is_empty(),
            _ => false,
        }
    }
}

/// `harproxy glob`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  echo https://api.example.com/users | harproxy glob 'https://api.example.com/**'
  echo https://api.example.com/health | harproxy glob --json '**' '!**/health'
")]
pub struct GlobArgs {
    /// The globs, as `--glob` takes them; `!GLOB` excludes
    #[arg(value_name = "GLOB", required = true, value_parser = parse_glob)]
    pub globs: Vec<String>,
    /// An object a line: `{"url":…,"match":true}` instead of `match` or `-`, a tab, and the URL
    #[arg(long)]
    pub json: bool,
}

/// `harproxy env`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy env
  harproxy env --shell json
  eval \"$(harproxy env)\"
  harproxy env --playwright
  harproxy env --docker --listen 0.0.0.0:8899 --auth ci:secret
")]
pub struct EnvArgs {
    /// The language to print
    #[arg(long, value_name = "SHELL", default_value = "sh", value_parser = choices(SHELLS))]
    pub shell: Shell,
    /// Arguments for `docker run` (or podman) instead: variables, mounts, and the way to this machine
    #[arg(long, conflicts_with_all = ["shell", "playwright"])]
    pub docker: bool,
    /// What a Playwright configuration needs instead
    #[arg(long, conflicts_with = "shell")]
    pub playwright: bool,
    /// Where the proxy listens.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Where the authority lives.
    #[command(flatten)]
    pub authority: AuthorityArgs,
}

/// The words of `--shell`.
const SHELLS: &[(&str, &str, Shell)] = &[
    ("sh", "bash, zsh, dash and their kin", Shell::Sh),
    ("fish", "", Shell::Fish),
    ("powershell", "", Shell::PowerShell),
    ("dotenv", "a .env file", Shell::Dotenv),
    ("json", "an object of names and values", Shell::Json),
];

impl Cli {
    /// Parses arguments (the program's name first) and the `HARPROXY_<OPTION>` variables.
    ///
    /// # Errors
    /// clap's own, `--help` and `--version` among them.
    pub fn parse_from(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
        Cli::parse_by(Cli::command(), args).map(|(cli, _)| cli)
    }

    /// The same over what the configuration says, if the command has one.
    ///
    /// # Errors
    /// clap's own, or the configuration's.
    pub fn parse_configured(args: &[OsString]) -> Result<Cli, UsageError> {
        let (mut cli, mut matches) = Cli::parse_by(Cli::command(), args.iter().cloned())?;
        cli.see_dashes(args)?;
        let Some((section, named)) = cli.command.configured() else { return Ok(cli) };
        let config = Config::load(named.config.as_deref(), Cli::command);
        let config = config.map_err(|error| UsageError::Config(error.into(), cli.talk.clone()))?;
        if let Some(section) = section.filter(|section| config.has_defaults(section)) {
            (cli, matches) = Cli::parse_by(config.defaults(section, Cli::command()), args.iter().cloned())?;
        }
        if let (Command::Record(args), Some((_, matches))) = (&mut cli.command, matches.subcommand()) {
            args.carried = record::carried(matches, &config);
        }
        if let Some((_, args)) = cli.command.configured() {
            args.said = Arc::new(config);
        }
        Ok(cli)
    }

    /// What clap does not tell: that two dashes stand there. With nothing behind them a script that lost its words would start
    /// a proxy that nobody ends; before the words of another command they say what is CMD.
    fn see_dashes(&mut self, args: &[OsString]) -> Result<(), clap::Error> {
        match &mut self.command {
            command if command.serves_alone() && args.last().is_some_and(|last| last == "--") => Err(Cli::command()
                .error(ErrorKind::MissingRequiredArgument, "nothing stands after `--`, where the program to run goes")),
            Command::Config(settings) if !settings.line.is_empty() => {
                let before = args.len().checked_sub(settings.line.len() + 1).and_then(|at| args.get(at));
                if before.is_some_and(|word| word == "--") {
                    settings.line.insert(0, "--".into());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// How to talk of arguments that can't be understood, as far as that can be.
    #[must_use]
    pub fn talk_of(args: &[OsString]) -> Option<TalkArgs> {
        let matches = Cli::command().ignore_errors(true).try_get_matches_from(args).ok()?;
        let innermost = std::iter::successors(Some(&matches), |matches| Some(matches.subcommand()?.1)).last()?;
        TalkArgs::from_arg_matches(innermost).or_else(|_| TalkArgs::from_arg_matches(&matches)).ok()
    }

    fn parse_by(
        mut command: clap::Command,
        args: impl IntoIterator<Item = OsString>,
    ) -> Result<(Cli, ArgMatches), clap::Error> {
        let matches = command.try_get_matches_from_mut(args)?;
        let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        Ok((cli, matches))
    }

    /// The whole grammar, variables included.
    #[must_use]
    pub fn command() -> clap::Command {
        variables::attach(Cli::grammar())
    }

    /// The grammar as it is everywhere.
    #[must_use]
    pub fn grammar() -> clap::Command {
        <Cli as clap::CommandFactory>::command()
    }
}

/// What is wrong with what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The command line.
    #[error(transparent)]
    Typed(#[from] clap::Error),
    /// The configuration. How to talk was said rightly.
    #[error("reading the configuration")]
    Config(#[source] Box<config::Error>, TalkArgs),
}

#[cfg(test)]
mod tests;
