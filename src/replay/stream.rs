//! Bodies that are more than bytes in memory: streamed from disk, broken off like the recorded one, or followed by
//! trailers.

use std::io::{self, Read};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::HeaderMap;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use harproxy_proxy::Body;
use harproxy_proxy::body::BoxError;

/// The length of a chunk in bytes. For each body, two chunks are in memory: one being sent and one read ahead.
const CHUNK: usize = 256 * 1024;

/// A payload on disk, read in chunks. No thread waits for a slow client.
pub(super) struct FileBody {
    left: u64,
    state: ReadState,
}

type Reader = Box<dyn Read + Send>;
type OpenReader = Box<dyn FnOnce() -> io::Result<Reader> + Send>;

enum ReadState {
    Unopened(OpenReader),
    Reading(JoinHandle<io::Result<(Reader, Bytes)>>),
    Done,
}

impl FileBody {
    /// The first `len` bytes of the reader that `open` returns. It is opened on a blocking thread.
    pub(super) fn new(open: impl FnOnce() -> io::Result<Reader> + Send + 'static, len: u64) -> Self {
        FileBody { left: len, state: ReadState::Unopened(Box::new(open)) }
    }
}

fn read_chunk(mut reader: Reader, left: u64) -> io::Result<(Reader, Bytes)> {
    let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
    let mut chunk = Vec::with_capacity(want);
    reader.by_ref().take(want as u64).read_to_end(&mut chunk)?;
    Ok((reader, chunk.into()))
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            let (read, left) = match mem::replace(&mut this.state, ReadState::Done) {
                ReadState::Done => return Poll::Ready(None),
                ReadState::Unopened(open) => {
                    let left = this.left;
                    this.state = ReadState::Reading(spawn_blocking(move || read_chunk(open()?, left)));
                    continue;
                }
                ReadState::Reading(mut task) => match Pin::new(&mut task).poll(cx) {
                    Poll::Ready(read) => (read.map_err(io::Error::other).flatten(), this.left),
                    Poll::Pending => {
                        this.state = ReadState::Reading(task);
                        return Poll::Pending;
                    }
                },
            };
            let (reader, chunk) = match read {
                Ok((_, chunk)) if chunk.is_empty() && left > 0 => {
                    return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())));
                }
                Ok(read) => read,
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            };
            this.left = left.saturating_sub(chunk.len() as u64);
            if this.left > 0 {
                let left = this.left;
                this.state = ReadState::Reading(spawn_blocking(move || read_chunk(reader, left)));
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, ReadState::Done)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A payload that was recorded incompletely: the recorded bytes, then an error that breaks the connection off. The
/// engine sends the recorded bytes before it closes the connection.
pub(super) struct BreakOff {
    recorded: Body,
    /// The length that the recorded response announced, if it announced one.
    announced: Option<u64>,
}

/// The error that ends an incomplete payload.
#[derive(Debug, thiserror::Error)]
#[error("the recorded payload is truncated here")]
struct IncompletePayload;

impl BreakOff {
    pub(super) fn new(recorded: Body, announced: Option<u64>) -> Self {
        BreakOff { recorded, announced }
    }
}

impl HttpBody for BreakOff {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(frame) = ready!(Pin::new(&mut this.recorded).poll_frame(cx)) else {
            return Poll::Ready(Some(Err(IncompletePayload.into())));
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

/// A body followed by trailers. It states no length, so that hyper sends it chunked over HTTP/1.1.
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
    use http_body_util::BodyExt;

    use super::*;

    fn file_body(bytes: &[u8], len: u64) -> FileBody {
        let reader: Reader = Box::new(io::Cursor::new(bytes.to_vec()));
        FileBody::new(|| Ok(reader), len)
    }

    #[tokio::test]
    async fn payload_on_disk_is_sent_in_chunks_with_its_length() {
        let bytes: Vec<u8> = (0..CHUNK * 2 + 7).map(|n| (n % 251) as u8).collect();
        let mut body = file_body(&bytes, bytes.len() as u64);
        assert_eq!(body.size_hint().exact(), Some(bytes.len() as u64));
        let mut chunks = Vec::new();
        while let Some(frame) = body.frame().await {
            chunks.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(chunks.iter().map(Bytes::len).collect::<Vec<_>>(), [CHUNK, CHUNK, 7]);
        assert!(chunks.concat() == bytes);
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn payload_that_became_shorter_fails_and_a_longer_one_is_cut() {
        let error = file_body(b"abc", 5).collect().await.unwrap_err();
        assert!(error.to_string().contains("end of file"), "{error}");
        let longer = file_body(b"abcdef", 5).collect().await.unwrap().to_bytes();
        assert_eq!(longer, "abcde");
    }

    #[tokio::test]
    async fn body_with_trailers_has_no_length() {
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
        let body = WithTrailers::new(Body::full("abc"), trailers.clone());
        assert_eq!(body.size_hint().exact(), None);
        let all = body.collect().await.unwrap();
        assert_eq!(all.trailers(), Some(&trailers));
        assert_eq!(all.to_bytes(), "abc");
    }

    #[tokio::test]
    async fn incomplete_body_fails_after_the_recorded_bytes() {
        let mut body = BreakOff::new(Body::full("abc"), Some(10));
        assert_eq!(body.size_hint().exact(), Some(10));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
        assert_eq!(body.size_hint().exact(), Some(7));
        assert!(!body.is_end_stream());
        assert!(body.frame().await.unwrap().is_err());
    }
}
