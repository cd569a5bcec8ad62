//! The outcome of a request: an entry, or a miss with its explanation.

use super::{EchoedValue, Guess};

/// An entry of one of the loaded fixtures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryRef {
    /// The number of the fixture, in the order in which they were loaded.
    pub fixture: usize,
    /// The number of the entry, from 0.
    pub entry: usize,
}

/// An entry that answers a request.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub at: EntryRef,
    /// The number of recorded request headers that the request repeats.
    pub score: usize,
    /// The redirects that were followed to reach it, in order.
    pub followed: Vec<EntryRef>,
    /// The `Set-Cookie` values of the redirects on the same host, which are added to the response.
    pub cookies: Vec<bytes::Bytes>,
    /// The status to serve: the recorded one, or 200 for a 304 with the cached body. 0 for a failure.
    pub status: u16,
    /// The target of a redirect: the resolved `Location` without its fragment, or the recorded one if it cannot be
    /// resolved. After followed redirects, it replaces the recorded header.
    pub location: Option<String>,
    /// The origins of entry and request, if `--same-host` made them equal. The response contains URLs of the first one,
    /// and the client expects URLs of the second one.
    pub same_host: Option<SameHost>,
    /// Set if the choice among entries that differ in placeholders is ambiguous.
    pub guess: Option<Box<Guess>>,
    /// The values of the request that replace recorded ones in the response (`echo`).
    pub echoed: Vec<EchoedValue>,
    /// The headers with credentials of the recorded request, if the live request has no credentials.
    pub missing_credentials: Vec<String>,
    /// The test that recorded an entry, if it is not that of the request.
    pub other_session: Option<String>,
    /// Whether an entry is from an earlier part of the recording than the one that was served before, and a later entry
    /// with another response fits as well.
    pub is_out_of_sequence: bool,
}

impl Chosen {
    /// An entry that was chosen without matching.
    #[must_use]
    pub fn entry(at: EntryRef, status: u16) -> Self {
        Chosen {
            at,
            score: 0,
            followed: Vec::new(),
            cookies: Vec::new(),
            status,
            location: None,
            same_host: None,
            guess: None,
            echoed: Vec::new(),
            missing_credentials: Vec::new(),
            other_session: None,
            is_out_of_sequence: false,
        }
    }
}

/// Two origins that `--same-host` made equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SameHost {
    /// The origin of the entry, as `https://host:port`.
    pub recorded: String,
    /// The origin of the request.
    pub asked: String,
}

impl SameHost {
    /// Moves a URL of the recorded origin to the origin of the request. `None` for a URL of another origin.
    ///
    /// ```
    /// use harproxy_matching::SameHost;
    /// let same = SameHost { recorded: "https://a.test".into(), asked: "http://localhost:81".into() };
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

#[derive(Clone, Debug)]
pub enum Outcome {
    /// The response of an entry. It may be a 3xx without `Location`.
    Serve(Chosen),
    /// A 301, 302, 303, 307 or 308 with a `Location`, which the client follows.
    Redirect(Chosen),
    /// A recorded failure: the connection is closed.
    Abort(Chosen),
    /// No entry answers.
    Miss(Box<Miss>),
}

impl Outcome {
    /// Notes the headers with credentials that the request lacks.
    pub(super) fn with_missing_credentials(mut self, names: Vec<String>) -> Self {
        if let Outcome::Serve(chosen) | Outcome::Redirect(chosen) | Outcome::Abort(chosen) = &mut self {
            chosen.missing_credentials = names;
        }
        self
    }
}

#[derive(Clone, Debug)]
pub struct Miss {
    pub kind: MissKind,
    /// The nearest entries, at most three, nearest first.
    pub near: Vec<NearMiss>,
    /// The number of entries with the same host and path.
    pub same_path: usize,
    /// The option or configuration lines that would let the nearest entry match, if it differs only in volatile values.
    pub remedy: Option<String>,
    /// The method and URL of the nearest entry, if only the spelling of the path differs.
    pub did_you_mean: Option<String>,
    /// An entry of the fixture to which a recording of the request could be added.
    pub recordable: Option<EntryRef>,
    /// The name of the GraphQL operation of the request.
    pub operation: Option<String>,
}

impl Miss {
    /// Returns a miss that needs no near entries.
    #[must_use]
    pub fn of(kind: MissKind) -> Self {
        let near = Vec::new();
        Miss { kind, near, same_path: 0, remedy: None, did_you_mean: None, recordable: None, operation: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MissKind {
    NoEntry,
    /// All candidates were served already (`--repeat once`).
    UsedUp,
    /// The payload of the entry's response was not recorded.
    BodyNotRecorded(EntryRef),
    /// The redirects form a loop, with these entries.
    RedirectLoop(Vec<EntryRef>),
    /// There are more than 20 redirects.
    TooManyHops,
    /// The entry changes the protocol (a WebSocket), and the request is a plain one.
    OtherProtocol(EntryRef),
    /// The entry cannot be read, for this reason.
    Unreadable(EntryRef, String),
}

/// A near miss: an entry with its differences from the request.
#[derive(Clone, Debug)]
pub struct NearMiss {
    pub at: EntryRef,
    /// The differences: those of method and URL first, then those of headers and payload.
    pub differences: Vec<Difference>,
    /// The name of the GraphQL operation of the entry.
    pub operation: Option<String>,
}

/// One difference between a request and an entry.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Difference {
    #[serde(rename = "what")]
    pub part: RequestPart,
    /// The name of a parameter, field or header, a JSON path, or the number of a path segment. Empty for a whole part.
    pub name: String,
    /// The value in the request, if there is one.
    pub request: Option<String>,
    /// The value in the entry, if there is one.
    pub recorded: Option<String>,
}

/// The part of a request in which an entry differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestPart {
    Method,
    /// The origin.
    Host,
    /// A segment of the path, or the whole path.
    Path,
    /// A query parameter, or the whole query.
    Query,
    /// A JSON value or field of the payload, or the whole payload.
    Body,
    /// A header that must be equal.
    Header,
}
