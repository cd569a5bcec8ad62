//! Fixtures: HAR 1.2 files with their payloads. A tolerant, lazy reader, a canonical writer, and the payload store
//! (a folder beside the HAR, members of a `.zip`, or text inside the HAR).

#![forbid(unsafe_code)]

mod archive;
mod canonical;
mod charset;
mod deposit;
mod find;
pub mod fixture;
mod foreign;
pub mod format;
mod forms;
pub mod held;
mod hold;
mod index;
pub mod model;
mod moment;
mod observe;
mod open;
pub mod pack;
mod parse;
pub mod parts;
pub mod payload;
pub mod pieces;
mod place;
mod read;
pub mod rewrite;
pub mod scope;
mod sidecar;
mod staging;
mod stamp;
mod store;
mod text;
mod window;
pub mod write;

pub use find::find;
pub use fixture::{Fixture, Warning};
pub use index::{EntryHead, Heads};
pub use model::{Entry, Timings};
pub use moment::moment;
pub use payload::{Payload, PayloadFile};
pub use stamp::Stamp;
pub use write::{ContentMode, FixtureWriter, JsonLayout, PayloadSource, Written};

use std::path::{Path, PathBuf};

/// What went wrong with a fixture: always the file, and the entry and line where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done: "reading", "creating" …
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The bytes of a payload could not be had from their source.
    #[error("{doing}")]
    Payload {
        /// What was being done.
        doing: &'static str,
        /// The reason.
        source: std::io::Error,
    },
    /// A folder without any fixture in it.
    #[error("no fixture in {}", path.display())]
    NoFixture {
        /// The folder.
        path: PathBuf,
    },
    /// The file is not a HAR that can be used.
    #[error("{}{}: {reason}", path.display(), line.map(|l| format!(":{l}")).unwrap_or_default())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1, if one is to blame.
        line: Option<usize>,
        /// What is wrong, in words.
        reason: String,
    },
    /// A merge left its conflict in the file.
    #[error("{}:{line}: unresolved git conflict", path.display())]
    Conflict {
        /// The file.
        path: PathBuf,
        /// The line of the first marker, from 1.
        line: usize,
    },
    /// One entry is not usable; the others are.
    #[error("{}#{entry}{}: {reason}", path.display(), line.map(|l| format!(" (line {l})")).unwrap_or_default())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry, from 0.
        entry: usize,
        /// Its first line in the HAR, from 1.
        line: Option<usize>,
        /// What is wrong, in words.
        reason: String,
    },
}

impl Error {
    /// The file or folder that it is about.
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

    /// Whether something was to be written: then it is no fault of what was read.
    #[must_use]
    pub fn is_about_writing(&self) -> bool {
        matches!(self, Error::Io { doing, .. } if !matches!(*doing, "opening" | "reading"))
    }
}

#[cfg(test)]
mod tests;
