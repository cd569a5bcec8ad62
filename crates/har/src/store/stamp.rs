//! Detects changes of a file without reading it.

use std::fs::{self, Metadata};
use std::path::Path;
use std::time::SystemTime;

/// Length, times and identity of a file. Equal stamps mean that the file is unchanged.
///
/// A second write of the same length within one clock tick is not detected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    identity: Identity,
}

impl Stamp {
    /// The stamp of a path. `None` if it is missing or not a file.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().filter(Metadata::is_file).map(|metadata| Stamp::of(&metadata))
    }

    /// The length of the file in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The stamp of a file with this metadata.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Stamp { len: metadata.len(), modified: metadata.modified().ok(), identity: identity(metadata) }
    }
}

/// Device, inode and change time, which differ after a replacement or a reset of the modification time.
type Identity = (u64, u64, i64, i64);

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Identity {
    (0, 0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_changes_with_an_edit_a_replacement_and_a_removal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert_eq!(Stamp::at(&path), None);
        assert_eq!(Stamp::at(folder.path()), None);
        fs::write(&path, "one").unwrap();
        let first = Stamp::at(&path);
        assert_eq!(Stamp::at(&path), first);
        fs::write(&path, "longer").unwrap();
        let second = Stamp::at(&path);
        assert_ne!(second, first);
        fs::write(folder.path().join("b"), "longer").unwrap();
        fs::rename(folder.path().join("b"), &path).unwrap();
        assert_ne!(Stamp::at(&path), second);
    }
}
