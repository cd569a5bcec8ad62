//! A connection that hyper has not begun on. Most requests need none of what hyper does for a request: they come whole, and so do their answers. Such a
//! request is written by whoever serves its client, who reads the answer, too. When that is of another kind, or is long in coming, hyper begins: it
//! [repeats](super::wire::Wire::repeat) the request, and has the rest.

use std::future::{Future as _, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use super::connection::Dialled;
use super::pool::{Kept, OwnConnections};
use super::whole::{Came, Whole, write_fields};
use super::{ConnectTimings, Upstream};
use crate::bell::Alarm;
use crate::handler::Origin;

/// Room for an answer as most are, bytes; it is asked for when there is less than [`LEAST`].
const ROOM: usize = 8 << 10;
const LEAST: usize = 1 << 10;

/// How long an answer is waited for before the request goes the usual way, where more is known of it: its head gets into the journal, its time limit is told.
const PATIENCE: Duration = Duration::from_millis(500);

/// The same for the rest of an answer whose head is there: its client might have that.
const PAUSE: Duration = Duration::from_millis(20);

/// A connection to an origin, by HTTP/1.1 from here on, that is free or has one request under way.
pub struct Bare {
    pub(super) dialled: Dialled,
    /// What making it took, until its first exchange takes that.
    pub(super) fresh: Option<ConnectTimings>,
    /// Since when it is free.
    since: Instant,
    pub(super) under_way: Option<UnderWay>,
    /// The request that is.
    pub(super) head: Vec<u8>,
    pub(super) written: usize,
    flushed: bool,
    /// What was read of its answer.
    pub(super) came: BytesMut,
    /// What ended the connection.
    pub(super) failed: Option<io::Error>,
    pub(super) alarm: Option<Alarm>,
}

/// A request that was sent, and has not all of its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnderWay {
    pub(super) sent_at: Instant,
    /// When the head of the answer had been read.
    pub(super) answered_at: Option<Instant>,
}

/// What became of a request that was written to a [`Bare`] connection.
#[derive(Debug)]
pub enum Passed {
    /// It has its answer.
    Answered(Box<Whole>, Taken),
    /// It is hyper's to have the answer.
    GoesOn,
}

/// What is told of an answer beside itself.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Which connection it came on: counts connections opened, from 1.
    pub connection: u64,
    /// Who answered; `None` through an upstream proxy.
    pub remote: Option<SocketAddr>,
    /// The phases of the connection, when it was opened for this exchange.
    pub connect: Option<ConnectTimings>,
    /// When the request was handed to the connection.
    pub sent_at: Instant,
    /// When the head of the answer had been read.
    pub answered_at: Instant,
}

impl Bare {
    pub(super) fn new(mut dialled: Dialled) -> Self {
        dialled.wire.takes_leave(true);
        let (head, came, fresh) = (Vec::new(), BytesMut::new(), Some(dialled.timings));
        let (under_way, failed, alarm) = (None, None, None);
        let (since, written, flushed) = (Instant::now(), 0, true);
        Bare { dialled, fresh, since, under_way, head, written, flushed, came, failed, alarm }
    }

    /// Begins to send a request without a payload. A name and a value of each field is written as it stands here.
    pub fn ask<'f>(&mut self, method: &str, target: &str, fields: impl Iterator<Item = (&'f str, &'f [u8])>) {
        self.head.clear();
        for part in [method, " ", target, " HTTP/1.1\r\n"] {
            self.head.extend_from_slice(part.as_bytes());
        }
        write_fields(fields.map(|(name, value)| (name.as_bytes(), value)), &mut self.head);
        (self.written, self.flushed) = (0, false);
        self.under_way = Some(UnderWay { sent_at: Instant::now(), answered_at: None });
    }

    /// Sends what is to be sent and waits so long for the answer.
    fn poll(&mut self, patience: Duration, cx: &mut Context<'_>) -> Poll<Passed> {
        let passed = match self.poll_sent(cx) {
            Poll::Ready(Ok(())) => self.poll_answer(cx),
            Poll::Ready(Err(error)) => Poll::Ready(self.breaks(error)),
            Poll::Pending => Poll::Pending,
        };
        if passed.is_ready() {
            return passed;
        }
        let Some(UnderWay { sent_at, answered_at }) = self.under_way else { return Poll::Ready(Passed::GoesOn) };
        let due = answered_at.map_or(sent_at + patience, |head| head + PAUSE).into();
        self.alarm.get_or_insert_with(|| Alarm::at(due)).poll(due, cx).map(|()| Passed::GoesOn)
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Passed> {
        loop {
            match ready!(self.poll_read(cx)) {
                Ok(1..) => {}
                // hyper finds that it was closed.
                Ok(0) => return Poll::Ready(Passed::GoesOn),
                Err(error) => return Poll::Ready(self.breaks(error)),
            }
            match Whole::of(&mut self.came) {
                Came::Begun => {}
                Came::Head { more } => {
                    if let Some(UnderWay { answered_at, .. }) = &mut self.under_way {
                        answered_at.get_or_insert_with(Instant::now);
                    }
                    // What comes behind an answer tells that it is not whole: there is room for that, too.
                    self.came.reserve(more + 1);
                }
                Came::Other => return Poll::Ready(Passed::GoesOn),
                Came::Whole(whole) => {
                    self.since = Instant::now();
                    let since = UnderWay { sent_at: self.since, answered_at: None };
                    let UnderWay { sent_at, answered_at } = self.under_way.take().unwrap_or(since);
                    let Dialled { id: connection, remote, .. } = self.dialled;
                    let (connect, answered_at) = (self.fresh.take(), answered_at.unwrap_or(self.since));
                    let taken = Taken { connection, remote, connect, sent_at, answered_at };
                    return Poll::Ready(Passed::Answered(Box::new(whole), taken));
                }
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.came.capacity() - self.came.len() < LEAST {
            self.came.reserve(ROOM);
        }
        pin!(self.dialled.wire.read_buf(&mut self.came)).poll(cx)
    }

    /// The system says only once what happened: hyper is told.
    fn breaks(&mut self, error: io::Error) -> Passed {
        self.failed = Some(error);
        Passed::GoesOn
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.head.len() {
            match ready!(Pin::new(&mut self.dialled.wire).poll_write(cx, &self.head[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.dialled.wire).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits, while it is free, for what ends it: upstream closes it, or says something that nobody asked for, or nobody has used it for so long.
    fn poll_end(&mut self, idle: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_read(cx).is_ready() {
            return Poll::Ready(());
        }
        // A limit that no clock can tell is none.
        let Some(due) = self.since.checked_add(idle) else { return Poll::Pending };
        self.alarm.get_or_insert_with(|| Alarm::at(due.into())).poll(due.into(), cx)
    }
}

impl std::fmt::Debug for Bare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bare")
            .field("dialled", &self.dialled)
            .field("under_way", &self.under_way)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    /// Takes a client's own connection to an origin, if hyper has not begun on the one that it would use.
    #[must_use]
    pub fn take_bare(&self, own: &OwnConnections, to: &Origin) -> Option<Box<Bare>> {
        own.take_bare(to)
    }

    /// Gives it back for the next request, which is the one that is under way if there is one: hyper begins on it.
    pub fn give_back(&self, own: &OwnConnections, bare: Box<Bare>) {
        let to = bare.dialled.to.clone();
        // There is nothing to wait for: it is a future where there is HTTP/2, too.
        if let Some(Ok(connection)) = self.start_http1(own, *bare).now_or_never() {
            own.put(&to, Kept::Http1(connection));
        }
    }

    /// Waits for the answer to a request that is under way.
    pub fn poll_passed(&self, bare: &mut Bare, cx: &mut Context<'_>) -> Poll<Passed> {
        bare.poll(PATIENCE.min(self.timeouts.answer), cx)
    }

    /// Whether one that is free has ended.
    pub(super) async fn has_ended(&self, bare: &mut Bare) -> bool {
        poll_fn(|cx| Poll::Ready(self.poll_end(bare, cx).is_ready())).await
    }

    /// Waits for the end of a connection that is free: it is of no more use then.
    pub fn poll_end(&self, bare: &mut Bare, cx: &mut Context<'_>) -> Poll<()> {
        bare.poll_end(self.timeouts.idle, cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::handler::Scheme;
    use crate::upstream::route::Form;
    use crate::upstream::wire::Wire;

    /// Its other end has room for so many bytes.
    fn bare(room: usize) -> (Bare, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(room);
        let to = Origin { scheme: Scheme::Https, host: "api.test".into(), port: 443 };
        let (wire, timings) = (Wire::new(near, bytes::Bytes::new()), ConnectTimings::default());
        (Bare::new(Dialled { to, wire, id: 1, remote: None, timings, form: Form::Origin }), far)
    }

    #[tokio::test]
    async fn upstream_that_takes_no_request_or_gives_no_answer_is_not_waited_for_here() {
        for room in [8, 800] {
            let (mut bare, _far) = bare(room);
            bare.ask("GET", "/a", [("host", &b"api.test"[..])].into_iter());
            let passed = poll_fn(|cx| bare.poll(Duration::from_millis(5), cx)).await;
            assert!(matches!(passed, Passed::GoesOn));
            assert_eq!(bare.written, room.min(bare.head.len()), "the rest is known");
        }
    }

    #[tokio::test]
    async fn what_upstream_says_unasked_ends_a_connection_that_is_free() {
        let (mut bare, mut far) = bare(800);
        let end = |bare: &mut Bare| bare.poll_end(Duration::MAX, &mut Context::from_waker(Waker::noop()));
        assert!(end(&mut bare).is_pending());
        tokio::io::AsyncWriteExt::write_all(&mut far, b"H").await.unwrap();
        assert!(end(&mut bare).is_ready());
    }
}
