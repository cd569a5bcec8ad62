//! `harproxy pack` and `harproxy unpack`: between a HAR with payload files and one archive.

use crate::cli::advice::Failure;
use crate::cli::args::upkeep::{PackArgs, UnpackArgs};
use crate::cli::event::Event;
use crate::cli::fixtures;
use crate::cli::ui::Ui;
use crate::upkeep::pack::{self, Done};
use crate::verdict::exit;

/// Runs `pack`.
///
/// # Errors
/// [`Failure`]; nothing is written then.
pub fn pack(args: &PackArgs, ui: &Ui) -> Result<u8, Failure> {
    let to = args.output.clone().unwrap_or_else(|| pack::archive_of(&args.file));
    tell(fixtures::alone(&to, || pack::pack(&args.file, Some(&to), args.force))?, Event::Packed, ui);
    Ok(exit::HELD)
}

/// Runs `unpack`.
///
/// # Errors
/// [`Failure`]; what stood there is then whole.
pub fn unpack(args: &UnpackArgs, ui: &Ui) -> Result<u8, Failure> {
    let to = args.output.clone().unwrap_or_else(|| pack::har_of(&args.file));
    tell(fixtures::alone(&to, || pack::unpack(&args.file, Some(&to), args.force))?, Event::Unpacked, ui);
    Ok(exit::HELD)
}

fn tell((path, moved): Done, event: Event, ui: &Ui) {
    let count = |n, one: &str, more: &str| format!("{n} {}", if n == 1 { one } else { more });
    let entries = count(moved.entries, "entry", "entries");
    let payloads = count(moved.payloads, "payload file", "payload files");
    ui.note(event, &format!("{}: {entries}, {payloads}", path.display()));
    for member in &moved.left {
        ui.note(Event::Left, &format!("{member} was left in the archive: no entry refers to it"));
    }
}
