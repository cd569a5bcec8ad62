//! Request payloads: read if matching needs them, held in memory up to a limit, and hashed as they arrive beyond it.

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

/// The length in bytes up to which a payload is held in memory. A longer one is compared by its digest, if matching
/// compares its bytes.
pub const LONGEST_REQUEST: usize = 64 * 1024 * 1024;
/// The number of chunks that may wait to be hashed.
const WAITING: usize = 4;

/// A request payload that has arrived completely.
pub(super) enum Received {
    /// The bytes as received.
    Held(Bytes),
    /// Digests of a payload longer than [`LONGEST_REQUEST`].
    Digested(DigestedPayload),
}

/// The length in bytes up to which a payload is compared by the serving thread.
const LITTLE: usize = 64 << 10;

impl Received {
    /// The payload as matching takes it.
    pub(super) fn as_payload(&self) -> Payload<'_> {
        match self {
            Received::Held(bytes) => Payload::Held(bytes),
            Received::Digested(digested) => Payload::Digested(digested),
        }
    }

    /// Returns true if the serving thread can compare the payload. An encoded payload may decode to any length.
    pub(super) fn is_little(&self, headers: &HeaderMap) -> bool {
        matches!(self, Received::Held(bytes) if bytes.len() <= LITTLE) && !headers.contains_key(CONTENT_ENCODING)
    }
}

/// Why a payload cannot be matched.
#[derive(Debug, thiserror::Error)]
pub(super) enum IntakeError {
    /// It is longer than [`LONGEST_REQUEST`], and matching compares more than its bytes.
    #[error("the request's payload is longer than {LONGEST_REQUEST} bytes")]
    TooLong,
    /// The client sent nothing for this long.
    #[error("no data of the request's payload arrived for {0:?}")]
    Stalled(Duration),
    /// The client closed the connection, or the body is malformed.
    #[error("the request's payload is incomplete")]
    Broken(#[source] hyper::Error),
    /// Decoding the payload failed.
    #[error("hashing the request's payload")]
    Digest(#[source] io::Error),
    /// The thread that hashes was stopped.
    #[error("hashing the request's payload")]
    Task(#[from] JoinError),
}

/// Reads a payload. The time between two chunks may be up to `patience`. `digesting` returns the digests to compute if
/// the payload is too long to be held, or `None` if digests are not sufficient.
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
            Some(chunk) => {
                len += chunk.len();
                held.push(chunk);
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

fn joined(mut chunks: Vec<Bytes>) -> Bytes {
    match chunks.len() {
        0 | 1 => chunks.pop().unwrap_or_default(),
        _ => chunks.concat().into(),
    }
}

/// Hashes the chunks that have arrived and those that follow. Backpressure holds the client to the speed of hashing.
async fn digest(
    held: Vec<Bytes>,
    mut body: Incoming,
    patience: Duration,
    digesting: PayloadDigester,
) -> Result<DigestedPayload, IntakeError> {
    let (send, arriving) = mpsc::channel(WAITING);
    let digested = spawn_blocking(move || {
        digesting.digest(&mut ChunkReader { current: Bytes::new(), held: held.into_iter(), arriving })
    });
    while let Some(chunk) = next(&mut body, patience).await? {
        if send.send(chunk).await.is_err() {
            break;
        }
    }
    drop(send);
    digested.await?.map_err(IntakeError::Digest)
}

/// The next chunk; trailers are skipped.
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

/// The arriving chunks as a blocking reader.
struct ChunkReader {
    current: Bytes,
    held: std::vec::IntoIter<Bytes>,
    arriving: mpsc::Receiver<Bytes>,
}

impl Read for ChunkReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.held.next().or_else(|| self.arriving.blocking_recv()) {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let n = self.current.len().min(buf.len());
        self.current.copy_to_slice(&mut buf[..n]);
        Ok(n)
    }
}

/// Drains a payload that is not needed, in the background. If it stayed unread, hyper would close the connection while
/// the client is still sending, and the client would see a broken pipe instead of the response.
pub(super) fn discard(mut body: Incoming) {
    if !body.is_end_stream() {
        tokio::spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
    }
}
