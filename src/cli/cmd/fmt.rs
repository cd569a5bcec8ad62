//! `harproxy fmt`: fixtures in canonical form.

use std::path::Path;

use crate::cli::advice::Failure;
use crate::cli::args::upkeep::FmtArgs;
use crate::cli::event::Event;
use crate::cli::fixtures;
use crate::cli::ui::Ui;
use crate::record;
use crate::upkeep::fmt::{self, Formatted};
use crate::verdict::exit;
use harproxy_har::format::Changes;

/// Runs the command: what changed (or would), a line each.
///
/// # Errors
/// None that ends it; what can't be read is told, and the rest done.
pub fn run(args: FmtArgs, ui: &Ui) -> Result<u8, Failure> {
    let mut changed = 0;
    let status = fixtures::each(args.files.fixtures, ui, |path| {
        // What is in canonical form is read only, and by anybody at any time.
        let formatted = match fmt::check(path)? {
            Formatted::Changed(_) if !args.check => fixtures::alone(path, || fmt::format(path))?,
            formatted => {
                if !args.check {
                    record::remove_stale_files(path);
                }
                formatted
            }
        };
        match formatted {
            Formatted::Canonical => return Ok(exit::HELD),
            Formatted::Compressed => {
                ui.note(Event::Compressed, &format!("{} is compressed and stays as it is", path.display()));
                return Ok(exit::HELD);
            }
            Formatted::Changed(changes) => tell(path, &changes, args.check, ui)?,
        }
        changed += 1;
        Ok(if args.check { exit::FAILED } else { exit::HELD })
    });
    if args.check && changed > 0 {
        let are = if changed == 1 { "one fixture is".to_owned() } else { format!("{changed} fixtures are") };
        ui.note(Event::Unformatted, &format!("{are} not in canonical form: `harproxy fmt` mends that"));
    }
    Ok(status)
}

fn tell(path: &Path, changes: &Changes, check: bool, ui: &Ui) -> Result<(), Failure> {
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
