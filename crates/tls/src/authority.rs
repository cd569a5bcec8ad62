//! The certificate authority. It is created at first use, in the user's data folder and never in the project.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::ca_files::{CaFiles, Pair};
use super::leaf::{self, LeafCache};

pub use super::authority_error::AuthorityError;
pub use super::leaf::Alpn;

/// The CA and its cache of leaf certificates, shared by all connections.
pub struct Authority {
    files: CaFiles,
    cert_pem: String,
    fields: CaFields,
    leaves: LeafCache,
}

/// Fields of the CA certificate.
#[derive(Clone, Debug)]
struct CaFields {
    subject: String,
    expires: OffsetDateTime,
    fingerprint: String,
    spki_pin: String,
    permitted: Vec<String>,
}

impl Authority {
    /// Loads the authority in `dir`, or creates it. A file lock makes parallel first runs use one authority.
    ///
    /// # Errors
    /// When the folder can't be used, other users can read the key, certificate and key don't match, or the CA has
    /// expired.
    pub fn load_or_create(dir: &Path) -> Result<Self, AuthorityError> {
        let files = CaFiles::at(dir);
        match Self::load(&files) {
            Ok(Some(authority)) => return Ok(authority),
            // Another process may be writing the two files: load again under the lock.
            Ok(None) | Err(AuthorityError::Incomplete { .. } | AuthorityError::Mismatch { .. }) => {}
            Err(error) => return Err(error),
        }
        let _lock = files.lock()?;
        match Self::load(&files)? {
            Some(authority) => Ok(authority),
            None => Self::create(files),
        }
    }

    /// Creates a new authority in `dir` and replaces an existing one (`harproxy ca new`). Clients must trust the new
    /// one.
    pub fn create_new(dir: &Path) -> Result<Self, AuthorityError> {
        let files = CaFiles::at(dir);
        let _lock = files.lock()?;
        Self::create(files)
    }

    /// Default folder without `--ca-dir`: `$XDG_DATA_HOME/harproxy` or `~/.local/share/harproxy`; on macOS
    /// `~/Library/Application Support/harproxy`, on Windows `%LOCALAPPDATA%\harproxy`. `None` when the environment
    /// names none.
    #[must_use]
    pub fn default_dir() -> Option<PathBuf> {
        // The XDG specification: a relative path is to be ignored.
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let data = if cfg!(windows) {
            folder("LOCALAPPDATA")
        } else {
            folder("XDG_DATA_HOME").or_else(|| {
                let inside = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
                folder("HOME").map(|home| home.join(inside))
            })
        };
        data.map(|data| data.join("harproxy"))
    }

    #[must_use]
    pub fn dir(&self) -> &Path {
        self.files.dir()
    }

    /// The CA certificate's file (PEM).
    #[must_use]
    pub fn cert_path(&self) -> PathBuf {
        self.files.cert()
    }

    /// The CA certificate, PEM.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// The CA certificate, DER.
    #[must_use]
    pub fn cert_der(&self) -> &CertificateDer<'static> {
        self.leaves.ca()
    }

    /// The certificate's subject, as `CN=…`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.fields.subject
    }

    /// End of the certificate's validity.
    #[must_use]
    pub fn expires(&self) -> OffsetDateTime {
        self.fields.expires
    }

    /// SHA-256 of the certificate in the form of trust stores: upper-case hexadecimal pairs, separated by colons.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fields.fingerprint
    }

    /// SHA-256 of the certificate's public key in base64 (RFC 7469 section 2.4), for Chromium's
    /// `--ignore-certificate-errors-spki-list`. The CA is sent with every leaf, so that the pin finds it.
    #[must_use]
    pub fn spki_pin(&self) -> &str {
        &self.fields.spki_pin
    }

    /// The names that the certificate's name constraints permit (RFC 5280 section 4.2.1.10): DNS names with their
    /// subdomains, and address ranges. Empty without constraints, as in CAs that harproxy creates.
    #[must_use]
    pub fn permitted(&self) -> &[String] {
        &self.fields.permitted
    }

    /// Returns the server configuration for a client that connects to `host`, a name or an IP address with or without
    /// brackets. Every call for a host returns the same certificate.
    ///
    /// # Errors
    /// When the name can't be in a certificate.
    pub fn server_config(&self, host: &str, alpn: Alpn) -> Result<Arc<ServerConfig>, AuthorityError> {
        self.leaves.server_config(host, alpn)
    }

    fn load(files: &CaFiles) -> Result<Option<Self>, AuthorityError> {
        files.read()?.map(|pair| Self::open(files.clone(), pair)).transpose()
    }

    fn create(files: CaFiles) -> Result<Self, AuthorityError> {
        let pair = leaf::new_ca()?;
        files.write(&pair)?;
        Self::open(files, pair)
    }

    fn open(files: CaFiles, pair: Pair) -> Result<Self, AuthorityError> {
        let malformed = |path: PathBuf, reason: String| AuthorityError::Malformed { path, reason };
        let cert = CertificateDer::from_pem_slice(pair.cert_pem.as_bytes())
            .map_err(|error| malformed(files.cert(), error.to_string()))?;
        let fields = CaFields::of(&cert).map_err(|reason| malformed(files.cert(), reason))?;
        let key = rcgen::KeyPair::from_pem(&pair.key_pem).map_err(|error| malformed(files.key(), error.to_string()))?;
        if base64_sha256(&rcgen::PublicKeyData::subject_public_key_info(&key)) != fields.spki_pin {
            return Err(AuthorityError::Mismatch { dir: files.dir().to_owned() });
        }
        if fields.expires <= OffsetDateTime::now_utc() {
            return Err(AuthorityError::Expired { dir: files.dir().to_owned(), expired: fields.expires.date() });
        }
        let leaves = LeafCache::new(cert, key, fields.expires)?;
        Ok(Authority { files, cert_pem: pair.cert_pem, fields, leaves })
    }
}

/// Leaves the key out.
impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("dir", &self.files.dir())
            .field("subject", &self.fields.subject)
            .finish_non_exhaustive()
    }
}

impl CaFields {
    fn of(cert: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(cert).map_err(|error| error.to_string())?;
        if !parsed.is_ca() {
            return Err("not a CA certificate".to_owned());
        }
        let fingerprint: Vec<String> = Sha256::digest(cert).iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(CaFields {
            subject: parsed.subject().to_string(),
            expires: parsed.validity().not_after.to_datetime(),
            fingerprint: fingerprint.join(":"),
            spki_pin: base64_sha256(parsed.public_key().raw),
            permitted: permitted(&parsed),
        })
    }
}

fn permitted(certificate: &X509Certificate<'_>) -> Vec<String> {
    let constraints = certificate.name_constraints().ok().flatten();
    let subtrees = constraints.and_then(|found| found.value.permitted_subtrees.as_ref());
    let names = subtrees.into_iter().flatten().filter_map(|subtree| match &subtree.base {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(range) => address_range(range),
        _ => None,
    });
    names.collect()
}

/// Formats an address and its mask (RFC 5280 section 4.2.1.10) as `address/bits`.
fn address_range(range: &[u8]) -> Option<String> {
    let address = |bytes: &[u8]| match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    };
    let (first, mask) = range.split_at(range.len() / 2);
    let bits: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    Some(format!("{}/{bits}", address(first)?))
}

fn base64_sha256(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(Sha256::digest(bytes))
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
