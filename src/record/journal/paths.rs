//! The files of a recording beside its fixture, and the lock that lets one recorder at a time write them.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use super::heads::{self, JournalMeta};
use super::{FrameKind, JournalReader};
use crate::record::Error;

/// The end of the name of a journal.
const JOURNAL: &str = ".journal";
/// The end of the name of a held recording.
const HELD: &str = ".held";
/// The end of the name of a damaged journal.
const DAMAGED: &str = ".damaged.journal";

/// The files of one fixture's recording.
#[derive(Clone, Debug)]
pub struct JournalPaths {
    /// The fixture.
    pub output: PathBuf,
    /// `.api.har.journal` beside `api.har`.
    pub journal: PathBuf,
    /// `.api.har.held`, the folder of a held recording.
    pub held: PathBuf,
    /// `.api.har.damaged.journal`, a damaged journal whose complete exchanges are in the fixture.
    pub damaged: PathBuf,
}

/// The journal of a fixture, open and locked as long as this, or a clone of its file, lives.
#[derive(Debug)]
pub struct LockedJournal {
    pub paths: JournalPaths,
    /// The journal, open to read and to append.
    pub file: File,
    /// Folders that were created for it, innermost first.
    created: Vec<PathBuf>,
}

impl JournalPaths {
    /// The files beside `output`.
    ///
    /// # Errors
    /// [`Error::IsFolder`] when `output` is not the name of a file.
    pub fn beside(output: &Path) -> Result<Self, Error> {
        let is_folder = || Error::IsFolder { output: output.to_owned() };
        let name = output.file_name().filter(|_| !ends_with_separator(output)).ok_or_else(is_folder)?;
        if output.is_dir() {
            return Err(is_folder());
        }
        let sibling = |ending: &str| {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(ending);
            output.with_file_name(hidden)
        };
        let (journal, held, damaged) = (sibling(JOURNAL), sibling(HELD), sibling(DAMAGED));
        Ok(JournalPaths { output: output.to_owned(), journal, held, damaged })
    }

    /// The name of the fixture whose journal or held recording has this name.
    #[must_use]
    pub fn fixture_of(name: &OsStr) -> Option<&str> {
        let name = name.to_str()?.strip_prefix('.').filter(|name| !name.ends_with(DAMAGED))?;
        name.strip_suffix(JOURNAL).or_else(|| name.strip_suffix(HELD)).filter(|name| !name.is_empty())
    }

    /// Opens and locks the journal, and creates it and its folder if necessary. The frames of a killed recording are
    /// still in it.
    ///
    /// # Errors
    /// [`Error::Locked`] when another recorder has it; [`Error::Journal`] when the folder can't be written.
    pub fn lock(self) -> Result<LockedJournal, Error> {
        let folder = self.output.parent().filter(|folder| !folder.as_os_str().is_empty());
        let ancestors = folder.into_iter().flat_map(Path::ancestors);
        let created: Vec<PathBuf> = ancestors.take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
        if let Some(folder) = folder {
            fs::create_dir_all(folder).map_err(|source| Error::journal("creating the folder", folder, source))?;
        }
        loop {
            let mut options = OpenOptions::new();
            make_private(options.read(true).append(true).create(true));
            let file = options.open(&self.journal).map_err(|source| self.failed("creating the journal", source))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Locked { output: self.output, recorder: recording_process(&file) });
                }
                // The file system has no locks.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(source)) => return Err(self.failed("locking the journal", source)),
            }
            // Its owner may have removed the file between opening and locking.
            if is_at(&file, &self.journal).map_err(|source| self.failed("reading the journal", source))? {
                return Ok(LockedJournal { paths: self, file, created });
            }
        }
    }

    /// Returns true if there is a journal or a held recording.
    #[must_use]
    pub fn has_leftovers(&self) -> bool {
        self.journal.exists() || self.held.exists()
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> Error {
        Error::journal(doing, &self.journal, source)
    }
}

impl LockedJournal {
    /// Removes all frames.
    pub fn truncate(&self) -> Result<(), Error> {
        self.file.set_len(0).map_err(|source| self.paths.failed("emptying the journal", source))
    }

    /// Removes the journal, and the folders that were created for it if they are empty.
    pub fn remove(&self) -> Result<(), Error> {
        let journal = &self.paths.journal;
        let removed =
            is_at(&self.file, journal).and_then(|is_ours| if is_ours { fs::remove_file(journal) } else { Ok(()) });
        removed.map_err(|source| self.paths.failed("removing the journal", source))?;
        for folder in &self.created {
            // Fails if it is not empty.
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    /// Copies the journal to [`JournalPaths::damaged`], for a look at the damage.
    ///
    /// # Errors
    /// [`Error::Journal`] if the copy can't be written.
    pub fn keep_damaged(&self) -> Result<(), Error> {
        self.copy_damaged(&[])
    }

    /// Writes a new beginning before the journal, whose own one is damaged. A process without the knowledge of its
    /// recorder can read it then. The lock stays on the old file.
    ///
    /// # Errors
    /// [`Error::Journal`] if it can't be written.
    pub fn rewrite_beginning(&self, beginning: &[u8]) -> Result<(), Error> {
        self.copy_damaged(beginning)?;
        let failed = |source| self.paths.failed("repairing the journal", source);
        fs::rename(&self.paths.damaged, &self.paths.journal).map_err(failed)
    }

    fn copy_damaged(&self, beginning: &[u8]) -> Result<(), Error> {
        let failed = |source| Error::journal("keeping the damaged journal in", &self.paths.damaged, source);
        let mut options = OpenOptions::new();
        make_private(options.write(true).create(true).truncate(true));
        let mut kept = options.open(&self.paths.damaged).map_err(failed)?;
        let mut ours = &self.file;
        let copied =
            kept.write_all(beginning).and_then(|()| ours.rewind()).and_then(|()| io::copy(&mut ours, &mut kept));
        copied.map(drop).map_err(failed)
    }

    /// Copies the journal back to its path if it was removed or replaced while it was open. `None` if it is in place.
    ///
    /// # Errors
    /// [`Error::Journal`] if it can't be written; [`Error::Locked`] if another recorder has one there.
    pub fn restore(&self) -> Result<Option<LockedJournal>, Error> {
        let failed = |source| self.paths.failed("putting back the journal", source);
        if is_at(&self.file, &self.paths.journal).map_err(failed)? {
            return Ok(None);
        }
        let restored = self.paths.clone().lock()?;
        if restored.file.metadata().map_err(failed)?.len() > 0 {
            restored.keep_damaged()?;
            restored.truncate()?;
        }
        let mut ours = &self.file;
        ours.rewind().and_then(|()| io::copy(&mut ours, &mut &restored.file)).map_err(failed)?;
        Ok(Some(restored))
    }
}

/// The process that a journal names as its recorder. `None` if the journal is only a lock.
fn recording_process(journal: &File) -> Option<u32> {
    let mut reader = JournalReader::open(journal.try_clone().ok()?, None).ok()??;
    let first = reader.next_frame().ok()??;
    (first.kind == FrameKind::Meta).then(|| heads::decode::<JournalMeta>(first.payload).ok()?.pid)?
}

fn ends_with_separator(path: &Path) -> bool {
    path.as_os_str().to_string_lossy().ends_with(std::path::is_separator)
}

/// Only the user may read recorded traffic.
#[cfg(unix)]
fn make_private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

/// The permissions of the folder apply.
#[cfg(not(unix))]
fn make_private(_: &mut OpenOptions) {}

/// Returns true if the open file is the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns true if the open file is the one at `path`. Open files can't be replaced here, only removed.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_hidden_beside_the_fixture() {
        let paths = JournalPaths::beside(Path::new("hars/api.har")).unwrap();
        assert_eq!(paths.journal, Path::new("hars/.api.har.journal"));
        assert_eq!(paths.held, Path::new("hars/.api.har.held"));
        assert_eq!(paths.damaged, Path::new("hars/.api.har.damaged.journal"));
        assert_eq!(JournalPaths::beside(Path::new("api.zip")).unwrap().journal, Path::new(".api.zip.journal"));
        for (name, fixture) in [
            (".api.har.held", Some("api.har")),
            (".a.zip.journal", Some("a.zip")),
            (".a.har.damaged.journal", None),
            ("api.har.held", None),
            (".held", None),
            ("api.har", None),
        ] {
            assert_eq!(JournalPaths::fixture_of(name.as_ref()), fixture, "{name}");
        }
    }

    #[test]
    fn folder_is_rejected_as_output() {
        let dir = tempfile::tempdir().unwrap();
        for output in [dir.path().to_owned(), dir.path().join("new/"), PathBuf::from("/"), dir.path().join("..")] {
            assert!(matches!(JournalPaths::beside(&output), Err(Error::IsFolder { .. })), "{}", output.display());
        }
    }

    #[cfg(unix)]
    #[test]
    fn journal_is_readable_by_its_user_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let locked = JournalPaths::beside(&dir.path().join("api.har")).unwrap().lock().unwrap();
        assert_eq!(locked.file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn second_lock_is_refused_while_the_first_lives() {
        let dir = tempfile::tempdir().unwrap();
        let paths = JournalPaths::beside(&dir.path().join("deep/er/api.har")).unwrap();
        let first = paths.clone().lock().unwrap();
        assert!(matches!(paths.clone().lock(), Err(Error::Locked { .. })));
        JournalPaths::beside(&dir.path().join("deep/er/other.har")).unwrap().lock().unwrap();
        first.remove().unwrap();
        assert!(dir.path().join("deep/er").exists(), "another journal is in it");
        let second = paths.clone().lock().unwrap();
        drop(first);
        assert!(matches!(paths.lock(), Err(Error::Locked { .. })), "the lock is on the new journal");
        drop(second);
    }

    #[test]
    fn created_folders_are_removed_when_they_are_empty() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("there")).unwrap();
        let lock = |path: &str| JournalPaths::beside(&dir.path().join(path)).unwrap().lock().unwrap();
        lock("there/new/er/api.har").remove().unwrap();
        assert!(dir.path().join("there").exists() && !dir.path().join("there/new").exists());
        let locked = lock("there/new/api.har");
        fs::write(dir.path().join("there/new/api.har"), "").unwrap();
        locked.remove().unwrap();
        assert!(dir.path().join("there/new/api.har").exists());
    }
}
