//! Fixtures: HAR 1.2 files with their payloads. A tolerant, lazy reader, a canonical writer, and the payload store
//! (a folder beside the HAR, members of a `.zip`, or text inside the HAR).

#![forbid(unsafe_code)]

mod foreign;
pub mod model;
mod read;
mod store;
pub mod write;

pub use model::{Entry, Timings};
pub use read::{EntryHead, Fixture, Heads, LeftOutCause, Warning, find, parse_time, values};
pub use store::payload::{Payload, PayloadFile};
pub use store::stamp::Stamp;
pub use store::{digest, payload, payload_path};
pub use write::{ContentMode, FixtureWriter, JsonLayout, PayloadSource, WriteSummary};
pub use write::{format, held, pack, pieces, rewrite, scope};

use harproxy_support::printable::Shown as _;
use std::path::{Path, PathBuf};

/// An error about a fixture, with its path, and entry and line if known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("{doing} {}", path.shown())]
    Io {
        /// The operation: "reading", "creating" …
        doing: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// The source of a payload failed.
    #[error("{doing}")]
    Payload { doing: &'static str, source: std::io::Error },
    /// A folder without fixtures.
    #[error("no fixture in {}", path.shown())]
    NoFixture { path: PathBuf },
    /// The file is not a usable HAR.
    #[error("{}{}: {}", path.shown(), line.map(|l| format!(":{l}")).unwrap_or_default(), reason.shown())]
    Malformed {
        path: PathBuf,
        /// The line of the problem, from 1, if known.
        line: Option<usize>,
        /// The description for the user.
        reason: String,
    },
    /// The file has conflict markers of git.
    #[error("{}:{line}: unresolved git conflict", path.shown())]
    Conflict {
        path: PathBuf,
        /// The line of the first marker, from 1.
        line: usize,
    },
    /// One entry is not usable. The others are.
    #[error(
        "{}#{entry}{}: {}",
        path.shown(),
        line.map(|l| format!(" (line {l})")).unwrap_or_default(),
        reason.shown()
    )]
    Entry {
        path: PathBuf,
        /// The entry, from 0.
        entry: usize,
        /// Its first line in the HAR, from 1.
        line: Option<usize>,
        /// The description for the user.
        reason: String,
    },
}

impl Error {
    /// Returns a function that makes an [`Error::Io`] of this operation.
    pub(crate) fn at<'p>(path: &'p Path, doing: &'static str) -> impl Fn(std::io::Error) -> Error + Copy + use<'p> {
        move |source| Error::Io { doing, path: path.to_owned(), source }
    }

    /// The path of the file or folder.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Error::Payload { .. } => None,
            Error::Io { path, .. }
            | Error::NoFixture { path }
            | Error::Malformed { path, .. }
            | Error::Conflict { path, .. }
            | Error::Entry { path, .. } => Some(path),
        }
    }

    /// True if writing failed, so that the input is not at fault.
    #[must_use]
    pub fn is_about_writing(&self) -> bool {
        matches!(self, Error::Io { doing, .. } if !matches!(*doing, "opening" | "reading"))
    }
}

#[cfg(test)]
mod tests;
