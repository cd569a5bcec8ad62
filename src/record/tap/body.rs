//! Watches the two bodies of an exchange on their way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::http::StatusCode;
use bytes::Bytes;

use super::chunks::ChunkTimes;
use super::exchange::ExchangeTap;
use super::payload::{PayloadEnd, PayloadTap};
use super::redact::ContentHeaders;
use super::response_end::ResponseEnd;
use crate::record::journal::heads::{EndReason, HeaderFields, HopFields, RequestEnd};
use crate::record::journal::{Flush, FrameKind};
use harproxy_http::{MediaType, StreamFormat};
use harproxy_proxy::background;
use harproxy_proxy::body::{BodyEnd, BodyObserver, ReadAllowance};

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The part of a response that is still read for the recording after its client left. Clients that only look at the
/// status should not truncate the entry, but an endless stream has to end.
const AFTER_CLIENT_LEFT: ReadAllowance = ReadAllowance { bytes: 1024 * 1024, time: Duration::from_secs(1) };

/// Journals the payload of a request on its way upstream.
#[derive(Debug)]
pub struct RequestTap(PayloadTap);

impl RequestTap {
    /// Creates a tap for the body of a request; `length` as declared.
    #[must_use]
    pub fn new(tap: Arc<ExchangeTap>, headers: ContentHeaders, length: Option<u64>) -> Self {
        tap.duplex.begin_upload(length.is_some());
        RequestTap(PayloadTap::new(tap, FrameKind::RequestData, Flush::Lazy, headers, length))
    }
}

impl BodyObserver for RequestTap {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_room(cx)
    }

    fn data(&mut self, data: &Bytes) {
        self.0.exchange().duplex.add_request_data();
        self.0.push(data);
    }

    fn end(self: Box<Self>, end: BodyEnd) -> BoxFuture {
        self.0.exchange().duplex.end_upload();
        let complete = matches!(end, BodyEnd::Complete(_));
        let (tap, seen) = (self.0.exchange().clone(), self.0.seen());
        let at = tap.micros_at(Instant::now());
        match self.0.end(complete) {
            PayloadEnd::Journalled(decoded) => tap.push_request_end(&RequestEnd { seen, at, complete, decoded }),
            PayloadEnd::Pending(work) => {
                let done = tap.delay_request_end();
                background::spawn(async move {
                    tap.push_request_end(&RequestEnd { seen, at, complete, decoded: work.await });
                    let _ = done.send(true);
                });
            }
        }
        // The request need not wait for the journal, since the end of its response does.
        Box::pin(std::future::ready(()))
    }
}

/// Journals the payload of a response on its way to the client.
#[derive(Debug)]
pub struct ResponseTap {
    payload: PayloadTap,
    /// The format of a payload without a coding that consists of events.
    format: Option<StreamFormat>,
    times: Option<ChunkTimes>,
    /// The response is successful and its length is undeclared, so it may depend on the rest of the request.
    may_be_stream: bool,
}

impl ResponseTap {
    /// Creates a tap for the body of a response; `length` as declared. A body of unknown length may be a stream of
    /// events, so each piece is written promptly.
    #[must_use]
    pub fn new(tap: Arc<ExchangeTap>, status: StatusCode, headers: ContentHeaders, length: Option<u64>) -> Self {
        let flush = if length.is_some() { Flush::Lazy } else { Flush::Prompt };
        let media = MediaType::parse(&headers.content_type);
        let format = StreamFormat::of(&media).filter(|_| !headers.is_coded());
        ResponseTap {
            payload: PayloadTap::new(tap, FrameKind::ResponseData, flush, headers, length),
            format,
            times: format.map(|format| ChunkTimes::new(format, Instant::now())),
            may_be_stream: status.is_success() && length.is_none(),
        }
    }
}

impl BodyObserver for ResponseTap {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.payload.poll_room(cx)
    }

    fn data(&mut self, data: &Bytes) {
        if self.may_be_stream {
            let is_message = self.format == Some(StreamFormat::Messages);
            self.payload.exchange().duplex.add_response_data(is_message);
        }
        if let Some(times) = &mut self.times {
            times.push(data, Instant::now());
        }
        self.payload.push(data);
    }

    fn allowance(&self) -> Option<ReadAllowance> {
        Some(AFTER_CLIENT_LEFT)
    }

    fn end(self: Box<Self>, end: BodyEnd) -> BoxFuture {
        let ResponseTap { payload, format, times, .. } = *self;
        let (tap, seen) = (payload.exchange().clone(), payload.seen());
        let (reason, trailers) = match end {
            BodyEnd::Complete(trailers) => {
                (EndReason::Complete, trailers.map(|map| HeaderFields::of(&map, HopFields::Drop)))
            }
            BodyEnd::Failed(error) => {
                tracing::debug!(%error, "upstream broke off");
                (EndReason::UpstreamDied, None)
            }
            BodyEnd::Cancelled => (EndReason::ClientLeft, None),
        };
        let is_complete = reason == EndReason::Complete;
        let end = ResponseEnd {
            reason,
            seen,
            trailers: trailers.unwrap_or_default(),
            decoded: None,
            chunks: times.map(ChunkTimes::finish).unwrap_or_default(),
            has_events: format.is_some(),
        };
        match payload.end(is_complete) {
            PayloadEnd::Journalled(decoded) => Box::pin(tap.end_after_upload(ResponseEnd { decoded, ..end })),
            PayloadEnd::Pending(work) => Box::pin(async move {
                let decoded = work.await;
                tap.end_after_upload(ResponseEnd { decoded, ..end }).await;
            }),
        }
    }
}
