//! Which entry answers a request, and why: scope, key, choice, turn, redirects, near misses.
//!
//! [`Matcher`] is all that replay, `explain` and later rooms need: it holds the opened fixtures and their index, and the turns
//! of each session. It does no I/O but reading entries and payloads of the fixtures.

pub mod noise;

use std::sync::Arc;

use ::http::HeaderMap;

use crate::har::{Entry, Fixture};
use crate::http::NormalUrl;
use crate::urlglob::Globs;

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

/// `--repeat`: how equal candidates are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// The first not served yet; when all have been, the last again.
    #[default]
    Sequence,
    /// Always the first.
    First,
    /// Each at most once, then a miss.
    Once,
}

/// `--redirects`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirects {
    /// Served in fixtures of harproxy's own, followed in foreign ones.
    #[default]
    Auto,
    /// Followed inside the recording.
    Follow,
    /// Served as recorded.
    Serve,
}

/// `--match-body`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchBody {
    /// Byte for byte.
    #[default]
    Exact,
    /// Equal JSON values.
    Json,
    /// Equal form fields in order.
    Form,
    /// Not compared.
    Ignore,
}

/// `--missing-body`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingBody {
    /// A miss of the kind "body not recorded".
    #[default]
    Fail,
    /// Served empty.
    Empty,
}

/// The matching options of a run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--repeat`.
    pub repeat: Repeat,
    /// `--redirects`.
    pub redirects: Redirects,
    /// `--match-body`.
    pub match_body: MatchBody,
    /// `--match-header`, names in lower case.
    pub match_headers: Vec<String>,
    /// `--ignore-query`, names.
    pub ignore_query: Vec<String>,
    /// `--ignore-body`, JSON paths (RFC 9535).
    pub ignore_body: Vec<String>,
    /// `--same-host A=B`: origins that count as one.
    pub same_host: Vec<(String, String)>,
    /// `--score-all-headers`.
    pub score_all_headers: bool,
    /// `--missing-body`.
    pub missing_body: MissingBody,
}

/// An entry of one of the loaded fixtures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryRef {
    /// Which fixture, in the order they were loaded.
    pub fixture: usize,
    /// Which entry, from 0.
    pub entry: usize,
}

/// The entry that answers.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Where it is.
    pub at: EntryRef,
    /// What it says.
    pub entry: Arc<Entry>,
    /// Recorded request headers that the request repeats.
    pub score: usize,
    /// The hops that were followed to reach it, the first one matched first; empty when it was matched itself.
    pub followed: Vec<EntryRef>,
    /// `Set-Cookie` values of the hops on the same host, to be merged into the answer.
    pub cookies: Vec<bytes::Bytes>,
    /// What the answer's status becomes when it is not the recorded one (a 304 with the cached body answers as 200).
    pub status: u16,
}

/// What a request gets.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The answer of an entry, a 3xx without Location included.
    Serve(Chosen),
    /// The client itself gets a 301, 302, 303, 307 or 308 with a Location.
    Redirect(Chosen),
    /// A recorded failure: the connection is closed.
    Abort(Chosen),
    /// Nothing answers.
    Miss(Box<Miss>),
}

/// Why nothing answers.
#[derive(Clone, Debug)]
pub struct Miss {
    /// The kind of miss.
    pub kind: MissKind,
    /// The nearest entries, at most three, nearest first.
    pub near: Vec<Near>,
    /// How many entries share host and path.
    pub same_path: usize,
    /// One option or policy line that would make the nearest one match.
    pub remedy: Option<String>,
}

/// The kinds of misses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MissKind {
    /// No candidate.
    NoEntry,
    /// `--repeat once`, and all candidates have answered.
    UsedUp,
    /// The entry is there, its payload was not kept.
    BodyNotRecorded(EntryRef),
    /// Redirects that lead back: the hops.
    RedirectLoop(Vec<EntryRef>),
    /// More than 20 hops.
    TooManyHops,
    /// The entry is there, but reading it failed; in words.
    Unreadable(EntryRef, String),
}

/// An entry that nearly matches, and what keeps it from matching.
#[derive(Clone, Debug)]
pub struct Near {
    /// Where it is.
    pub at: EntryRef,
    /// The differences, the weightiest first.
    pub differences: Vec<Difference>,
}

/// One difference between a request and an entry.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Where: `query`, `body`, `method`, `path`, `host`, `header`.
    pub what: What,
    /// Which one: a parameter, a JSON path, a field name, a header; empty when there is only one.
    pub name: String,
    /// The request's value; `None` when it lacks it.
    pub request: Option<String>,
    /// The entry's value; `None` when it lacks it.
    pub recorded: Option<String>,
}

/// Where two requests differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The method.
    Method,
    /// The origin.
    Host,
    /// A path segment, or the whole path.
    Path,
    /// A query parameter.
    Query,
    /// The payload.
    Body,
    /// A header that must be equal.
    Header,
}

/// Why the options can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A JSON path that is not one.
    #[error("JSON path `{path}`: {reason}")]
    JsonPath {
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An origin pattern that is not one.
    #[error("origin `{origin}`: {reason}")]
    Origin {
        /// The pattern.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The fixtures of a run, indexed, and the turns of each session.
#[derive(Debug)]
pub struct Matcher {
    fixtures: Vec<Arc<Fixture>>,
}

impl Matcher {
    /// Indexes the fixtures. `scope` (`-g`) replaces the scope of all of them.
    ///
    /// # Errors
    /// When an option is malformed.
    pub fn new(fixtures: Vec<Arc<Fixture>>, scope: Option<Globs>, options: Options) -> Result<Self, Error> {
        let _ = (scope, options);
        Ok(Matcher { fixtures })
    }

    /// The fixtures, in order.
    #[must_use]
    pub fn fixtures(&self) -> &[Arc<Fixture>] {
        &self.fixtures
    }

    /// Whether the scope of any fixture accepts this URL.
    #[must_use]
    pub fn in_scope(&self, url: &NormalUrl) -> bool {
        let _ = url;
        todo!("matching")
    }

    /// Whether a URL of this origin (`https://host:port`) could be in scope.
    #[must_use]
    pub fn may_match_origin(&self, origin: &str) -> bool {
        let _ = origin;
        todo!("matching")
    }

    /// Whether entries of this origin came over HTTP/2.
    #[must_use]
    pub fn speaks_h2(&self, origin: &str) -> bool {
        let _ = origin;
        todo!("matching")
    }

    /// Whether an entry for this method and URL could need the request's payload to be told apart. When not, replay need
    /// not wait for the payload.
    #[must_use]
    pub fn needs_body(&self, method: &str, url: &NormalUrl) -> bool {
        let _ = (method, url);
        todo!("matching")
    }

    /// Finds the answer and takes its turn for `session`.
    pub fn answer(&self, query: &Query<'_>, session: Option<&str>) -> Outcome {
        let _ = (query, session);
        todo!("matching")
    }

    /// How many entries of each fixture have answered, hops included, by fixture.
    #[must_use]
    pub fn used(&self) -> Vec<usize> {
        todo!("matching")
    }
}
