//! `harproxy pack` and `harproxy unpack`: convert between a HAR with payload files and an archive.

use std::path::Path;

use harproxy_har::pack::PackSummary;
use harproxy_support::printable::Shown as _;

use crate::cli::advice::Failure;
use crate::cli::args::fixtures::{PackArgs, UnpackArgs};
use crate::cli::event::Event;
use crate::cli::fixtures;
use crate::cli::ui::{Ui, counted};
use crate::fixtures::pack;
use crate::verdict::exit;

/// Runs `pack`.
/// Writes nothing if it fails.
pub fn pack(args: &PackArgs, ui: &Ui) -> Result<u8, Failure> {
    let to = args.output.clone().unwrap_or_else(|| pack::with_extension(&args.file, "zip"));
    print(&to, &fixtures::with_lock(&to, || pack::pack(&args.file, &to, args.force))?, Event::Packed, ui);
    Ok(exit::SUCCESS)
}

/// Runs `unpack`.
/// Existing files stay unchanged if it fails.
pub fn unpack(args: &UnpackArgs, ui: &Ui) -> Result<u8, Failure> {
    let to = args.output.clone().unwrap_or_else(|| pack::with_extension(&args.file, "har"));
    print(&to, &fixtures::with_lock(&to, || pack::unpack(&args.file, &to, args.force))?, Event::Unpacked, ui);
    Ok(exit::SUCCESS)
}

fn print(path: &Path, moved: &PackSummary, event: Event, ui: &Ui) {
    let entries = counted(moved.entries, "entry", "entries");
    let payloads = counted(moved.payloads, "payload file", "payload files");
    ui.note(event, &format!("{}: {entries}, {payloads}", path.shown()));
    for member in &moved.left {
        ui.note(Event::Left, &format!("{} was left in the archive: no entry refers to it", member.shown()));
    }
}
