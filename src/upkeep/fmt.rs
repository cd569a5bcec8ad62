//! `fmt`: the canonical form.

use std::path::Path;

use harproxy_har::format::{self, Changes};
use harproxy_har::{Error, Fixture};

/// What became of a fixture, or would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formatted {
    /// It is in canonical form.
    Canonical,
    /// It was not.
    Changed(Changes),
    /// It is compressed as a whole, so that git sees nothing of its form; it is left as it is.
    Compressed,
}

/// Looks whether a fixture is in canonical form. Nothing is written.
///
/// # Errors
/// When it, an entry or a payload of it can't be read.
pub fn check(path: &Path) -> Result<Formatted, Error> {
    see_to(path, |_, _| Ok(()))
}

/// Puts a fixture in canonical form. One that is in it is not touched.
///
/// # Errors
/// When it, an entry or a payload of it can't be read, or it can't be written: it then stays as it is.
pub fn format(path: &Path) -> Result<Formatted, Error> {
    see_to(path, format::apply)
}

fn see_to(path: &Path, change: fn(&Fixture, &Changes) -> Result<(), Error>) -> Result<Formatted, Error> {
    let fixture = Fixture::open(path)?;
    if fixture.is_compressed() {
        return Ok(Formatted::Compressed);
    }
    let changes = format::find_changes(&fixture)?;
    if changes.is_empty() {
        return Ok(Formatted::Canonical);
    }
    change(&fixture, &changes)?;
    Ok(Formatted::Changed(changes))
}
