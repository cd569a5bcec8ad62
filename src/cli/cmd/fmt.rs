//! `harproxy fmt`: puts fixtures in canonical form.

use std::path::Path;

use crate::cli::advice::Failure;
use crate::cli::args::fixtures::FmtArgs;
use crate::cli::event::Event;
use crate::cli::fixtures;
use crate::cli::ui::Ui;
use crate::fixtures::fmt::{self, FormatResult};
use crate::record;
use crate::verdict::exit;
use harproxy_har::format::Changes;

/// Runs the command: prints a line per changed fixture.
/// Fails if the output cannot be written. An unreadable fixture is reported, and the others are processed.
pub fn run(args: FmtArgs, ui: &Ui) -> Result<u8, Failure> {
    let mut changed = 0;
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
                ui.note(Event::Compressed, &format!("{} is compressed and was left unchanged", path.display()));
                return Ok(exit::SUCCESS);
            }
            FormatResult::Changed(changes) => print(path, &changes, args.check, ui)?,
        }
        changed += 1;
        Ok(if args.check { exit::FAILED } else { exit::SUCCESS })
    });
    if args.check && changed > 0 {
        let are = if changed == 1 { "one fixture is".to_owned() } else { format!("{changed} fixtures are") };
        ui.note(Event::Unformatted, &format!("{are} not in canonical form: run `harproxy fmt`"));
    }
    Ok(status)
}

fn print(path: &Path, changes: &Changes, check: bool, ui: &Ui) -> Result<(), Failure> {
    let path = path.display();
    let line = match changes.line.filter(|_| check) {
        Some(line) => format!("{path}:{line}\n"),
        None => format!("{path}\n"),
    };
    ui.data(&line).map_err(Failure::Output)?;
    for (from, to) in &changes.renamed {
        let becomes = if check { "would be" } else { "is now" };
        ui.note(Event::Renamed, &format!("{path}: the payload {from} was edited and {becomes} {to}"));
    }
    Ok(())
}
