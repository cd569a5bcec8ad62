//! The certificate and key files of the authority: permissions, locking, atomic creation.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::authority_error::AuthorityError;
use harproxy_support::atomic_file::Readers;

const CERT: &str = "ca.pem";
const KEY: &str = "ca-key.pem";
/// Lock file, held while the pair is created. It is never removed, because two processes could then hold locks.
const LOCK: &str = "ca.lock";

#[derive(Clone, Debug)]
pub(super) struct CaFiles {
    dir: PathBuf,
}

/// Certificate and key, PEM.
pub(super) struct Pair {
    pub(super) cert_pem: String,
    pub(super) key_pem: String,
}

impl CaFiles {
    pub(super) fn at(dir: &Path) -> Self {
        // Absolute, because CMD's processes have other working directories.
        CaFiles { dir: std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()) }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn cert(&self) -> PathBuf {
        self.dir.join(CERT)
    }

    pub(super) fn key(&self) -> PathBuf {
        self.dir.join(KEY)
    }

    /// Creates the folder and locks it against other creators until the returned file is dropped.
    pub(super) fn lock(&self) -> Result<File, AuthorityError> {
        create_private(&self.dir).map_err(io("creating", &self.dir))?;
        let path = self.dir.join(LOCK);
        let lock =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(io("opening", &path))?;
        lock.lock().map_err(io("locking", &path))?;
        Ok(lock)
    }

    /// Reads the pair; `None` if neither file exists.
    pub(super) fn read(&self) -> Result<Option<Pair>, AuthorityError> {
        let incomplete = |missing| AuthorityError::Incomplete { dir: self.dir.clone(), missing };
        let key = match File::open(self.key()) {
            Ok(key) => Some(key),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(io("opening", &self.key())(error)),
        };
        let cert_pem = match fs::read_to_string(self.cert()) {
            Ok(pem) => Some(pem),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(io("reading", &self.cert())(error)),
        };
        match (cert_pem, key) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(incomplete(CERT)),
            (Some(_), None) => Err(incomplete(KEY)),
            (Some(cert_pem), Some(key)) => {
                self.refuse_exposed(&key)?;
                let key_pem = std::io::read_to_string(key).map_err(io("reading", &self.key()))?;
                Ok(Some(Pair { cert_pem, key_pem }))
            }
        }
    }

    /// Writes each file atomically, the key first, so that a process that sees the certificate finds its key. Requires
    /// the lock.
    pub(super) fn write(&self, pair: &Pair) -> Result<(), AuthorityError> {
        let put = |path: PathBuf, text: &str, readers| {
            harproxy_support::atomic_file::write_durably(&path, text.as_bytes(), readers).map_err(io("writing", &path))
        };
        put(self.key(), &pair.key_pem, Readers::Owner)?;
        put(self.cert(), &pair.cert_pem, Readers::All)
    }

    #[cfg(unix)]
    fn refuse_exposed(&self, key: &File) -> Result<(), AuthorityError> {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = key.metadata().map_err(io("reading", &self.key()))?.permissions().mode() & 0o7777;
        if mode & 0o077 == 0 { Ok(()) } else { Err(AuthorityError::Exposed { path: self.key(), mode }) }
    }

    /// Windows: the access list of the user's profile folder keeps it private.
    #[cfg(not(unix))]
    fn refuse_exposed(&self, _key: &File) -> Result<(), AuthorityError> {
        Ok(())
    }
}

#[cfg(unix)]
fn create_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn create_private(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> AuthorityError {
    let path = path.to_owned();
    move |source| AuthorityError::Io { doing, path, source }
}
