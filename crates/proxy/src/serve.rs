//! One HTTP connection from its first request to its end: hyper's settings, time limits, shutdown.

use std::future::ready;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ::http::{Request, Response};
use futures_util::future::Either;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::answer::Seat;
use super::attend::boxed;
use super::bell::{Alarm, Bell};
use super::connect::Granted;
use super::engine::Stop;
use super::handler::{Close, Notice};
use super::limits;
use super::pulse::{Limits, Noticed, Pulse, Waiting};
use super::served::Served;
use super::shortcut::Shortcut;
use super::wire::Wire;
use harproxy_http::problem::in_words;

/// How long a connection that we have closed is still read from. Closing it with unread bytes resets it, and the client would
/// lose the answer: one to an upload that was refused, say.
const LINGER: Duration = Duration::from_secs(3);

/// Serves HTTP/1. When the connection ends in a CONNECT that was granted, it comes back for what follows.
pub(super) async fn http1(wire: Wire, seat: &Arc<Seat>) -> Option<(Granted, Wire)> {
    let service = {
        let seat = seat.clone();
        service_fn(move |request| answer(&seat, request))
    };
    let io = TokioIo::new(Shortcut::new(Noticed::http1(wire, seat.pulse.clone()), seat.clone()));
    let mut connection = http1::Builder::new()
        .auto_date_header(false)
        .max_buf_size(limits::MAX_HEAD)
        .max_headers(limits::MAX_HEADERS)
        // Ours does not count the time between requests; see `pulse`.
        .header_read_timeout(None)
        .serve_connection(io, service)
        .with_upgrades();
    let end = drive(&mut connection, &seat.pulse, seat.visit.engine.limits, &seat.visit.stop).await;
    if let End::Done(Err(error)) = &end
        && error.is_parse()
    {
        seat.visit.notice(Notice::BadHead { reason: in_words(error) });
    }
    if let Some(parts) = connection.into_parts() {
        if end.is_polite() {
            let (noticed, _) = parts.io.into_inner().into_inner()?;
            linger(noticed.into_inner(), &seat.visit.stop).await;
        }
        return None;
    }
    let granted = seat.granted.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    // Without a CONNECT the handler has taken the connection over.
    let mut granted = granted?;
    let upgraded = granted.upgrade().await.ok()?;
    let parts = upgraded.downcast::<TokioIo<Shortcut<Noticed<Wire>>>>().ok()?;
    let (noticed, held) = parts.io.into_inner().into_inner()?;
    Some((granted, noticed.into_inner().after(&held).after(&parts.read_buf)))
}

/// Answers at once or in a while. What takes a while is in a box: hyper and tokio move it about, and it holds all that answering may
/// need.
fn answer(seat: &Arc<Seat>, request: Request<Incoming>) -> impl Future<Output = Answered> + use<> {
    match seat.at_once(&request) {
        Some(response) => Either::Left(ready(Ok(response))),
        None => Either::Right(boxed(|| seat.clone().answer(request))),
    }
}

type Answered = Result<Response<Served>, Close>;

/// Serves HTTP/2.
pub(super) async fn http2(wire: Wire, seat: &Arc<Seat>) {
    let service = {
        let seat = seat.clone();
        service_fn(move |request| answer(&seat, request))
    };
    let io = TokioIo::new(Noticed::http2(wire, seat.pulse.clone()));
    let mut connection = http2::Builder::new(Streams(seat.visit.engine.tasks.clone()))
        .auto_date_header(false)
        .max_header_list_size(limits::H2_MAX_HEAD)
        .max_concurrent_streams(limits::H2_MAX_STREAMS)
        .initial_stream_window_size(limits::H2_STREAM_WINDOW)
        .initial_connection_window_size(limits::H2_CONNECTION_WINDOW)
        .serve_connection(io, service);
    drive(&mut connection, &seat.pulse, seat.visit.engine.limits, &seat.visit.stop).await;
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

/// Drives a connection to its end. An idle one is asked to end when its time is up or the engine drains; one that does not, or
/// that keeps us waiting within a head, is dropped.
async fn drive<C: Connection>(connection: &mut C, pulse: &Pulse, limits: Limits, stop: &Stop) -> End {
    let mut drained = pin!(stop.drain.cancelled());
    let mut aborted = pin!(stop.abort.cancelled());
    let mut draining = Bell::default();
    let mut alarm = Alarm::at(Instant::now() + limits.idle);
    let (mut drains, mut winding_down) = (false, false);
    let mut last_chance = None;
    std::future::poll_fn(|cx| {
        loop {
            // Before the connection, so that an answer of hyper's that is due now says that it is the last.
            drains = drains || draining.poll(drained.as_mut(), cx).is_ready();
            if !winding_down && drains {
                // What was held when the drain began is in flight: first it has its answer or goes on to hyper.
                if pulse.hold_no_more()
                    && let Poll::Ready(result) = Pin::new(&mut *connection).poll(cx)
                {
                    return Poll::Ready(End::Done(result));
                }
                // It has its answer soon, and wakes this task then.
                if pulse.holds() {
                    return aborted.as_mut().poll(cx).map(|()| End::Cut);
                }
                winding_down = true;
                connection.wind_down();
            }
            if winding_down && aborted.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Cut);
            }
            if let Poll::Ready(result) = Pin::new(&mut *connection).poll(cx) {
                return Poll::Ready(End::Done(result));
            }
            let Some((waiting, until)) = pulse.waiting(limits) else { return Poll::Pending };
            let until = last_chance.unwrap_or(until);
            if alarm.poll(until, cx).is_pending() {
                return Poll::Pending;
            }
            if waiting == Waiting::Head || last_chance.is_some() {
                return Poll::Ready(End::Cut);
            }
            last_chance = Some(Instant::now() + limits.head);
            winding_down = true;
            connection.wind_down();
        }
    })
    .await
}

/// Reads what the client still sends, until it closes, too.
async fn linger(mut wire: Wire, stop: &Stop) {
    let mut unread = vec![0; 8 * 1024];
    let read = async { while matches!(wire.read(&mut unread).await, Ok(1..)) {} };
    let _ = tokio::time::timeout(LINGER, stop.drain.run_until_cancelled(read)).await;
}
