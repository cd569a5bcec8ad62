//! Warnings about fixtures, and their scopes as text.

use std::sync::Arc;

use harproxy_har::{Fixture, Warning};

/// The number of warnings that are logged for each fixture.
const MOST_WARNINGS: usize = 10;

/// Logs the warnings of a fixture. Entries that replay leaves out would otherwise go unnoticed until a request misses.
pub(super) fn warn(fixture: &Fixture) {
    let (path, warnings) = (fixture.path().display(), fixture.warnings());
    for Warning { entry, line, text } in warnings.iter().take(MOST_WARNINGS) {
        let entry = entry.map_or_else(String::new, |entry| format!("#{entry}"));
        let line = line.map_or_else(String::new, |line| format!(" (line {line})"));
        tracing::warn!("{path}{entry}{line}: {text}");
    }
    if warnings.len() > MOST_WARNINGS {
        tracing::warn!("{path}: {} more warnings", warnings.len() - MOST_WARNINGS);
    }
}

/// The scopes of all fixtures as text.
pub(super) fn scopes(fixtures: &[Arc<Fixture>]) -> Vec<String> {
    fixtures.iter().flat_map(|fixture| scope_of(fixture)).collect()
}

/// The globs of harproxy's own fixture, or the phrase for the origins in a foreign one.
fn scope_of(fixture: &Fixture) -> Vec<String> {
    match fixture.scope() {
        Some([]) => vec!["**".to_owned()],
        Some(globs) => globs.to_vec(),
        None => vec![format!("the origins in {}", fixture.path().display())],
    }
}
