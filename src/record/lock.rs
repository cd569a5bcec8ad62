//! Keeps recorders away from a fixture while another command writes it.

use std::io;
use std::path::Path;

use super::Error;
use super::journal::{JournalPaths, LockedJournal};

/// Prevents recordings into a fixture as long as it lives. A leftover recording stays.
#[derive(Debug)]
pub struct FixtureLock(Option<LockedJournal>);

/// Locks a fixture and removes the temporary files of killed writers. A folder that can't be written needs no lock: the
/// command that wants to write reports why it can't.
///
/// # Errors
/// [`Error::Locked`] while a recorder runs, [`Error::Journal`] when the lock can't be created.
pub fn lock_fixture(fixture: &Path) -> Result<FixtureLock, Error> {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    // The target of a link is the file that is written.
    let target = fixture.canonicalize().unwrap_or_else(|_| fixture.to_owned());
    match JournalPaths::beside(&target)?.lock() {
        Ok(journal) => {
            harproxy_har::write::sweep(&target);
            Ok(FixtureLock(Some(journal)))
        }
        Err(Error::Journal { source, .. }) if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            Ok(FixtureLock(None))
        }
        Err(Error::IsFolder { .. }) => Ok(FixtureLock(None)),
        Err(Error::Locked { recorder, .. }) => Err(Error::Locked { output: fixture.to_owned(), recorder }),
        Err(error) => Err(error),
    }
}

/// Removes the temporary files of killed writers of a fixture that is not going to be written. A leftover recording stays.
pub fn remove_stale_files(fixture: &Path) {
    let target = fixture.canonicalize().unwrap_or_else(|_| fixture.to_owned());
    harproxy_har::write::sweep(&target);
    if JournalPaths::beside(&target).is_ok_and(|paths| paths.journal.exists()) {
        // Dropping the lock removes an empty journal.
        drop(lock_fixture(&target));
    }
}

impl Drop for FixtureLock {
    fn drop(&mut self) {
        let empty = self.0.take().filter(|journal| journal.file.metadata().is_ok_and(|file| file.len() == 0));
        let _ = empty.map(|journal| journal.remove());
    }
}
