//! The small files that a run's environment points at.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::tls::bundle::{Bundle, BundleError, BundleFiles};

/// What `--require` loads into Node.js.
const NODE_HOOK: &str = include_str!("node_hook.js");

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
    /// The hook for Node.js.
    #[error("writing {}", path.display())]
    Hook {
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
}

impl RunFiles {
    /// Writes them into `folder`, which stays.
    ///
    /// # Errors
    /// When the folder's name can't be put into a variable, or a file can't be written.
    pub fn write(folder: &Path, bundle: &Bundle) -> Result<Self, FilesError> {
        if folder.to_str().is_none() {
            return Err(FilesError::NotUnicode { path: folder.to_owned() });
        }
        let node_hook = folder.join("node-hook.cjs");
        std::fs::write(&node_hook, NODE_HOOK).map_err(|source| FilesError::Hook { path: node_hook.clone(), source })?;
        Ok(RunFiles { trust: bundle.write_to(folder)?, node_hook })
    }
}

/// The files of one run, in a folder that only this user may enter and that goes when this is dropped.
#[derive(Debug)]
pub struct RunFolder {
    _dir: TempDir,
    /// What is in it.
    pub files: RunFiles,
}

impl RunFolder {
    /// Makes the folder and writes the files.
    ///
    /// # Errors
    /// As [`RunFiles::write`], or when there is no place for a temporary folder.
    pub fn create(bundle: &Bundle) -> Result<Self, FilesError> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("harproxy-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let dir = builder.tempdir().map_err(FilesError::Folder)?;
        let files = RunFiles::write(dir.path(), bundle)?;
        Ok(RunFolder { _dir: dir, files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::bundle::Environment;

    #[test]
    fn the_folder_is_private_and_goes_with_the_run() {
        let bundle = Bundle::build(include_str!("../../certs/ca.pem"), &Environment::new()).unwrap();
        let run = RunFolder::create(&bundle).unwrap();
        let folder = run.files.node_hook.parent().unwrap().to_owned();
        assert!(run.files.trust.bundle.is_absolute());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
        drop(run);
        assert!(!folder.exists());
    }
}
