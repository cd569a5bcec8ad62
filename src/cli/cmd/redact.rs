//! `harproxy redact`: removes secrets from existing fixtures.

use std::path::Path;

use crate::cli::advice::Failure;
use crate::cli::args::fixtures::RedactArgs;
use crate::cli::event::Event;
use crate::cli::ui::{Ui, counted};
use crate::cli::{fixtures, next_steps, summary as summaries};
use crate::fixtures::redact::{self, RedactSummary};
use crate::record;
use crate::verdict::exit;
use harproxy_support::printable::Shown as _;

/// Runs the command: prints a line per fixture.
/// Fails if the output cannot be written. An unreadable fixture is reported, and the others are processed.
pub fn run(args: RedactArgs, ui: &Ui) -> Result<u8, Failure> {
    let config = args.config.loaded;
    let given = config.redact_values();
    let mut renamed = Vec::new();
    let status = fixtures::for_each(args.files.fixtures, ui, |path| {
        // A fixture without secrets is only read, which needs no lock.
        let mut done = redact::redact(path, &config.policy, &given, false)?;
        if done.values > 0 && !args.dry_run {
            done = fixtures::with_lock(path, || redact::redact(path, &config.policy, &given, true))?;
        } else if !args.dry_run {
            record::remove_stale_files(path);
        }
        ui.note(Event::Redacted, &summary(path, &done, args.dry_run));
        if done.renamed {
            renamed.extend(next_steps::files_of(path, true));
        }
        for (file, other) in &done.left {
            let (path, other) = (path.shown(), other.shown());
            let text = format!("{} still has the removed secrets of {path}, because {other} uses it", file.shown());
            ui.warn(Event::Left, &text);
        }
        Ok(exit::SUCCESS)
    });
    if !renamed.is_empty() {
        ui.note(Event::Next, &next_steps::block(&[], &renamed, &[]));
    }
    Ok(status)
}

fn summary(path: &Path, done: &RedactSummary, dry: bool) -> String {
    let mut text = format!("{}: nothing to redact", path.shown());
    if done.values > 0 {
        let (values, entries) = (counted(done.values, "value", "values"), counted(done.entries, "entry", "entries"));
        let would = if dry { "would be " } else { "" };
        text = format!("{}: {values} {would}redacted, in {} of {entries}", path.shown(), done.changed);
    }
    if done.migrated {
        text += &format!("; {}", summaries::MIGRATED);
    }
    if done.opaque > 0 {
        text += &format!("; {} not be scanned", counted(done.opaque, "payload could", "payloads could"));
    }
    text
}
