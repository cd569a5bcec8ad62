//! Which entry answers a request, and why: scope, key, choice, turn, redirects, near misses.
//!
//! [`Matcher`] is all that replay, `explain` and later rooms need: it holds the opened fixtures and their index, and the turns
//! of each session. It does no I/O but reading entries and payloads of the fixtures.
//!
//! The way of a request: its method and URL find the *group* of entries that share them (`index`, `key`, with `path` and
//! `same_host`); among these the
//! payload, the required headers and the conditions say which are *candidates* (`payload`, `candidate`, `conditional`);
//! standing, fixture, score and turn choose one (`choice`, `score`, `turns`); where that is a redirect, it is followed or
//! handed on (`redirects`). `contest` tells how each candidate fared. When nothing is found, `explain` says what came nearest.

#![forbid(unsafe_code)]

mod candidate;
mod choice;
mod conditional;
mod contest;
mod echo;
mod explain;
mod guess;
mod index;
mod inherit_state;
mod key;
mod likeness;
mod matcher;
pub mod noise;
mod options;
mod outcome;
mod path;
mod payload;
mod policy;
mod redacted;
mod redirects;
mod same_host;
mod scope;
mod score;
mod session;
mod shown;

#[cfg(test)]
mod tests;

use ::http::HeaderMap;

pub use harproxy_compare::{DigestedPayload, MatchBody, PayloadDigester};

pub use conditional::asks_for_websocket;
pub use contest::{Contender, Fate, Placeholders};
pub use echo::{BadEcho, Echo, Echoed, Spelt};
pub use guess::Guess;
pub use likeness::{Likeness, Sameness};
pub use matcher::{Found, Matcher, Payload};
pub use options::{MatchRule, MissingBody, Options, Redirects, Repeat};
pub use outcome::{Chosen, Difference, EntryRef, Miss, MissKind, Near, Outcome, SameHost, What};
pub use path::PathPattern;
pub use same_host::OriginPattern;

use harproxy_glob::GlobError;
use harproxy_http::NormalUrl;

/// A live request, as far as matching cares.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// The URL in normal form.
    pub url: &'a NormalUrl,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its payload as received; `None` and zero bytes are the same. Content-Encoding is still on.
    pub body: Option<&'a [u8]>,
}

/// Why a matcher can't be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An invalid JSON path.
    #[error(transparent)]
    JsonPath(#[from] harproxy_json::PathError),
    /// An origin pattern that is not one.
    #[error("origin `{origin}`: {reason}")]
    Origin {
        /// The pattern.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A fixture's own scope holds a malformed glob.
    #[error("reading the scope of {}", path.display())]
    Scope {
        /// The fixture.
        path: std::path::PathBuf,
        /// What is wrong with it.
        source: GlobError,
    },
}
