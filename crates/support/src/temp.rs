//! Folders for as long as something runs, in the system's place for temporary files. Each goes by itself; one whose process was
//! killed is swept by the next. A lock tells the two apart.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir};

/// How the names begin; random letters follow.
const BEGIN: &str = "harproxy-run-";
/// So many letters.
const LETTERS: usize = 6;

/// A folder that only this user may enter; removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    dir: TempDir,
    /// The folder itself, locked.
    _lock: Option<File>,
}

impl Scratch {
    /// Makes one, and removes those that killed processes of this user left.
    ///
    /// # Errors
    /// When there is no place for temporary files.
    pub fn create() -> io::Result<Self> {
        let home = std::env::temp_dir();
        sweep(&home);
        Scratch::create_in(&home)
    }

    fn create_in(home: &Path) -> io::Result<Self> {
        loop {
            let mut builder = Builder::new();
            builder.prefix(BEGIN).rand_bytes(LETTERS);
            os::permit_owner(&mut builder);
            let dir = builder.tempdir_in(home)?;
            let lock = os::lock(dir.path());
            // Whoever sweeps may have come between the two.
            if dir.path().exists() {
                return Ok(Scratch { dir, _lock: lock });
            }
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes what is ours and nobody holds. What can't be removed is no harm.
fn sweep(home: &Path) {
    let Ok(all) = fs::read_dir(home) else { return };
    let named = all.flatten().filter(|item| item.file_name().to_str().is_some_and(is_named));
    let left: Vec<PathBuf> = named.map(|item| item.path()).filter(|path| os::is_own_folder(path)).collect();
    for path in left {
        if let Some(_lock) = os::lock(&path) {
            tracing::debug!(path = %path.display(), "removing what a killed run left");
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn is_named(name: &str) -> bool {
    let random = name.strip_prefix(BEGIN);
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

    /// A folder, not a link to one, that this user made for nobody else.
    pub(super) fn is_own_folder(path: &Path) -> bool {
        let ours = nix::unistd::geteuid().as_raw();
        path.symlink_metadata().is_ok_and(|it| it.is_dir() && it.uid() == ours && it.mode() & 0o077 == 0)
    }

    /// Nobody else holds it, and from now on we do.
    pub(super) fn lock(path: &Path) -> Option<File> {
        let file = File::open(path).ok()?;
        file.try_lock().is_ok().then_some(file)
    }
}

/// Folders can't be locked here: nothing is swept.
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
    fn what_nobody_holds_is_swept_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let make = |name: &str, mode: u32| {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("bundle.pem"), "").unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        let live = Scratch::create_in(home.path()).unwrap();
        make("harproxy-run-Ab12cD", 0o700);
        let others = ["harproxy-run-Ab12cE", "harproxy-run-Ab12cDe", "harproxy-run-", "harproxy-demo-Ab12cD", "mine"];
        others.iter().for_each(|name| make(name, if name.ends_with('E') { 0o755 } else { 0o700 }));
        fs::write(at("harproxy-run-Ab12cF"), "a file").unwrap();
        symlink(at("mine"), at("harproxy-run-Ab12cG")).unwrap();
        sweep(home.path());
        assert!(!at("harproxy-run-Ab12cD").exists());
        assert!(others.iter().all(|name| at(name).join("bundle.pem").exists()));
        assert!(at("harproxy-run-Ab12cF").exists() && at("harproxy-run-Ab12cG").exists());
        assert!(live.path().exists(), "what a run is at work with stays");
        let path = live.path().to_owned();
        drop(live);
        assert!(!path.exists());
    }
}
