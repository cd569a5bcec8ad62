//! The control socket of a run: a unix socket on which CMD names its tests, with HTTP/1.1 and JSON.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /sessions {"client": "gw0", "name": "test_shop.py::test_users"}` | the requests of this client belong to the test from now on; `null` ends it |
//! | `GET /findings?session=NAME` | the findings about the requests of a test so far |

mod session;
#[cfg(unix)]
mod socket;

pub use session::{NamedSession, name_session};

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(unix)]
use crate::local_api;
use crate::pipeline::Sessions;

/// The name of the socket in the folder of a run.
const NAME: &str = "control";

#[cfg(unix)]
type Listener = tokio::net::UnixListener;
/// There are no unix sockets on this system. Clients have sessions by their user names alone.
#[cfg(not(unix))]
type Listener = Infallible;

/// A control socket. Only the user of this process can connect, since the folder of a run is private.
#[derive(Debug)]
pub struct ControlSocket {
    listener: Listener,
    path: PathBuf,
    /// The user name of `--auth`, which clients put before the name of their session.
    user: Option<String>,
}

impl ControlSocket {
    /// Opens the socket in the folder of a run.
    ///
    /// # Errors
    /// When the socket can't be opened: the path is longer than about 100 bytes, for example.
    pub fn open(folder: &Path, user: Option<String>) -> io::Result<Self> {
        let path = folder.join(NAME);
        Ok(ControlSocket { listener: bind(&path)?, path, user })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Serves connections until the future is dropped.
    #[cfg(unix)]
    pub async fn serve(&self, sessions: Arc<Sessions>) -> Infallible {
        let service = Arc::new(socket::ControlService { sessions, user: self.user.clone() });
        local_api::serve(&self.listener, service, "the control socket").await
    }

    /// There is no socket.
    #[cfg(not(unix))]
    pub async fn serve(&self, _sessions: Arc<Sessions>) -> Infallible {
        self.listener
    }
}

#[cfg(unix)]
fn bind(path: &Path) -> io::Result<Listener> {
    Listener::bind(path)
}

#[cfg(not(unix))]
fn bind(_path: &Path) -> io::Result<Listener> {
    Err(io::ErrorKind::Unsupported.into())
}
