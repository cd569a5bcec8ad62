//! Errors of recordings.

use std::io;
use std::path::PathBuf;

use harproxy_proxy::upstream::PlanError;
use harproxy_support::printable::Shown as _;

/// The reason why a recording can't start or can't be finished.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The fixture can't be read or written.
    #[error(transparent)]
    Fixture(#[from] harproxy_har::Error),
    /// The upstream options are invalid.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The journal, or a held recording, can't be read or written.
    #[error("{doing} {}", path.shown())]
    Journal { doing: &'static str, path: PathBuf, source: io::Error },
    /// `[volatile]` has an invalid path.
    #[error(transparent)]
    Volatile(#[from] harproxy_json::PathError),
    /// A `[[match]]` rule is invalid.
    #[error(transparent)]
    Rules(#[from] harproxy_matching::Error),
    /// Another harproxy writes this fixture.
    #[error("{} is being {}", output.shown(), writer(*recorder))]
    Locked {
        /// The fixture.
        output: PathBuf,
        /// The process of the recorder, if it is known.
        recorder: Option<u32>,
    },
    #[error("recording into {}, which is a folder", output.shown())]
    IsFolder {
        /// The folder.
        output: PathBuf,
    },
    /// There is neither a recording to recover nor a fixture.
    #[error("there is neither a fixture {} nor a recording to recover into it", output.shown())]
    NothingLeft {
        /// The fixture that was named.
        output: PathBuf,
    },
    /// The fixture has changed since a recording into it was held.
    #[error("{} has changed since the recording into it was held", output.shown())]
    Changed {
        /// The fixture.
        output: PathBuf,
    },
    /// The output is a HAR of another tool, into which nothing is merged.
    #[error("{} was not recorded by harproxy: nothing is merged into it", output.shown())]
    Foreign {
        /// The HAR.
        output: PathBuf,
    },
}

impl Error {
    pub(super) fn journal(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Error::Journal { doing, path: path.into(), source }
    }
}

fn writer(recorder: Option<u32>) -> String {
    match recorder {
        Some(pid) => format!("recorded by another harproxy (process {pid})"),
        None => "written by another harproxy".to_owned(),
    }
}
