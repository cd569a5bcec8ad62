//! Serves one HTTP connection from its first request to its end: hyper's settings, time limits, shutdown.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use super::connect::Granted;
use super::engine::Stop;
use super::handler::ConnectionEvent;
use super::http_connection::HttpConnection;
use super::idle::{IdleTracker, Limits, TrackedStream, Waiting};
use super::limits;
use super::wire::Wire;
use harproxy_http::problem::in_words;

/// Time for which a closed connection is still read. Closing it with unread bytes resets it, and the client would lose the
/// answer: one to a refused upload, for example.
const LINGER: Duration = Duration::from_secs(3);

/// Serves HTTP/1. If the connection ends in a granted CONNECT, returns it with the stream.
pub(super) async fn http1(wire: Wire, http: &Arc<HttpConnection>) -> Option<(Granted, Wire)> {
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
        .serve_connection(TokioIo::new(TrackedStream::http1(wire, http.idle.clone())), service)
        .with_upgrades();
    let end = drive(&mut connection, &http.idle, engine.limits, &http.client.stop).await;
    if let End::Done(Err(error)) = &end
        && error.is_parse()
    {
        http.client.event(ConnectionEvent::MalformedHead { reason: in_words(error) });
    }
    if let Some(parts) = connection.into_parts() {
        if end.is_polite() {
            linger(parts.io.into_inner().into_inner(), &http.client.stop).await;
        }
        return None;
    }
    let granted = http.granted.lock().unwrap_or_else(PoisonError::into_inner).take();
    // Without a CONNECT the handler has taken the connection over.
    let mut granted = granted?;
    let upgraded = granted.upgrade().await.ok()?;
    let parts = upgraded.downcast::<TokioIo<TrackedStream<Wire>>>().ok()?;
    Some((granted, parts.io.into_inner().into_inner().after(&parts.read_buf)))
}

/// Serves HTTP/2.
pub(super) async fn http2(wire: Wire, http: &Arc<HttpConnection>) {
    let service = {
        let http = http.clone();
        service_fn(move |request| http.clone().answer(request))
    };
    let engine = &http.client.engine;
    let mut connection = http2::Builder::new(Streams(engine.tasks.clone()))
        .auto_date_header(false)
        .max_header_list_size(limits::H2_MAX_HEAD)
        .max_concurrent_streams(limits::H2_MAX_STREAMS)
        .initial_stream_window_size(limits::H2_STREAM_WINDOW)
        .initial_connection_window_size(limits::H2_CONNECTION_WINDOW)
        .serve_connection(TokioIo::new(TrackedStream::http2(wire, http.idle.clone())), service);
    drive(&mut connection, &http.idle, engine.limits, &http.client.stop).await;
}

/// Runs the streams of HTTP/2 connections where a drain waits for them. They end by themselves when their connection is
/// dropped.
#[derive(Clone)]
struct Streams(TaskTracker);

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

/// hyper's two kinds of connections, as far as ending them goes.
trait Connection: Future<Output = hyper::Result<()>> + Unpin {
    fn wind_down(&mut self);
}

impl<I, S, B> Connection for http1::UpgradeableConnection<I, S>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<super::body::BoxError>,
    B: http_body::Body + 'static,
    B::Error: Into<super::body::BoxError>,
    Self: Future<Output = hyper::Result<()>> + Unpin,
{
    fn wind_down(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

impl<I, S, B> Connection for http2::Connection<I, S, Streams>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<super::body::BoxError>,
    B: http_body::Body + 'static,
    B::Error: Into<super::body::BoxError>,
    Streams: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
    Self: Future<Output = hyper::Result<()>> + Unpin,
{
    fn wind_down(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

/// How a connection ended.
enum End {
    /// As HTTP says.
    Done(hyper::Result<()>),
    /// The client took too long, or the engine is gone.
    Cut,
}

impl End {
    /// Whether what was sent last should reach the client.
    fn is_polite(&self) -> bool {
        match self {
            End::Done(Ok(())) => true,
            // A head that hyper has refused with a 4xx. Not so when the handler wants the connection closed.
            End::Done(Err(error)) => error.is_parse(),
            End::Cut => false,
        }
    }
}

/// Drives a connection to its end. An idle connection is shut down gracefully when its time is up or the engine drains. It is
/// dropped if it does not end then, or if the client takes too long within a head.
async fn drive<C: Connection>(connection: &mut C, idle: &IdleTracker, limits: Limits, stop: &Stop) -> End {
    let (mut winding_down, mut last_chance) = (false, None);
    let mut timer = pin!(sleep_until(Instant::now() + limits.idle));
    loop {
        let late = poll_fn(|cx| {
            loop {
                let Some((waiting, due)) = idle.waiting(limits) else { return Poll::Pending };
                let due = last_chance.unwrap_or(due);
                // Most limits are put off before they pass: the timer is moved only when it must be.
                if timer.is_elapsed() || due < timer.deadline() {
                    timer.as_mut().reset(due);
                }
                ready!(timer.as_mut().poll(cx));
                if due <= Instant::now() {
                    return Poll::Ready(waiting);
                }
            }
        });
        tokio::select! {
            biased;
            () = stop.abort.cancelled() => return End::Cut,
            // Before the connection, so that an answer that is due now says that it is the last.
            () = stop.drain.cancelled(), if !winding_down => {}
            result = &mut *connection => return End::Done(result),
            waiting = late => {
                if waiting == Waiting::Head || last_chance.is_some() {
                    return End::Cut;
                }
                last_chance = Some(Instant::now() + limits.head);
            }
        }
        winding_down = true;
        connection.wind_down();
    }
}

/// Reads what the client still sends, until it closes, too.
async fn linger(mut wire: Wire, stop: &Stop) {
    let mut unread = vec![0; 8 * 1024];
    let read = async { while matches!(wire.read(&mut unread).await, Ok(1..)) {} };
    let _ = tokio::time::timeout(LINGER, stop.drain.run_until_cancelled(read)).await;
}
