//! The trust bundle of a run: what CMD trusts instead of the system's roots, because most clients take one file and no more.
//!
//! It holds the roots that the user's own variables named (a corporate root must survive), the system's, and the CA. It is
//! made for each run, in memory, and then written where the run keeps its files. A bundle begins with a marker: an inner
//! harproxy finds the outer one's bundle in `SSL_CERT_FILE`, takes its roots and with them the outer CA, and knows that
//! the system's are among them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use super::jvm;
use super::jvm::TrustStoreError;
use super::roots::{Reader, Root, Roots};
use harproxy_support::atomic_file::Readers;

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
pub(super) const MARKER: &str = "# harproxy bundle: the user's roots, the system's and the CA of harproxy";

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
    /// The operating system refused.
    #[error("writing {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// The roots that the environment names, and the system's. Gathering them can mean reading hundreds of files; it needs no CA, so that
/// a run does it beside whatever else a start takes.
#[derive(Debug)]
pub struct Gathered {
    roots: Roots,
    adding: Vec<(&'static str, Roots)>,
    /// What the user named and could not be used.
    pub warnings: Vec<BundleWarning>,
}

/// All that CMD is to trust.
#[derive(Debug)]
pub struct Bundle {
    ca: CertificateDer<'static>,
    roots: Roots,
    adding: Vec<(&'static str, Roots)>,
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

impl Gathered {
    /// Reads what `env` names, and the system's roots. What the user named and can't be read becomes a warning.
    #[must_use]
    pub fn from_env(env: &Environment) -> Self {
        let mut reader = Reader::default();
        let mut roots = Roots::default();
        for (name, value) in env {
            if REPLACING.iter().chain(OVERRULING).chain(ADDING).any(|known| known.eq_ignore_ascii_case(name)) {
                roots.extend(&reader.named(name, Path::new(value)));
            } else if name == FOLDERS {
                for folder in std::env::split_paths(value) {
                    roots.extend(&reader.named(name, &folder));
                }
            } else if jvm::OPTION_VARIABLES.contains(&name.as_str()) {
                roots.extend(&reader.trust_store(name, &value.to_string_lossy()));
            }
        }
        if !reader.nested {
            roots.extend(&reader.system());
        }
        let adding = ADDING.iter().map(|variable| {
            let mut own = Roots::default();
            own.extend(&env.get(*variable).map(|value| reader.named(variable, Path::new(value))).unwrap_or_default());
            (*variable, own)
        });
        Gathered { adding: adding.collect(), roots, warnings: reader.warnings }
    }

    /// These roots and the CA.
    ///
    /// # Errors
    /// When `ca_pem` holds no certificate.
    pub fn with(&self, ca_pem: &str) -> Result<Bundle, BundleError> {
        let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(BundleError::Ca)?;
        let (mut roots, mut adding) = (self.roots.clone(), self.adding.clone());
        let root = Root::new(ca.clone());
        roots.push(&root);
        for (_, own) in &mut adding {
            own.push(&root);
        }
        Ok(Bundle { ca, roots, adding })
    }
}

impl Bundle {
    /// Gathers the roots: those that `env` names, the system's, and the CA.
    ///
    /// # Errors
    /// When `ca_pem` holds no certificate.
    pub fn build(ca_pem: &str, env: &Environment) -> Result<Self, BundleError> {
        Gathered::from_env(env).with(ca_pem)
    }

    /// The CA's certificate.
    #[must_use]
    pub fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }

    /// Every root, the CA last, none twice.
    #[must_use]
    pub fn roots(&self) -> Vec<CertificateDer<'static>> {
        self.roots.certificates()
    }

    /// Every root in PEM, behind the marker.
    #[must_use]
    pub fn pem(&self) -> String {
        self.roots.pem(&format!("{MARKER}\n"))
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
            Ok::<_, BundleError>((*variable, write(folder.join(name), roots.pem("").as_bytes())?))
        });
        Ok(BundleFiles {
            bundle: self.write_pem_to(folder)?,
            adding: adding.collect::<Result<_, _>>()?,
            trust_store: write(folder.join("bundle.p12"), &jvm::trust_store(&self.roots()))?,
        })
    }
}

fn write(path: PathBuf, content: &[u8]) -> Result<PathBuf, BundleError> {
    match harproxy_support::atomic_file::write(&path, content, Readers::All) {
        Ok(()) => Ok(path),
        Err(source) => Err(BundleError::Write { path, source }),
    }
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
