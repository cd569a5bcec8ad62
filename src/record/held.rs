//! Held recordings: finished fixtures that did not replace the old one because CMD failed.
//!
//! A held recording lies in `.api.har.held/` beside `api.har` until `harproxy recover` accepts or drops it, or the next
//! recording replaces it. It contains the entries of the old fixture, so it can replace only that fixture.

use std::fs::File;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use super::finalise::{Arrangement, JournalIndex};
use super::journal::JournalPaths;
use harproxy_har::{FixtureWriter, digest, held};

/// The counts of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingSummary {
    pub exchanges: usize,
    /// Exchanges that were cut off, stored as truncated.
    pub cut: usize,
    /// Requests whose clients left before a response. They are not stored.
    pub unanswered: usize,
    /// Requests that failed before a connection to upstream. They are not stored.
    #[serde(default)]
    pub failed: usize,
    /// Exchanges of tests that ran again later. They are not stored.
    #[serde(default)]
    pub repeated: usize,
    /// Entries that the recording adds to the fixture.
    pub added: usize,
    /// Entries that the recording replaces.
    pub changed: usize,
    /// Entries that were recorded again without a change.
    pub unchanged: usize,
    /// Entries of the fixture that were not recorded again.
    pub not_seen: usize,
    /// Whether the fixture had layout 1, and is migrated.
    #[serde(default)]
    pub migrated: bool,
}

impl RecordingSummary {
    /// Counts the exchanges of a journal, and the entries that they change.
    #[must_use]
    pub fn new(index: &JournalIndex, arrangement: &Arrangement) -> Self {
        RecordingSummary {
            exchanges: index.exchanges.len(),
            cut: index.cut,
            unanswered: index.unanswered,
            failed: index.failed.len(),
            repeated: index.repeated,
            added: arrangement.added,
            changed: arrangement.changed,
            unchanged: arrangement.unchanged,
            not_seen: arrangement.not_seen,
            migrated: arrangement.migrated,
        }
    }
}

/// The description of a held recording, stored as JSON in its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRecording {
    pub summary: RecordingSummary,
    /// SHA-256 of the fixture that the recording updates, in hex.
    base: String,
}

/// Finishes `writer` as the held recording of a fixture. Replaces an older one.
///
/// # Errors
/// If the held recording can't be written. The fixture stays as it is.
pub fn hold(paths: &JournalPaths, writer: FixtureWriter, summary: RecordingSummary) -> Result<(), Error> {
    let recording = HeldRecording { summary, base: fingerprint(&paths.output)? };
    let note = serde_json::to_vec(&recording);
    let note = note.map_err(|error| Error::journal("writing", &paths.held, error.into()))?;
    Ok(writer.hold(&paths.held, &note)?)
}

/// Reads the description of the held recording. `None` if there is none.
///
/// # Errors
/// [`Error::Journal`] when it can't be read, or another version of harproxy made it.
pub fn read(paths: &JournalPaths) -> Result<Option<HeldRecording>, Error> {
    if !paths.held.exists() {
        return Ok(None);
    }
    let foreign = || {
        let source = io::Error::new(io::ErrorKind::InvalidData, "another version of harproxy wrote it");
        Error::journal("reading", &paths.held, source)
    };
    if !paths.held.is_dir() {
        return Err(foreign());
    }
    let note = held::note(&paths.held)?;
    serde_json::from_slice(&note).map(Some).map_err(|_| foreign())
}

/// Replaces the fixture by its held recording.
///
/// # Errors
/// [`Error::Changed`] if the fixture has changed since; other errors if it can't be written. The recording stays held.
pub fn accept(paths: &JournalPaths, recording: &HeldRecording) -> Result<(), Error> {
    if held::is_waiting(&paths.held) && fingerprint(&paths.output)? != recording.base {
        return Err(Error::Changed { output: paths.output.clone() });
    }
    Ok(held::release(&paths.held, &paths.output)?)
}

/// Drops the held recording. False if there is none.
pub fn discard(paths: &JournalPaths) -> Result<bool, Error> {
    let was_held = paths.held.exists();
    held::discard(&paths.held, &paths.output)?;
    Ok(was_held)
}

/// The SHA-256 of a fixture; empty if there is none.
fn fingerprint(fixture: &Path) -> Result<String, Error> {
    match File::open(fixture).and_then(|mut file| digest::sha256_hex(&mut file)) {
        Ok((hex, _)) => Ok(hex),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(Error::journal("reading", fixture, source)),
    }
}
