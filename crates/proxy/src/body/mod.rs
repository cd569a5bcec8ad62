//! Message bodies, and the observer that lets a recorder see one without slowing or copying it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

pub use observed::{BodyEnd, BodyObserver, ObservedBody, ReadAllowance};

mod observed;

/// The error of an aborted body. The connection is closed, or the HTTP/2 stream reset.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a message. The default is an empty one.
#[derive(Debug, Default)]
pub struct Body(UnsyncBoxBody<Bytes, BoxError>);

impl Body {
    /// A body in memory.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Body::boxed(Full::new(bytes.into()))
    }

    /// Any other body.
    pub fn boxed<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Body(body.map_err(Into::into).boxed_unsync())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
