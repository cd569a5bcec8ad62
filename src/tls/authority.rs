//! The certificate authority: made at first use, kept in the user's data folder, never in the project.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;

/// Why the authority can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The operating system refused.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
}

/// Protocols offered by ALPN, in order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// `http/1.1` only.
    Http1,
    /// `h2`, then `http/1.1`.
    Http2,
}

/// The CA and its cache of leaf certificates. Shared by all connections.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
}

impl Authority {
    /// Loads the authority kept in `dir`, or makes it under a lock so that parallel first runs agree.
    ///
    /// # Errors
    /// When the folder can't be used, or the key can be read by others.
    pub fn load_or_create(dir: &Path) -> Result<Self, AuthorityError> {
        let _ = dir;
        todo!("tls")
    }

    /// The folder that is used without `--ca-dir`: `$XDG_DATA_HOME/harproxy` and its kin.
    #[must_use]
    pub fn default_dir() -> Option<PathBuf> {
        todo!("tls")
    }

    /// The CA certificate's file (PEM).
    #[must_use]
    pub fn cert_path(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The CA certificate, PEM.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        todo!("tls")
    }

    /// The configuration to answer a client with that asked for `host` (a name or an IP address).
    ///
    /// # Errors
    /// When no certificate can be made for such a name.
    pub fn server_config(&self, host: &str, alpn: Alpn) -> Result<Arc<ServerConfig>, AuthorityError> {
        let _ = (host, alpn);
        todo!("tls")
    }
}
