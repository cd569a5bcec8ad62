//! One upstream connection, from the dial to its end.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ::http::{HeaderValue, Request, Response};
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use tokio::time::{Instant, sleep_until, timeout};

use super::upload::Upload;
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

/// The form of request targets on an HTTP/1.1 connection (RFC 9112 section 3.2).
#[derive(Clone, Debug)]
pub(super) enum TargetForm {
    /// `/path?query`.
    Origin,
    /// `http://host/path?query`, for an upstream proxy, with the value of `Proxy-Authorization`.
    Absolute(Option<HeaderValue>),
}

/// An upstream connection on which nothing was sent yet.
#[derive(Debug)]
pub struct Dialled {
    pub(crate) stream: ByteStream,
    /// Counts opened connections, from 1.
    pub(super) id: u64,
    /// The address of the origin; `None` through an upstream proxy.
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

/// The state of an HTTP connection, shared by its driver and its requests.
#[derive(Debug)]
pub(super) struct ConnectionState {
    pub(super) id: u64,
    pub(super) remote: Option<SocketAddr>,
    pub(super) form: TargetForm,
    /// Received bytes, and the first of them.
    received: Arc<AtomicU64>,
    first_byte: Arc<OnceLock<u8>>,
    /// Taken by the first exchange.
    pub(super) fresh: Mutex<Option<ConnectTimings>>,
    /// The number of requests in progress, and when the last one ended.
    usage: Mutex<(usize, Instant)>,
}

impl ConnectionState {
    /// The state of a connection that is about to start HTTP, and the guard of its first request.
    pub(super) fn new(dialled: &Dialled) -> (Arc<Self>, InUse) {
        let state = Arc::new(ConnectionState {
            id: dialled.id,
            remote: dialled.remote,
            form: dialled.form.clone(),
            received: dialled.stream.received(),
            first_byte: dialled.stream.first_byte(),
            fresh: Mutex::new(Some(dialled.timings)),
            usage: Mutex::new((1, Instant::now())),
        });
        (state.clone(), InUse(state))
    }

    /// Begins a request if there are fewer than `max`. It ends when the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>, max: usize) -> Option<InUse> {
        let mut usage = lock(&self.usage);
        (usage.0 < max).then(|| {
            usage.0 += 1;
            InUse(self.clone())
        })
    }

    /// Returns when the connection has been idle for `limit`.
    async fn idle_for(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let due = match *lock(&self.usage) {
                (0, since) => since + limit,
                _ => now + limit,
            };
            if due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }

    /// Drives a connection to its end. `forget` is called after `idle_timeout` without a request. It drops the senders
    /// of idle connections.
    pub(super) async fn drive(
        self: Arc<Self>,
        connection: impl Future<Output = hyper::Result<()>>,
        idle_timeout: Duration,
        forget: impl Fn() + Send,
    ) {
        let mut connection = pin!(connection);
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut connection => break ended,
                () = self.idle_for(idle_timeout) => {}
            }
            forget();
            lock(&self.usage).1 = Instant::now();
        };
        match ended {
            Ok(()) => tracing::trace!(connection = self.id, "upstream connection closed"),
            Err(error) => tracing::debug!(connection = self.id, %error, "upstream connection broken"),
        }
    }
}

/// A request in progress on a connection.
#[derive(Debug)]
pub(super) struct InUse(pub(super) Arc<ConnectionState>);

impl Drop for InUse {
    fn drop(&mut self) {
        let mut usage = lock(&self.0.usage);
        *usage = (usage.0.saturating_sub(1), Instant::now());
    }
}

/// An idle HTTP/1.1 connection: one request at a time.
#[derive(Debug)]
pub(super) struct Http1 {
    pub(super) send: http1::SendRequest<Upload>,
    pub(super) state: Arc<ConnectionState>,
}

impl Http1 {
    /// Reserves the connection, once it is ready after its last answer was read. Returns `None` if it does not become
    /// ready.
    pub(super) async fn reserve(mut self) -> Option<RequestConnection> {
        if !self.send.is_ready() {
            timeout(READY_TIMEOUT, self.send.ready()).await.ok()?.ok()?;
        }
        let in_use = self.state.begin(1)?;
        Some(RequestConnection { sender: Sender::Http1(self.send), in_use })
    }
}

/// An HTTP/2 connection that is shared by requests.
#[derive(Debug)]
pub(super) struct Http2 {
    pub(super) send: http2::SendRequest<Upload>,
    pub(super) state: Arc<ConnectionState>,
}

#[derive(Debug)]
pub(super) enum Sender {
    Http1(http1::SendRequest<Upload>),
    Http2(http2::SendRequest<Upload>),
}

/// A connection, or a stream of a shared one, that is reserved for one request.
#[derive(Debug)]
pub(super) struct RequestConnection {
    pub(super) sender: Sender,
    pub(super) in_use: InUse,
}

impl RequestConnection {
    pub(super) fn state(&self) -> &Arc<ConnectionState> {
        &self.in_use.0
    }

    /// Bytes received so far; `None` over HTTP/2, where they may belong to other requests.
    pub(super) fn received(&self) -> Option<u64> {
        matches!(self.sender, Sender::Http1(_)).then(|| self.state().received.load(Ordering::Relaxed))
    }

    /// Returns true if upstream answered the preface of HTTP/2 with the text of HTTP/1.1.
    pub(super) fn needs_http1(&self) -> bool {
        matches!(self.sender, Sender::Http2(_)) && self.state().first_byte.get() == Some(&b'H')
    }

    /// Hands the request to hyper. The future waits for the head of the answer.
    pub(super) fn send(
        &mut self,
        request: Request<Upload>,
    ) -> BoxFuture<'static, Result<Response<Incoming>, TrySendError<Request<Upload>>>> {
        match &mut self.sender {
            Sender::Http1(send) => Box::pin(send.try_send_request(request)),
            Sender::Http2(send) => Box::pin(send.try_send_request(request)),
        }
    }
}
