//! The listener of the admin API, and the file with its token.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;

use super::access::AdminToken;
use super::api::AdminApi;
use crate::local_api;
use harproxy_support::atomic_file::{self, Readers};

/// The ending of token files.
const ENDING: &str = ".token";

/// Why there is no admin API.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("listening on {addr} for --admin")]
    Listen { addr: SocketAddr, source: io::Error },
    #[error("writing the token file {}", path.display())]
    TokenFile { path: PathBuf, source: io::Error },
    #[error("the system has no random numbers for the token of --admin")]
    NoRandomNumbers,
}

/// A bound admin API.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    addr: SocketAddr,
    token: AdminToken,
}

/// The token file of a server, which is removed when this is dropped.
#[derive(Debug)]
pub struct TokenFile(PathBuf);

impl TokenFile {
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        // Ignored: `harproxy ctl` removes stale files.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl AdminServer {
    /// Listens, and writes the token file into `folder`. Only the user of this process can read it.
    ///
    /// # Errors
    /// [`AdminError`]
    pub async fn bind(addr: SocketAddr, folder: &Path) -> Result<(Self, TokenFile), AdminError> {
        let listen = async {
            let listener = TcpListener::bind(addr).await?;
            let addr = listener.local_addr()?;
            Ok((listener, addr))
        };
        let (listener, addr) = listen.await.map_err(|source| AdminError::Listen { addr, source })?;
        let token = AdminToken::generate().ok_or(AdminError::NoRandomNumbers)?;
        let file = folder.join(file_name(addr));
        std::fs::create_dir_all(folder)
            .and_then(|()| atomic_file::write(&file, format!("{}\n", token.reveal()).as_bytes(), Readers::Owner))
            .map_err(|source| AdminError::TokenFile { path: file.clone(), source })?;
        Ok((AdminServer { listener, addr, token }, TokenFile(file)))
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    #[must_use]
    pub fn token(&self) -> &AdminToken {
        &self.token
    }

    /// Serves requests until the future is dropped.
    pub async fn serve(&self, api: Arc<AdminApi>) -> Infallible {
        local_api::serve(&self.listener, api, "the admin API").await
    }
}

/// Returns the name of the token file of an address. File systems of Windows have no `:` in names.
fn file_name(addr: SocketAddr) -> String {
    addr.to_string().replace(':', "_") + ENDING
}

/// Returns the servers that have a token file in `folder`, some of which may have been killed.
#[must_use]
pub fn running(folder: &Path) -> Vec<(SocketAddr, PathBuf)> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|item| item.path());
    let mut found: Vec<_> = files
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(ENDING)?;
            Some((name.replace('_', ":").parse().ok()?, path))
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn token_file_names_the_address_and_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("admin");
        let (server, file) = AdminServer::bind("127.0.0.1:0".parse().unwrap(), &below).await.unwrap();
        assert_eq!(running(&below), [(server.addr(), file.path().to_owned())]);
        let written = AdminToken::read(&std::fs::read_to_string(file.path()).unwrap());
        assert_eq!(written.reveal(), server.token().reveal());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(file.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        drop(file);
        assert!(running(&below).is_empty());
    }

    #[test]
    fn names_of_token_files_are_addresses() {
        let folder = tempfile::tempdir().unwrap();
        for addr in ["127.0.0.1:4100", "[::1]:4100"] {
            std::fs::write(folder.path().join(file_name(addr.parse().unwrap())), "x").unwrap();
        }
        std::fs::write(folder.path().join("other.token"), "x").unwrap();
        let found: Vec<String> = running(folder.path()).iter().map(|(addr, _)| addr.to_string()).collect();
        assert_eq!(found, ["127.0.0.1:4100", "[::1]:4100"]);
    }
}
