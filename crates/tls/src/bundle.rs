//! The trust bundle of a run: the roots for CMD, in one file, because most clients read only one.
//!
//! It contains the roots that the user's own variables name (a corporate root must survive), the system's roots, and
//! the CA. Each run builds it in memory and writes it to the run's folder. The first line is a marker: a nested
//! harproxy that finds the marker in `SSL_CERT_FILE` takes all roots from that file and does not read the system's
//! again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use super::jvm;
use super::roots::{MARKER, Reader, Root, Roots};
use harproxy_support::atomic_file::Readers;
use harproxy_support::printable::Shown as _;

pub use super::roots::BundleWarning;

/// Environment variables of a process.
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

/// Like [`REPLACING`], but set only if the user has set the variable: it would overrule the others.
pub const OVERRULING: &[&str] =
    &["NIX_SSL_CERT_FILE", "YARN_HTTPS_CA_FILE_PATH", "BUNDLE_SSL_CA_CERT", "COMPOSER_CAFILE", "HTTPLIB2_CA_CERTS"];

/// Variables that name a file a client trusts *in addition to* its own roots.
pub const ADDING: &[&str] = &["NODE_EXTRA_CA_CERTS", "DENO_CERT"];

/// Read but never set: OpenSSL and Go read it in addition to `SSL_CERT_FILE`.
const FOLDERS: &str = "SSL_CERT_DIR";

#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The CA certificate is not valid PEM.
    #[error("reading the CA certificate")]
    Ca(#[source] pem::Error),
    /// The operating system refused.
    #[error("writing {}", path.shown())]
    Write { path: PathBuf, source: io::Error },
}

/// The roots that the environment names, and the system's.
#[derive(Debug)]
pub struct TrustedRoots {
    roots: Roots,
    adding: Vec<(&'static str, Roots)>,
    /// Files and stores that the user named and that can't be used.
    pub warnings: Vec<BundleWarning>,
}

/// The roots that CMD trusts.
#[derive(Debug)]
pub struct Bundle {
    ca: CertificateDer<'static>,
    roots: Roots,
    adding: Vec<(&'static str, Roots)>,
}

/// Paths of a written bundle.
#[derive(Clone, Debug)]
pub struct BundleFiles {
    /// Every root, PEM: for the [`REPLACING`] variables.
    pub bundle: PathBuf,
    /// For each of the [`ADDING`] variables: a file with the CA and the roots that the user's value named.
    pub adding: Vec<(&'static str, PathBuf)>,
    /// Every root as a PKCS #12 trust store, its password [`jvm::PASSWORD`].
    pub trust_store: PathBuf,
}

impl TrustedRoots {
    /// Reads the roots that `env` names, and the system's. A file that can't be read becomes a warning.
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
        TrustedRoots { adding: adding.collect(), roots, warnings: reader.warnings }
    }

    /// Adds the CA.
    ///
    /// # Errors
    /// When `ca_pem` has no certificate.
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
    /// Builds the bundle from the roots that `env` names, the system's, and the CA.
    ///
    /// # Errors
    /// When `ca_pem` has no certificate.
    pub fn build(ca_pem: &str, env: &Environment) -> Result<Self, BundleError> {
        TrustedRoots::from_env(env).with(ca_pem)
    }

    #[must_use]
    pub fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }

    /// All roots without duplicates, the CA last.
    #[must_use]
    pub fn roots(&self) -> Vec<CertificateDer<'static>> {
        self.roots.certificates()
    }

    /// All roots in PEM, after the marker.
    #[must_use]
    pub fn pem(&self) -> String {
        self.roots.pem(&format!("{MARKER}\n"))
    }

    /// Writes [`Bundle::pem`] to `folder`, atomically, and returns the path.
    pub fn write_pem_to(&self, folder: &Path) -> Result<PathBuf, BundleError> {
        write(folder.join("bundle.pem"), self.pem().as_bytes())
    }

    /// Writes all forms to `folder`, each file atomically. Certificates are public, so all users may read them.
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
