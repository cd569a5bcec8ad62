//! The command line: arguments, configuration, a file per command, advice on errors. Only this module prints and
//! decides exit statuses.
//!
//! [`args`] parses the command line and [`config`] the configuration files. [`plan`] combines them, and [`cmd`] runs
//! the command. [`advice`] has the failures with their hints, and [`ui`] prints.

pub mod advice;
pub mod args;
pub mod ci;
pub mod cmd;
mod command_line;
pub mod config;
pub mod event;
pub mod file_notice;
pub mod files;
pub mod fixtures;
pub mod guard;
pub mod live;
pub mod logging;
pub mod next_steps;
mod observation;
pub mod pager;
pub mod plan;
mod process;
mod prune;
pub mod ready;
mod reload;
mod replay_run;
mod reports;
pub mod roots;
mod run;
pub mod summary;
pub mod ui;
mod usage_error;

use std::ffi::OsString;
use std::process::ExitCode;

use advice::Failure;
use args::{Cli, Command};
use ui::Ui;

use crate::isolate::{self, IsolateError};
use crate::verdict::exit;

use harproxy_support::runtime::Runtime;

/// Runs harproxy with these arguments (the program's name first).
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    process::block_file_size_signal();
    ExitCode::from(process::run_guarded(|| parse_and_run(args)))
}

fn parse_and_run(args: Vec<OsString>) -> u8 {
    if let Some(done) = args.get(1).and_then(|command| isolate::run_helper(command)) {
        return done.map_or_else(|error| Failure::from(error).print(&Ui::default()), |()| exit::SUCCESS);
    }
    let cli = Cli::parse_configured(&args).and_then(enter_network);
    let ui = match &cli {
        Ok(cli) => cli.output.ui(),
        Err(_) => Cli::output_options_of(&args).map_or_else(Ui::default, |output| output.ui()),
    };
    process::report_defects(ui);
    let done = cli.and_then(|Cli { output, command }| {
        logging::start(&output, &ui, command.serves_alone())?;
        run(command, &ui)
    });
    done.unwrap_or_else(|failure| failure.print(&ui))
}

/// Moves this process into the isolated network of its CMD, before a thread is started.
fn enter_network(mut cli: Cli) -> Result<Cli, Failure> {
    let (options, cmd) = match &mut cli.command {
        Command::Record(args) => (&mut args.isolate, &args.cmd),
        Command::Replay(args) => (&mut args.isolate, &args.cmd),
        _ => return Ok(cli),
    };
    if options.isolate {
        if cmd.is_empty() {
            return Err(IsolateError::NoCommand.into());
        }
        options.isolation = Some(isolate::enter(options.isolate_allow.clone())?);
    }
    Ok(cli)
}

fn run(command: Command, ui: &Ui) -> Result<u8, Failure> {
    if command.needs_clock() {
        process::check_clock()?;
    }
    match command {
        Command::Record(args) => block_on(cmd::record::run(*args, ui)),
        Command::Replay(args) => block_on(cmd::replay::run(*args, ui)),
        Command::Serve(args) => block_on(cmd::serve::run(*args, ui)),
        Command::Ctl(args) => block_on(cmd::ctl::run(args, ui)),
        Command::Recover(args) => cmd::recover::run(*args, ui),
        Command::Demo(args) => block_on(cmd::demo::run(&args, ui)),
        Command::Doctor(args) => block_on(cmd::doctor::run(*args, ui)),
        Command::Init(args) => block_on(cmd::init::run(*args, ui)),
        Command::Explain(args) => cmd::explain::run(*args, ui),
        Command::Drift(args) => block_on(cmd::drift::run(*args, ui)),
        Command::Glob(args) => cmd::glob::run(&args, ui),
        Command::Ls(args) => cmd::ls::run(args, ui),
        Command::Show(args) => cmd::show::run(&args, ui),
        Command::Diff(args) => cmd::diff::run(&args, ui),
        Command::Rm(args) => cmd::rm::run(args, ui),
        Command::Prune(args) => cmd::prune::run(args, ui),
        Command::Check(args) => cmd::check::run(args, ui),
        Command::Redact(args) => cmd::redact::run(args, ui),
        Command::Fmt(args) => cmd::fmt::run(args, ui),
        Command::Merge(args) => cmd::merge::run(&args, ui),
        Command::Import(args) => cmd::import::run(*args, ui),
        Command::GitSetup(args) => cmd::git_setup::run(&args, ui),
        Command::Pack(args) => cmd::pack::pack(&args, ui),
        Command::Unpack(args) => cmd::pack::unpack(&args, ui),
        Command::Report(args) => cmd::report::run(args, ui),
        Command::Env(args) => cmd::env::run(&args, ui),
        Command::Ca(args) => cmd::ca::run(&args, ui),
        Command::Config(args) => cmd::config::run(args, ui),
        Command::Completions(args) => cmd::manual::print_completions(&args, ui),
        Command::Man(args) => cmd::manual::print_pages(&args, ui),
        Command::Help(args) => cmd::manual::print_help(&args.command, ui),
        Command::Version => cmd::manual::print_version(ui),
    }
}

fn block_on(work: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    let runtime = Runtime::start("run").map_err(|source| Failure::System { doing: "starting the runtime", source })?;
    // Remaining tasks were told to stop. They are not awaited again.
    runtime.handle().block_on(work)
}
