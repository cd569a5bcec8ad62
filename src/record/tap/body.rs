//! Watches the two bodies of an exchange on their way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::exchange::ExchangeTap;
use super::payload::{PayloadEnd, PayloadTap};
use super::redact::ContentHeaders;
use crate::record::journal::heads::{EndReason, HeaderFields, HopFields, RequestEnd};
use crate::record::journal::{Flush, FrameKind};
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
        RequestTap(PayloadTap::new(tap, FrameKind::RequestData, Flush::Lazy, headers, length))
    }
}

impl BodyObserver for RequestTap {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_room(cx)
    }

    fn data(&mut self, data: &Bytes) {
        self.0.push(data);
    }

    fn end(self: Box<Self>, end: BodyEnd) -> BoxFuture {
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
pub struct ResponseTap(PayloadTap);

impl ResponseTap {
    /// Creates a tap for the body of a response; `length` as declared. A body of unknown length may be a stream of
    /// events, so each piece is written promptly.
    #[must_use]
    pub fn new(tap: Arc<ExchangeTap>, headers: ContentHeaders, length: Option<u64>) -> Self {
        let flush = if length.is_some() { Flush::Lazy } else { Flush::Prompt };
        ResponseTap(PayloadTap::new(tap, FrameKind::ResponseData, flush, headers, length))
    }
}

impl BodyObserver for ResponseTap {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_room(cx)
    }

    fn data(&mut self, data: &Bytes) {
        self.0.push(data);
    }

    fn allowance(&self) -> Option<ReadAllowance> {
        Some(AFTER_CLIENT_LEFT)
    }

    fn end(self: Box<Self>, end: BodyEnd) -> BoxFuture {
        let (tap, seen) = (self.0.exchange().clone(), self.0.seen());
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
        let trailers = trailers.unwrap_or_default();
        match self.0.end(reason == EndReason::Complete) {
            PayloadEnd::Journalled(decoded) => Box::pin(tap.end_after_upload(reason, seen, trailers, decoded)),
            PayloadEnd::Pending(work) => Box::pin(async move {
                let decoded = work.await;
                tap.end_after_upload(reason, seen, trailers, decoded).await;
            }),
        }
    }
}
