//! Arguments, configuration, advice on errors, one file a command. The only room that prints or decides an exit status.
//!
//! [`args`] is what was typed, [`config`] what the files say, [`plan`] what follows from it, [`cmd`] carries it out, [`advice`] knows what to say when it
//! can't, and [`ui`] says it.

pub mod advice;
pub mod args;
pub mod ci;
mod clues;
pub mod cmd;
mod command_line;
pub mod config;
pub mod event;
pub mod files;
pub mod fixtures;
pub mod live;
pub mod logging;
pub mod pager;
pub mod plan;
mod process;
mod prune;
pub mod ready;
mod reload;
pub mod reports;
pub mod roots;
mod run;
pub mod summary;
pub mod ui;

use std::ffi::OsString;
use std::process::ExitCode;

use advice::Failure;
use args::{Cli, Command, UsageError};
use ui::Ui;

use harproxy_support::runtime::Runtime;

/// Runs harproxy with these arguments (the program's name first).
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    ExitCode::from(process::guarded(|| obey(args)))
}

fn obey(args: Vec<OsString>) -> u8 {
    let Cli { talk, command } = match Cli::parse_configured(&args) {
        Ok(cli) => cli,
        Err(UsageError::Typed(error)) => {
            let talk = Cli::talk_of(&args);
            return advice::tell_usage(error, &talk.map_or_else(Ui::default, |talk| talk.ui()));
        }
        Err(UsageError::Config(error, talk)) => {
            let failure = Failure::from(*error);
            failure.tell(&talk.ui());
            return failure.status();
        }
    };
    let ui = talk.ui();
    process::tell_defects(ui);
    let done =
        logging::start(&talk, &ui, command.serves_alone()).map_err(Failure::from).and_then(|()| run(command, &ui));
    done.unwrap_or_else(|failure| {
        failure.tell(&ui);
        failure.status()
    })
}

fn run(command: Command, ui: &Ui) -> Result<u8, Failure> {
    match command {
        Command::Record(args) => block_on(cmd::record::run(*args, ui)),
        Command::Replay(args) => block_on(cmd::replay::run(*args, ui)),
        Command::Recover(args) => cmd::recover::run(*args, ui),
        Command::Demo => block_on(cmd::demo::run(ui)),
        Command::Doctor(args) => block_on(cmd::doctor::run(*args, ui)),
        Command::Explain(args) => cmd::explain::run(*args, ui),
        Command::Glob(args) => cmd::glob::run(&args, ui),
        Command::Ls(args) => cmd::ls::run(args, ui),
        Command::Show(args) => cmd::show::run(&args, ui),
        Command::Check(args) => cmd::check::run(args, ui),
        Command::Redact(args) => cmd::redact::run(args, ui),
        Command::Fmt(args) => cmd::fmt::run(args, ui),
        Command::Merge(args) => cmd::merge::run(&args, ui),
        Command::GitSetup(args) => cmd::git_setup::run(&args, ui),
        Command::Pack(args) => cmd::pack::pack(&args, ui),
        Command::Unpack(args) => cmd::pack::unpack(&args, ui),
        Command::Report(args) => cmd::report::run(args, ui),
        Command::Env(args) => cmd::env::run(&args, ui),
        Command::Ca(args) => cmd::ca::run(&args, ui),
        Command::Config(args) => cmd::config::run(args, ui),
        Command::Completions(args) => cmd::completions::run(&args, ui),
        Command::Man(args) => cmd::man::run(&args, ui),
    }
}

fn block_on(work: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    let runtime = Runtime::start("run").map_err(|source| Failure::System { doing: "starting the runtime", source })?;
    // What still runs when this is done was told to stop; nobody waits for it a second time.
    runtime.handle().block_on(work)
}
