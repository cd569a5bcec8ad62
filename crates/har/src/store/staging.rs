//! Temporary files and folders of a fixture that is being written, beside it and named after it.
//!
//! Each is locked by its process. The next writer removes the unlocked ones, which belong to killed processes.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use harproxy_support::printable::Shown as _;
use tempfile::{Builder, NamedTempFile, TempDir};

/// The extension of temporary files and folders.
const EXTENSION: &str = ".part";

/// A temporary folder for payloads, removed on drop.
#[derive(Debug)]
pub(crate) struct Staging {
    dir: TempDir,
    _lock: Option<File>,
}

impl Staging {
    /// Creates a folder with the default permissions of the user.
    pub(crate) fn create(fixture: &Path) -> io::Result<Self> {
        Staging::with_mode(fixture, 0o777)
    }

    /// Creates a folder for the current user only.
    pub(crate) fn private(fixture: &Path) -> io::Result<Self> {
        Staging::with_mode(fixture, 0o700)
    }

    fn with_mode(fixture: &Path, mode: u32) -> io::Result<Self> {
        let dir = builder(&prefix(fixture), mode).tempdir_in(parent(fixture))?;
        Ok(Staging { _lock: lock(dir.path()), dir })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Keeps the folder on drop and returns its path.
    pub(crate) fn keep(self) -> PathBuf {
        self.dir.keep()
    }
}

/// Creates a file that is renamed to `fixture` later, with the default permissions of the user.
pub(crate) fn file(fixture: &Path) -> io::Result<NamedTempFile> {
    let file = builder(&prefix(fixture), 0o666).tempfile_in(parent(fixture))?;
    try_lock(file.as_file());
    Ok(file)
}

/// Removes the unlocked temporary files and folders of a fixture.
pub(crate) fn sweep(fixture: &Path) {
    let prefix = prefix(fixture);
    let Ok(entries) = fs::read_dir(parent(fixture)) else { return };
    for entry in entries.flatten().filter(|entry| is_temporary(&entry.file_name(), &prefix)) {
        let path = entry.path();
        let Some(_lock) = lock(&path) else { continue };
        tracing::debug!(path = %path.shown(), "removing temporary files of a killed writer");
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let _ = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
}

/// The prefix of temporary names: `.api.har.` for `api.har`.
fn prefix(fixture: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(fixture.file_name().unwrap_or_default());
    prefix.push(".");
    prefix
}

fn builder(prefix: &OsStr, mode: u32) -> Builder<'_, 'static> {
    let mut builder = Builder::new();
    builder.prefix(prefix).suffix(EXTENSION);
    permit(&mut builder, mode);
    builder
}

/// True for a name of the prefix, random letters and the extension.
fn is_temporary(name: &OsStr, prefix: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    let random = name.strip_prefix(prefix.as_encoded_bytes()).and_then(|rest| rest.strip_suffix(EXTENSION.as_bytes()));
    random.is_some_and(|random| !random.is_empty() && random.iter().all(u8::is_ascii_alphanumeric))
}

/// The folder of a file.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Locks a file or folder. `None` if another process has the lock, or locks are not available.
fn lock(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    try_lock(&file).then_some(file)
}

/// Tries to lock an open file or folder until it is closed. Returns true on success.
#[cfg(unix)]
fn try_lock(file: &File) -> bool {
    file.try_lock().is_ok()
}

/// On Windows a lock excludes readers, including this process. Nothing is locked, and nothing is removed.
#[cfg(not(unix))]
fn try_lock(_: &File) -> bool {
    false
}

#[cfg(unix)]
fn permit(builder: &mut Builder<'_, '_>, mode: u32) {
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
}

/// On Windows the access list of the folder decides.
#[cfg(not(unix))]
fn permit(_: &mut Builder<'_, '_>, _: u32) {}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn sweep_removes_only_temporary_files_of_killed_writers() {
        let dir = tempfile::tempdir().unwrap();
        let fixture = dir.path().join("api.har");
        let others = [".api.har.journal", ".api.har.held", ".api.har.x.y.part", ".b.har.Ab12.part", "api.har"];
        for other in others {
            fs::write(dir.path().join(other), "").unwrap();
        }
        fs::create_dir(dir.path().join(".api.har.Ab12cD.part")).unwrap();
        fs::write(dir.path().join(".api.har.Ab12cD.part/payload.json"), "{}").unwrap();
        fs::write(dir.path().join(".api.har.Ef34gH.part"), "{").unwrap();
        sweep(&fixture);
        assert_eq!(names(dir.path()), {
            let mut others = others;
            others.sort_unstable();
            others
        });
    }

    #[test]
    fn sweep_keeps_locked_files() {
        let dir = tempfile::tempdir().unwrap();
        let fixture = dir.path().join("api.har");
        let staging = Staging::create(&fixture).unwrap();
        let har = file(&fixture).unwrap();
        assert!(names(dir.path()).iter().all(|name| name.starts_with(".api.har.") && name.ends_with(".part")));
        sweep(&fixture);
        assert!(staging.path().exists() && har.path().exists());
        drop((staging, har));
        assert_eq!(names(dir.path()).len(), 0);
    }
}
