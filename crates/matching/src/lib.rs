//! Decides which entry of the fixtures answers a request, and explains misses.
//!
//! [`Matcher`] holds the open fixtures with their index, and the state of each session. Its only I/O is reading entries
//! and payloads of the fixtures. A request takes these steps:
//!
//! 1. `scope`, `noise`: is the URL in scope?
//! 2. `matcher`, `index`, `key`, `path`, `same_host`: the groups of entries with its method and URL.
//! 3. `candidate`, `conditional`, `redacted_places`: the candidates, whose payload, required headers and
//!    conditions fit.
//! 4. `choice`, `ignored`, `ranked_headers`, `credentials`, `guess`, `score`, `session`: the candidate with the best
//!    rank that is next in sequence.
//! 5. `answer`, `redirects`, `echo`: the outcome, after redirects that are followed.
//!
//! `explain` finds the near misses and a remedy. `contenders` explains a choice. `key` combines options and
//! `[[match]]` rules.

#![forbid(unsafe_code)]

mod answer;
mod candidate;
mod choice;
mod conditional;
mod contenders;
mod credentials;
mod echo;
mod explain;
mod guess;
mod ignored;
mod index;
mod key;
mod live_request;
mod matcher;
pub mod noise;
mod options;
mod outcome;
mod path;
mod ranked_headers;
mod redacted_places;
mod redacted_request;
mod redirects;
mod request_pattern;
mod required_value;
mod same_host;
mod scope;
mod score;
mod session;

#[cfg(test)]
mod tests;

use ::http::HeaderMap;

pub use harproxy_compare::{DigestedPayload, MatchBody, PayloadDigester, SentPayload};

pub use conditional::asks_for_websocket;
pub use contenders::{Contender, ContenderState};
pub use echo::{Echo, EchoEncoding, EchoedValue};
pub use guess::Guess;
pub use key::{HeaderKey, RequestEquality};
pub use matcher::{Lookup, Matcher};
pub use options::{MatchRule, MissingBody, Options, Redirects, Repeat};
pub use outcome::{Chosen, Difference, EntryRef, Miss, MissKind, NearMiss, Outcome, RequestPart, SameHost};
pub use path::PathPattern;
pub use request_pattern::RequestPattern;
pub use same_host::OriginPattern;
pub use scope::{includes, may_include_origin};
pub use session::RequestSession;

use harproxy_glob::GlobError;
use harproxy_http::NormalUrl;
use harproxy_support::printable::Shown as _;

/// A live request.
#[derive(Debug)]
pub struct Query<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// The URL in normal form.
    pub url: &'a NormalUrl,
    /// The headers and the payload.
    pub payload: SentPayload<'a>,
}

impl<'a> Query<'a> {
    /// Takes the payload as received, with its content coding. An empty one counts as none.
    #[must_use]
    pub fn new(method: &'a str, url: &'a NormalUrl, headers: &'a HeaderMap, body: Option<&'a [u8]>) -> Self {
        Query { method, url, payload: SentPayload::new(headers, body) }
    }
}

/// The reason why a matcher cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    JsonPath(#[from] harproxy_json::PathError),
    #[error("origin `{origin}`: {reason}")]
    Origin {
        /// The pattern.
        origin: String,
        reason: String,
    },
    /// The scope of a fixture contains an invalid glob.
    #[error("reading the scope of {}", path.shown())]
    Scope {
        /// The fixture.
        path: std::path::PathBuf,
        source: GlobError,
    },
}
