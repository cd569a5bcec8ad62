//! Errors of a command line beyond the form of one value.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::verdict::FailOnError;
use harproxy_glob::GlobError;

/// Variable with the time that replay uses as the present (RFC 3339). Tests set it to control the age of a fixture.
pub(super) const TEST_NOW: &str = "HARPROXY_TEST_NOW";

/// Error in a command line beyond the form of one value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Glob(#[from] GlobError),
    #[error("listening on {0} would open the proxy to other machines")]
    Remote(SocketAddr),
    /// The output of a recording is not a `.har` or `.zip` file.
    #[error("{} ends neither in .har nor in .zip, by which `harproxy replay` finds fixtures", output.display())]
    Ending { output: PathBuf },
    #[error("two --reverse origins are {duplicate}")]
    DuplicateReverse {
        /// "named `API`" or "under `/pay`".
        duplicate: String,
        /// The unique property that each needs, for the hint.
        unique: &'static str,
    },
    /// `harproxy env` for a proxy on any free port.
    #[error("port 0 is chosen when harproxy listens, so it is not known yet")]
    NoPort,
    /// `--tls` without `--reverse`.
    #[error("--tls needs --reverse")]
    TlsWithoutReverse,
    #[error("no data folder for the certificate authority: neither HOME nor XDG_DATA_HOME is set")]
    NoDataFolder,
    /// `--on-miss record` without exactly one fixture.
    #[error("--on-miss record needs exactly one fixture")]
    NoOneFixture,
    /// `--on-miss record` where CI=true.
    #[error("--on-miss record would change fixtures in CI")]
    RecordsInCi,
    /// `--prune` where CI=true.
    #[error("--prune would change fixtures in CI")]
    PrunesInCi,
    /// `--prune` and `--on-miss record` at once.
    #[error("--prune and --on-miss record cannot change one fixture in the same run")]
    PrunesAndRecords,
    /// `HARPROXY_TEST_NOW` is not a valid time.
    #[error("reading {TEST_NOW}, `{value}`")]
    TestNow { value: String, source: time::error::Parse },
    #[error("`{0}` is not an entry name")]
    NoEntry(String),
    /// `--fail-on` has an unknown finding kind.
    #[error("reading --fail-on `{list}`")]
    FailOn { list: String, source: FailOnError },
}
