//! The body of a request on its way upstream: it can wait for `100 Continue`, be taken back as long as nothing of it was
//! sent, and be ended from outside.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::body::{Body, BoxError};

/// How long an upload waits for upstream to say anything about it (RFC 9110 section 10.1.1 leaves that to the client).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// hyper's half. Without a body it declares no length either, or hyper would add `content-length: 0` over HTTP/2.
pub(super) struct Upload(Option<Arc<Mutex<State>>>);

/// Our half.
#[derive(Clone)]
pub(super) struct UploadHandle(Arc<Mutex<State>>);

pub(super) struct State {
    body: Option<Body>,
    gate: Gate,
    /// A frame was handed out.
    started: bool,
    /// hyper wants no more of it.
    ended: bool,
    /// The answer is there: it is not going to be sent again.
    committed: bool,
    moved: Moved,
    waker: Option<Waker>,
}

/// When upstream last took a part of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// It has not asked for any.
    Never,
    /// Then, and has not asked for more.
    At(Instant),
    /// It would take more, and the client has not sent it yet.
    WaitsForClient,
}

enum Gate {
    Open,
    /// Until upstream says 100, or the time is over.
    Shut(Pin<Box<Sleep>>),
    /// Upstream answered without having asked for it. hyper must not notice before the answer's own body is through, since
    /// it gives up a connection on which a body fails.
    Abandoned,
    /// It fails.
    Cut,
}

/// What cuts a connection whose upload was given up.
#[derive(Debug, thiserror::Error)]
#[error("the upload was given up")]
struct GivenUp;

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Upload {
    /// Both halves of a body; with `expects_continue` it is not polled before upstream's 100, a final answer, or a second.
    pub(super) fn new(body: Option<Body>, expects_continue: bool) -> (Upload, Option<UploadHandle>) {
        let Some(body) = body else {
            return (Upload(None), None);
        };
        let gate = if expects_continue { Gate::Shut(Box::pin(sleep(CONTINUE_TIMEOUT))) } else { Gate::Open };
        let state = State {
            body: Some(body),
            gate,
            started: false,
            ended: false,
            committed: false,
            moved: Moved::Never,
            waker: None,
        };
        let state = Arc::new(Mutex::new(state));
        (Upload(Some(state.clone())), Some(UploadHandle(state)))
    }
}

impl UploadHandle {
    /// Upstream said 100.
    pub(super) fn open(&self) {
        let mut state = lock(&self.0);
        if matches!(state.gate, Gate::Shut(_)) {
            state.gate = Gate::Open;
            state.wake();
        }
    }

    /// Upstream answered: the body can't be taken back any more, and one that still waits is dropped.
    pub(super) fn commit(&self) {
        let mut state = lock(&self.0);
        state.committed = true;
        if matches!(state.gate, Gate::Shut(_)) {
            state.gate = Gate::Abandoned;
        }
        if state.ended || matches!(state.gate, Gate::Abandoned) {
            state.body = None;
        }
    }

    /// Takes the body back, if nothing of it was sent.
    pub(super) fn reclaim(&self) -> Option<Body> {
        let mut state = lock(&self.0);
        if state.started { None } else { state.body.take() }
    }

    /// How far it is.
    pub(super) fn moved(&self) -> Moved {
        lock(&self.0).moved
    }

    /// Whether hyper is done with it, so that the connection can be used again.
    pub(super) fn ended(&self) -> bool {
        lock(&self.0).ended
    }

    /// Whether it waits for nothing but the end of the answer.
    pub(super) fn abandoned(&self) -> bool {
        matches!(lock(&self.0).gate, Gate::Abandoned)
    }

    /// Ends it by an error: the connection is closed, over HTTP/2 the stream reset.
    pub(super) fn cut(&self) {
        let mut state = lock(&self.0);
        if !state.ended {
            state.gate = Gate::Cut;
            state.body = None;
            state.wake();
        }
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.gate {
            Gate::Shut(timer) => {
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.gate = Gate::Open;
            }
            Gate::Abandoned => return Poll::Pending,
            Gate::Cut => return Poll::Ready(Some(Err(Box::new(GivenUp)))),
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
        let Some(state) = &self.0 else {
            return Poll::Ready(None);
        };
        let mut state = lock(state);
        let polled = state.poll(cx);
        match &polled {
            Poll::Ready(_) => {
                state.started = true;
                state.moved = Moved::At(Instant::now());
            }
            Poll::Pending => {
                state.moved = Moved::WaitsForClient;
                state.waker = Some(cx.waker().clone());
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|state| lock(state).body.as_ref().is_some_and(HttpBody::is_end_stream))
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().and_then(|state| lock(state).body.as_ref().map(HttpBody::size_hint)).unwrap_or_default()
    }
}

/// hyper drops a body as soon as it is through with it.
impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            let mut state = lock(state);
            state.ended = true;
            if state.moved == Moved::WaitsForClient {
                state.moved = Moved::At(Instant::now());
            }
            if state.committed {
                state.body = None;
            }
        }
    }
}
