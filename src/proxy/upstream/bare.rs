//! A connection that hyper has not begun on. Most requests need none of what hyper does for a request: they come whole, and so do their answers. Such a
//! request is written by whoever serves its client, who reads the answer, too. When that is of another kind, or is long in coming, hyper begins: it
//! [repeats](super::wire::Wire::repeat) the request, and has the rest.

use std::future::{Future as _, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use super::connection::Dialled;
use super::pool::{Kept, OwnConnections};
use super::whole::{Came, Whole, write_fields};
use super::{ConnectTimings, Upstream};
use crate::proxy::bell::Alarm;
use crate::proxy::handler::Origin;

/// Room for an answer as most are, bytes.
const ROOM: usize = 8 << 10;

/// How long an answer is waited for before the request goes the usual way, where more is known of it: its head gets into the journal, its time limit is told.
const PATIENCE: Duration = Duration::from_millis(500);

/// A connection to an origin, by HTTP/1.1 from here on, that is free or has one request under way.
pub struct Bare {
    pub(super) dialled: Dialled,
    /// What making it took, until its first exchange takes that.
    pub(super) fresh: Option<ConnectTimings>,
    /// Since when it is free.
    since: Instant,
    /// When the request that is under way was sent.
    pub(super) sent: Option<Instant>,
    /// What is still to be written of it.
    head: Vec<u8>,
    written: usize,
    /// What was read of its answer.
    pub(super) came: BytesMut,
    pub(super) alarm: Option<Alarm>,
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
    /// When the answer had been read.
    pub answered_at: Instant,
}

impl Bare {
    pub(super) fn new(dialled: Dialled) -> Self {
        let fresh = Some(dialled.timings);
        let (head, came) = (Vec::new(), BytesMut::new());
        Bare { dialled, fresh, since: Instant::now(), sent: None, head, written: 0, came, alarm: None }
    }

    /// Where it leads.
    #[must_use]
    pub fn to(&self) -> &Origin {
        &self.dialled.to
    }

    /// Begins to send a request without a payload. A name and a value of each field is written as it stands here.
    pub fn ask<'f>(&mut self, method: &str, target: &str, fields: impl Iterator<Item = (&'f str, &'f [u8])>) {
        self.head.clear();
        for part in [method, " ", target, " HTTP/1.1\r\n"] {
            self.head.extend_from_slice(part.as_bytes());
        }
        write_fields(fields, &mut self.head);
        self.written = 0;
        self.sent = Some(Instant::now());
    }

    /// Sends what is to be sent and waits for the answer. [`Passed::GoesOn`] is only for one that has been sent.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Passed> {
        let sent_at = *self.sent.get_or_insert_with(Instant::now);
        match self.poll_sent(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Passed::GoesOn),
            Poll::Pending => return Poll::Pending,
        }
        loop {
            if self.came.capacity() == self.came.len() {
                self.came.reserve(ROOM);
            }
            let read = pin!(self.dialled.wire.read_buf(&mut self.came)).poll(cx);
            match read {
                Poll::Ready(Ok(1..)) => match Whole::of(&mut self.came) {
                    // What comes behind an answer tells that it is not whole: there is room for that, too.
                    Came::Some { more } => self.came.reserve(more + 1),
                    Came::Other => return Poll::Ready(Passed::GoesOn),
                    Came::Whole(whole) => {
                        let answered_at = Instant::now();
                        (self.sent, self.since) = (None, answered_at);
                        let Dialled { id: connection, remote, .. } = self.dialled;
                        let connect = self.fresh.take();
                        let taken = Taken { connection, remote, connect, sent_at, answered_at };
                        return Poll::Ready(Passed::Answered(Box::new(whole), taken));
                    }
                },
                // It has closed the connection, or broken it off: hyper finds the same.
                Poll::Ready(_) => return Poll::Ready(Passed::GoesOn),
                Poll::Pending => {
                    let due = (sent_at + PATIENCE).into();
                    return self.alarm.get_or_insert_with(|| Alarm::at(due)).poll(due, cx).map(|()| Passed::GoesOn);
                }
            }
        }
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if self.head.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.written < self.head.len() {
            match ready!(Pin::new(&mut self.dialled.wire).poll_write(cx, &self.head[self.written..]))? {
                0 => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        ready!(Pin::new(&mut self.dialled.wire).poll_flush(cx))?;
        self.head.clear();
        Poll::Ready(Ok(()))
    }

    /// Whether a request that is under way can be hyper's from here on: all of it has been written.
    #[must_use]
    pub fn may_go_on(&self) -> bool {
        self.written == self.head.len() || self.head.is_empty()
    }

    /// Waits, while it is free, for what ends it: upstream closes it, or says something that nobody asked for, or nobody has used it for so long.
    fn poll_end(&mut self, idle: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if self.came.capacity() == self.came.len() {
            self.came.reserve(ROOM);
        }
        let heard = pin!(self.dialled.wire.read_buf(&mut self.came)).poll(cx);
        if heard.is_ready() {
            return Poll::Ready(());
        }
        // A limit that no clock can tell is none.
        let Some(due) = self.since.checked_add(idle) else { return Poll::Pending };
        self.alarm.get_or_insert_with(|| Alarm::at(due.into())).poll(due.into(), cx)
    }
}

impl std::fmt::Debug for Bare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bare").field("dialled", &self.dialled).field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Takes a client's own connection to an origin, if hyper has not begun on the one that it would use.
    #[must_use]
    pub fn take_bare(&self, own: &OwnConnections, to: &Origin) -> Option<Box<Bare>> {
        own.take_bare(to)
    }

    /// Gives it back, for the next request or the one that is under way.
    pub fn give_back(&self, own: &OwnConnections, bare: Box<Bare>) {
        own.put(&bare.dialled.to.clone(), Kept::Bare(bare));
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
