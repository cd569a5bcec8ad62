//! Bodies on their way, and the tee that lets a recorder watch one without slowing or copying it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;

pub use super::upstream::AnswerBody;
pub use watched::{Allowance, End, Watch, Watched};

#[cfg(test)]
mod script;
mod watched;

/// The error of a body that breaks off; the connection is then closed (HTTP/2: the stream is reset).
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer. The variants that matter on the hot path need no allocation.
#[derive(Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// Held in memory.
    Full(Full<Bytes>),
    /// Straight from upstream.
    Incoming(AnswerBody),
    /// Anything else.
    Boxed(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>),
}

impl Body {
    /// A body held in memory.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Body::Empty } else { Body::Full(Full::new(bytes)) }
    }

    /// Any other body.
    pub fn boxed<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        use http_body_util::BodyExt;
        Body::Boxed(Box::pin(body.map_err(Into::into)))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Body::Empty => Poll::Ready(None),
            Body::Full(full) => Pin::new(full).poll_frame(cx).map_err(|never: Infallible| match never {}),
            Body::Incoming(incoming) => Pin::new(incoming).poll_frame(cx),
            Body::Boxed(boxed) => boxed.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Empty => true,
            Body::Full(full) => full.is_end_stream(),
            Body::Incoming(incoming) => incoming.is_end_stream(),
            Body::Boxed(boxed) => boxed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty => SizeHint::with_exact(0),
            Body::Full(full) => full.size_hint(),
            Body::Incoming(incoming) => incoming.size_hint(),
            Body::Boxed(boxed) => boxed.size_hint(),
        }
    }
}
