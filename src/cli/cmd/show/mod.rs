//! `harproxy show`: prints an entry or a whole fixture, decoded and indented.

mod text;

use std::ffi::OsStr;
use std::path::Path;

use crate::cli::advice::Failure;
use crate::cli::args::fixtures::ShowArgs;
use crate::cli::pager::Pager;
use crate::cli::plan;
use crate::cli::ui::Ui;
use crate::fixtures::show::{self, FileAccess};
use crate::verdict::exit;
use harproxy_har::{Fixture, format};

pub fn run(args: &ShowArgs, ui: &Ui) -> Result<u8, Failure> {
    let named = args.entries.iter().map(|entry| parse(entry, args.all)).collect::<Result<Vec<_>, _>>()?;
    if args.body {
        for (fixture, entry) in named {
            let payload = show::body(&Fixture::open(fixture)?, entry.unwrap_or_default(), args.request)?;
            ui.bytes(&mut payload.reader()?).map_err(Failure::Output)?;
        }
        return Ok(exit::SUCCESS);
    }
    let mut pager = Pager::start(!args.no_pager);
    let shown = named.iter().try_for_each(|(fixture, entry)| show(fixture, *entry, args, &mut pager));
    // Output before the error is shown first.
    pager.finish().map_err(Failure::Output)?;
    shown.map(|()| exit::SUCCESS)
}

fn show(fixture: &Path, entry: Option<usize>, args: &ShowArgs, pager: &mut Pager) -> Result<(), Failure> {
    let fixture = Fixture::open(fixture)?;
    let entries = match entry {
        Some(entry) => entry..entry.saturating_add(1),
        None => 0..fixture.entries(),
    };
    let files = match (args.all, args.no_files) {
        (false, _) => FileAccess::Required,
        (true, false) => FileAccess::IfReadable,
        (true, true) => FileAccess::NamesOnly,
    };
    for entry in entries {
        let text = if args.json {
            format::inlined(&fixture, entry)? + "\n"
        } else {
            match show::show(&fixture, entry, files) {
                Ok(shown) => text::of(&shown, (!args.all).then_some((&fixture, entry))),
                // In a diff, an invalid entry must not hide the others.
                Err(error) if args.all => format!("{}\n\n", plain(&error)),
                Err(error) => return Err(error.into()),
            }
        };
        if !pager.write(&text).map_err(Failure::Output)? {
            break;
        }
    }
    Ok(())
}

/// Formats the error of an entry without the file name, which differs in each diff.
fn plain(error: &harproxy_har::Error) -> String {
    match error {
        harproxy_har::Error::Entry { reason, .. } => format!("an entry that cannot be shown: {reason}"),
        error => error.to_string(),
    }
}

/// Parses `FILE#N` as a fixture and an entry, or `FILE` with `--all`.
fn parse(argument: &OsStr, all: bool) -> Result<(&Path, Option<usize>), plan::Error> {
    if all {
        return Ok((Path::new(argument), None));
    }
    let parts = argument.to_str().and_then(|text| text.rsplit_once('#')).filter(|(file, _)| !file.is_empty());
    match parts.and_then(|(file, entry)| Some((Path::new(file), Some(entry.parse().ok()?)))) {
        Some(parsed) => Ok(parsed),
        None => Err(plan::Error::NoEntry(argument.to_string_lossy().into_owned())),
    }
}
