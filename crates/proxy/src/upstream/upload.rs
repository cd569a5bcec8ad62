//! The body of a request on its way upstream. It can wait for `100 Continue`, be reclaimed while nothing was sent, and
//! be aborted.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::body::{Body, BoxError};
use harproxy_support::sync::lock;

/// Time that an upload waits for `100 Continue` (RFC 9110 section 10.1.1 leaves it to the client).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// The body for hyper. Without a body it declares no length either: hyper would add `content-length: 0` over HTTP/2.
pub(super) struct Upload(Arc<Mutex<UploadState>>);

/// Controls an [`Upload`] from outside of hyper.
#[derive(Clone, Debug)]
pub(super) struct UploadHandle(Arc<Mutex<UploadState>>);

#[derive(Debug)]
struct UploadState {
    body: Option<Body>,
    gate: Gate,
    /// A frame was returned to hyper.
    is_started: bool,
    /// hyper has dropped the body, or there is none.
    is_complete: bool,
    /// The answer has come, so the request is not sent again.
    is_answered: bool,
    /// When upstream last read a part of the body, or stopped waiting for more of it.
    read_at: Option<Instant>,
    /// Upstream would read more, and the client has not sent it yet.
    waits_for_client: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Gate {
    Open,
    /// Closed until upstream sends 100, or the timer fires.
    WaitsForContinue(Pin<Box<Sleep>>),
    /// Upstream answered without 100. hyper must not see an error before the body of the answer ends: it closes a
    /// connection on which a body fails.
    Abandoned,
    Aborted,
}

/// The error of an aborted upload. It closes the connection, or resets the stream.
#[derive(Debug, thiserror::Error)]
#[error("the upload was given up")]
struct AbortedUpload;

impl Upload {
    /// Wraps the body of a request. With `expects_continue` it is not polled before upstream's 100, a final answer, or
    /// [`CONTINUE_TIMEOUT`].
    pub(super) fn new(body: Option<Body>, expects_continue: bool) -> (Upload, UploadHandle) {
        let gate = match body {
            Some(_) if expects_continue => Gate::WaitsForContinue(Box::pin(sleep(CONTINUE_TIMEOUT))),
            _ => Gate::Open,
        };
        let state = Arc::new(Mutex::new(UploadState {
            is_complete: body.is_none(),
            body,
            gate,
            is_started: false,
            is_answered: false,
            read_at: None,
            waits_for_client: false,
            waker: None,
        }));
        (Upload(state.clone()), UploadHandle(state))
    }
}

impl UploadHandle {
    /// Starts an upload that waits for 100.
    pub(super) fn start(&self) {
        let mut state = lock(&self.0);
        if matches!(state.gate, Gate::WaitsForContinue(_)) {
            state.gate = Gate::Open;
            state.wake();
        }
    }

    /// Records that upstream answered. The body can no longer be reclaimed. A body that still waits for 100 is dropped.
    pub(super) fn set_answered(&self) {
        let mut state = lock(&self.0);
        state.is_answered = true;
        if matches!(state.gate, Gate::WaitsForContinue(_)) {
            state.gate = Gate::Abandoned;
        }
        if state.is_complete || matches!(state.gate, Gate::Abandoned) {
            state.body = None;
        }
    }

    /// Takes the body back, if there is one. Returns `None` if a part of it was sent.
    pub(super) fn reclaim(&self) -> Option<Option<Body>> {
        let mut state = lock(&self.0);
        (!state.is_started).then(|| state.body.take())
    }

    /// Resolves when upstream has read no part of the request for `limit`, although the client has sent more.
    pub(super) async fn overdue(&self, sent_at: std::time::Instant, limit: Duration) {
        let mut since = Instant::from(sent_at);
        // Without a due time the limit is beyond the range of the clock.
        while let Some(due) = since.checked_add(limit) {
            sleep_until(due).await;
            let state = lock(&self.0);
            let latest = if state.waits_for_client { Some(Instant::now()) } else { state.read_at };
            match latest {
                Some(latest) if latest > since => since = latest,
                _ => return,
            }
        }
        std::future::pending().await
    }

    /// Returns true if hyper has dropped the body, so that the connection can be used again.
    pub(super) fn is_complete(&self) -> bool {
        lock(&self.0).is_complete
    }

    /// Returns true if upstream answered without reading the body.
    pub(super) fn is_abandoned(&self) -> bool {
        matches!(lock(&self.0).gate, Gate::Abandoned)
    }

    /// Ends the upload with an error: the connection closes, over HTTP/2 the stream is reset.
    pub(super) fn abort(&self) {
        let mut state = lock(&self.0);
        if !state.is_complete {
            state.gate = Gate::Aborted;
            state.body = None;
            state.wake();
        }
    }
}

impl UploadState {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.gate {
            Gate::WaitsForContinue(timer) => {
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.gate = Gate::Open;
            }
            Gate::Abandoned => return Poll::Pending,
            Gate::Aborted => return Poll::Ready(Some(Err(Box::new(AbortedUpload)))),
            Gate::Open => {}
        }
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = lock(&self.0);
        let polled = state.poll(cx);
        state.waits_for_client = polled.is_pending();
        if state.waits_for_client {
            state.waker = Some(cx.waker().clone());
        } else {
            state.is_started = true;
            state.read_at = Some(Instant::now());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let state = lock(&self.0);
        state.is_complete || state.body.as_ref().is_some_and(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

/// hyper drops a body as soon as it needs no more of it.
impl Drop for Upload {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.is_complete = true;
        if std::mem::take(&mut state.waits_for_client) {
            state.read_at = Some(Instant::now());
        }
        if state.is_answered {
            state.body = None;
        }
    }
}
