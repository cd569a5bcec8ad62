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
    let mut grammar = Cli::grammar();
    // Sets the names of the command pages (`harproxy-record`).
    grammar.build();
    match (&args.dir, &args.command[..]) {
        (Some(dir), _) => write_all(&grammar, dir)?,
        (None, names) => match named(&grammar, names) {
            Some(command) => ui.data(&page(command)).map_err(Failure::Output)?,
            None => {
                let text = format!("harproxy has no command `{}`", names.join(" "));
                return Err(grammar.error(ErrorKind::InvalidValue, text).into());
            }
        },
    }
    Ok(exit::SUCCESS)
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
    // Writing to memory cannot fail.
    let _ = Man::new(command.clone()).source(SOURCE).render(&mut page);
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
