//! Writes the small files of a run for other programs: reports, `--ready-file`, configuration.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use super::advice::Failure;
use harproxy_support::atomic_file::Readers;
use harproxy_support::link;

/// Writes a file atomically, and creates its folder. If this fails, an existing file is unchanged. The target of a
/// symbolic link is replaced, not the link. Devices and pipes are written to directly.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    write_for(path, content, Readers::All)
}

/// Like [`write`], for these readers.
pub fn write_for(path: &Path, content: &[u8], readers: Readers) -> Result<(), Failure> {
    write_or_replace(path, content, readers).map_err(|source| Failure::Write { path: path.to_owned(), source })
}

/// Removes the `--ready-file` of an earlier run before anything else can fail, so that a script waits for the new one.
/// An error is ignored: writing the file reports it.
pub fn remove_ready_file(path: &Path) {
    let is_file = fs::metadata(path).is_ok_and(|there| there.is_file());
    if let (true, Ok(target)) = (is_file, link::target(path)) {
        let _ = fs::remove_file(target);
    }
}

fn write_or_replace(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return fs::OpenOptions::new().write(true).open(path)?.write_all(content);
    }
    let path = link::target(path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    harproxy_support::atomic_file::write(&path, content, readers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_creates_the_folder_and_leaves_no_temporary_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/ready.json");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn write_over_a_folder_is_an_error_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let Err(Failure::Write { path, .. }) = write(dir.path(), b"") else { panic!("written over a folder") };
        assert_eq!(path, dir.path());
    }

    #[cfg(unix)]
    #[test]
    fn write_and_remove_follow_symbolic_links() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("there")).unwrap();
        symlink("there/report.json", at("one.json")).unwrap();
        symlink("one.json", at("two.json")).unwrap();
        for content in ["first", "second"] {
            write(&at("two.json"), content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(at("there/report.json")).unwrap(), content);
        }
        assert!(at("one.json").is_symlink() && at("two.json").is_symlink());
        remove_ready_file(&at("two.json"));
        assert!(!at("there/report.json").exists() && at("two.json").is_symlink());

        symlink("round.json", at("round.json")).unwrap();
        write(&at("round.json"), b"x").unwrap_err();
        symlink("/dev/null", at("null.json")).unwrap();
        write(&at("null.json"), b"x").unwrap();
        assert!(at("null.json").is_symlink());
        remove_ready_file(&at("null.json"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn write_reports_the_error_of_a_device() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("full.json");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        write(&path, b"x").unwrap_err();
        assert!(path.is_symlink());
    }
}
