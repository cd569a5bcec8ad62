//! The trust bundle of a run: what CMD trusts instead of the system's roots, because most clients take one file and no more.
//!
//! It holds the roots that the user's own variables named (a corporate root must survive), the system's, and the CA. It is
//! made for each run, in memory, and then written where the run keeps its files. A bundle begins with a marker: an inner
//! harproxy finds the outer one's bundle in `SSL_CERT_FILE`, takes its roots and with them the outer CA, and knows that
//! the system's are among them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use super::jvm;
use super::jvm::TrustStoreError;
use crate::whole::{self, Readers};

/// The variables of a process, by name.
pub type Environment = BTreeMap<String, OsString>;

/// Variables that name the file a client trusts *instead of* the system's roots.
pub const REPLACING: &[&str] = &[
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "PIP_CERT",
    "PERL_LWP_SSL_CA_FILE",
    "npm_config_cafile",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
];

/// Like [`REPLACING`], for clients that need none of them unless the user has set it: it would then overrule the others.
pub const OVERRULING: &[&str] =
    &["NIX_SSL_CERT_FILE", "YARN_HTTPS_CA_FILE_PATH", "BUNDLE_SSL_CA_CERT", "COMPOSER_CAFILE", "HTTPLIB2_CA_CERTS"];

/// Variables that name a file a client trusts *beside* the roots it has.
pub const ADDING: &[&str] = &["NODE_EXTRA_CA_CERTS", "DENO_CERT"];

/// Named by the user, left as it is: OpenSSL and Go read it beside `SSL_CERT_FILE`.
const FOLDERS: &str = "SSL_CERT_DIR";

/// How a bundle begins.
const MARKER: &str = "# harproxy bundle: the user's roots, the system's and the CA of harproxy";

/// Something that was meant to be trusted and can't be. The run goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum BundleWarning {
    /// A file or folder can't be read, or a block of it is malformed.
    #[error("reading the roots in {}, which {variable} names", path.display())]
    Unreadable {
        /// The user's variable.
        variable: String,
        /// What it names.
        path: PathBuf,
        /// The reason.
        source: pem::Error,
    },
    /// The file can be read, but there is nothing in it.
    #[error("no PEM certificate in {}, which {variable} names", path.display())]
    Empty {
        /// The user's variable.
        variable: String,
        /// What it names.
        path: PathBuf,
    },
    /// A JVM's trust store.
    #[error("reading the trust store {}, which {variable} names", path.display())]
    TrustStore {
        /// The user's variable.
        variable: String,
        /// What it names.
        path: PathBuf,
        /// The reason.
        source: TrustStoreError,
    },
}

/// Why the bundle can't be made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The CA's own certificate is not one.
    #[error("reading the CA certificate")]
    Ca(#[source] pem::Error),
    /// The JVM's store can't be put together.
    #[error("making the trust store for the JVM")]
    TrustStore(#[from] TrustStoreError),
    /// The operating system refused.
    #[error("writing {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// All that CMD is to trust.
#[derive(Debug)]
pub struct Bundle {
    ca: CertificateDer<'static>,
    roots: Roots,
    adding: Vec<(&'static str, Roots)>,
    /// What the user named and could not be used.
    pub warnings: Vec<BundleWarning>,
}

/// Where the files of a bundle are.
#[derive(Clone, Debug)]
pub struct BundleFiles {
    /// Every root, PEM: for the [`REPLACING`] variables.
    pub bundle: PathBuf,
    /// For each of the [`ADDING`] variables: the CA, and what that variable named.
    pub adding: Vec<(&'static str, PathBuf)>,
    /// Every root as a PKCS #12 trust store, its password [`jvm::PASSWORD`].
    pub trust_store: PathBuf,
}

impl Bundle {
    /// Gathers the roots: those that `env` names, the system's, and the CA.
    ///
    /// # Errors
    /// When `ca_pem` holds no certificate. What the user named and can't be read becomes a warning.
    pub fn build(ca_pem: &str, env: &Environment) -> Result<Self, BundleError> {
        let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(BundleError::Ca)?;
        let mut reader = Reader::default();
        let mut roots = Roots::default();
        for (name, value) in env {
            if REPLACING.iter().chain(OVERRULING).chain(ADDING).any(|known| known.eq_ignore_ascii_case(name)) {
                roots.extend(reader.named(name, Path::new(value)));
            } else if name == FOLDERS {
                for folder in std::env::split_paths(value) {
                    roots.extend(reader.named(name, &folder));
                }
            } else if jvm::OPTION_VARIABLES.contains(&name.as_str()) {
                roots.extend(&reader.trust_store(name, &value.to_string_lossy()));
            }
        }
        if !reader.nested {
            roots.extend(&reader.system());
        }
        roots.push(&ca);
        let adding = ADDING.iter().map(|variable| {
            let mut own = Roots::default();
            own.extend(env.get(*variable).map(|value| reader.named(variable, Path::new(value))).unwrap_or_default());
            own.push(&ca);
            (*variable, own)
        });
        Ok(Bundle { adding: adding.collect(), ca, roots, warnings: reader.warnings })
    }

    /// The CA's certificate.
    #[must_use]
    pub fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }

    /// Every root, the CA last, none twice.
    #[must_use]
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots.list
    }

    /// Every root in PEM, behind the marker.
    #[must_use]
    pub fn pem(&self) -> String {
        format!("{MARKER}\n{}", self.roots.pem())
    }

    /// Writes [`Bundle::pem`] into `folder`, whole or not at all, and says where.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write_pem_to(&self, folder: &Path) -> Result<PathBuf, BundleError> {
        write(folder.join("bundle.pem"), self.pem().as_bytes())
    }

    /// Writes every form into `folder`, each file whole or not at all. Certificates are public: anybody may read them.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn write_to(&self, folder: &Path) -> Result<BundleFiles, BundleError> {
        let adding = self.adding.iter().map(|(variable, roots)| {
            let name = format!("{}.pem", variable.to_ascii_lowercase().replace('_', "-"));
            Ok::<_, BundleError>((*variable, write(folder.join(name), roots.pem().as_bytes())?))
        });
        Ok(BundleFiles {
            bundle: self.write_pem_to(folder)?,
            adding: adding.collect::<Result<_, _>>()?,
            trust_store: write(folder.join("bundle.p12"), &jvm::trust_store(&self.roots.list)?)?,
        })
    }
}

/// Certificates in the order they came, none twice.
#[derive(Debug, Default)]
struct Roots {
    list: Vec<CertificateDer<'static>>,
    /// Ordered, because certificates differ within their first bytes: hashing reads all of each.
    seen: BTreeSet<Vec<u8>>,
}

impl Roots {
    fn push(&mut self, certificate: &CertificateDer<'static>) {
        if !self.seen.contains(certificate.as_ref()) {
            self.seen.insert(certificate.to_vec());
            self.list.push(certificate.clone());
        }
    }

    fn extend(&mut self, certificates: &[CertificateDer<'static>]) {
        certificates.iter().for_each(|certificate| self.push(certificate));
    }

    fn pem(&self) -> String {
        let lf = ::pem::EncodeConfig::new().set_line_ending(::pem::LineEnding::LF);
        let block =
            |root: &CertificateDer<'_>| ::pem::encode_config(&::pem::Pem::new("CERTIFICATE", root.as_ref()), lf);
        self.list.iter().map(block).collect()
    }
}

/// Reads what the user's variables name. Several often name the same file: it is read and complained about once.
#[derive(Default)]
struct Reader {
    read: BTreeMap<PathBuf, Vec<CertificateDer<'static>>>,
    warnings: Vec<BundleWarning>,
    /// A file had the marker.
    nested: bool,
}

impl Reader {
    /// The roots in the file or, with the clients that take one, the folder at `path`. An empty value names nothing.
    fn named(&mut self, variable: &str, path: &Path) -> &[CertificateDer<'static>] {
        if path.as_os_str().is_empty() {
            return &[];
        }
        if !self.read.contains_key(path) {
            let roots = if path.is_dir() { folder_roots(path) } else { self.file(variable, path) };
            self.read.insert(path.to_owned(), roots);
        }
        self.read.get(path).map(Vec::as_slice).unwrap_or_default()
    }

    /// A block that is malformed costs itself only.
    fn file(&mut self, variable: &str, path: &Path) -> Vec<CertificateDer<'static>> {
        let (roots, wrong) = match fs::read(path) {
            Err(error) => (Vec::new(), Some(pem::Error::Io(error))),
            Ok(text) => {
                self.nested |= text.starts_with(MARKER.as_bytes());
                certificates(&text)
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

    /// The system's own roots, whatever `SSL_CERT_FILE` and `SSL_CERT_DIR` say: they tell some programs where to look, but
    /// others (Python's requests, the JVM) go on trusting the rest of the world. Where one file has them all, it alone is read:
    /// the folder around it has the same, each twice.
    fn system(&mut self) -> Vec<CertificateDer<'static>> {
        let file = SYSTEM_FILES.iter().map(Path::new).find(|file| file.is_file());
        if let Some(known) = file.and_then(|file| self.read.get(file)) {
            return known.clone();
        }
        let found = match file {
            Some(file) => rustls_native_certs::load_certs_from_paths(Some(file), None),
            None => rustls_native_certs::load_native_certs(),
        };
        for error in &found.errors {
            tracing::debug!(%error, "a root of the system is left out");
        }
        found.certs
    }

    fn trust_store(&mut self, variable: &str, options: &str) -> Vec<CertificateDer<'static>> {
        let Some(named) = jvm::named_trust_store(options) else { return Vec::new() };
        named.read().unwrap_or_else(|source| {
            self.warnings.push(BundleWarning::TrustStore { variable: variable.to_owned(), path: named.path, source });
            Vec::new()
        })
    }
}

/// A folder of certificates holds other files too: what is no PEM in it is passed over. So are links to files beside them:
/// OpenSSL finds certificates by names that are their hashes.
fn folder_roots(folder: &Path) -> Vec<CertificateDer<'static>> {
    let is_beside = |file: &Path| {
        fs::read_link(file).is_ok_and(|to| folder.join(&to) == folder.join(to.file_name().unwrap_or_default()))
    };
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let texts = files.filter(|file| !is_beside(file)).filter_map(|file| fs::read(file).ok());
    texts.flat_map(|text| certificates(&text).0).collect()
}

/// The certificates of a PEM text, and what is wrong with the last block that is none.
fn certificates(text: &[u8]) -> (Vec<CertificateDer<'static>>, Option<pem::Error>) {
    if let Some(plain) = plain_certificates(text) {
        return (plain, None);
    }
    let (mut roots, mut wrong) = (Vec::new(), None);
    for block in CertificateDer::pem_slice_iter(text) {
        match block {
            Ok(root) => roots.push(root),
            Err(error) => wrong = Some(error),
        }
    }
    (roots, wrong)
}

/// The same of a text without anything wrong or uncommon in it. rustls reads PEM in constant time, for the sake of private keys;
/// for the hundreds of public certificates that a system has that was half of what a start took.
fn plain_certificates(text: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut rest = std::str::from_utf8(text).ok()?;
    let mut found = Vec::new();
    while let Some(begin) = rest.find("-----BEGIN") {
        let inside = rest[begin..].strip_prefix(BEGIN)?;
        let (block, behind) = inside.split_once(END)?;
        let packed: Vec<u8> = block.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        found.push(BASE64_STANDARD.decode(packed).ok()?.into());
        rest = behind;
    }
    Some(found)
}

/// Where Unix systems keep their roots in one file (<https://go.dev/src/crypto/x509/root_linux.go> and its kin).
/// Elsewhere the user's `SSL_CERT_FILE` stands for all of them.
const SYSTEM_FILES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cert.pem",
];

fn write(path: PathBuf, content: &[u8]) -> Result<PathBuf, BundleError> {
    match whole::write(&path, content, Readers::All) {
        Ok(()) => Ok(path),
        Err(source) => Err(BundleError::Write { path, source }),
    }
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
