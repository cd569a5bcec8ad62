//! Held fixtures: complete fixtures in a hidden folder, to be published or dropped later.
//!
//! ```text
//! .api.har.held/fixture      the HAR, or the archive
//! .api.har.held/payloads/    payload files that the payload folder does not have yet
//! .api.har.held/note         data of the caller
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::publish;
use super::writer::FixtureWriter;
use crate::Error;
use crate::store::payload_path::{is_zip, payload_folder};
use crate::store::staging::{Staging, parent};

const FIXTURE: &str = "fixture";
const PAYLOADS: &str = "payloads";
const NOTE: &str = "note";

impl FixtureWriter {
    /// Finishes the fixture in `folder`, with `note`, instead of publishing it. Replaces an existing `folder`.
    ///
    /// # Errors
    /// When a write, sync or rename fails. `folder` is then unchanged or removed.
    pub fn hold(self, folder: &Path, note: &[u8]) -> Result<(), Error> {
        let (path, har, mut deposit) = self.close()?;
        let failed = Error::at(folder, "writing");
        let staging = Staging::private(&path).map_err(failed)?;
        match deposit.folder() {
            Some(_) => {
                publish::sync_staged(&deposit)?;
                if let Some(payloads) = deposit.take_staging() {
                    fs::rename(payloads, staging.path().join(PAYLOADS)).map_err(failed)?;
                }
                publish::rename_into(har, &staging.path().join(FIXTURE))?;
            }
            None => {
                let archive = publish::into_archive(&har, &deposit, &path)?;
                publish::rename_into(archive, &staging.path().join(FIXTURE))?;
            }
        }
        fs::write(staging.path().join(NOTE), note).map_err(failed)?;
        discard(folder, &path)?;
        fs::rename(staging.keep(), folder).map_err(failed)?;
        publish::sync_parent(folder)
    }
}

/// Reads the note of the held fixture in `folder`.
pub fn note(folder: &Path) -> Result<Vec<u8>, Error> {
    fs::read(folder.join(NOTE)).map_err(Error::at(folder, "reading"))
}

/// True if `folder` has a fixture. False if a [`release`] was interrupted after it had published it.
#[must_use]
pub fn is_waiting(folder: &Path) -> bool {
    folder.join(FIXTURE).exists()
}

/// Publishes the held fixture in `folder` at `path`, for which it was written, and removes the folder. An interrupted
/// release can be repeated.
///
/// # Errors
/// When a rename fails. The old fixture is then unchanged.
pub fn release(folder: &Path, path: &Path) -> Result<(), Error> {
    if is_waiting(folder) {
        let payloads = if is_zip(path) { None } else { Some(parent(path).join(payload_folder(path)?)) };
        let referenced =
            || payloads.as_ref().map_or_else(BTreeSet::new, |payloads| publish::referenced(path, payloads));
        let old = referenced();
        if let Some(payloads) = &payloads {
            move_payloads(&folder.join(PAYLOADS), payloads)?;
        }
        let fixture = folder.join(FIXTURE);
        if !publish::is_same_file(&fixture, path) {
            fs::rename(&fixture, path).map_err(Error::at(path, "renaming into"))?;
            publish::sync_parent(path)?;
        }
        let new = referenced();
        for (name, payloads) in old.difference(&new).zip(payloads.iter().cycle()) {
            // Unused files are harmless.
            let _ = fs::remove_file(payloads.join(name));
        }
    }
    discard(folder, path)
}

/// Removes the fixture for `path` that waits in `folder`. Nothing to do when there is none.
pub fn discard(folder: &Path, path: &Path) -> Result<(), Error> {
    if fs::symlink_metadata(folder).is_err() {
        return Ok(());
    }
    // A kill leaves the whole folder, or a temporary folder that the next writer removes.
    let staging = Staging::private(path);
    let moved = staging.and_then(|staging| fs::rename(folder, staging.path().join(FIXTURE)));
    moved.map_err(Error::at(folder, "removing"))
}

fn move_payloads(from: &Path, to: &Path) -> Result<(), Error> {
    let Ok(staged) = fs::read_dir(from) else { return Ok(()) };
    fs::create_dir_all(to).map_err(Error::at(to, "creating"))?;
    for file in staged {
        let file = file.map_err(Error::at(from, "reading"))?;
        let target = to.join(file.file_name());
        fs::rename(file.path(), &target).map_err(Error::at(&target, "renaming into"))?;
    }
    publish::sync_folder(to).map_err(Error::at(to, "syncing"))?;
    publish::sync_parent(to)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::write::{ContentMode, PayloadSource};
    use crate::{Entry, Fixture};

    fn writer(path: &Path, texts: &[&str]) -> FixtureWriter {
        let mut writer = FixtureWriter::create(path, ContentMode::Attach, &[]).unwrap();
        for text in texts {
            let read = &mut text.as_bytes();
            let source = PayloadSource { read, mime_type: "text/plain", encoded: false, truncated: None };
            let mut entry = Entry::default();
            entry.request.method = "GET".into();
            entry.request.url = format!("https://api.test/{text}");
            entry.response.status = 200;
            entry.response.content = writer.content(source).unwrap();
            writer.entry(&entry).unwrap();
        }
        writer
    }

    fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => found.extend(files(&path)),
                false => found.push((path.clone(), fs::read(&path).unwrap())),
            }
        }
        found.sort();
        found
    }

    #[test]
    fn release_publishes_the_fixture_that_finish_writes() {
        for name in ["api.har", "api.zip"] {
            let (held, finished) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            for dir in [&held, &finished] {
                writer(&dir.path().join(name), &["one", "two"]).finish().unwrap();
            }
            let (path, folder) = (held.path().join(name), held.path().join(".held"));
            let before = files(held.path());
            for _ in 0..2 {
                writer(&path, &["two", "three"]).hold(&folder, b"note").unwrap();
            }
            assert!(is_waiting(&folder) && note(&folder).unwrap() == b"note");
            let outside: Vec<_> =
                files(held.path()).into_iter().filter(|(file, _)| !file.starts_with(&folder)).collect();
            assert_eq!(outside, before, "nothing else has changed");
            release(&folder, &path).unwrap();
            writer(&finished.path().join(name), &["two", "three"]).finish().unwrap();
            let relative = |dir: &Path| {
                let files = files(dir).into_iter();
                files.map(|(file, bytes)| (file.strip_prefix(dir).unwrap().to_owned(), bytes)).collect::<Vec<_>>()
            };
            assert_eq!(relative(held.path()), relative(finished.path()));
            assert_eq!(Fixture::open(&path).unwrap().entries(), 2);
        }
    }

    #[test]
    fn interrupted_release_can_be_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let (path, folder) = (dir.path().join("api.har"), dir.path().join(".held"));
        writer(&path, &["one"]).hold(&folder, b"").unwrap();
        move_payloads(&folder.join(PAYLOADS), &dir.path().join("api")).unwrap();
        release(&folder, &path).unwrap();
        writer(&path, &["two"]).hold(&folder, b"").unwrap();
        fs::remove_file(folder.join(FIXTURE)).unwrap();
        release(&folder, &path).unwrap();
        assert!(!folder.exists() && Fixture::open(&path).unwrap().entries() == 1);
    }
}
