//! Opens regular files. Other files of a repository may come from a stranger.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// Opens a regular file, or a link to one, for reading.
///
/// # Errors
/// When the path can't be opened. [`io::ErrorKind::InvalidInput`] when it leads to a folder, a device, a pipe or a
/// socket: a device may have no end, and opening a pipe waits for its writer.
pub fn open(path: &Path) -> io::Result<File> {
    expect_regular(&fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    never_wait(&mut options);
    let file = options.open(path)?;
    // The path may lead to another file by now.
    expect_regular(&file.metadata()?)?;
    Ok(file)
}

/// Opens a pipe without its writer, in case it replaced the file.
#[cfg(unix)]
fn never_wait(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
}

/// Paths of files do not lead to pipes here.
#[cfg(not(unix))]
fn never_wait(_: &mut OpenOptions) {}

fn expect_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let found = if metadata.is_dir() { "a folder" } else { "a device, a pipe or a socket" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {found}, not a regular file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_files_are_opened_and_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.har");
        fs::write(&path, "{}").unwrap();
        assert!(open(&path).is_ok());
        assert_eq!(open(folder.path()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(open(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_devices_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.har"), "{}").unwrap();
        std::os::unix::fs::symlink("a.har", at("b.har")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("c.har")).unwrap();
        assert!(open(&at("b.har")).is_ok());
        assert_eq!(open(&at("c.har")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
