//! What can be seen of a file without reading it: an edit changes it, whoever makes it and however.

use std::fs::{self, Metadata};
use std::path::Path;
use std::time::SystemTime;

/// A file as it was at some moment. Two that are equal are of the same file, and nobody has written to it in between; only
/// what is written again within a clock tick and is as long as before can't be told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    identity: Identity,
}

impl Stamp {
    /// Of a file that is there; `None` when it is not, or is no file.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().filter(Metadata::is_file).map(|metadata| Stamp::of(&metadata))
    }

    /// How long the file is, bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Of a file whose metadata this is.
    pub(super) fn of(metadata: &Metadata) -> Self {
        Stamp { len: metadata.len(), modified: metadata.modified().ok(), identity: identity(metadata) }
    }
}

/// Which file it is, and when anything about it changed: who replaces a file or turns its time back changes this.
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
    fn an_edit_a_replacement_and_a_removal_are_seen() {
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
