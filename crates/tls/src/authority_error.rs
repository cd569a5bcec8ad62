//! Errors of the certificate authority.

use harproxy_support::printable::Shown as _;
use std::path::PathBuf;

/// Error of loading, creating or using the authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The operating system refused.
    #[error("{doing} {}", path.shown())]
    Io {
        /// The failed operation, as a participle.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        source: std::io::Error,
    },
    /// Other users can read the key. It can impersonate any host to every client that trusts the CA.
    #[error("the key of the CA is readable by other users (mode {mode:04o}): {}", path.shown())]
    Exposed {
        /// The key.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The certificate or the key is missing.
    #[error("the CA in {} has no {missing}", dir.shown())]
    Incomplete {
        /// The authority's folder.
        dir: PathBuf,
        /// The file's name.
        missing: &'static str,
    },
    /// A file has no valid certificate or key.
    #[error("{} is not usable: {reason}", path.shown())]
    Malformed {
        path: PathBuf,
        /// The defect.
        reason: String,
    },
    /// The certificate is for another key.
    #[error("the certificate and the key in {} do not belong together", dir.shown())]
    Mismatch {
        /// The authority's folder.
        dir: PathBuf,
    },
    /// The CA has expired: clients would reject its leaf certificates.
    #[error("the CA in {} expired on {expired}", dir.shown())]
    Expired {
        /// The authority's folder.
        dir: PathBuf,
        /// Last day of validity.
        expired: time::Date,
    },
    /// The host name can't be in a certificate.
    #[error("no certificate can be made for `{host}`: {reason}")]
    Host {
        host: String,
        /// The defect.
        reason: &'static str,
    },
    #[error("{doing}")]
    Tls {
        /// The failed operation, as a participle.
        doing: &'static str,
        source: rustls::Error,
    },
    #[error("{doing}")]
    Certificate {
        /// The failed operation, as a participle.
        doing: &'static str,
        source: rcgen::Error,
    },
}
