//! What waits beside a fixture while it is written: files and a folder named after it, so that what a killed writer left is
//! found and removed by the next. A lock tells the two apart.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};

/// How the names end.
const ENDING: &str = ".part";

/// A folder for payloads; removed when this is dropped.
#[derive(Debug)]
pub(super) struct Staging {
    dir: TempDir,
    /// The folder itself, locked.
    _lock: Option<File>,
}

impl Staging {
    pub(super) fn create(parent: &Path, fixture: &OsStr) -> io::Result<Self> {
        let begin = begins(fixture);
        let mut builder = builder(&begin);
        permit(&mut builder, 0o777);
        let dir = builder.tempdir_in(parent)?;
        Ok(Staging { _lock: lock(dir.path()), dir })
    }

    /// The same, for its user alone.
    pub(super) fn private(parent: &Path, fixture: &OsStr) -> io::Result<Self> {
        let dir = builder(&begins(fixture)).tempdir_in(parent)?;
        Ok(Staging { _lock: lock(dir.path()), dir })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Its path; it stays.
    pub(super) fn keep(self) -> PathBuf {
        self.dir.keep()
    }
}

/// A file that is renamed to `fixture` later: readable like any other that the user makes.
pub(super) fn file(fixture: &Path) -> io::Result<NamedTempFile> {
    let begin = begins(fixture.file_name().unwrap_or_default());
    let mut builder = builder(&begin);
    permit(&mut builder, 0o666);
    let file = builder.tempfile_in(folder(fixture))?;
    hold(file.as_file());
    Ok(file)
}

/// The same, for its user alone.
pub(super) fn private_file(fixture: &Path) -> io::Result<NamedTempFile> {
    let begin = begins(fixture.file_name().unwrap_or_default());
    // Nobody else may read it: that is what temporary files are by themselves.
    let file = builder(&begin).tempfile_in(folder(fixture))?;
    hold(file.as_file());
    Ok(file)
}

/// Removes what waits beside a fixture and nobody holds.
pub(super) fn sweep(fixture: &Path) {
    let begin = begins(fixture.file_name().unwrap_or_default());
    let Ok(beside) = fs::read_dir(folder(fixture)) else { return };
    for entry in beside.flatten().filter(|entry| is_ours(&entry.file_name(), &begin)) {
        let path = entry.path();
        let Some(_lock) = lock(&path) else { continue };
        tracing::debug!(path = %path.display(), "removing what a killed writer left");
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let _ = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
}

/// `.api.har.` of `api.har`.
fn begins(fixture: &OsStr) -> OsString {
    let mut begin = OsString::from(".");
    begin.push(fixture);
    begin.push(".");
    begin
}

fn builder<'a>(begin: &'a OsStr) -> Builder<'a, 'static> {
    let mut builder = Builder::new();
    builder.prefix(begin).suffix(ENDING);
    builder
}

/// Whether it is named as one of these: by the beginning, a few random letters, and the ending.
fn is_ours(name: &OsStr, begin: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    let random = name.strip_prefix(begin.as_encoded_bytes()).and_then(|rest| rest.strip_suffix(ENDING.as_bytes()));
    random.is_some_and(|random| !random.is_empty() && random.iter().all(u8::is_ascii_alphanumeric))
}

fn folder(fixture: &Path) -> &Path {
    fixture.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Nobody else holds it, and from now on we do. Where folders can't be opened or nothing can be locked, `None`.
fn lock(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    hold(&file).then_some(file)
}

/// Locks an open file or folder for as long as it is open; whether that could be done.
#[cfg(unix)]
fn hold(file: &File) -> bool {
    file.try_lock().is_ok()
}

/// A lock keeps readers out here, our own among them: nothing is locked, and nothing is swept.
#[cfg(not(unix))]
fn hold(_: &File) -> bool {
    false
}

#[cfg(unix)]
fn permit(builder: &mut Builder<'_, '_>, mode: u32) {
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
}

/// The folder's own protection has to do.
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
    fn what_a_killed_writer_left_is_removed_and_nothing_else() {
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
    fn what_a_writer_is_at_work_on_stays() {
        let dir = tempfile::tempdir().unwrap();
        let fixture = dir.path().join("api.har");
        let staging = Staging::create(dir.path(), fixture.file_name().unwrap()).unwrap();
        let har = file(&fixture).unwrap();
        assert!(names(dir.path()).iter().all(|name| name.starts_with(".api.har.") && name.ends_with(".part")));
        sweep(&fixture);
        assert!(staging.path().exists() && har.path().exists());
        drop((staging, har));
        assert_eq!(names(dir.path()).len(), 0);
    }
}
