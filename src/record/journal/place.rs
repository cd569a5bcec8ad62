//! Where the journal of a fixture is, and who may write it: one recorder at a time.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

use super::super::Error;
use super::super::heads::{self, Meta};
use super::{FrameKind, Reader};

/// How the name of a journal ends.
const JOURNAL: &str = ".journal";
/// How it ends when it was set aside.
const HELD: &str = ".held";

/// The files of one fixture's recording.
#[derive(Clone, Debug)]
pub struct Place {
    /// The fixture.
    pub output: PathBuf,
    /// `.api.har.journal` beside `api.har`.
    pub journal: PathBuf,
    /// `.api.har.held`: the folder of a held recording.
    pub held: PathBuf,
}

/// The journal, open and locked for as long as this (or a clone of its file) lives.
#[derive(Debug)]
pub struct Claimed {
    /// Where it is.
    pub place: Place,
    /// The journal, open to read and to append.
    pub file: File,
    /// Folders that were not there before, innermost first.
    made: Vec<PathBuf>,
}

impl Place {
    /// The files beside `output`.
    ///
    /// # Errors
    /// When `output` names no file.
    pub fn beside(output: &Path) -> Result<Self, Error> {
        let folder = || Error::IsFolder { output: output.to_owned() };
        let name = output.file_name().filter(|_| !ends_with_separator(output)).ok_or_else(folder)?;
        if output.is_dir() {
            return Err(folder());
        }
        let sibling = |ending: &str| {
            let mut hidden = std::ffi::OsString::from(".");
            hidden.push(name);
            hidden.push(ending);
            output.with_file_name(hidden)
        };
        Ok(Place { output: output.to_owned(), journal: sibling(JOURNAL), held: sibling(HELD) })
    }

    /// The name of the fixture whose journal has this name, held or not.
    #[must_use]
    pub fn fixture_of(journal: &OsStr) -> Option<&str> {
        let name = journal.to_str()?.strip_prefix('.')?;
        name.strip_suffix(JOURNAL).or_else(|| name.strip_suffix(HELD)).filter(|name| !name.is_empty())
    }

    /// Makes the folder if need be, opens the journal and locks it. What a killed recording left is still in it.
    ///
    /// # Errors
    /// [`Error::Locked`] when another recorder has it; [`Error::Journal`] when the folder can't be written.
    pub fn claim(self) -> Result<Claimed, Error> {
        let folder = self.output.parent().filter(|folder| !folder.as_os_str().is_empty());
        let missing = folder.into_iter().flat_map(Path::ancestors);
        let made: Vec<PathBuf> = missing.take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
        if let Some(folder) = folder {
            fs::create_dir_all(folder).map_err(|source| Error::journal("creating the folder", folder, source))?;
        }
        loop {
            let mut options = OpenOptions::new();
            private(options.read(true).append(true).create(true));
            let file = options.open(&self.journal);
            let file = file.map_err(|source| self.failed("creating the journal", source))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Locked { output: self.output, recorder: recorder(&file) });
                }
                // A file system without locks: nothing to hold on to.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(source)) => return Err(self.failed("locking the journal", source)),
            }
            // Between opening and locking, its owner may have finished and removed it: then this is a file without a name.
            if is_at(&file, &self.journal).map_err(|source| self.failed("reading the journal", source))? {
                return Ok(Claimed { place: self, file, made });
            }
        }
    }

    /// Whether a recording that ended badly may have left something.
    #[must_use]
    pub fn has_leftovers(&self) -> bool {
        self.journal.exists() || self.held.exists()
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> Error {
        Error::journal(doing, &self.journal, source)
    }
}

impl Claimed {
    /// Empties the journal.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub fn clear(&self) -> Result<(), Error> {
        self.file.set_len(0).map_err(|source| Error::journal("emptying the journal", &self.place.journal, source))
    }

    /// Removes the journal, if it is still there: all that was in it is in the fixture. Folders that were made for it go too,
    /// unless they are of use by now.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub fn remove(&self) -> Result<(), Error> {
        let journal = &self.place.journal;
        match is_at(&self.file, journal) {
            Ok(true) => remove(journal)?,
            Ok(false) => {}
            Err(source) => return Err(Error::journal("removing the journal", journal, source)),
        }
        for folder in &self.made {
            // Fails where something is in it.
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    /// A journal that was removed under us, with its folder or by itself, is put back: all that was written to it is still ours.
    /// `None` where it is in its place.
    ///
    /// # Errors
    /// [`Error::Journal`] when that can't be done; [`Error::Locked`] when another recorder has begun one there.
    pub fn put_back(&self) -> Result<Option<Claimed>, Error> {
        let failed = |source| Error::journal("putting back the journal", &self.place.journal, source);
        if is_at(&self.file, &self.place.journal).map_err(failed)? {
            return Ok(None);
        }
        let anew = self.place.clone().claim()?;
        if anew.file.metadata().map_err(failed)?.len() == 0 {
            let mut ours = &self.file;
            ours.rewind().and_then(|()| io::copy(&mut ours, &mut &anew.file)).map_err(failed)?;
        }
        Ok(Some(anew))
    }
}

/// Who a journal says writes it; nobody where it is but a lock.
fn recorder(journal: &File) -> Option<u32> {
    let mut reader = Reader::open(journal.try_clone().ok()?).ok()??;
    let first = reader.next_frame().ok()??;
    (first.kind == FrameKind::Meta).then(|| heads::decode::<Meta>(first.payload).ok()?.pid)?
}

fn remove(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).map_err(|source| Error::journal("removing the journal", path, source))
}

fn ends_with_separator(path: &Path) -> bool {
    path.as_os_str().to_string_lossy().ends_with(std::path::is_separator)
}

/// What passes through a recording is its user's alone.
#[cfg(unix)]
fn private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

/// The folder's own protection has to do.
#[cfg(not(unix))]
fn private(_: &mut OpenOptions) {}

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

/// Where an open file cannot be replaced, it is where it was or gone.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_hidden_beside_the_fixture() {
        let place = Place::beside(Path::new("hars/api.har")).unwrap();
        assert_eq!(place.journal, Path::new("hars/.api.har.journal"));
        assert_eq!(place.held, Path::new("hars/.api.har.held"));
        assert_eq!(Place::beside(Path::new("api.zip")).unwrap().journal, Path::new(".api.zip.journal"));
        for (name, fixture) in [
            (".api.har.held", Some("api.har")),
            (".a.zip.journal", Some("a.zip")),
            ("api.har.held", None),
            (".held", None),
            ("api.har", None),
        ] {
            assert_eq!(Place::fixture_of(name.as_ref()), fixture, "{name}");
        }
    }

    #[test]
    fn a_folder_is_no_fixture() {
        let dir = tempfile::tempdir().unwrap();
        for output in [dir.path().to_owned(), dir.path().join("new/"), PathBuf::from("/"), dir.path().join("..")] {
            assert!(matches!(Place::beside(&output), Err(Error::IsFolder { .. })), "{}", output.display());
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_a_journal() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let claimed = Place::beside(&dir.path().join("api.har")).unwrap().claim().unwrap();
        assert_eq!(claimed.file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn one_recorder_per_fixture() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::beside(&dir.path().join("deep/er/api.har")).unwrap();
        let first = place.clone().claim().unwrap();
        assert!(matches!(place.clone().claim(), Err(Error::Locked { .. })));
        Place::beside(&dir.path().join("deep/er/other.har")).unwrap().claim().unwrap();
        first.remove().unwrap();
        assert!(dir.path().join("deep/er").exists(), "another journal is in it");
        let second = place.clone().claim().unwrap();
        drop(first);
        assert!(matches!(place.claim(), Err(Error::Locked { .. })), "the lock is on the new journal");
        drop(second);
    }

    #[test]
    fn folders_that_were_made_for_nothing_go_again() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("there")).unwrap();
        let claim = |path: &str| Place::beside(&dir.path().join(path)).unwrap().claim().unwrap();
        claim("there/new/er/api.har").remove().unwrap();
        assert!(dir.path().join("there").exists() && !dir.path().join("there/new").exists());
        let claimed = claim("there/new/api.har");
        fs::write(dir.path().join("there/new/api.har"), "").unwrap();
        claimed.remove().unwrap();
        assert!(dir.path().join("there/new/api.har").exists());
    }
}
