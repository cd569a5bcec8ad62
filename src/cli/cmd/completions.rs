//! `harproxy completions`: prints shell completions.

use crate::cli::advice::Failure;
use crate::cli::args::Cli;
use crate::cli::args::about::CompletionsArgs;
use crate::cli::ui::Ui;
use crate::verdict::exit;

pub fn run(args: &CompletionsArgs, ui: &Ui) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::grammar(), "harproxy", &mut script);
    ui.data(&String::from_utf8_lossy(&script)).map_err(Failure::Output)?;
    Ok(exit::SUCCESS)
}
