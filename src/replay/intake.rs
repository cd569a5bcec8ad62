//! Request payloads: read when matching needs them and held up to a limit, digested beyond it, else left to flow by.

use std::io::{self, Read};
use std::time::Duration;

use ::http::HeaderMap;
use ::http::header::CONTENT_ENCODING;
use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::sync::mpsc;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;

use harproxy_matching::{DigestedPayload, Payload, PayloadDigester};

/// The longest payload that is held, bytes. A longer one is compared by its digest, where its bytes are what is compared.
pub const LONGEST_REQUEST: usize = 64 * 1024 * 1024;
/// Pieces that may wait to be digested.
const WAITING: usize = 4;

/// What there is of a payload when all of it has come.
pub(super) enum Received {
    /// All of it.
    Held(Bytes),
    /// It was longer than [`LONGEST_REQUEST`].
    Digested(DigestedPayload),
}

/// What may be decoded and compared on the way of other requests, bytes.
const LITTLE: usize = 64 << 10;

impl Received {
    /// As matching takes it.
    pub(super) fn as_payload(&self) -> Payload<'_> {
        match self {
            Received::Held(bytes) => Payload::Held(bytes),
            Received::Digested(digested) => Payload::Digested(digested),
        }
    }

    /// Whether looking at it takes but a moment: what it decodes to may be any length.
    pub(super) fn is_little(&self, headers: &HeaderMap) -> bool {
        matches!(self, Received::Held(bytes) if bytes.len() <= LITTLE) && !headers.contains_key(CONTENT_ENCODING)
    }
}

/// Why there is no payload to match with.
#[derive(Debug, thiserror::Error)]
pub(super) enum IntakeError {
    /// Longer than [`LONGEST_REQUEST`], and its bytes alone would not do.
    #[error("the request's payload is longer than {LONGEST_REQUEST} bytes")]
    TooLong,
    /// The client stopped in the middle.
    #[error("nothing of the request's payload came for {0:?}")]
    Stalled(Duration),
    /// The client broke off, or sent what is no body.
    #[error("the request's payload broke off")]
    Broken(#[source] hyper::Error),
    /// What came could not be read again.
    #[error("digesting the request's payload")]
    Digest(#[source] io::Error),
    /// Nobody was there to do it.
    #[error("digesting the request's payload")]
    Task(#[from] JoinError),
}

/// Takes in all of a payload, whose pieces may be as far apart as `patience`. `digesting` says how when it is too long to be held.
pub(super) async fn read(
    mut body: Incoming,
    patience: Duration,
    digesting: impl FnOnce() -> Option<PayloadDigester>,
) -> Result<Received, IntakeError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let (mut held, mut len) = (Vec::new(), 0);
    while announced.max(len) <= LONGEST_REQUEST {
        match next(&mut body, patience).await? {
            None => return Ok(Received::Held(joined(held))),
            Some(piece) => {
                len += piece.len();
                held.push(piece);
            }
        }
    }
    match digesting() {
        Some(digesting) => digest(held, body, patience, digesting).await.map(Received::Digested),
        None => {
            discard(body);
            Err(IntakeError::TooLong)
        }
    }
}

fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    match pieces.len() {
        0 | 1 => pieces.pop().unwrap_or_default(),
        _ => pieces.concat().into(),
    }
}

/// Digests what has come and what is still to come, at the pace of whichever is slower.
async fn digest(
    held: Vec<Bytes>,
    mut body: Incoming,
    patience: Duration,
    digesting: PayloadDigester,
) -> Result<DigestedPayload, IntakeError> {
    let (send, pieces) = mpsc::channel(WAITING);
    let digested =
        spawn_blocking(move || digesting.digest(&mut Pieces { now: Bytes::new(), held: held.into_iter(), pieces }));
    while let Some(piece) = next(&mut body, patience).await? {
        if send.send(piece).await.is_err() {
            break;
        }
    }
    drop(send);
    digested.await?.map_err(IntakeError::Digest)
}

/// The next bytes; trailers are no payload.
async fn next(body: &mut Incoming, patience: Duration) -> Result<Option<Bytes>, IntakeError> {
    loop {
        let frame = timeout(patience, body.frame()).await.map_err(|_| IntakeError::Stalled(patience))?;
        match frame.transpose().map_err(IntakeError::Broken)? {
            None => return Ok(None),
            Some(frame) => match frame.into_data() {
                Ok(data) => return Ok(Some(data)),
                Err(_trailers) => {}
            },
        }
    }
}

/// Pieces that arrive, as a reader for a thread that may wait.
struct Pieces {
    now: Bytes,
    held: std::vec::IntoIter<Bytes>,
    pieces: mpsc::Receiver<Bytes>,
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.held.next().or_else(|| self.pieces.blocking_recv()) {
                Some(piece) => self.now = piece,
                None => return Ok(0),
            }
        }
        let n = self.now.len().min(buf.len());
        self.now.copy_to_slice(&mut buf[..n]);
        Ok(n)
    }
}

/// Lets a payload that nobody needs arrive beside the answer. Unread, it would make the server close the connection under
/// a client that is still sending, which then sees a broken pipe instead of the answer.
pub(super) fn discard(mut body: Incoming) {
    if !body.is_end_stream() {
        tokio::spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
    }
}
