//! Writes the files that a run's environment variables point at: the trust bundle and configuration for Node.js, PHP
//! and wget.

use std::io;
use std::path::{Path, PathBuf};

use harproxy_support::atomic_file::{self, Readers};
use harproxy_support::printable::Shown as _;
use harproxy_support::temp::TempFolder;
use harproxy_tls::bundle::{Bundle, BundleError, BundleFiles};

/// Script that Node.js loads through `--require`.
const NODE_HOOK: &str = include_str!("node_hook.js");

/// Script that PHP runs before each script (`auto_prepend_file`).
const PHP_PREPEND: &str = include_str!("php_prepend.php");

#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("making a temporary folder for this run")]
    Folder(#[source] io::Error),
    /// The folder's path is not Unicode; Node.js and the JVM take their options as text.
    #[error("the folder {} has a name that is not Unicode, which variables can't carry", path.shown())]
    NotUnicode { path: PathBuf },
    #[error("making the trust bundle")]
    Bundle(#[from] BundleError),
    #[error("writing {}", path.shown())]
    Write { path: PathBuf, source: io::Error },
}

/// Paths of the written files: Unicode, and absolute if the folder's path is.
#[derive(Clone, Debug)]
pub struct RunFiles {
    pub trust: BundleFiles,
    pub node_hook: PathBuf,
    /// Folder with PHP's `.ini` file.
    pub php: PathBuf,
    /// The user's wget settings plus the bundle. wget with GnuTLS (Debian) reads no variable for the bundle.
    pub wgetrc: PathBuf,
}

impl RunFiles {
    /// Writes the files into `folder`. If other users may read them (in a container), the user's wget settings are
    /// omitted, because they can contain passwords.
    /// Fails if the folder's path is not Unicode, or a file cannot be written.
    pub fn write(folder: &Path, bundle: &Bundle, readers: Readers) -> Result<Self, FilesError> {
        if folder.to_str().is_none() {
            return Err(FilesError::NotUnicode { path: folder.to_owned() });
        }
        let trust = bundle.write_to(folder)?;
        let php = folder.join("php");
        std::fs::create_dir_all(&php).map_err(|source| FilesError::Write { path: php.clone(), source })?;
        // Files are replaced atomically, because another client may be reading them.
        let users_wgetrc = if readers == Readers::Owner { users_wgetrc() } else { Vec::new() };
        let write = |path: PathBuf, content: &[u8]| match atomic_file::write(&path, content, readers) {
            Ok(()) => Ok(path),
            Err(source) => Err(FilesError::Write { path, source }),
        };
        let prepend = write(php.join("harproxy-prepend.php"), PHP_PREPEND.as_bytes())?;
        write(php.join("harproxy.ini"), php_ini(&trust.bundle, &prepend).as_bytes())?;
        Ok(RunFiles {
            node_hook: write(folder.join("node-hook.cjs"), NODE_HOOK.as_bytes())?,
            php,
            wgetrc: write(folder.join("wgetrc"), &wgetrc(&users_wgetrc, &trust.bundle))?,
            trust,
        })
    }
}

/// Returns the PHP settings. Paths are in single quotes, which PHP reads literally.
fn php_ini(bundle: &Path, prepend: &Path) -> String {
    let (bundle, prepend) = (bundle.display(), prepend.display());
    format!("curl.cainfo = '{bundle}'\nopenssl.cafile = '{bundle}'\nauto_prepend_file = '{prepend}'\n")
}

/// Reads the user's wget settings: `$WGETRC`, else `~/.wgetrc`. Returns no bytes if the file cannot be read.
fn users_wgetrc() -> Vec<u8> {
    let path = std::env::var_os("WGETRC").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = path.or_else(|| Some(std::env::home_dir()?.join(".wgetrc")));
    path.and_then(|path| std::fs::read(path).ok()).unwrap_or_default()
}

/// Appends the bundle to the user's settings, because wget uses the last value. An identical earlier line is removed.
fn wgetrc(users: &[u8], bundle: &Path) -> Vec<u8> {
    let ours = format!("ca_certificate = {}\n", bundle.display());
    let lines = users.split_inclusive(|byte| *byte == b'\n');
    let mut text: Vec<u8> = lines.filter(|line| *line != ours.as_bytes()).flatten().copied().collect();
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.extend(ours.as_bytes());
    text
}

/// Temporary folder for the files of one run. Only this user can enter it, and it is deleted on drop. At first it
/// contains only the bundle, because the other files take longer to write than a replay takes to start.
#[derive(Debug)]
pub struct RunFolder {
    dir: TempFolder,
    bundle: Bundle,
    bundle_file: PathBuf,
}

impl RunFolder {
    /// Creates the folder and writes the bundle into it.
    pub fn create(bundle: Bundle) -> Result<Self, FilesError> {
        let dir = TempFolder::create().map_err(FilesError::Folder)?;
        let bundle_file = bundle.write_pem_to(dir.path())?;
        Ok(RunFolder { dir, bundle, bundle_file })
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn bundle(&self) -> &Path {
        &self.bundle_file
    }

    /// Writes all files that CMD needs.
    pub fn for_cmd(&self) -> Result<RunFiles, FilesError> {
        RunFiles::write(self.dir.path(), &self.bundle, Readers::Owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_tls::bundle::Environment;

    #[test]
    fn run_folder_is_private_and_removed_after_the_run() {
        let bundle = Bundle::build(include_str!("../../certs/ca.pem"), &Environment::new()).unwrap();
        let run = RunFolder::create(bundle).unwrap();
        let folder = run.bundle().parent().unwrap().to_owned();
        assert!(run.bundle().is_absolute());
        assert_eq!(folder.read_dir().unwrap().count(), 1);
        let files = run.for_cmd().unwrap();
        assert_eq!(files.trust.bundle, run.bundle());
        for file in [&files.trust.trust_store, &files.node_hook, &files.php, &files.wgetrc] {
            assert!(file.exists() && file.starts_with(&folder), "{}", file.display());
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
        drop(run);
        assert!(!folder.exists());
    }

    #[test]
    fn wget_settings_of_the_user_are_kept() {
        let bundle = Path::new("/x y/bundle.pem");
        let once = wgetrc(b"tries = 3\nca_certificate = /corp.pem", bundle);
        let text = "tries = 3\nca_certificate = /corp.pem\nca_certificate = /x y/bundle.pem\n";
        assert_eq!(String::from_utf8_lossy(&once), text);
        assert_eq!(wgetrc(&once, bundle), once);
        assert_eq!(wgetrc(b"", bundle), b"ca_certificate = /x y/bundle.pem\n");
    }
}
