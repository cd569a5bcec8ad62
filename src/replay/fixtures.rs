//! What was odd in the fixtures of a replay, told when it starts.

use crate::har::{Fixture, Warning};

/// Warnings of one fixture that are told.
const TOLD: usize = 10;

/// Tells what was odd in a fixture: entries that were left out above all, which nothing would be heard of until they miss.
pub(super) fn warn(fixture: &Fixture) {
    let (path, warnings) = (fixture.path().display(), fixture.warnings());
    for Warning { entry, line, text } in warnings.iter().take(TOLD) {
        let entry = entry.map_or_else(String::new, |entry| format!("#{entry}"));
        let line = line.map_or_else(String::new, |line| format!(" (line {line})"));
        tracing::warn!("{path}{entry}{line}: {text}");
    }
    if warnings.len() > TOLD {
        tracing::warn!("{path}: {} more warnings", warnings.len() - TOLD);
    }
}
