//! `harproxy man` and `harproxy completions`: print manual pages and shell completions.

use std::path::Path;

use clap::Command;
use clap::error::ErrorKind;
use clap_mangen::Man;

use crate::cli::advice::Failure;
use crate::cli::args::Cli;
use crate::cli::args::about::{CompletionsArgs, ManArgs};
use crate::cli::files;
use crate::cli::ui::Ui;
use crate::verdict::exit;

/// Footer of each page. Commands have no version of their own.
const SOURCE: &str = concat!("harproxy ", env!("CARGO_PKG_VERSION"));

/// Runs `completions`.
pub fn print_completions(args: &CompletionsArgs, ui: &Ui) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::grammar(), "harproxy", &mut script);
    ui.data(&String::from_utf8_lossy(&script)).map_err(Failure::Output)?;
    Ok(exit::SUCCESS)
}

/// Runs `man`.
pub fn print_pages(args: &ManArgs, ui: &Ui) -> Result<u8, Failure> {
    let mut grammar = built();
    match (&args.dir, &args.command[..]) {
        (Some(dir), _) => write_all(&grammar, dir)?,
        (None, names) => ui.data(&page(&command(&mut grammar, names)?)).map_err(Failure::Output)?,
    }
    Ok(exit::SUCCESS)
}

/// Runs `help`.
pub fn print_help(names: &[String], ui: &Ui) -> Result<u8, Failure> {
    let help = command(&mut built(), names)?.render_long_help();
    ui.data(&help.ansi().to_string()).map_err(Failure::Output)?;
    Ok(exit::SUCCESS)
}

/// Runs `version`.
pub fn print_version(ui: &Ui) -> Result<u8, Failure> {
    ui.data(&Cli::grammar().render_version()).map_err(Failure::Output)?;
    Ok(exit::SUCCESS)
}

/// Returns the grammar with the names of the command pages (`harproxy-record`) and the global options of each command.
fn built() -> Command {
    let mut grammar = Cli::command();
    grammar.build();
    grammar
}

/// Returns the command with this name. Fails with a usage error if there is none.
fn command(grammar: &mut Command, names: &[String]) -> Result<Command, Failure> {
    if let Some(command) = named(grammar, names) {
        return Ok(command.clone());
    }
    let text = format!("harproxy has no command `{}`", names.join(" "));
    Err(grammar.error(ErrorKind::InvalidValue, text).into())
}

/// Returns the command with this name: `ca trust`, `ca-trust` or `harproxy-ca-trust`.
fn named<'g>(grammar: &'g Command, names: &[String]) -> Option<&'g Command> {
    let name = names.join(" ").split_whitespace().collect::<Vec<_>>().join("-");
    let name = name.strip_prefix(grammar.get_name()).map_or(&*name, |rest| rest.trim_start_matches('-'));
    find_subcommand(grammar, name)
}

fn find_subcommand<'g>(command: &'g Command, name: &str) -> Option<&'g Command> {
    if name.is_empty() {
        return Some(command);
    }
    command.get_subcommands().find_map(|sub| {
        let rest = name.strip_prefix(sub.get_name())?;
        if rest.is_empty() { Some(sub) } else { find_subcommand(sub, rest.strip_prefix('-')?) }
    })
}

/// Writes the page of a command, and the pages of its subcommands.
fn write_all(command: &Command, dir: &Path) -> Result<(), Failure> {
    let man = Man::new(command.clone());
    files::write(&dir.join(man.get_filename()), page(command).as_bytes())?;
    command.get_subcommands().filter(|sub| !sub.is_hide_set()).try_for_each(|sub| write_all(sub, dir))
}

fn page(command: &Command) -> String {
    let mut page = Vec::new();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").split_whitespace().collect::<Vec<_>>().join(" ");
    // Writing to memory cannot fail.
    let _ = Man::new(command.clone().override_usage(usage)).source(SOURCE).render(&mut page);
    String::from_utf8_lossy(&page).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_found_by_command_words_and_by_page_name() {
        let mut grammar = Cli::grammar();
        grammar.build();
        let found = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            named(&grammar, &words).map(|command| Man::new(command.clone()).get_filename())
        };
        for words in [&["ca", "trust"][..], &["ca trust"], &["ca-trust"], &["harproxy-ca-trust"]] {
            assert_eq!(found(words).as_deref(), Some("harproxy-ca-trust.1"), "{words:?}");
        }
        assert_eq!(found(&["git-setup"]).as_deref(), Some("harproxy-git-setup.1"));
        assert_eq!(found(&[]).as_deref(), Some("harproxy.1"));
        for words in [&["nope"][..], &["ca", "nope"], &["record", "trust"], &["recordtrust"]] {
            assert_eq!(found(words), None, "{words:?}");
        }
    }

    #[test]
    fn page_footer_has_program_and_version() {
        let mut grammar = Cli::grammar();
        grammar.build();
        let words = ["record".to_owned()];
        let page = page(named(&grammar, &words).unwrap());
        assert!(page.lines().any(|line| line.starts_with(".TH") && line.contains(SOURCE)), "{page}");
    }
}
