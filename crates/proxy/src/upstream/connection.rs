//! One upstream connection, from dialled to done.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::{Instant, sleep_until, timeout};

use super::ConnectTimings;
use super::route::Form;
use super::upload::Upload;
use super::wire::{Io, UpstreamStream};
use crate::limits;
use crate::origin::Origin;

/// How long a connection whose answer was read may take to be ready again, before another one is made.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// An upstream connection before anything was sent on it.
pub struct Dialled {
    pub(super) to: Origin,
    pub(super) stream: UpstreamStream,
    pub(super) id: u64,
    pub(super) remote: Option<SocketAddr>,
    pub(super) timings: ConnectTimings,
    pub(super) form: Form,
}

impl Dialled {
    /// Where it leads, as it was asked for.
    #[must_use]
    pub fn to(&self) -> &Origin {
        &self.to
    }

    /// Waits until upstream speaks by itself (SMTP, MySQL), `true`, or closes without a byte, `false`. Nothing is lost:
    /// what was read comes first out of [`Dialled::into_io`]. Cancel safe, so that it can stand in a `select!`.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn first_bytes(&mut self) -> std::io::Result<bool> {
        self.stream.peek().await
    }

    /// The raw connection, for a tunnel.
    #[must_use]
    pub fn into_io(self) -> Box<dyn Io> {
        Box::new(self.stream)
    }
}

impl std::fmt::Debug for Dialled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialled").field("to", &self.to).field("id", &self.id).finish_non_exhaustive()
    }
}

/// An HTTP/1.1 connection: one request at a time.
pub(super) struct Http1 {
    pub(super) send: http1::SendRequest<Upload>,
    pub(super) id: u64,
    pub(super) remote: Option<SocketAddr>,
    pub(super) form: Form,
    /// Received bytes.
    pub(super) received: Arc<AtomicU64>,
    /// What making it took, until its first exchange takes that.
    pub(super) fresh: Option<ConnectTimings>,
    pub(super) usage: Arc<Usage>,
}

impl Http1 {
    /// Starts HTTP/1.1. `forget` is called when it was idle for `idle_timeout`, to let go of the idle `Http1`.
    pub(super) async fn start(
        dialled: Dialled,
        idle_timeout: Duration,
        forget: impl Fn() + Send + 'static,
    ) -> hyper::Result<Self> {
        let Dialled { stream, id, remote, form, timings, .. } = dialled;
        let received = stream.received();
        let (send, connection) = http1::Builder::new()
            .max_headers(limits::MAX_HEADERS)
            .max_buf_size(limits::MAX_HEAD)
            .preserve_header_case(true)
            // What servers still send and every client takes; hyper makes it whole.
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .handshake(TokioIo::new(stream))
            .await?;
        let usage = Arc::new(Usage::new());
        tokio::spawn(drive(connection.with_upgrades(), id, usage.clone(), idle_timeout, forget));
        Ok(Http1 { send, id, remote, form, received, fresh: Some(timings), usage })
    }

    /// Waits until a connection whose last answer was read is ready for a request; `false` if it is not going to be.
    pub(super) async fn ready(&mut self) -> bool {
        if self.send.is_ready() {
            return true;
        }
        matches!(timeout(READY_TIMEOUT, self.send.ready()).await, Ok(Ok(())))
    }
}

/// An HTTP/2 connection: clones share it.
#[derive(Clone)]
pub(super) struct Http2 {
    pub(super) send: http2::SendRequest<Upload>,
    pub(super) id: u64,
    pub(super) remote: Option<SocketAddr>,
    pub(super) fresh: Arc<Mutex<Option<ConnectTimings>>>,
    pub(super) usage: Arc<Usage>,
}

impl Http2 {
    /// Starts HTTP/2. `forget` is called when it was idle for `idle_timeout`, to let go of the shared `Http2`.
    pub(super) async fn start(
        dialled: Dialled,
        idle_timeout: Duration,
        forget: impl Fn() + Send + 'static,
    ) -> hyper::Result<Self> {
        let Dialled { stream, id, remote, timings, .. } = dialled;
        let (send, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(limits::H2_STREAM_WINDOW)
            .initial_connection_window_size(limits::H2_UPSTREAM_WINDOW)
            .max_header_list_size(limits::H2_MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await?;
        let usage = Arc::new(Usage::new());
        tokio::spawn(drive(connection, id, usage.clone(), idle_timeout, forget));
        Ok(Http2 { send, id, remote, fresh: Arc::new(Mutex::new(Some(timings))), usage })
    }

    pub(super) fn take_fresh(&self) -> Option<ConnectTimings> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Runs a connection to its end.
async fn drive(
    connection: impl Future<Output = hyper::Result<()>>,
    id: u64,
    usage: Arc<Usage>,
    idle_timeout: Duration,
    forget: impl Fn() + Send,
) {
    let mut connection = pin!(connection);
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut connection => break ended,
            () = usage.idle_for(idle_timeout) => {}
        }
        forget();
        usage.touch();
    };
    match ended {
        Ok(()) => tracing::trace!(connection = id, "upstream connection closed"),
        Err(error) => tracing::debug!(connection = id, %error, "upstream connection broken"),
    }
}

/// Who uses a connection, and since when nobody does.
#[derive(Debug)]
pub(super) struct Usage(Mutex<(usize, Instant)>);

impl Usage {
    fn new() -> Self {
        Usage(Mutex::new((0, Instant::now())))
    }

    fn lock(&self) -> MutexGuard<'_, (usize, Instant)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        self.lock().1 = Instant::now();
    }

    /// Uses the connection until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InUse {
        self.lock().0 += 1;
        InUse(self.clone())
    }

    /// The same if fewer than so many do.
    pub(super) fn begin_below(self: &Arc<Self>, most: usize) -> Option<InUse> {
        let mut usage = self.lock();
        if usage.0 >= most {
            return None;
        }
        usage.0 += 1;
        Some(InUse(self.clone()))
    }

    /// Returns when nobody has used the connection for `limit`.
    async fn idle_for(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let due = match *self.lock() {
                (0, since) => since + limit,
                _ => now + limit,
            };
            if due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }
}

#[derive(Debug)]
pub(super) struct InUse(Arc<Usage>);

impl Drop for InUse {
    fn drop(&mut self) {
        let mut usage = self.0.lock();
        usage.0 = usage.0.saturating_sub(1);
        usage.1 = Instant::now();
    }
}
