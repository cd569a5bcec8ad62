//! Drives one HTTP connection with hyper from its first request to its end: settings, time limits, shutdown.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use super::http_connection::{GrantedConnect, HttpConnection};
use super::idle::{IdleTracker, WaitingFor};
use crate::engine::Stop;
use crate::handler::ConnectionEvent;
use crate::limits::{self, ClientTimeouts};
use crate::stream::ByteStream;
use harproxy_http::problem::in_words;

/// Time for which a closed connection is still read. Closing it with unread bytes resets it, and the client would lose
/// the answer: one to a refused upload, for example.
const LINGER: Duration = Duration::from_secs(3);

/// Serves HTTP/1. Returns the tunnel if the connection ends in a granted CONNECT.
pub(crate) async fn serve_http1(
    stream: ByteStream,
    http: &Arc<HttpConnection>,
) -> Option<(GrantedConnect, ByteStream)> {
    let service = {
        let http = http.clone();
        service_fn(move |request| http.clone().answer(request))
    };
    let engine = &http.client.engine;
    let mut connection = http1::Builder::new()
        .auto_date_header(false)
        .max_buf_size(limits::MAX_HEAD)
        .max_headers(limits::MAX_HEADERS)
        .preserve_header_case(engine.keeps_header_case)
        // hyper's timeout also runs between requests; see `idle`.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream.track(http.idle.clone(), true)), service)
        .with_upgrades();
    let shut_down = http1::UpgradeableConnection::graceful_shutdown;
    let end = drive(Pin::new(&mut connection), shut_down, &http.idle, engine.timeouts, &http.client.stop).await;
    // hyper answered a malformed head with a 4xx. Other errors are the handler's `Close`.
    let malformed = end.as_ref().and_then(|result| result.as_ref().err()).filter(|error| error.is_parse());
    let malformed = malformed.map(|error| (in_words(error), error.is_parse_too_large()));
    if let Some(parts) = connection.into_parts() {
        if let Some((reason, is_too_long)) = &malformed {
            let character = http.idle.invalid_character.get();
            let raw = character.map(|character| format!(", its URL has a raw `{character}`")).unwrap_or_default();
            let (reason, is_too_long) = (format!("{reason}{raw}"), *is_too_long);
            http.client.event(ConnectionEvent::MalformedHead { reason, is_too_long });
        }
        // The last answer has to reach the client.
        if malformed.is_some() || matches!(end, Some(Ok(()))) {
            linger(parts.io.into_inner(), &http.client.stop).await;
        }
        return None;
    }
    // Without a CONNECT the handler has taken the connection over.
    let (granted, upgrade) = http.take_granted()?;
    let parts = upgrade.await.ok()?.downcast::<TokioIo<ByteStream>>().ok()?;
    Some((granted, parts.io.into_inner().untrack().prepend(&parts.read_buf)))
}

/// Serves HTTP/2.
pub(crate) async fn serve_http2(stream: ByteStream, http: &Arc<HttpConnection>) {
    let service = {
        let http = http.clone();
        service_fn(move |request| http.clone().answer(request))
    };
    let engine = &http.client.engine;
    let mut connection = http2::Builder::new(TrackedExecutor(engine.tasks.clone()))
        .auto_date_header(false)
        .max_header_list_size(limits::H2_MAX_HEAD)
        .max_concurrent_streams(limits::H2_MAX_STREAMS)
        .max_send_buf_size(limits::H2_SEND_BUFFER)
        .initial_stream_window_size(limits::H2_STREAM_WINDOW)
        .initial_connection_window_size(limits::H2_CONNECTION_WINDOW)
        .serve_connection(TokioIo::new(stream.track(http.idle.clone(), false)), service);
    let shut_down = http2::Connection::graceful_shutdown;
    drive(Pin::new(&mut connection), shut_down, &http.idle, engine.timeouts, &http.client.stop).await;
}

/// Runs HTTP/2 streams as tasks that a drain waits for. They end when their connection is dropped.
#[derive(Clone)]
struct TrackedExecutor(TaskTracker);

impl<F> hyper::rt::Executor<F> for TrackedExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

/// Drives a connection to its end. Returns `None` if the client took too long, or the engine stopped.
///
/// `shut_down` is hyper's graceful shutdown. It is called when the idle timeout has passed, and when the engine drains.
/// A connection that does not end then is aborted, and so is one whose client takes too long within a head.
async fn drive<C>(
    mut connection: Pin<&mut C>,
    shut_down: fn(Pin<&mut C>),
    idle: &IdleTracker,
    timeouts: ClientTimeouts,
    stop: &Stop,
) -> Option<hyper::Result<()>>
where
    C: Future<Output = hyper::Result<()>>,
{
    let (mut is_shutting_down, mut last_chance) = (false, None);
    let mut timer = pin!(sleep_until(Instant::now() + timeouts.idle));
    loop {
        let late = poll_fn(|cx| {
            loop {
                let Some((waiting_for, due)) = idle.waiting(timeouts) else { return Poll::Pending };
                let due = last_chance.unwrap_or(due);
                // A limit usually moves before it passes, so the timer is moved only if it must fire earlier.
                if timer.is_elapsed() || due < timer.deadline() {
                    timer.as_mut().reset(due);
                }
                ready!(timer.as_mut().poll(cx));
                if due <= Instant::now() {
                    return Poll::Ready(waiting_for);
                }
            }
        });
        tokio::select! {
            biased;
            () = stop.abort.cancelled() => return None,
            // Polled before the connection, so that an answer that is due now closes it.
            () = stop.drain.cancelled(), if !is_shutting_down => {}
            result = &mut connection => return Some(result),
            waiting_for = late => {
                if waiting_for == WaitingFor::Head || last_chance.is_some() {
                    return None;
                }
                last_chance = Some(Instant::now() + timeouts.head);
            }
        }
        is_shutting_down = true;
        shut_down(connection.as_mut());
    }
}

/// Reads what the client still sends, until it closes too.
async fn linger(mut stream: ByteStream, stop: &Stop) {
    let mut unread = vec![0; 8 * 1024];
    let read = async { while matches!(stream.read(&mut unread).await, Ok(1..)) {} };
    let _ = tokio::time::timeout(LINGER, stop.drain.run_until_cancelled(read)).await;
}
