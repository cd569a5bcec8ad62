//! One upstream connection, from the dial to its end.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::{Instant, sleep_until, timeout};

use super::route::TargetForm;
use super::upload::Upload;
use crate::limits;
use crate::origin::Origin;
use crate::stream::ByteStream;
use harproxy_support::sync::lock;

/// Time that a connection may take to become ready after its answer was read, before another connection is used.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// Durations of the phases of opening a connection; `None` for phases that did not take place (a literal address, no
/// TLS).
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectTimings {
    /// Name resolution.
    pub dns: Option<Duration>,
    /// TCP, and the upstream proxy's handshake.
    pub tcp: Option<Duration>,
    pub tls: Option<Duration>,
}

/// An upstream connection on which nothing was sent yet.
pub struct Dialled {
    pub(super) to: Origin,
    pub(crate) stream: ByteStream,
    pub(super) id: u64,
    pub(super) remote: Option<SocketAddr>,
    pub(super) timings: ConnectTimings,
    pub(super) form: TargetForm,
}

impl Dialled {
    /// Waits for the first byte of upstream (SMTP, MySQL). Returns false if upstream closes without one.
    ///
    /// The bytes stay to be read. Cancel safe.
    pub(crate) async fn first_bytes(&mut self) -> std::io::Result<bool> {
        Ok(!self.stream.ahead().is_empty() || self.stream.read_ahead().await? > 0)
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
    pub(super) form: TargetForm,
    /// Received bytes.
    pub(super) received: Arc<AtomicU64>,
    /// Taken by the first exchange.
    pub(super) fresh: Option<ConnectTimings>,
    pub(super) usage: Arc<Usage>,
}

impl Http1 {
    /// Starts HTTP/1.1. `forget` is called after `idle_timeout` without a request. It drops the idle `Http1`.
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
            // Some servers still send these, and all clients accept them. hyper normalises them.
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .handshake(TokioIo::new(stream))
            .await?;
        let usage = Arc::new(Usage::new());
        tokio::spawn(drive(connection.with_upgrades(), id, usage.clone(), idle_timeout, forget));
        Ok(Http1 { send, id, remote, form, received, fresh: Some(timings), usage })
    }

    /// Waits until the connection is ready for a request after its last answer was read. Returns false if it does not
    /// become ready.
    pub(super) async fn ready(&mut self) -> bool {
        if self.send.is_ready() {
            return true;
        }
        matches!(timeout(READY_TIMEOUT, self.send.ready()).await, Ok(Ok(())))
    }
}

/// An HTTP/2 connection. Clones share it.
#[derive(Clone)]
pub(super) struct Http2 {
    pub(super) send: http2::SendRequest<Upload>,
    pub(super) id: u64,
    pub(super) remote: Option<SocketAddr>,
    fresh: Arc<Mutex<Option<ConnectTimings>>>,
    pub(super) usage: Arc<Usage>,
}

impl Http2 {
    /// Starts HTTP/2. `forget` is called after `idle_timeout` without a request. It drops the shared `Http2`.
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

    /// Takes the timings of a new connection, for its first exchange.
    pub(super) fn take_fresh(&self) -> Option<ConnectTimings> {
        lock(&self.fresh).take()
    }
}

/// Drives a connection to its end.
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

/// The number of requests on a connection, and when the last one ended.
#[derive(Debug)]
pub(super) struct Usage(Mutex<(usize, Instant)>);

impl Usage {
    fn new() -> Self {
        Usage(Mutex::new((0, Instant::now())))
    }

    fn touch(&self) {
        lock(&self.0).1 = Instant::now();
    }

    /// Begins a request. It ends when the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InUse {
        lock(&self.0).0 += 1;
        InUse(self.clone())
    }

    /// Begins a request if there are fewer than `max`.
    pub(super) fn begin_below(self: &Arc<Self>, max: usize) -> Option<InUse> {
        let mut usage = lock(&self.0);
        if usage.0 >= max {
            return None;
        }
        usage.0 += 1;
        Some(InUse(self.clone()))
    }

    /// Returns when the connection has been idle for `limit`.
    async fn idle_for(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let due = match *lock(&self.0) {
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

/// A request in progress on a connection.
#[derive(Debug)]
pub(super) struct InUse(Arc<Usage>);

impl Drop for InUse {
    fn drop(&mut self) {
        let mut usage = lock(&self.0.0);
        usage.0 = usage.0.saturating_sub(1);
        usage.1 = Instant::now();
    }
}
