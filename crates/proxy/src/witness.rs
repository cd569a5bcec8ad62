//! Who watches a run beside the handler that deals with it: the list on a terminal, the log of events, the reports. Without
//! one, a request costs nothing more.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use ::http::response::Parts;
use ::http::{Method, Response, StatusCode};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::body::{Body, BoxError};
use crate::handler::{Close, Connection, ConnectionEvent, Exchange, Handler};
use harproxy_http::Headers;

/// Which way a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// An entry answered, a recorded failure included.
    Served,
    /// In scope, and no entry answers.
    Miss,
    /// Refused as out of scope.
    OutOfScope,
    /// Nobody's API: refused.
    Noise,
    /// Nobody's API: to the network, unrecorded.
    PassedNoise,
    /// Refused for what it is: a WebSocket that can't be replayed, a payload that broke off.
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
}

/// What a handler did with a request.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// Which way it went.
    pub way: Way,
    /// The fixture and the entry in it that answered; of a miss, the nearest one.
    pub entry: Option<(String, usize)>,
    /// The entries of redirects that were followed before it.
    pub followed: Vec<usize>,
    /// The recording's number of the exchange.
    pub exchange: Option<u64>,
    /// The request's payload as it may be told, decoded, where no entry has it.
    pub payload: Option<Vec<u8>>,
    /// Why it was refused.
    pub why: Option<Why>,
}

/// Why a request was refused, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// What is the matter, one sentence or a few lines.
    pub explanation: String,
    /// The option or command that helps.
    pub remedy: Option<String>,
}

impl Provenance {
    /// One that no entry has to do with.
    #[must_use]
    pub fn of(way: Way) -> Self {
        Provenance { way, entry: None, followed: Vec::new(), exchange: None, payload: None, why: None }
    }
}

/// Where a handler leaves word of what it did with a request; the first word counts. Made only when somebody listens.
#[derive(Clone, Debug, Default)]
pub struct Note(Option<Arc<Heard>>);

#[derive(Debug)]
struct Heard {
    id: u64,
    said: OnceLock<Provenance>,
}

impl Note {
    /// One that is read, of the request that the witness gave this number.
    #[must_use]
    pub fn heard(id: u64) -> Self {
        Note(Some(Arc::new(Heard { id, said: OnceLock::new() })))
    }

    /// The number that the witness gave the request.
    #[must_use]
    pub fn id(&self) -> Option<u64> {
        self.0.as_ref().map(|heard| heard.id)
    }

    /// Leaves word.
    pub fn say(&self, what: impl FnOnce() -> Provenance) {
        if let Some(heard) = &self.0 {
            heard.said.get_or_init(what);
        }
    }

    /// What was left.
    #[must_use]
    pub fn read(&self) -> Option<&Provenance> {
        self.0.as_ref()?.said.get()
    }
}

/// A request on its way, without its secrets.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its URL.
    pub url: String,
    /// Its headers.
    pub headers: Headers,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The status; `None`: the connection is closed without an answer.
    pub status: Option<StatusCode>,
    /// The headers of the answer, without secrets.
    pub headers: Headers,
    /// What the handler did; `None` when it left no word.
    pub provenance: Option<Provenance>,
}

/// Watches a run.
pub trait Witness: std::fmt::Debug + Send + Sync {
    /// A request has come. What is returned sees it to its end; dropped without an answer, its client went away first.
    fn request(&self, connection: &Connection, exchange: &Exchange, asked: Asked) -> Box<dyn Sight>;

    /// Something happened beside the requests.
    fn event(&self, event: &ConnectionEvent);
}

/// Sees one request to its end.
pub trait Sight: Send {
    /// The request's number, by which findings name it.
    fn id(&self) -> u64;

    /// The head of the answer is there.
    fn answered(&mut self, answered: Answered);

    /// Payload bytes of the answer went out.
    fn sent(&mut self, bytes: usize);

    /// The answer went out to its end, or broke off; the last call.
    fn ended(&mut self, complete: bool);
}

/// A request under a witness's eyes.
pub(super) struct Watching {
    sight: Box<dyn Sight>,
    note: Note,
    method: Method,
}

impl Watching {
    /// Begins to watch: the exchange gets a note that is read.
    pub(super) fn begin(
        witness: &dyn Witness,
        connection: &Connection,
        exchange: &mut Exchange,
        handler: &dyn Handler,
    ) -> Self {
        let headers = exchange.request.headers();
        let url = exchange.request.uri().to_string();
        let asked = Asked { url: handler.told(headers, &url).into_owned(), headers: handler.told_headers(headers) };
        let method = exchange.request.method().clone();
        let sight = witness.request(connection, exchange, asked);
        let note = Note::heard(sight.id());
        exchange.note = note.clone();
        Watching { sight, note, method }
    }

    /// Goes on with the body of the answer.
    pub(super) fn answered(
        mut self,
        answered: Result<Response<Body>, Close>,
        handler: &dyn Handler,
    ) -> Result<Response<Body>, Close> {
        let (status, headers) = match &answered {
            Ok(response) => (Some(response.status()), handler.told_headers(response.headers())),
            Err(Close) => (None, Headers::default()),
        };
        self.sight.answered(Answered { status, headers, provenance: self.note.read().cloned() });
        match answered {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let body = self.follow(&head, body);
                Ok(Response::from_parts(head, body))
            }
            Err(close) => {
                self.sight.ended(false);
                Err(close)
            }
        }
    }

    fn follow(mut self, head: &Parts, body: Body) -> Body {
        let ends_with_its_head = self.method == Method::HEAD
            || head.status.is_informational()
            || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if ends_with_its_head || body.is_end_stream() {
            self.sight.ended(true);
            return body;
        }
        Body::boxed(Watched { missing: body.size_hint().exact(), body, sight: Some(self.sight) })
    }
}

/// The body of an answer under a witness's eyes.
struct Watched {
    body: Body,
    /// Declared bytes that have not gone out yet.
    missing: Option<u64>,
    sight: Option<Box<dyn Sight>>,
}

impl Watched {
    fn end(&mut self, complete: bool) {
        if let Some(mut sight) = self.sight.take() {
            sight.ended(complete);
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            None => self.end(true),
            Some(Err(_)) => self.end(false),
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.missing = self.missing.map(|missing| missing.saturating_sub(bytes as u64));
                if let Some(sight) = &mut self.sight {
                    sight.sent(bytes);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// hyper drops a body as soon as it needs no more of it.
impl Drop for Watched {
    fn drop(&mut self) {
        let complete = self.missing == Some(0) || self.body.is_end_stream();
        self.end(complete);
    }
}
