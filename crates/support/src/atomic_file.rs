//! Atomic writes of small files: a temporary file in the same folder, renamed over the target. Fixtures are written by
//! `harproxy_har`, which streams them.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// The users that may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// The current user, because the file may contain a secret (mode 0600).
    Owner,
    /// All users (mode 0644).
    All,
}

/// Writes a file into an existing folder. On failure an existing file at `path` is unchanged.
///
/// # Errors
/// When the folder can't be written to.
pub fn write(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    persist(write_temporary(path, content, readers)?, path)
}

/// Like [`write()`], and flushes the file to disk before the rename, so that it survives a loss of power.
///
/// # Errors
/// When the folder can't be written to.
pub fn write_durably(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    let file = write_temporary(path, content, readers)?;
    file.as_file().sync_all()?;
    persist(file, path)
}

fn write_temporary(path: &Path, content: &[u8], readers: Readers) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = set_mode(readers, &mut Builder::new()).tempfile_in(folder)?;
    file.write_all(content)?;
    Ok(file)
}

fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path)?;
    Ok(())
}

#[cfg(unix)]
fn set_mode<'a, 'b, 'c>(readers: Readers, builder: &'a mut Builder<'b, 'c>) -> &'a mut Builder<'b, 'c> {
    let mode = if readers == Readers::Owner { 0o600 } else { 0o644 };
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// Windows: the folder's access list decides.
#[cfg(not(unix))]
fn set_mode<'a, 'b, 'c>(_: Readers, builder: &'a mut Builder<'b, 'c>) -> &'a mut Builder<'b, 'c> {
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_replaces_the_file_and_leaves_no_temporary_file() {
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
    fn failed_write_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("taken")).unwrap();
        write(&dir.path().join("taken"), b"x", Readers::All).unwrap_err();
        write(&dir.path().join("gone/a"), b"x", Readers::All).unwrap_err();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
