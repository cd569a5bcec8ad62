//! The small files that a run leaves for others to read.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::advice::Failure;
use harproxy_support::atomic_file::Readers;

/// Links are followed so far; more go round in circles.
const LINKS: usize = 40;

/// Writes a file, which is there whole or not at all, and its folder where that is missing. What stood there before is as it
/// was if this fails. A link stays one, and what it leads to is written; a device or a pipe, which nothing can take the place
/// of, is written to.
///
/// # Errors
/// [`Failure::Write`].
pub fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    put(path, content).map_err(|source| Failure::Write { path: path.to_owned(), source })
}

/// Removes a file that [`write`] left in an earlier run: who waits for it is to see the one of this run. Where it can't be
/// removed, writing it will tell.
pub fn forget(path: &Path) {
    let is_file = fs::metadata(path).is_ok_and(|there| there.is_file());
    if let (true, Ok(target)) = (is_file, target(path)) {
        let _ = fs::remove_file(target);
    }
}

fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return fs::OpenOptions::new().write(true).open(path)?.write_all(content);
    }
    let path = target(path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    harproxy_support::atomic_file::write(&path, content, Readers::All)
}

/// What a link leads to in the end, which need not be there.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = path.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("links that lead to each other"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_whole_into_a_folder_that_was_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/ready.json");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_folder_in_the_way_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let Err(Failure::Write { path, .. }) = write(dir.path(), b"") else { panic!("written over a folder") };
        assert_eq!(path, dir.path());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one_and_what_it_leads_to_is_written() {
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
        forget(&at("two.json"));
        assert!(!at("there/report.json").exists() && at("two.json").is_symlink());

        symlink("round.json", at("round.json")).unwrap();
        write(&at("round.json"), b"x").unwrap_err();
        symlink("/dev/null", at("null.json")).unwrap();
        write(&at("null.json"), b"x").unwrap();
        assert!(at("null.json").is_symlink());
        forget(&at("null.json"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_that_takes_nothing_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("full.json");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        write(&path, b"x").unwrap_err();
        assert!(path.is_symlink());
    }
}
