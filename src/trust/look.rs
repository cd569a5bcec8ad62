//! Lists the harproxy entries of a store, from its files or with its tool.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::act::{Hands, Said};
use super::ca::Ca;
use super::found::{Found, nicknames};
use super::store::{Obstacle, Store};

/// How to list a store.
#[derive(Clone, Debug)]
pub(super) enum Look {
    /// Folders of files and the bundle built from them. The first existing bundle is read.
    Files { folders: Vec<PathBuf>, bundles: Vec<PathBuf> },
    /// NSS's certutil.
    Nss,
    /// keytool.
    Keytool,
    /// security(1).
    Keychain,
    /// Windows' certutil.
    Windows,
}

/// Error of listing a store.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// A system file can't be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The tool of the store can't be started.
    #[error("running `{program}`")]
    Start {
        /// Its name.
        program: String,
        /// The reason.
        source: io::Error,
    },
    /// The tool failed.
    #[error("`{program}` says: {said}")]
    Refused {
        /// Its name.
        program: String,
        /// Its last line.
        said: String,
    },
    /// The store does not exist.
    #[error("`{0}` is not there to look with")]
    Missing(&'static str),
}

/// Maximum length of a certificate file, bytes. Bundles are longer.
const MAX_FILE: u64 = 1 << 20;

impl Store {
    /// Lists the harproxy entries.
    ///
    /// # Errors
    /// When the store can't be listed.
    pub fn look(&self, ca: &Ca, hands: &mut dyn Hands) -> Result<Found, LookError> {
        match &self.look {
            Look::Files { folders, bundles } => in_files(ca, folders, bundles),
            Look::Nss => self.in_nss(ca, hands),
            Look::Keytool => {
                let tool = self.values.tool.as_os_str();
                let place = self.place.as_os_str();
                let english = ["-J-Duser.language=en", "-list", "-rfc", "-keystore"].map(OsString::from);
                let password = ["-storepass", "changeit"].map(OsString::from);
                let words = [tool.to_owned()].into_iter().chain(english).chain([place.to_owned()]).chain(password);
                Ok(Found::in_keytool(ca, &ask(hands, &words.collect::<Vec<_>>())?.out))
            }
            Look::Keychain => {
                let place = self.place.to_string_lossy();
                let certificates = ask(hands, &words(&["security", "find-certificate", "-a", "-p", &place]))?;
                // The command fails if there are no settings yet.
                let settled = run(hands, &words(&["security", "dump-trust-settings", "-d"]))?;
                Ok(Found::in_keychain(ca, &certificates.out, &settled.out))
            }
            Look::Windows => {
                let listed = ask(hands, &words(&["certutil", "-store", "-user", "Root"]))?;
                Ok(Found::in_windows(ca, &listed.out))
            }
        }
    }

    fn in_nss(&self, ca: &Ca, hands: &mut dyn Hands) -> Result<Found, LookError> {
        // certutil fails for a missing database. It may have been created after the machine was described.
        if !self.place.join("cert9.db").is_file() {
            return Ok(Found::default());
        }
        if let Some(Obstacle::Missing { tool, .. }) = self.obstacle {
            return Err(LookError::Missing(tool));
        }
        let certutil = |more: &[&str]| {
            let database = self.values.fill(&["certutil", "-d", "sql:{place}"]);
            let more = more.iter().chain(self.unattended).map(OsString::from);
            database.into_iter().chain(more).collect::<Vec<_>>()
        };
        let listed = ask(hands, &certutil(&["-L"]))?;
        let mut entries = Vec::new();
        for (nickname, trust) in nicknames(ca, &listed.out) {
            let pem = ask(hands, &certutil(&["-L", "-a", "-n", &nickname]))?.out;
            entries.push((nickname, trust, pem));
        }
        // Adding to a password-protected database would leave an entry without trust, so protection is detected first. certutil also
        // fails if there are no keys to list.
        let keys = run(hands, &certutil(&["-K"]))?;
        Ok(Found::in_nss(ca, &entries, keys.err.contains("could not authenticate")))
    }
}

fn in_files(ca: &Ca, folders: &[PathBuf], bundles: &[PathBuf]) -> Result<Found, LookError> {
    let mut files = Vec::new();
    for folder in folders {
        let read = |source| LookError::Read { path: folder.clone(), source };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(read(error)),
        };
        let mut paths: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| is_short(path)).collect();
        paths.sort();
        // Unreadable files of other owners are skipped.
        files.extend(paths.into_iter().filter_map(|path| Some((path.clone(), fs::read(path).ok()?))));
    }
    let bundle = match bundles.iter().find(|bundle| bundle.is_file()) {
        None => None,
        Some(path) => Some(fs::read(path).map_err(|source| LookError::Read { path: path.clone(), source })?),
    };
    Ok(Found::in_files(ca, files, bundle.as_deref()))
}

fn is_short(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MAX_FILE)
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn run(hands: &mut dyn Hands, words: &[OsString]) -> Result<Said, LookError> {
    hands.run(words).map_err(|source| LookError::Start { program: program(words), source })
}

fn ask(hands: &mut dyn Hands, words: &[OsString]) -> Result<Said, LookError> {
    let said = run(hands, words)?;
    if said.ok { Ok(said) } else { Err(LookError::Refused { program: program(words), said: said.last_line() }) }
}

fn program(words: &[OsString]) -> String {
    words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
}
