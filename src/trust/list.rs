//! Lists the harproxy entries of a store, from its files or with its tool.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use serde::Serialize;

use super::store::{self, Ca, CommandError, CommandRunner, Listing, Obstacle, Store, StoreEntry, run, run_checked};
use harproxy_support::printable::Shown as _;

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("reading {}", path.shown())]
    Read { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("`{0}`, which lists the store, is not installed")]
    Missing(&'static str),
}

/// Maximum length of a certificate file, bytes. Bundles are longer.
const MAX_FILE: u64 = 1 << 20;
const LIST_KEYTOOL: &[&str] =
    &["{tool}", "-J-Duser.language=en", "-list", "-rfc", "-keystore", "{place}", "-storepass", "changeit"];

impl Store {
    pub fn list(&self, runner: &mut dyn CommandRunner) -> Result<StoreContents, ListError> {
        let ca = &self.ca;
        match &self.listing {
            Listing::Files { folders, bundles } => in_files(ca, folders, bundles),
            Listing::Nss => self.in_nss(runner),
            Listing::Keytool => {
                let listed = run_checked(runner, &self.fill_all(LIST_KEYTOOL))?;
                Ok(StoreContents::in_keytool(ca, &listed.out))
            }
            Listing::Keychain => {
                let find = self.fill_all(&["security", "find-certificate", "-a", "-p", "{place}"]);
                let certificates = run_checked(runner, &find)?;
                // The command fails if there are no settings yet.
                let settled = run(runner, &self.fill_all(&["security", "dump-trust-settings", "-d"]))?;
                Ok(StoreContents::in_keychain(ca, &certificates.out, &settled.out))
            }
            Listing::Windows => {
                let listed = run_checked(runner, &self.fill_all(&["certutil", "-store", "-user", "Root"]))?;
                Ok(StoreContents::in_windows(ca, &listed.out))
            }
        }
    }

    fn in_nss(&self, runner: &mut dyn CommandRunner) -> Result<StoreContents, ListError> {
        // certutil fails for a missing database. It may have been created after the machine was described.
        if !self.place.join("cert9.db").is_file() {
            return Ok(StoreContents::default());
        }
        if let Some(Obstacle::Missing { tool, .. }) = self.obstacle {
            return Err(ListError::Missing(tool));
        }
        let certutil = |more: &[&str]| {
            let mut words = self.fill_all(&["certutil", "-d", "sql:{place}"]);
            words.extend(more.iter().chain(self.unattended).map(OsString::from));
            words
        };
        let listed = run_checked(runner, &certutil(&["-L"]))?;
        let mut entries = Vec::new();
        for (nickname, trust) in nicknames(&self.ca, &listed.out) {
            let pem = run_checked(runner, &certutil(&["-L", "-a", "-n", &nickname]))?.out;
            entries.push((nickname, trust, pem));
        }
        // Adding to a password-protected database would leave an entry without trust, so protection is detected first.
        // certutil also fails if there are no keys to list.
        let keys = run(runner, &certutil(&["-K"]))?;
        Ok(StoreContents::in_nss(&self.ca, &entries, keys.err.contains("could not authenticate")))
    }

    fn fill_all(&self, words: &[&str]) -> Vec<OsString> {
        words.iter().map(|word| self.fill(word, &self.entry)).collect()
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
        let is_short = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MAX_FILE);
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_short).collect();
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

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreContents {
    /// True if readers of the store trust the CA for servers.
    pub trusted: bool,
    /// Entries with this CA's certificate.
    pub own: Vec<StoreEntry>,
    /// Entries with another harproxy CA, from before `ca new` or of another `--ca-dir`.
    pub others: Vec<StoreEntry>,
    /// A password protects the store against changes.
    pub guarded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustState {
    Trusted,
    /// The certificate is present without effect: a file that is not in the bundle, or an entry without trust.
    Half,
    Absent,
}

impl StoreContents {
    pub fn state(&self) -> TrustState {
        match (self.trusted, self.own.is_empty()) {
            (true, _) => TrustState::Trusted,
            (false, false) => TrustState::Half,
            (false, true) => TrustState::Absent,
        }
    }

    /// Records a root and its identifier. Returns whether it is the CA.
    fn add(&mut self, ca: &Ca, root: &CertificateDer<'_>, handle: impl Into<OsString>) -> bool {
        if ca.is(root) {
            self.own.push(StoreEntry { name: ca.name.clone(), handle: handle.into() });
            return true;
        }
        if let Some(name) = ca.other(root) {
            self.others.push(StoreEntry { name, handle: handle.into() });
        }
        false
    }

    pub(super) fn in_files(ca: &Ca, files: Vec<(PathBuf, Vec<u8>)>, bundle: Option<&[u8]>) -> Self {
        let mut found = StoreContents::default();
        for (path, text) in files {
            // A file with several certificates was not written by harproxy: it is never removed.
            let mut roots = store::certificates(&text);
            if let (Some(root), None) = (roots.next(), roots.next()) {
                found.add(ca, &root, path);
            }
        }
        found.trusted = bundle.is_some_and(|text| store::certificates(text).any(|root| ca.is(&root)));
        found
    }

    /// Parses entries of an NSS database: nickname, trust (`C,,`) and certificate.
    pub(super) fn in_nss(ca: &Ca, entries: &[(String, String, String)], guarded: bool) -> Self {
        let mut found = StoreContents { guarded, ..StoreContents::default() };
        for (nickname, trust, pem) in entries {
            let for_servers = trust.split(',').next().unwrap_or_default();
            for root in store::certificates(pem.as_bytes()) {
                found.trusted |= found.add(ca, &root, nickname) && for_servers.contains('C');
            }
        }
        found
    }

    /// Parses the English output of `keytool -list -rfc`.
    pub(super) fn in_keytool(ca: &Ca, listed: &str) -> Self {
        let mut found = StoreContents::default();
        for entry in listed.split("Alias name: ").skip(1) {
            let Some((alias, rest)) = entry.split_once('\n') else { continue };
            for root in store::certificates(rest.as_bytes()) {
                found.trusted |= found.add(ca, &root, alias.trim_end());
            }
        }
        found
    }

    /// Parses the output of `security find-certificate -a -p` and `security dump-trust-settings -d`: the certificates,
    /// and the names of those that an administrator trusts.
    pub(super) fn in_keychain(ca: &Ca, certificates: &str, settled: &str) -> Self {
        let mut found = StoreContents::default();
        for root in store::certificates(certificates.as_bytes()) {
            let name = ca.other(&root).unwrap_or_else(|| ca.name.clone());
            found.add(ca, &root, name);
        }
        found.trusted = !found.own.is_empty() && settled.contains(&ca.name);
        found
    }

    /// Parses the output of Windows' `certutil -store`. Names and serial numbers are the same in every language.
    pub(super) fn in_windows(ca: &Ca, listed: &str) -> Self {
        let mut found = StoreContents::default();
        let listed = listed.to_ascii_lowercase();
        if !ca.serial.is_empty() && listed.contains(&ca.serial) {
            found.own.push(StoreEntry { name: ca.name.clone(), handle: (&ca.serial).into() });
            found.trusted = true;
        }
        for part in listed.split("cn=harproxy ca ").skip(1) {
            let name = format!("harproxy CA {}", part.chars().take(8).collect::<String>());
            let is_known = found.others.iter().any(|entry| entry.name == name);
            if name != ca.name && store::is_harproxy_name(&name) && !is_known {
                found.others.push(StoreEntry { handle: (&name).into(), name });
            }
        }
        found
    }
}

/// Parses nicknames and trust of possible harproxy CAs in the output of `certutil -L`.
pub(super) fn nicknames(ca: &Ca, listed: &str) -> Vec<(String, String)> {
    let entries = listed.lines().filter_map(|line| {
        let (nickname, trust) = line.trim_end().rsplit_once(char::is_whitespace)?;
        let is_trust = trust.matches(',').count() == 2 && trust.chars().all(|c| c == ',' || c.is_ascii_alphabetic());
        is_trust.then(|| (nickname.trim().to_owned(), trust.to_owned()))
    });
    entries.filter(|(name, _)| name.starts_with("harproxy") || name.starts_with(&ca.name)).collect()
}
