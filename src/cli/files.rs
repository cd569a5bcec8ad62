//! The small files that a run leaves for others to read.

use std::path::Path;

use super::advice::Failure;
use crate::whole::{self, Readers};

/// Writes a file, which is there whole or not at all, and its folder where that is missing. What stood there before is as it
/// was if this fails.
///
/// # Errors
/// [`Failure::Write`].
pub fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written =
        folder.map_or(Ok(()), std::fs::create_dir_all).and_then(|()| whole::write(path, content, Readers::All));
    written.map_err(|source| Failure::Write { path: path.to_owned(), source })
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
}
