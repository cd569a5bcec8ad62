//! Temporary folders of a run, below the system's folder for temporary files. A folder is removed when it is dropped.
//! The next run removes folders of killed processes: a file lock shows whether the owner is alive.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir};

/// Prefix of the folder names; random letters follow.
const PREFIX: &str = "harproxy-run-";
const LETTERS: usize = 6;

/// A folder that only the current user can enter (mode 0700). It is removed on drop.
#[derive(Debug)]
pub struct TempFolder {
    dir: TempDir,
    /// Lock on the folder, held until drop.
    _lock: Option<File>,
}

impl TempFolder {
    /// Creates a folder, and removes folders that killed processes of this user left.
    ///
    /// # Errors
    /// When the folder for temporary files can't be written to.
    pub fn create() -> io::Result<Self> {
        let home = std::env::temp_dir();
        remove_stale(&home);
        TempFolder::create_in(&home)
    }

    fn create_in(home: &Path) -> io::Result<Self> {
        loop {
            let mut builder = Builder::new();
            builder.prefix(PREFIX).rand_bytes(LETTERS);
            os::permit_owner(&mut builder);
            let dir = builder.tempdir_in(home)?;
            let lock = os::lock(dir.path());
            // Another process may have removed the folder before it was locked.
            if dir.path().exists() {
                return Ok(TempFolder { dir, _lock: lock });
            }
        }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes unlocked folders of this user. Failures are ignored: the next run tries again.
fn remove_stale(home: &Path) {
    let Ok(all) = fs::read_dir(home) else { return };
    let named = all.flatten().filter(|item| item.file_name().to_str().is_some_and(is_named));
    let left: Vec<PathBuf> = named.map(|item| item.path()).filter(|path| os::is_own_folder(path)).collect();
    for path in left {
        if let Some(_lock) = os::lock(&path) {
            tracing::debug!(path = %path.display(), "removing the folder of a killed run");
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn is_named(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX);
    random.is_some_and(|random| random.len() == LETTERS && random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(unix)]
mod os {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::{Builder, File, Path};

    pub(super) fn permit_owner(builder: &mut Builder<'_, '_>) {
        builder.permissions(Permissions::from_mode(0o700));
    }

    /// Whether the path is a folder (not a link) of this user without access for others.
    pub(super) fn is_own_folder(path: &Path) -> bool {
        let ours = nix::unistd::geteuid().as_raw();
        path.symlink_metadata().is_ok_and(|it| it.is_dir() && it.uid() == ours && it.mode() & 0o077 == 0)
    }

    /// Locks the folder; `None` if another process holds the lock.
    pub(super) fn lock(path: &Path) -> Option<File> {
        let file = File::open(path).ok()?;
        file.try_lock().is_ok().then_some(file)
    }
}

/// Folders can't be locked on this platform: stale ones stay.
#[cfg(not(unix))]
mod os {
    use super::{Builder, File, Path};

    pub(super) fn permit_owner(_: &mut Builder<'_, '_>) {}

    pub(super) fn is_own_folder(_: &Path) -> bool {
        false
    }

    pub(super) fn lock(_: &Path) -> Option<File> {
        None
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn remove_stale_removes_unlocked_folders_alone() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let make = |name: &str, mode: u32| {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("bundle.pem"), "").unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        let live = TempFolder::create_in(home.path()).unwrap();
        make("harproxy-run-Ab12cD", 0o700);
        let others = ["harproxy-run-Ab12cE", "harproxy-run-Ab12cDe", "harproxy-run-", "harproxy-demo-Ab12cD", "mine"];
        others.iter().for_each(|name| make(name, if name.ends_with('E') { 0o755 } else { 0o700 }));
        fs::write(at("harproxy-run-Ab12cF"), "a file").unwrap();
        symlink(at("mine"), at("harproxy-run-Ab12cG")).unwrap();
        remove_stale(home.path());
        assert!(!at("harproxy-run-Ab12cD").exists());
        assert!(others.iter().all(|name| at(name).join("bundle.pem").exists()));
        assert!(at("harproxy-run-Ab12cF").exists() && at("harproxy-run-Ab12cG").exists());
        assert!(live.path().exists(), "a locked folder stays");
        let path = live.path().to_owned();
        drop(live);
        assert!(!path.exists());
    }
}
