//! `harproxy fmt`: puts fixtures in canonical form.

use std::path::Path;

use crate::cli::advice::Failure;
use crate::cli::args::fixtures::FmtArgs;
use crate::cli::event::Event;
use crate::cli::ui::Ui;
use crate::cli::{fixtures, next_steps, summary};
use crate::fixtures::fmt::{self, FormatResult};
use crate::record;
use crate::verdict::exit;
use harproxy_har::format::Changes;
use harproxy_support::printable::Shown as _;

/// Runs the command: prints a line per changed fixture.
/// Fails if the output cannot be written. An unreadable fixture is reported, and the others are processed.
pub fn run(args: FmtArgs, ui: &Ui) -> Result<u8, Failure> {
    let (mut changed, mut renamed) = (0, Vec::new());
    let status = fixtures::for_each(args.files.fixtures, ui, |path| {
        // A canonical fixture is only read, which needs no lock.
        let formatted = match fmt::format(path, false)? {
            FormatResult::Changed(_) if !args.check => fixtures::with_lock(path, || fmt::format(path, true))?,
            formatted => {
                if !args.check {
                    record::remove_stale_files(path);
                }
                formatted
            }
        };
        match formatted {
            FormatResult::Canonical => return Ok(exit::SUCCESS),
            FormatResult::Compressed => {
                ui.note(Event::Compressed, &format!("{} is compressed and was left unchanged", path.shown()));
                return Ok(exit::SUCCESS);
            }
            FormatResult::Changed(changes) if args.check && changes.is_only_migration() => {
                let note = format!("{} has layout 1, which is accepted: `harproxy fmt` migrates it", path.shown());
                ui.note(Event::Layout, &note);
                return Ok(exit::SUCCESS);
            }
            FormatResult::Changed(changes) => {
                print(path, &changes, args.check, ui)?;
                if !args.check && !changes.renamed.is_empty() {
                    renamed.extend(next_steps::files_of(path, true));
                }
            }
        }
        changed += 1;
        Ok(if args.check { exit::FAILED } else { exit::SUCCESS })
    });
    if args.check && changed > 0 {
        let are = if changed == 1 { "one fixture is".to_owned() } else { format!("{changed} fixtures are") };
        ui.note(Event::Unformatted, &format!("{are} not in canonical form: run `harproxy fmt`"));
    }
    if !renamed.is_empty() {
        ui.note(Event::Next, &next_steps::block(&[], &renamed, &[]));
    }
    Ok(status)
}

fn print(path: &Path, changes: &Changes, check: bool, ui: &Ui) -> Result<(), Failure> {
    let path = path.shown();
    let line = match changes.line.filter(|_| check) {
        Some(line) => format!("{path}:{line}\n"),
        None => format!("{path}\n"),
    };
    ui.data(&line).map_err(Failure::Output)?;
    if changes.migrates && !check {
        ui.note(Event::Layout, &format!("{path}: {}", summary::MIGRATED));
    }
    for (from, to) in &changes.renamed {
        let becomes = if check { "would be" } else { "is now" };
        ui.note(Event::Renamed, &format!("{path}: the payload {} was edited and {becomes} {to}", from.shown()));
    }
    Ok(())
}
