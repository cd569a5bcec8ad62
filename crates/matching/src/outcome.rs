//! What a request gets, as plain data.

use super::{Echoed, Guess};

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
    /// The number of recorded request headers that the request repeats.
    pub score: usize,
    /// The hops that were followed to reach it, the first one matched first; empty when it was matched itself.
    pub followed: Vec<EntryRef>,
    /// `Set-Cookie` values of the hops on the same host, to be merged into the answer.
    pub cookies: Vec<bytes::Bytes>,
    /// The status it is served with: the recorded one, or 200 where a 304 answers with the cached body; 0 for a failure.
    pub status: u16,
    /// Where a redirect leads: the `Location` resolved, its fragment set aside; as recorded when it can't be resolved.
    /// Once hops were followed, it is this and not the recorded header that leads the client on.
    pub location: Option<String>,
    /// The origins of entry and request, when `--same-host` made them one: the answer speaks of the first and the client
    /// knows the second.
    pub same_host: Option<SameHost>,
    /// Set when entries that differ in placeholders might as well have answered, and say something else.
    pub guess: Option<Box<Guess>>,
    /// What the answer repeats of the request, by `echo`.
    pub echoed: Vec<Echoed>,
}

/// An origin that stands for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SameHost {
    /// The entry's, as `https://host:port`.
    pub recorded: String,
    /// The request's.
    pub asked: String,
}

impl SameHost {
    /// A URL of the recorded origin as one of the origin that was asked; `None` for one of another origin.
    ///
    /// ```
    /// let same = harproxy_matching::SameHost { recorded: "https://a.test".into(), asked: "http://localhost:81".into() };
    /// assert_eq!(same.moved("https://a.test/x?y").as_deref(), Some("http://localhost:81/x?y"));
    /// assert_eq!(same.moved("https://a.test.example/x"), None);
    /// ```
    #[must_use]
    pub fn moved(&self, url: &str) -> Option<String> {
        let rest = url.strip_prefix(&*self.recorded)?;
        let whole = rest.is_empty() || rest.starts_with(['/', '?', '#']);
        whole.then(|| format!("{}{rest}", self.asked))
    }
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
    /// Where there is none and the request has to be recorded: an entry of the fixture that it could be added to, the nearest
    /// one's own if harproxy wrote that.
    pub recordable: Option<EntryRef>,
    /// The GraphQL operation that the request names.
    pub operation: Option<String>,
}

impl Miss {
    /// The entry was found, and its payload failed to be read when it was to be served.
    #[must_use]
    pub fn unreadable(at: EntryRef, error: &dyn std::error::Error) -> Self {
        Miss::of(MissKind::Unreadable(at, harproxy_http::problem::in_words(error)))
    }

    /// The entry was found, and is a change of protocol that the client did not ask for.
    #[must_use]
    pub fn other_protocol(at: EntryRef) -> Self {
        Miss::of(MissKind::OtherProtocol(at))
    }

    /// One of which the entry says it all.
    fn of(kind: MissKind) -> Self {
        Miss { kind, near: Vec::new(), same_path: 0, remedy: None, recordable: None, operation: None }
    }
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
    /// The entry is a change of protocol (a WebSocket), and the request a plain one.
    OtherProtocol(EntryRef),
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
    /// The GraphQL operation that the entry names.
    pub operation: Option<String>,
}

/// One difference between a request and an entry.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
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
