//! Small files that are there whole or not at all: written beside their place and renamed into it. Fixtures, which are
//! streamed and come with payloads, have their own way.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// The user alone: there may be a secret in it.
    Owner,
    /// Everybody.
    All,
}

/// Writes a file into a folder that is there. What stood in its place before is as it was if this fails.
///
/// # Errors
/// When the folder can't be written to.
pub fn write(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    put(beside(path, content, readers)?, path)
}

/// The same, and on the disk before it is in its place: for what must survive a loss of power.
///
/// # Errors
/// When the folder can't be written to.
pub fn write_durably(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    let file = beside(path, content, readers)?;
    file.as_file().sync_all()?;
    put(file, path)
}

fn beside(path: &Path, content: &[u8], readers: Readers) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = readable_by(readers, &mut Builder::new()).tempfile_in(folder)?;
    file.write_all(content)?;
    Ok(file)
}

fn put(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path)?;
    Ok(())
}

#[cfg(unix)]
fn readable_by<'a, 'b, 'c>(readers: Readers, builder: &'a mut Builder<'b, 'c>) -> &'a mut Builder<'b, 'c> {
    let mode = if readers == Readers::Owner { 0o600 } else { 0o644 };
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// The folder's access list says it.
#[cfg(not(unix))]
fn readable_by<'a, 'b, 'c>(_: Readers, builder: &'a mut Builder<'b, 'c>) -> &'a mut Builder<'b, 'c> {
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pem");
        for (content, readers) in [("long before", Readers::All), ("new", Readers::Owner)] {
            write(&path, content.as_bytes(), readers).unwrap();
            write_durably(&path, content.as_bytes(), readers).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_cannot_be_put_in_place_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("taken")).unwrap();
        write(&dir.path().join("taken"), b"x", Readers::All).unwrap_err();
        write(&dir.path().join("gone/a"), b"x", Readers::All).unwrap_err();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
