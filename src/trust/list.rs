//! Lists the harproxy entries of a store, from its files or with its tool.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::ca::Ca;
use super::contents::{StoreContents, nicknames};
use super::runner::{CommandOutput, CommandRunner};
use super::store::{Listing, Obstacle, Store};

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("running `{program}`")]
    Start { program: String, source: io::Error },
    #[error("`{program}` says: {said}")]
    Refused { program: String, said: String },
    #[error("`{0}`, which lists the store, is not installed")]
    Missing(&'static str),
}

/// Maximum length of a certificate file, bytes. Bundles are longer.
const MAX_FILE: u64 = 1 << 20;

impl Store {
    pub fn list(&self, ca: &Ca, runner: &mut dyn CommandRunner) -> Result<StoreContents, ListError> {
        match &self.listing {
            Listing::Files { folders, bundles } => in_files(ca, folders, bundles),
            Listing::Nss => self.in_nss(ca, runner),
            Listing::Keytool => {
                let tool = self.values.tool.as_os_str();
                let place = self.place.as_os_str();
                let english = ["-J-Duser.language=en", "-list", "-rfc", "-keystore"].map(OsString::from);
                let password = ["-storepass", "changeit"].map(OsString::from);
                let words = [tool.to_owned()].into_iter().chain(english).chain([place.to_owned()]).chain(password);
                Ok(StoreContents::in_keytool(ca, &ask(runner, &words.collect::<Vec<_>>())?.out))
            }
            Listing::Keychain => {
                let place = self.place.to_string_lossy();
                let certificates = ask(runner, &words(&["security", "find-certificate", "-a", "-p", &place]))?;
                // The command fails if there are no settings yet.
                let settled = run(runner, &words(&["security", "dump-trust-settings", "-d"]))?;
                Ok(StoreContents::in_keychain(ca, &certificates.out, &settled.out))
            }
            Listing::Windows => {
                let listed = ask(runner, &words(&["certutil", "-store", "-user", "Root"]))?;
                Ok(StoreContents::in_windows(ca, &listed.out))
            }
        }
    }

    fn in_nss(&self, ca: &Ca, runner: &mut dyn CommandRunner) -> Result<StoreContents, ListError> {
        // certutil fails for a missing database. It may have been created after the machine was described.
        if !self.place.join("cert9.db").is_file() {
            return Ok(StoreContents::default());
        }
        if let Some(Obstacle::Missing { tool, .. }) = self.obstacle {
            return Err(ListError::Missing(tool));
        }
        let certutil = |more: &[&str]| {
            let database = self.values.fill(&["certutil", "-d", "sql:{place}"]);
            let more = more.iter().chain(self.unattended).map(OsString::from);
            database.into_iter().chain(more).collect::<Vec<_>>()
        };
        let listed = ask(runner, &certutil(&["-L"]))?;
        let mut entries = Vec::new();
        for (nickname, trust) in nicknames(ca, &listed.out) {
            let pem = ask(runner, &certutil(&["-L", "-a", "-n", &nickname]))?.out;
            entries.push((nickname, trust, pem));
        }
        // Adding to a password-protected database would leave an entry without trust, so protection is detected first.
        // certutil also fails if there are no keys to list.
        let keys = run(runner, &certutil(&["-K"]))?;
        Ok(StoreContents::in_nss(ca, &entries, keys.err.contains("could not authenticate")))
    }
}

fn in_files(ca: &Ca, folders: &[PathBuf], bundles: &[PathBuf]) -> Result<StoreContents, ListError> {
    let mut files = Vec::new();
    for folder in folders {
        let read = |source| ListError::Read { path: folder.clone(), source };
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
        Some(path) => Some(fs::read(path).map_err(|source| ListError::Read { path: path.clone(), source })?),
    };
    Ok(StoreContents::in_files(ca, files, bundle.as_deref()))
}

fn is_short(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MAX_FILE)
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn run(runner: &mut dyn CommandRunner, words: &[OsString]) -> Result<CommandOutput, ListError> {
    runner.run(words).map_err(|source| ListError::Start { program: program(words), source })
}

fn ask(runner: &mut dyn CommandRunner, words: &[OsString]) -> Result<CommandOutput, ListError> {
    let said = run(runner, words)?;
    if said.ok { Ok(said) } else { Err(ListError::Refused { program: program(words), said: said.last_line() }) }
}

fn program(words: &[OsString]) -> String {
    words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
}
