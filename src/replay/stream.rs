//! Bodies that are more than bytes in memory: read from disk in pieces, broken off where the recording was, followed by
//! trailers.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::HeaderMap;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use super::response_payload::ResponsePayload;
use harproxy_proxy::Body;
use harproxy_proxy::body::BoxError;

/// Bytes read from disk at a time; two pieces are in memory for each body, one on its way and one read ahead.
const PIECE: usize = 256 * 1024;

/// A payload on disk, read piece by piece. No thread is held while the client is slow.
pub(super) struct Chunks {
    left: u64,
    state: State,
}

type Reader = Box<dyn Read + Send>;

enum State {
    Unopened(ResponsePayload),
    Reading(JoinHandle<io::Result<(Reader, Bytes)>>),
    Done,
}

impl Chunks {
    pub(super) fn new(source: ResponsePayload) -> Self {
        Chunks { left: source.len(), state: State::Unopened(source) }
    }
}

fn read_piece(mut reader: Reader, left: u64) -> io::Result<(Reader, Bytes)> {
    let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
    let mut piece = Vec::with_capacity(want);
    reader.by_ref().take(want as u64).read_to_end(&mut piece)?;
    Ok((reader, piece.into()))
}

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Done => return Poll::Ready(None),
                State::Unopened(source) => {
                    let (source, left) = (source.clone(), this.left);
                    let open = move || read_piece(source.open().map_err(io::Error::other)?, left);
                    this.state = State::Reading(spawn_blocking(open));
                }
                State::Reading(piece) => {
                    let piece = ready!(Pin::new(piece).poll(cx)).map_err(io::Error::other).flatten();
                    this.state = State::Done;
                    let (reader, piece) = match piece {
                        Ok(read) => read,
                        Err(error) => return Poll::Ready(Some(Err(error.into()))),
                    };
                    this.left = this.left.saturating_sub(piece.len() as u64);
                    if piece.is_empty() && this.left > 0 {
                        let short = io::Error::from(io::ErrorKind::UnexpectedEof);
                        return Poll::Ready(Some(Err(short.into())));
                    }
                    if this.left > 0 {
                        let left = this.left;
                        this.state = State::Reading(spawn_blocking(move || read_piece(reader, left)));
                    }
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A payload that was cut when it was recorded: what was kept, then the connection breaks off, as live. (The engine sees to
/// it that what was kept is on its way before it does.)
pub(super) struct BreakOff {
    kept: Body,
    /// The whole length that the recorded answer announced; without it the body has no length.
    announced: Option<u64>,
}

/// How a truncated payload ends.
#[derive(Debug, thiserror::Error)]
#[error("the recorded payload is truncated here")]
struct TruncatedHere;

impl BreakOff {
    pub(super) fn new(kept: Body, announced: Option<u64>) -> Self {
        BreakOff { kept, announced }
    }
}

impl HttpBody for BreakOff {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(frame) = ready!(Pin::new(&mut this.kept).poll_frame(cx)) else {
            return Poll::Ready(Some(Err(TruncatedHere.into())));
        };
        if let (Ok(frame), Some(announced)) = (&frame, &mut this.announced) {
            *announced = announced.saturating_sub(frame.data_ref().map_or(0, Bytes::len) as u64);
        }
        Poll::Ready(Some(frame))
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A body with trailers after it. It has no length of its own, so that HTTP/1.1 sends it chunked.
pub(super) struct WithTrailers {
    body: Body,
    trailers: Option<HeaderMap>,
}

impl WithTrailers {
    pub(super) fn new(body: Body, trailers: HeaderMap) -> Self {
        WithTrailers { body, trailers: Some(trailers) }
    }
}

impl HttpBody for WithTrailers {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;

    fn on_disk(bytes: &[u8], len: u64) -> ResponsePayload {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, bytes).unwrap();
        ResponsePayload::Temporary(Arc::new(file), len)
    }

    #[tokio::test]
    async fn a_payload_on_disk_is_read_in_pieces_and_has_its_length() {
        let bytes: Vec<u8> = (0..PIECE * 2 + 7).map(|n| (n % 251) as u8).collect();
        let mut body = Chunks::new(on_disk(&bytes, bytes.len() as u64));
        assert_eq!(body.size_hint().exact(), Some(bytes.len() as u64));
        let mut pieces = Vec::new();
        while let Some(frame) = body.frame().await {
            pieces.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE, PIECE, 7]);
        assert!(pieces.concat() == bytes);
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn a_payload_that_became_shorter_breaks_off_instead_of_pretending() {
        let error = Chunks::new(on_disk(b"abc", 5)).collect().await.unwrap_err();
        assert!(error.to_string().contains("end of file"), "{error}");
        let longer = Chunks::new(on_disk(b"abcdef", 5)).collect().await.unwrap().to_bytes();
        assert_eq!(longer, "abcde", "never more than was announced");
    }

    #[tokio::test]
    async fn trailers_come_after_the_data_and_the_body_has_no_length() {
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
        let body = WithTrailers::new(Body::full("abc"), trailers.clone());
        assert_eq!(body.size_hint().exact(), None);
        let all = body.collect().await.unwrap();
        assert_eq!(all.trailers(), Some(&trailers));
        assert_eq!(all.to_bytes(), "abc");
    }

    #[tokio::test]
    async fn a_truncated_body_gives_what_was_kept_and_breaks_off() {
        let mut body = BreakOff::new(Body::full("abc"), Some(10));
        assert_eq!(body.size_hint().exact(), Some(10));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
        assert_eq!(body.size_hint().exact(), Some(7));
        assert!(!body.is_end_stream());
        assert!(body.frame().await.unwrap().is_err());
    }
}
