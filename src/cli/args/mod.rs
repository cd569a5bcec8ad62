//! The command line: options of each command, parsed into types. Each option is parsed by itself, without I/O.
//! [`super::plan`] combines them into plans. Doc comments of arguments are the `--help` texts.

pub mod about;
pub mod ca;
pub mod common;
pub mod ctl;
pub mod diagnose;
pub mod drift;
pub mod fixtures;
pub mod help;
pub mod import;
pub mod record;
pub mod replay;
pub mod serve;
pub mod values;
pub mod variables;

use std::ffi::OsString;
use std::sync::Arc;

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, ArgMatches, Args, FromArgMatches, Parser, Subcommand};

use super::advice::Failure;
use super::config::Config;
use super::ui::{self, LogFormat, Progress, Ui};
use crate::child::shell::Shell;
use about::{CompletionsArgs, ManArgs, ReportArgs, SettingsArgs};
use ca::CaArgs;
use common::{AuthorityArgs, ConfigArgs, ListenArgs};
use ctl::CtlArgs;
use diagnose::{DoctorArgs, ExplainArgs, InitArgs};
use drift::DriftArgs;
use fixtures::{
    CheckArgs, DiffArgs, FmtArgs, GitSetupArgs, LsArgs, MergeArgs, PackArgs, PruneArgs, RedactArgs, RmArgs, ShowArgs,
    UnpackArgs,
};
use help::HelpArgs;
use import::ImportArgs;
use record::{RecordArgs, RecoverArgs};
use replay::ReplayArgs;
use serve::ServeArgs;
use values::{choices, parse_any_glob};

/// Record the HTTP and HTTPS traffic of any program into HAR files, and replay it strictly.
#[derive(Debug, Parser)]
#[command(name = "harproxy", version, after_help = help::AFTER_HELP)]
#[command(arg_required_else_help = true, max_term_width = help::MAX_WIDTH, disable_help_flag = true)]
#[command(disable_help_subcommand = true, subcommand_required = true, infer_long_args = false)]
pub struct Cli {
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Output options, the same for every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Print only errors and failures
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log each request (-v) or everything (-vv); HARPROXY_LOG takes a finer filter
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// When to use color; `auto`: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", value_parser = choices(ui::COLORS))]
    pub color: anstream::ColorChoice,
    /// When to show requests as they happen; `auto`: on a terminal and without CMD
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", value_parser = choices(Progress::WORDS))]
    pub progress: Progress,
    /// Format of standard error, and of the line that announces that harproxy is ready
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", value_parser = choices(LogFormat::WORDS))]
    pub log_format: LogFormat,
    /// Print help; `-h` prints the short form
    #[arg(short, long, global = true, action = ArgAction::Help, display_order = 1000)]
    pub help: Option<bool>,
}

impl OutputArgs {
    /// Sets the colors of the process and returns the terminal interface with these options.
    #[must_use]
    pub fn ui(&self) -> Ui {
        self.color.write_global();
        Ui { quiet: self.quiet, verbose: self.verbose > 0, format: self.log_format, progress: self.progress }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record the traffic of the proxy into a fixture
    Record(Box<RecordArgs>),
    /// Replay fixtures strictly: a request that was not recorded fails the run
    Replay(Box<ReplayArgs>),
    /// Serve fixtures as a mock server, with rules for faults, delays and live sources
    Serve(Box<ServeArgs>),
    /// Control a running `harproxy serve`: list requests, switch routes, verify, reset
    Ctl(CtlArgs),
    /// Finish or drop a killed or held recording
    Recover(Box<RecoverArgs>),
    /// Combine the reports of several runs
    Report(ReportArgs),
    /// Record and replay against an embedded HTTPS API, offline
    Demo(DemoArgs),
    /// Run CMD once and report traffic that bypasses the proxy or refuses its certificate
    Doctor(Box<DoctorArgs>),
    /// Explain which entry answers a request, or why none does
    Explain(Box<ExplainArgs>),
    /// Compare fixtures with production: do they still describe the real API?
    Drift(Box<DriftArgs>),
    /// Test globs against URLs on standard input
    Glob(GlobArgs),
    /// Show the effective settings and the origin of each
    Config(SettingsArgs),
    /// List the entries of fixtures, one per line
    Ls(LsArgs),
    /// Show an entry or a whole fixture, decoded and indented
    Show(ShowArgs),
    /// Compare two fixtures entry by entry
    Diff(DiffArgs),
    /// Check fixtures for damage and remaining secrets
    Check(CheckArgs),
    /// Remove secrets from existing fixtures
    Redact(RedactArgs),
    /// Put fixtures in canonical form: equal content has equal bytes
    Fmt(FmtArgs),
    /// Merge fixtures; also the git merge driver
    Merge(MergeArgs),
    /// Remove entries from fixtures, with the payload files that nothing else uses
    Rm(RmArgs),
    /// Remove the entries that a passed replay did not use
    Prune(PruneArgs),
    /// Pack a HAR and its payload files into one archive
    Pack(PackArgs),
    /// Unpack an archive into a HAR and its payload files
    Unpack(UnpackArgs),
    /// Print the variables that make a program use the proxy, as `-- CMD` sets them
    Env(EnvArgs),
    /// Show, create and install the certificate authority
    Ca(CaArgs),
    /// Propose harproxy.toml, lines for git and a step for CI, from the project and one run of its tests
    Init(Box<InitArgs>),
    /// Import recordings of other tools: VCR, vcrpy, WireMock, Postman, mitmproxy and others
    Import(Box<ImportArgs>),
    /// Configure git to merge and show fixtures by entry
    GitSetup(GitSetupArgs),
    /// Print shell completions
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them into a folder
    Man(ManArgs),
    /// Print the help of harproxy or of a command
    Help(HelpArgs),
    /// Print the version
    Version,
}

impl Command {
    /// Returns the configuration section of the command's options, if it has one, and the place for the loaded
    /// configuration.
    fn configured(&mut self) -> Option<(Option<&'static str>, &mut ConfigArgs)> {
        match self {
            Command::Record(args) => Some((Some("record"), &mut args.config)),
            Command::Recover(args) => Some((Some("record"), &mut args.config)),
            Command::Doctor(args) => Some((Some("record"), &mut args.config)),
            Command::Init(args) => Some((Some("record"), &mut args.config)),
            Command::Replay(args) => Some((Some("replay"), &mut args.config)),
            Command::Serve(args) => Some((Some("replay"), &mut args.replay.config)),
            Command::Explain(args) => Some((Some("replay"), &mut args.config)),
            // `max-age` of `[replay]` applies to `check` too.
            Command::Check(args) => Some((Some("replay"), &mut args.config)),
            Command::Drift(args) => Some((Some("drift"), &mut args.run_mut().config)),
            Command::Redact(args) => Some((None, &mut args.config)),
            Command::Import(args) => Some((None, &mut args.config)),
            _ => None,
        }
    }

    /// Returns true if the command makes certificates or serves requests.
    #[must_use]
    pub fn needs_clock(&self) -> bool {
        use Command::{Ca, Demo, Doctor, Env, Init, Record, Replay, Serve};
        matches!(self, Record(_) | Replay(_) | Serve(_) | Demo(_) | Doctor(_) | Init(_) | Env(_) | Ca(_))
    }

    /// Returns true if the command is a proxy without CMD.
    #[must_use]
    pub fn serves_alone(&self) -> bool {
        match self {
            Command::Record(args) => args.cmd.is_empty(),
            Command::Replay(args) => args.cmd.is_empty(),
            Command::Serve(_) => true,
            _ => false,
        }
    }
}

/// `harproxy demo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy demo
  harproxy demo --keep demo
")]
pub struct DemoArgs {
    /// Write demo.har and its payloads to this folder, and keep them [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// `harproxy glob`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  echo https://api.example.com/a | harproxy glob 'https://api.example.com/**'
  echo https://api.example.com/health | harproxy glob --json '**' '!**/health'
")]
pub struct GlobArgs {
    /// The globs, as `--glob` takes them; `!GLOB` excludes
    #[arg(value_name = "GLOB", required = true, value_parser = parse_any_glob)]
    pub globs: Vec<String>,
    /// Print a JSON object per line, `{"url":…,"match":true}`, instead of `match` or `-`, a tab, and the URL
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
    /// Output language
    #[arg(long, value_name = "SHELL", default_value = "sh", value_parser = choices(SHELLS))]
    pub shell: Shell,
    /// Print arguments for `docker run` (or podman) instead: variables, mounts, and the address of this machine
    #[arg(long, conflicts_with_all = ["shell", "playwright"])]
    pub docker: bool,
    /// Print the lines of a Playwright configuration instead
    #[arg(long, conflicts_with = "shell")]
    pub playwright: bool,
    #[command(flatten)]
    pub listen: ListenArgs,
    #[command(flatten)]
    pub authority: AuthorityArgs,
}

/// Values of `--shell`.
const SHELLS: &[(&str, &str, Shell)] = &[
    ("sh", "bash, zsh, dash and similar", Shell::Sh),
    ("fish", "", Shell::Fish),
    ("powershell", "", Shell::PowerShell),
    ("dotenv", "a .env file", Shell::Dotenv),
    ("json", "a JSON object of names and values", Shell::Json),
];

impl Cli {
    /// Parses arguments (the program's name first) and the `HARPROXY_<OPTION>` variables. If the command reads a
    /// configuration, its values are the defaults.
    /// Fails with the errors of the configuration and of clap, including `--help` and `--version`.
    pub fn parse_configured(args: &[OsString]) -> Result<Cli, Failure> {
        let (mut cli, mut matches) = Cli::parse_by(Cli::command(), args)?;
        cli.check_double_dash(args)?;
        let Some((section, named)) = cli.command.configured() else { return Ok(cli) };
        let config = Config::load(named.config.as_deref(), Cli::command)?;
        if let Some(section) = section.filter(|section| config.has_defaults(section)) {
            (cli, matches) = Cli::parse_by(config.defaults(section, Cli::command()), args)?;
        }
        match (&mut cli.command, matches.subcommand()) {
            (Command::Record(args), Some((_, matches))) => {
                args.replay_options = record::replay_options(matches, &config);
            }
            (Command::Replay(args), Some((_, matches))) => args.rerun_options = replay::rerun_options(matches),
            _ => {}
        }
        if let Some((section, args)) = cli.command.configured() {
            if let (Some(section), Some((command, matches))) = (section, matches.subcommand()) {
                args.risky = config.risky_options(section, command, &Cli::command(), matches);
            }
            args.loaded = Arc::new(config);
        }
        Ok(cli)
    }

    /// Handles `--`, which clap drops from its result. A `--` without a program is an error: the script probably lost
    /// its arguments and would start a proxy without end. For `config`, `--` before the options is restored, because
    /// it starts CMD.
    fn check_double_dash(&mut self, args: &[OsString]) -> Result<(), clap::Error> {
        match &mut self.command {
            command if command.serves_alone() && args.last().is_some_and(|last| last == "--") => {
                Err(Cli::command().error(ErrorKind::MissingRequiredArgument, "no program follows `--`"))
            }
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

    /// Returns the output options of a command line that cannot be parsed, as far as they are recognisable.
    #[must_use]
    pub fn output_options_of(args: &[OsString]) -> Option<OutputArgs> {
        let matches = Cli::command().ignore_errors(true).try_get_matches_from(args).ok()?;
        let innermost = std::iter::successors(Some(&matches), |matches| Some(matches.subcommand()?.1)).last()?;
        OutputArgs::from_arg_matches(innermost).or_else(|_| OutputArgs::from_arg_matches(&matches)).ok()
    }

    fn parse_by(mut command: clap::Command, args: &[OsString]) -> Result<(Cli, ArgMatches), clap::Error> {
        let matches = command.try_get_matches_from_mut(args);
        let matches = matches.map_err(|error| variables::name_source(error, args))?;
        let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        Ok((cli, matches))
    }

    /// Returns the grammar with the `HARPROXY_*` variables.
    #[must_use]
    pub fn command() -> clap::Command {
        variables::attach(Cli::grammar())
    }

    /// Returns the grammar without variables, independent of the environment.
    #[must_use]
    pub fn grammar() -> clap::Command {
        // A mock server answers unknown requests like a server.
        // It runs no program, and changes no fixture.
        let with_404 = |serve: clap::Command| {
            let serve = serve.mut_arg("miss_status", |arg| arg.default_value("404"));
            ["cmd", "prune", "isolate", "isolate_allow"]
                .into_iter()
                .fold(serve, |serve, hidden| serve.mut_arg(hidden, |arg| arg.hide(true)))
        };
        help::with_groups(<Cli as clap::CommandFactory>::command().mut_subcommand("serve", with_404))
    }
}

#[cfg(test)]
mod tests;
