//! The payload of one message on its way into the journal.
//!
//! Secrets are removed before anything is written. Most payloads are collected and redacted as a whole when they are
//! complete. Lines of events are redacted one by one, and long payloads piece by piece on a blocking thread. Payloads
//! that are not text are journalled unchanged.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::PollSender;

use super::exchange::ExchangeTap;
use super::redact::{ContentHeaders, PayloadFrames, PayloadRedactor};
use crate::record::journal::heads::DecodedPayload;
use crate::record::journal::{Flush, FrameKind};
use crate::record::redaction::{MAX_WHOLE, MemoryReservation, RecordingRedactor};
use harproxy_redact::StreamRedactor;

/// Collected payloads without a coding, up to this length, are redacted on the serving thread. A blocking thread would
/// cost more.
const MAX_INLINE: usize = 64 << 10;

/// Bytes of a long payload that are sent to its thread at a time, at least: each message may wake the thread.
const BATCH: usize = 128 << 10;

/// Batches that may wait for the thread.
const WAITING: usize = 4;

/// Journals one payload.
#[derive(Debug)]
pub struct PayloadTap {
    redactor: PayloadRedactor,
    mode: PayloadMode,
    seen: u64,
}

/// The way a payload is redacted.
#[derive(Debug)]
enum PayloadMode {
    /// Each piece is journalled as it comes: lines through a redactor, opaque payloads unchanged.
    Immediate(Option<StreamRedactor>),
    /// Redacted when it is complete.
    Collected(CollectedPayload),
    /// Redacted by a blocking thread as it comes.
    Streamed(StreamedPayload),
}

/// The state of the journal at the end of a payload.
pub enum PayloadEnd {
    /// The payload is queued in the journal.
    Journalled(Option<DecodedPayload>),
    /// The future queues the rest of the payload.
    Pending(Pin<Box<dyn Future<Output = Option<DecodedPayload>> + Send>>),
}

impl PayloadTap {
    /// Creates a tap for the payload of a message with these headers; `length` as declared.
    #[must_use]
    pub fn new(
        tap: Arc<ExchangeTap>,
        wire_kind: FrameKind,
        flush: Flush,
        headers: ContentHeaders,
        length: Option<u64>,
    ) -> Self {
        let is_off = tap.context.redactor.is_off();
        let kept = length.map(|length| length.min(tap.context.max_body.unwrap_or(u64::MAX)));
        let redactor = PayloadRedactor { frames: PayloadFrames { tap, wire_kind, flush }, headers };
        let ContentHeaders { content_type, codings } = &redactor.headers;
        let mode = match codings {
            _ if is_off || harproxy_redact::is_opaque(content_type) => PayloadMode::Immediate(None),
            None => PayloadMode::Immediate(None),
            Some(codings) if codings.is_empty() && harproxy_redact::is_lines(content_type) => {
                PayloadMode::Immediate(Some(StreamRedactor::new(content_type)))
            }
            // A coded payload is collected first: its beginning shows its ratio.
            Some(codings) if codings.is_empty() && kept.is_some_and(|kept| kept > MAX_WHOLE as u64) => {
                PayloadMode::Streamed(StreamedPayload::start(&redactor, Bytes::new()))
            }
            _ => PayloadMode::Collected(CollectedPayload::default()),
        };
        PayloadTap { redactor, mode, seen: 0 }
    }

    #[must_use]
    pub fn exchange(&self) -> &Arc<ExchangeTap> {
        &self.redactor.frames.tap
    }

    /// Bytes that came, including those beyond `--max-body`.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Ready when more may come.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let PayloadMode::Streamed(streamed) = &mut self.mode {
            ready!(streamed.poll_room(cx));
        }
        self.exchange().poll_room(cx)
    }

    /// Takes the next piece, up to `--max-body`.
    pub fn push(&mut self, data: &Bytes) {
        let room = self.exchange().context.max_body.map_or(u64::MAX, |max| max.saturating_sub(self.seen));
        self.seen += data.len() as u64;
        let kept = usize::try_from(room).unwrap_or(usize::MAX).min(data.len());
        if kept == 0 {
            return;
        }
        let data = data.slice(..kept);
        let frames = &self.redactor.frames;
        match &mut self.mode {
            PayloadMode::Immediate(None) => frames.push_wire(data),
            PayloadMode::Immediate(Some(lines)) => {
                let mut redacted = Vec::with_capacity(data.len());
                lines.push(&mut frames.tap.context.redactor.redactor(), &data, &mut redacted);
                frames.push_decoded(redacted.into());
            }
            PayloadMode::Collected(collected) => {
                if !collected.push(&data, &frames.tap.context.redactor) {
                    let mut streamed =
                        StreamedPayload::start(&self.redactor, std::mem::take(&mut collected.bytes).into());
                    streamed.push(data);
                    self.mode = PayloadMode::Streamed(streamed);
                }
            }
            PayloadMode::Streamed(streamed) => streamed.push(data),
        }
    }

    /// Ends the payload. `complete`: all of it came.
    pub fn end(self, complete: bool) -> PayloadEnd {
        let PayloadTap { redactor, mode, seen } = self;
        let is_cut = redactor.frames.tap.context.max_body.is_some_and(|max| seen > max);
        let is_whole = complete && !is_cut;
        // The decoded length is known if the payload has no coding.
        let total = (!redactor.headers.is_coded()).then_some(seen);
        let with_cut = move |decoded: Option<DecodedPayload>| match is_cut {
            true => decoded.map(|decoded| DecodedPayload { more: true, total, ..decoded }),
            false => decoded,
        };
        match mode {
            PayloadMode::Immediate(None) => {
                let shared = &redactor.frames.tap.context.redactor;
                if seen > 0 && !shared.is_off() {
                    shared.count_opaque();
                }
                PayloadEnd::Journalled(None)
            }
            PayloadMode::Immediate(Some(lines)) => {
                let mut rest = Vec::new();
                lines.finish(&mut redactor.frames.tap.context.redactor.redactor(), &mut rest);
                redactor.frames.push_decoded(rest.into());
                PayloadEnd::Journalled(with_cut((seen > 0).then(DecodedPayload::default)))
            }
            PayloadMode::Collected(CollectedPayload { bytes, .. }) if bytes.is_empty() => PayloadEnd::Journalled(None),
            PayloadMode::Collected(CollectedPayload { bytes, mut reservation }) => {
                let is_short = bytes.len() <= MAX_INLINE && !redactor.headers.is_coded();
                let redact = move || redactor.redact_whole(&bytes.into(), is_whole, &mut reservation);
                match Handle::try_current() {
                    Ok(runtime) if !is_short => {
                        let work = runtime.spawn_blocking(redact);
                        PayloadEnd::Pending(Box::pin(async move { with_cut(joined(work).await) }))
                    }
                    _ => PayloadEnd::Journalled(with_cut(redact())),
                }
            }
            PayloadMode::Streamed(streamed) => {
                PayloadEnd::Pending(Box::pin(async move { with_cut(joined(streamed.end().await).await) }))
            }
        }
    }
}

/// The result of a blocking thread. After a panic, part of the payload is journalled.
async fn joined(work: JoinHandle<Option<DecodedPayload>>) -> Option<DecodedPayload> {
    work.await.unwrap_or_else(|error| {
        tracing::error!(%error, "redacting a payload failed");
        Some(DecodedPayload { broken: true, ..DecodedPayload::default() })
    })
}

/// A payload in memory, at most [`MAX_WHOLE`] bytes.
#[derive(Debug, Default)]
struct CollectedPayload {
    bytes: Vec<u8>,
    reservation: MemoryReservation,
}

impl CollectedPayload {
    /// Appends a piece. Returns false if there is no room for it.
    fn push(&mut self, data: &[u8], redactor: &RecordingRedactor) -> bool {
        let fits =
            self.bytes.len() + data.len() <= MAX_WHOLE && redactor.try_reserve(data.len(), &mut self.reservation);
        if fits {
            self.bytes.extend_from_slice(data);
        }
        fits
    }
}

/// A payload that a blocking thread redacts as it comes.
#[derive(Debug)]
struct StreamedPayload {
    thread: PollSender<Vec<Bytes>>,
    batch: Vec<Bytes>,
    /// Bytes of the next batch.
    batched: usize,
    work: JoinHandle<Option<DecodedPayload>>,
}

impl StreamedPayload {
    fn start(redactor: &PayloadRedactor, first: Bytes) -> Self {
        let (send, mut batches) = mpsc::channel::<Vec<Bytes>>(WAITING);
        let redactor = redactor.clone();
        let mut pieces = std::iter::from_fn(move || batches.blocking_recv()).flatten();
        let work = tokio::task::spawn_blocking(move || redactor.redact_stream(&mut pieces));
        let batched = first.len();
        StreamedPayload { thread: PollSender::new(send), batch: vec![first], batched, work }
    }

    fn push(&mut self, data: Bytes) {
        self.batched += data.len();
        self.batch.push(data);
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.batched >= BATCH { self.poll_send(cx) } else { Poll::Ready(()) }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let reserved = ready!(self.thread.poll_reserve(cx));
        let batch = std::mem::take(&mut self.batch);
        self.batched = 0;
        if reserved.is_ok() {
            // An error means that the thread panicked.
            let _ = self.thread.send_item(batch);
        }
        Poll::Ready(())
    }

    /// Sends the rest to the thread.
    async fn end(mut self) -> JoinHandle<Option<DecodedPayload>> {
        poll_fn(|cx| self.poll_send(cx)).await;
        self.work
    }
}
