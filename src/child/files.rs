//! The small files that a run's environment points at: the trust bundle, and what some clients read because they take the
//! proxy or the bundle from no variable.

use std::io;
use std::path::{Path, PathBuf};

use harproxy_support::atomic_file::Readers;
use harproxy_support::temp::TempFolder;
use harproxy_tls::bundle::{Bundle, BundleError, BundleFiles};

/// What `--require` loads into Node.js.
const NODE_HOOK: &str = include_str!("node_hook.js");

/// What PHP reads before each script.
const PHP_PREPEND: &str = include_str!("php_prepend.php");

/// Why the files of a run can't be made.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// No temporary folder.
    #[error("making a temporary folder for this run")]
    Folder(#[source] io::Error),
    /// Node.js and the JVM take options as text.
    #[error("the folder {} has a name that is not Unicode, which variables can't carry", path.display())]
    NotUnicode {
        /// The folder.
        path: PathBuf,
    },
    /// The trust bundle.
    #[error("making the trust bundle")]
    Bundle(#[from] BundleError),
    /// One of the others.
    #[error("writing {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// Where they are; every path is absolute if the folder's was, and Unicode.
#[derive(Clone, Debug)]
pub struct RunFiles {
    /// The trust bundle in its forms.
    pub trust: BundleFiles,
    /// The hook for Node.js.
    pub node_hook: PathBuf,
    /// A folder of settings for PHP.
    pub php: PathBuf,
    /// The user's settings for wget, and the bundle: wget with GnuTLS, as Debian has it, reads no variable for that.
    pub wgetrc: PathBuf,
}

impl RunFiles {
    /// Writes them into `folder`, which stays. Where others may read them (a container's users), the user's own settings for
    /// wget, which can hold passwords, are left out.
    ///
    /// # Errors
    /// When the folder's name can't be put into a variable, or a file can't be written.
    pub fn write(folder: &Path, bundle: &Bundle, readers: Readers) -> Result<Self, FilesError> {
        if folder.to_str().is_none() {
            return Err(FilesError::NotUnicode { path: folder.to_owned() });
        }
        let trust = bundle.write_to(folder)?;
        let php = folder.join("php");
        std::fs::create_dir_all(&php).map_err(|source| FilesError::Write { path: php.clone(), source })?;
        // Whole, because another client may be reading.
        let users_wgetrc = if readers == Readers::Owner { users_wgetrc() } else { Vec::new() };
        let write = |path: PathBuf, content: &[u8]| match harproxy_support::atomic_file::write(&path, content, readers)
        {
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

/// Single quotes take everything literally.
fn php_ini(bundle: &Path, prepend: &Path) -> String {
    let (bundle, prepend) = (bundle.display(), prepend.display());
    format!("curl.cainfo = '{bundle}'\nopenssl.cafile = '{bundle}'\nauto_prepend_file = '{prepend}'\n")
}

/// What wget would read without us: `$WGETRC`, else `~/.wgetrc`.
fn users_wgetrc() -> Vec<u8> {
    let path = std::env::var_os("WGETRC").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = path.or_else(|| Some(std::env::home_dir()?.join(".wgetrc")));
    path.and_then(|path| std::fs::read(path).ok()).unwrap_or_default()
}

/// The last setting of a name counts. A line of ours that is there already is not doubled.
fn wgetrc(users: &[u8], bundle: &Path) -> Vec<u8> {
    let ours = format!("ca_certificate = {}\n", bundle.display());
    let mut text: Vec<u8> = Vec::new();
    for line in users.split_inclusive(|byte| *byte == b'\n').filter(|line| *line != ours.as_bytes()) {
        text.extend(line);
    }
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.extend(ours.as_bytes());
    text
}

/// A folder for the files of one run, which only this user may enter and which goes when this is dropped. At first it has the
/// bundle alone, for whoever is told of it: the other files take longer to make than a replay takes to start.
#[derive(Debug)]
pub struct RunFolder {
    dir: TempFolder,
    bundle: Bundle,
    bundle_file: PathBuf,
}

impl RunFolder {
    /// Makes the folder and writes the bundle into it.
    ///
    /// # Errors
    /// When there is no place for a temporary folder, or the file can't be written.
    pub fn create(bundle: Bundle) -> Result<Self, FilesError> {
        let dir = TempFolder::create().map_err(FilesError::Folder)?;
        let bundle_file = bundle.write_pem_to(dir.path())?;
        Ok(RunFolder { dir, bundle, bundle_file })
    }

    /// The trust bundle, PEM.
    #[must_use]
    pub fn bundle(&self) -> &Path {
        &self.bundle_file
    }

    /// Writes all that CMD needs.
    ///
    /// # Errors
    /// As [`RunFiles::write`].
    pub fn for_cmd(&self) -> Result<RunFiles, FilesError> {
        RunFiles::write(self.dir.path(), &self.bundle, Readers::Owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_tls::bundle::Environment;

    #[test]
    fn the_folder_is_private_and_goes_with_the_run() {
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
    fn the_users_wget_settings_survive() {
        let bundle = Path::new("/x y/bundle.pem");
        let once = wgetrc(b"tries = 3\nca_certificate = /corp.pem", bundle);
        let text = "tries = 3\nca_certificate = /corp.pem\nca_certificate = /x y/bundle.pem\n";
        assert_eq!(String::from_utf8_lossy(&once), text);
        assert_eq!(wgetrc(&once, bundle), once);
        assert_eq!(wgetrc(b"", bundle), b"ca_certificate = /x y/bundle.pem\n");
    }
}
