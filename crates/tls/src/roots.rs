//! Reads root certificates: PEM files and folders, the system's roots, and JVM trust stores.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use memchr::memmem;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use super::jvm::{self, TrustStoreError};
use harproxy_support::printable::Shown as _;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Length of a line in PEM.
const WIDTH: usize = 64;

/// First line of a bundle.
pub(super) const MARKER: &str = "# harproxy bundle: the user's roots, the system's and the CA of harproxy";

/// A root that the user named and that can't be read. The run continues without it.
#[derive(Debug, thiserror::Error)]
pub enum BundleWarning {
    /// A file or folder can't be read, or a block of it is malformed.
    #[error("reading the roots in {}, which {variable} names", path.shown())]
    Unreadable {
        /// The user's variable.
        variable: String,
        /// Its value.
        path: PathBuf,
        source: pem::Error,
    },
    /// The file has no certificate.
    #[error("no PEM certificate in {}, which {variable} names", path.shown())]
    Empty {
        /// The user's variable.
        variable: String,
        /// Its value.
        path: PathBuf,
    },
    /// A JVM's trust store can't be read.
    #[error("reading the trust store {}, which {variable} names", path.shown())]
    TrustStore {
        /// The user's variable.
        variable: String,
        /// Its value.
        path: PathBuf,
        source: TrustStoreError,
    },
}

/// A certificate and its PEM text, shared by all lists that contain it.
#[derive(Clone, Debug)]
pub(super) struct Root(Arc<(CertificateDer<'static>, Box<str>)>);

impl Root {
    pub(super) fn new(certificate: CertificateDer<'static>) -> Self {
        let lf = ::pem::EncodeConfig::new().set_line_ending(::pem::LineEnding::LF);
        let text = ::pem::encode_config(&::pem::Pem::new("CERTIFICATE", certificate.as_ref()), lf);
        Root(Arc::new((certificate, text.into())))
    }

    /// Parses the text between [`BEGIN`] and [`END`]; `None` if it is not base64. A block in canonical layout is kept
    /// as it is.
    fn from_block(block: &str) -> Option<Self> {
        if let Some(certificate) = decode_canonical(block) {
            return Some(Root(Arc::new((certificate, [BEGIN, block, END, "\n"].concat().into()))));
        }
        let packed: Vec<u8> = block.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        Some(Root::new(BASE64_STANDARD.decode(packed).ok()?.into()))
    }

    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.0.0
    }

    fn text(&self) -> &str {
        &self.0.1
    }
}

/// Decodes a block in canonical layout (lines of [`WIDTH`] characters); `None` for other layouts.
fn decode_canonical(block: &str) -> Option<CertificateDer<'static>> {
    let lines = block.strip_prefix('\n')?.strip_suffix('\n')?.as_bytes();
    let mut packed = Vec::with_capacity(lines.len());
    for line in lines.chunks(WIDTH + 1) {
        match line.split_at_checked(WIDTH) {
            Some((line, [] | [b'\n'])) => packed.extend_from_slice(line),
            None => packed.extend_from_slice(line),
            _ => return None,
        }
    }
    Some(BASE64_STANDARD.decode(packed).ok()?.into())
}

/// Compares by the PEM text. An ordered set is faster here than a hash set: texts differ in their first lines, and
/// hashing reads all.
impl Borrow<str> for Root {
    fn borrow(&self) -> &str {
        let (_, text) = &*self.0;
        text.get(BEGIN.len()..text.len() - END.len() - 1).unwrap_or_default()
    }
}

impl Ord for Root {
    fn cmp(&self, other: &Self) -> Ordering {
        <Root as Borrow<str>>::borrow(self).cmp(other.borrow())
    }
}

impl PartialOrd for Root {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Root {}

impl PartialEq for Root {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

/// Certificates in order of insertion, without duplicates.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots {
    list: Vec<Root>,
    seen: BTreeSet<Root>,
}

impl Roots {
    pub(super) fn push(&mut self, root: &Root) {
        if self.seen.insert(root.clone()) {
            self.list.push(root.clone());
        }
    }

    pub(super) fn extend(&mut self, roots: &[Root]) {
        roots.iter().for_each(|root| self.push(root));
    }

    pub(super) fn certificates(&self) -> Vec<CertificateDer<'static>> {
        self.list.iter().map(|root| root.certificate().clone()).collect()
    }

    /// All certificates in PEM, after a first line.
    pub(super) fn pem(&self, first: &str) -> String {
        let mut text =
            String::with_capacity(first.len() + self.list.iter().map(|root| root.text().len()).sum::<usize>());
        text.push_str(first);
        text.extend(self.list.iter().map(Root::text));
        text
    }
}

/// Reads the files that the user's variables name. A file that several variables name is read, and reported, once.
#[derive(Default)]
pub(super) struct Reader {
    read: BTreeMap<PathBuf, Vec<Root>>,
    /// All certificates so far, because most appear in several files.
    known: BTreeSet<Root>,
    pub(super) warnings: Vec<BundleWarning>,
    /// Whether a file had the marker of an outer harproxy.
    pub(super) nested: bool,
}

impl Reader {
    /// Returns the roots in the file or folder at `path`. An empty value names no file.
    pub(super) fn named(&mut self, variable: &str, path: &Path) -> Vec<Root> {
        if path.as_os_str().is_empty() {
            return Vec::new();
        }
        if let Some(known) = self.read.get(path) {
            return known.clone();
        }
        let roots = if path.is_dir() { self.folder(path) } else { self.file(variable, path) };
        self.read.insert(path.to_owned(), roots.clone());
        roots
    }

    /// Reads a file. A malformed block is left out.
    fn file(&mut self, variable: &str, path: &Path) -> Vec<Root> {
        let (roots, wrong) = match fs::read(path) {
            Err(error) => (Vec::new(), Some(pem::Error::Io(error))),
            Ok(text) => {
                self.nested |= text.starts_with(MARKER.as_bytes());
                self.certificates(&text)
            }
        };
        let (variable, path) = (variable.to_owned(), path.to_owned());
        if let Some(source) = wrong {
            self.warnings.push(BundleWarning::Unreadable { variable, path, source });
        } else if roots.is_empty() {
            self.warnings.push(BundleWarning::Empty { variable, path });
        }
        roots
    }

    /// Reads a folder. Files that are not PEM are skipped, and so are OpenSSL's hash links to other files of the
    /// folder.
    fn folder(&mut self, folder: &Path) -> Vec<Root> {
        let mut roots = Vec::new();
        for file in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = file.path();
            if is_hash(&file.file_name()) && is_link_to_beside(&path, folder) {
                continue;
            }
            let Ok(text) = fs::read(&path) else { continue };
            let (found, wrong) = self.certificates(&text);
            roots.extend_from_slice(&found);
            // `system` reads this file next: remember the result.
            let is_systems = SYSTEM_FILES.iter().any(|file| path.as_os_str() == *file);
            if is_systems && wrong.is_none() && !found.is_empty() && !text.starts_with(MARKER.as_bytes()) {
                self.read.insert(path, found);
            }
        }
        roots
    }

    /// Returns the system's roots, even if `SSL_CERT_FILE` or `SSL_CERT_DIR` is set: some programs ignore these
    /// (Python's requests, JVMs). If one file has all roots, the folder around it is not read.
    pub(super) fn system(&mut self) -> Vec<Root> {
        let file = SYSTEM_FILES.iter().map(Path::new).find(|file| file.is_file());
        if let Some(known) = file.and_then(|file| self.read.get(file)) {
            return known.clone();
        }
        match file.map(fs::read) {
            Some(Ok(text)) => {
                let (roots, wrong) = self.certificates(&text);
                if let Some(error) = wrong {
                    tracing::debug!(%error, "skipping a system root");
                }
                roots
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "skipping the system's roots");
                Vec::new()
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                for error in &found.errors {
                    tracing::debug!(%error, "skipping a system root");
                }
                found.certs.into_iter().map(Root::new).collect()
            }
        }
    }

    pub(super) fn trust_store(&mut self, variable: &str, options: &str) -> Vec<Root> {
        let Some(named) = jvm::named_trust_store(options) else { return Vec::new() };
        // An outer harproxy writes its bundle as PEM beside the trust store, with the same roots.
        let beside = fs::read(named.path.with_extension("pem")).unwrap_or_default();
        if beside.starts_with(MARKER.as_bytes()) {
            return self.certificates(&beside).0;
        }
        match named.read() {
            Ok(roots) => roots.into_iter().map(Root::new).collect(),
            Err(source) => {
                let (variable, path) = (variable.to_owned(), named.path);
                self.warnings.push(BundleWarning::TrustStore { variable, path, source });
                Vec::new()
            }
        }
    }

    /// Returns the certificates of a PEM text, and the error of the last malformed block.
    fn certificates(&mut self, text: &[u8]) -> (Vec<Root>, Option<pem::Error>) {
        if let Some(plain) = self.plain_certificates(text) {
            return (plain, None);
        }
        let (mut roots, mut wrong) = (Vec::new(), None);
        for block in CertificateDer::pem_slice_iter(text) {
            match block {
                Ok(root) => roots.push(Root::new(root)),
                Err(error) => wrong = Some(error),
            }
        }
        (roots, wrong)
    }

    /// Fast path for well-formed text; `None` otherwise. rustls decodes PEM in constant time to protect private keys,
    /// which takes half of the start-up time for the hundreds of public certificates of a system.
    fn plain_certificates(&mut self, text: &[u8]) -> Option<Vec<Root>> {
        let mut rest = std::str::from_utf8(text).ok()?;
        let mut found = Vec::new();
        while let Some(begin) = memmem::find(rest.as_bytes(), b"-----BEGIN") {
            let inside = rest[begin..].strip_prefix(BEGIN)?;
            let (block, behind) = inside.split_at(memmem::find(inside.as_bytes(), END.as_bytes())?);
            rest = &behind[END.len()..];
            if let Some(known) = self.known.get(block) {
                found.push(known.clone());
                continue;
            }
            let root = Root::from_block(block)?;
            self.known.insert(root.clone());
            found.push(root);
        }
        Some(found)
    }
}

/// Whether a name has OpenSSL's form for look-ups: the hash of a subject and a number, `5ad8a5d6.0`.
fn is_hash(name: &OsStr) -> bool {
    let Some((hash, number)) = name.to_str().and_then(|name| name.split_once('.')) else { return false };
    hash.len() == 8
        && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the path is a link to a file in the same folder whose name is not a hash. That file is read under its own
/// name.
fn is_link_to_beside(path: &Path, folder: &Path) -> bool {
    let beside = |to: &Path| folder.join(to) == folder.join(to.file_name().unwrap_or_default());
    fs::read_link(path).is_ok_and(|to| beside(&to) && !to.file_name().is_some_and(is_hash))
}

/// Files with all roots on Unix systems (as listed in <https://go.dev/src/crypto/x509/root_linux.go>).
const SYSTEM_FILES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cert.pem",
];
