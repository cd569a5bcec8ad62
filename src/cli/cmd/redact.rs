//! `harproxy redact`: the policy applied to fixtures that are there already.

use std::path::Path;

use crate::cli::advice::Failure;
use crate::cli::args::upkeep::RedactArgs;
use crate::cli::event::Event;
use crate::cli::fixtures;
use crate::cli::ui::{Ui, caution, counted};
use crate::record;
use crate::upkeep::redact::{self, Redacted};
use crate::verdict::exit;

/// Runs the command: a line a fixture.
///
/// # Errors
/// None that ends it; what can't be read is told, and the rest done.
pub fn run(args: RedactArgs, ui: &Ui) -> Result<u8, Failure> {
    let config = args.config.said;
    let (policy, given) = (config.redact_policy(), config.redact_values());
    Ok(fixtures::each(args.files.fixtures, ui, |path| {
        // What is redacted is read only, and by anybody at any time.
        let mut done = redact::redact(path, &policy, &given, false)?;
        if done.is_changed() && !args.dry_run {
            done = fixtures::alone(path, || redact::redact(path, &policy, &given, true))?;
        } else if !args.dry_run {
            record::remove_stale_files(path);
        }
        ui.note(Event::Redacted, &summary(path, &done, args.dry_run));
        for (file, other) in &done.left {
            let (caution, path, other) = (caution("warning"), path.display(), other.display());
            let why = format!("{caution}: {file} still holds what was taken out of {path}: {other} refers to it");
            ui.alert(Event::Left, &why);
        }
        Ok(exit::HELD)
    }))
}

fn summary(path: &Path, done: &Redacted, dry: bool) -> String {
    let mut text = format!("{}: nothing to redact", path.display());
    if done.is_changed() {
        let (values, entries) = (counted(done.values, "value", "values"), counted(done.entries, "entry", "entries"));
        let would = if dry { "would be " } else { "" };
        text = format!("{}: {values} {would}redacted, in {} of {entries}", path.display(), done.changed);
    }
    if done.opaque > 0 {
        text += &format!("; {} not be looked into", counted(done.opaque, "payload could", "payloads could"));
    }
    text
}
