//! Held recordings: finished fixtures that did not replace the old one because CMD failed.
//!
//! A held recording waits in `.api.har.held/` beside `api.har` until `harproxy recover` puts it in place or drops it, or
//! until the next recording replaces it. It was made from the old fixture and fits only that one.

use std::fs::File;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use super::finalise::{Arrangement, Index};
use super::journal::Place;
use harproxy_har::{FixtureWriter, digest, held};

/// The summary of a held recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSummary {
    /// Exchanges in it.
    pub exchanges: usize,
    /// Exchanges that were cut off, stored as truncated.
    pub cut: usize,
    /// Requests without a response, which are left out.
    pub unanswered: usize,
    /// Entries that it adds to the fixture.
    pub added: usize,
    /// Entries that it replaces.
    pub changed: usize,
    /// Entries that it has seen unchanged.
    pub unchanged: usize,
    /// Entries that it has not seen.
    pub not_seen: usize,
    /// SHA-256 of the fixture that it was made from, in hex.
    base: String,
}

impl HeldSummary {
    /// Sums up a recording that changes the fixture at `place` in this way.
    ///
    /// # Errors
    /// When the fixture can't be read.
    pub fn new(place: &Place, index: &Index, arrangement: &Arrangement) -> Result<Self, Error> {
        let Arrangement { added, changed, unchanged, not_seen, .. } = *arrangement;
        Ok(HeldSummary {
            exchanges: index.slots.len(),
            cut: index.cut,
            unanswered: index.unanswered,
            added,
            changed,
            unchanged,
            not_seen,
            base: fingerprint(&place.output)?,
        })
    }
}

/// Finishes a fixture and holds it. An older held recording is replaced.
///
/// # Errors
/// [`Error`]; the fixture stays as it is.
pub fn hold(place: &Place, writer: FixtureWriter, summary: &HeldSummary) -> Result<(), Error> {
    let note = serde_json::to_vec(summary).map_err(|error| failed("writing", &place.held, error.into()))?;
    Ok(writer.hold(&place.held, &note)?)
}

/// The summary of the recording that is held, if there is one.
///
/// # Errors
/// [`Error::Journal`] when it can't be read, or another version of harproxy made it.
pub fn summary(place: &Place) -> Result<Option<HeldSummary>, Error> {
    if !place.held.exists() {
        return Ok(None);
    }
    let reading = |source| failed("reading", &place.held, source);
    let foreign = |_| io::Error::new(io::ErrorKind::InvalidData, "another version of harproxy wrote it");
    if !place.held.is_dir() {
        return Err(reading(foreign(())));
    }
    let note = held::note(&place.held)?;
    serde_json::from_slice(&note).map(Some).map_err(|_| reading(foreign(())))
}

/// Puts the held recording in place.
///
/// # Errors
/// [`Error::Changed`] when the fixture is another one by now; other errors when it can't be written. The recording stays
/// held.
pub fn accept(place: &Place, summary: &HeldSummary) -> Result<(), Error> {
    if held::is_waiting(&place.held) && fingerprint(&place.output)? != summary.base {
        return Err(Error::Changed { output: place.output.clone() });
    }
    Ok(held::release(&place.held, &place.output)?)
}

/// Drops the held recording. False if there is none.
///
/// # Errors
/// When it can't be removed.
pub fn discard(place: &Place) -> Result<bool, Error> {
    let was_held = place.held.exists();
    held::discard(&place.held)?;
    Ok(was_held)
}

/// The SHA-256 of a fixture; empty if there is none.
fn fingerprint(fixture: &Path) -> Result<String, Error> {
    match File::open(fixture).and_then(|mut file| digest::sha256_hex(&mut file)) {
        Ok((hex, _)) => Ok(hex),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(failed("reading", fixture, source)),
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Journal { doing, path: path.to_owned(), source }
}
