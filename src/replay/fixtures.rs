//! What a replay says of its fixtures as a whole: what was odd in them, and what they cover.

use std::sync::Arc;

use harproxy_har::{Fixture, Warning};

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

/// The scopes of all fixtures in words.
pub(super) fn scopes(fixtures: &[Arc<Fixture>]) -> Vec<String> {
    fixtures.iter().flat_map(|fixture| scope_of(fixture)).collect()
}

/// The scope of a fixture in words: its own globs, or the origins that a foreign one has.
fn scope_of(fixture: &Fixture) -> Vec<String> {
    match fixture.scope() {
        Some([]) => vec!["**".to_owned()],
        Some(globs) => globs.to_vec(),
        None => vec![format!("the origins in {}", fixture.path().display())],
    }
}
