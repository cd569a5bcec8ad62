//! The requests of a run, one by one: what the live list, the log of events and the reports tell of each.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Read;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use harproxy_har::model::Body;
use harproxy_har::{Fixture, Payload};
use harproxy_http::Headers;
use harproxy_redact::{Outcome, Policy, Telling};

/// Which way a request went, in one word: the `outcome` of reports and events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// An entry answered, a recorded failure included.
    Served,
    /// In scope, and no entry answers.
    Miss,
    /// Refused as out of scope.
    OutOfScope,
    /// Nobody's API: refused at replay, passed unrecorded while recording.
    Noise,
    /// Refused for what it is: a WebSocket that can't be replayed, a payload that broke off, a URL that is none.
    Refused,
    /// A preflight that was made up.
    Preflight,
    /// To a server of this machine, as out of scope.
    Local,
    /// To the network, as an option says.
    Live,
    /// To the network and into the fixture.
    Recorded,
    /// To the network, unrecorded.
    Passed,
    /// A connection that was passed on untouched.
    Tunnel,
}

/// Where an answer came from. Every request has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Giver {
    /// An entry of a fixture.
    Fixture,
    /// The network.
    Live,
    /// A server of this machine.
    Local,
    /// harproxy, in the place of the origin.
    MadeUp,
    /// Nobody: it was refused.
    None,
}

impl Fate {
    /// The word for it in reports, events and the live list.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Fate::Served => "served",
            Fate::Miss => "miss",
            Fate::OutOfScope => "out-of-scope",
            Fate::Noise => "noise",
            Fate::Refused => "refused",
            Fate::Preflight => "preflight",
            Fate::Local => "local",
            Fate::Live => "live",
            Fate::Recorded => "recorded",
            Fate::Passed => "passed",
            Fate::Tunnel => "tunnel",
        }
    }
}

/// What an exchange is to the fixture that is recorded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// An entry says it already.
    Unchanged,
    /// It took the place of an entry.
    Changed,
    /// It is a new entry.
    Added,
}

/// What an exchange became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Became {
    /// The entry that holds it, or says it already, from 0.
    pub entry: usize,
    /// Which of the two.
    pub change: Change,
}

/// One request of a run. Nothing of it is secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Counts requests, from 1, in the order in which they came.
    pub id: u64,
    /// The report that told of it, where several were combined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// When it came, milliseconds after the run began.
    pub started_ms: f64,
    /// How long the head of its answer took, milliseconds; nothing while it is not there.
    pub waited_ms: Option<f64>,
    /// How long it took in all, milliseconds; nothing while it goes on.
    pub took_ms: Option<f64>,
    /// The client connection it came over, counted from 1.
    pub connection: u64,
    /// The session, when it has a name.
    pub session: Option<String>,
    /// `HTTP/1.1`, `HTTP/2`; of a tunnel, nothing.
    pub protocol: Cow<'static, str>,
    /// The method.
    pub method: String,
    /// The URL; of a tunnel, `host:port`.
    pub url: String,
    /// The status of the answer; none when the connection was closed without one.
    pub status: Option<u16>,
    /// Which way it went.
    pub outcome: Fate,
    /// Where the answer came from.
    pub source: Giver,
    /// The fixture of the entry that answered or was recorded; of a miss, of the nearest one.
    pub fixture: Option<String>,
    /// The entry, from 0.
    pub entry: Option<usize>,
    /// The entries of the redirects' targets that were followed from it; the last one answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub followed: Vec<usize>,
    /// Of what was recorded: what it is to the fixture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// The media type of the answer.
    pub mime_type: Option<String>,
    /// Payload bytes of the answer that went to the client, as coded.
    pub bytes: u64,
    /// Whether the answer went out to its end.
    pub complete: bool,
    /// Why it was refused: the explanation of a finding, which reports have once for all that are equal.
    #[serde(skip)]
    pub explanation: Option<String>,
    /// What would help then.
    #[serde(skip)]
    pub remedy: Option<String>,
    /// The recording's number of the exchange, until it has an entry.
    #[serde(skip)]
    pub exchange: Option<u64>,
    /// The request's headers.
    #[serde(skip)]
    pub request_headers: Headers,
    /// The answer's headers.
    #[serde(skip)]
    pub response_headers: Headers,
    /// The request's payload where no entry has it.
    #[serde(skip)]
    pub payload: Option<Excerpt>,
}

impl Seen {
    /// A request of which nothing is known yet.
    #[must_use]
    pub fn nothing() -> Self {
        Seen {
            id: 0,
            shard: None,
            started_ms: 0.0,
            waited_ms: None,
            took_ms: None,
            connection: 0,
            session: None,
            protocol: "HTTP/1.1".into(),
            method: String::new(),
            url: String::new(),
            status: None,
            outcome: Fate::Refused,
            source: Giver::None,
            fixture: None,
            entry: None,
            followed: Vec::new(),
            change: None,
            mime_type: None,
            bytes: 0,
            complete: false,
            explanation: None,
            remedy: None,
            exchange: None,
            request_headers: Headers::default(),
            response_headers: Headers::default(),
            payload: None,
        }
    }

    /// What is told of it at once, without what only reports show.
    #[must_use]
    pub fn line(&self) -> Self {
        let (none, nothing) = (Headers::default(), Headers::default());
        Seen { request_headers: none, response_headers: nothing, payload: None, ..self.clone() }
    }
}

impl Seen {
    /// Leaves out what takes most of the memory: headers, and the payload but for its size.
    pub fn lighten(&mut self) {
        (self.request_headers, self.response_headers) = Default::default();
        if let Some(payload) = &mut self.payload {
            payload.bytes = Bytes::new();
        }
    }
}

/// The beginning of a decoded payload, or all of it.
#[derive(Clone, Debug, Default)]
pub struct Excerpt {
    /// Its media type, as it was given.
    pub mime_type: String,
    /// What is kept of it.
    pub bytes: Bytes,
    /// How long it is in all.
    pub size: u64,
}

impl Excerpt {
    /// What is kept of a payload, bytes.
    pub const LONGEST: usize = 256 * 1024;

    /// The beginning of a payload.
    #[must_use]
    pub fn of(mime_type: impl Into<String>, payload: &[u8]) -> Self {
        let bytes = Bytes::copy_from_slice(&payload[..payload.len().min(Excerpt::LONGEST)]);
        Excerpt { mime_type: mime_type.into(), bytes, size: payload.len() as u64 }
    }

    /// The beginning of a stored payload; `None` for none. Of one for which there is no room, nothing but its size.
    fn read(mime_type: &str, payload: &Payload, room: &mut Room) -> Option<Self> {
        let excerpt = match payload {
            Payload::Empty | Payload::NotRecorded => return None,
            _ if room.left == 0 => Excerpt { size: payload.len(), ..Excerpt::of(mime_type, &[]) },
            Payload::Bytes(bytes) => Excerpt::of(mime_type, bytes),
            Payload::File(file) => {
                let mut bytes = Vec::new();
                payload.reader().ok()?.take(Excerpt::LONGEST as u64).read_to_end(&mut bytes).ok()?;
                Excerpt { mime_type: mime_type.to_owned(), bytes: bytes.into(), size: file.len }
            }
        };
        let bytes = room.share(excerpt.bytes);
        Some(Excerpt { bytes, ..excerpt })
    }

    /// Whether it is not all there.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        (self.bytes.len() as u64) < self.size
    }
}

/// What excerpts of payloads may take of the memory. Equal ones are held once.
#[derive(Debug)]
pub struct Room {
    left: usize,
    held: HashSet<Bytes>,
}

impl Room {
    /// So many bytes.
    #[must_use]
    pub fn of(bytes: usize) -> Self {
        Room { left: bytes, held: HashSet::new() }
    }

    fn share(&mut self, bytes: Bytes) -> Bytes {
        if let Some(equal) = self.held.get(&bytes) {
            return equal.clone();
        }
        self.left = self.left.saturating_sub(bytes.len());
        self.held.insert(bytes.clone());
        bytes
    }
}

/// An entry of a fixture as reports show it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The status.
    pub status: u16,
    /// The entry's line in the HAR, from 1.
    pub line: Option<usize>,
    /// Headers of the request.
    pub request_headers: Headers,
    /// Its payload.
    pub request_payload: Option<Excerpt>,
    /// Headers of the answer.
    pub response_headers: Headers,
    /// Its payload.
    pub response_payload: Option<Excerpt>,
}

impl Shown {
    /// Looks an entry up; `None` when it can't be read. A payload that can't be read is left out, and where there is no `room`
    /// left, its bytes are. What the policy calls secret is not shown, which counts for fixtures of other tools.
    #[must_use]
    pub fn of(fixture: &Fixture, entry: usize, policy: &Policy, room: &mut Room) -> Option<Self> {
        let line = fixture.heads().get(entry).map(|head| head.line);
        let recorded = fixture.entry(entry).ok()?;
        let (request, response) = (&recorded.request, &recorded.response);
        let mut telling = Telling::of(policy);
        let (mut asked, mut answered) = (request.headers.clone(), response.headers.clone());
        telling.headers(&mut asked);
        telling.headers(&mut answered);
        let mut payload = |body: &Body| {
            let excerpt = Excerpt::read(&body.mime_type, &fixture.payload(entry, body).ok()?, room)?;
            Some(match telling.payload(&body.mime_type, &excerpt.bytes) {
                Outcome::Redacted(told) => {
                    let size = if excerpt.is_cut() { excerpt.size } else { told.len() as u64 };
                    Excerpt { bytes: told.into(), size, ..excerpt }
                }
                Outcome::Clean | Outcome::Opaque => excerpt,
            })
        };
        let request_payload = request.post_data.as_ref().and_then(&mut payload);
        let response_payload = payload(&response.content);
        Some(Shown {
            method: request.method.clone(),
            url: telling.url(&request.url).unwrap_or_else(|| request.url.clone()),
            status: u16::try_from(response.status).unwrap_or_default(),
            line,
            request_headers: asked,
            request_payload,
            response_headers: answered,
            response_payload,
        })
    }
}
