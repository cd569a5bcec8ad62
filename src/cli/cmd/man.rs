//! `harproxy man`: the help as manual pages.

use std::path::Path;

use clap::Command;
use clap::error::ErrorKind;
use clap_mangen::Man;

use crate::cli::advice::{self, Failure};
use crate::cli::args::Cli;
use crate::cli::args::about::ManArgs;
use crate::cli::files;
use crate::cli::ui::Ui;
use crate::verdict::exit;

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub fn run(args: &ManArgs, ui: &Ui) -> Result<u8, Failure> {
    let mut grammar = Cli::grammar();
    // Names the pages of the commands after harproxy.
    grammar.build();
    match (&args.dir, &args.command) {
        (Some(dir), _) => all(&grammar, dir)?,
        (None, None) => ui.data(&page(&grammar)).map_err(Failure::Output)?,
        (None, Some(name)) => match grammar.find_subcommand(name) {
            Some(command) => ui.data(&page(command)).map_err(Failure::Output)?,
            None => {
                let error = grammar.error(ErrorKind::InvalidValue, format!("harproxy has no command `{name}`"));
                return Ok(advice::tell_usage(&error, ui));
            }
        },
    }
    Ok(exit::HELD)
}

/// Writes the page of a command, and those of its own commands.
fn all(command: &Command, dir: &Path) -> Result<(), Failure> {
    let man = Man::new(command.clone());
    files::write(&dir.join(man.get_filename()), page(command).as_bytes())?;
    command.get_subcommands().filter(|sub| !sub.is_hide_set()).try_for_each(|sub| all(sub, dir))
}

fn page(command: &Command) -> String {
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = Man::new(command.clone()).render(&mut page);
    String::from_utf8_lossy(&page).into_owned()
}
