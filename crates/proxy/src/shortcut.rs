//! A short cut for requests that need nothing but an answer that lies ready, or that upstream gives: they are answered where they are read, between the
//! wire and hyper, which does not see them. Whatever else a client sends goes on to hyper as it came.

use std::cell::OnceCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::Seat;
use super::handler::{Progress, Ticket};

mod came;
mod turn;

use came::Came;
use turn::Waits;

/// One HTTP/1.1 connection on its way to hyper.
pub(super) enum Shortcut<I> {
    /// Each request has its answer when it has been read.
    Alone(Lane<I>),
    /// Its answers are written when the other connections of the thread that have something to read have been read from, too: by whoever does that
    /// for all of them.
    Together(Arc<Mutex<Lane<I>>>),
}

/// The connection.
pub(super) struct Lane<I> {
    io: I,
    seat: Arc<Seat>,
    answer: Answer,
    /// Whether every byte so far was of whole requests without a payload, one to a read, so that the next read begins a request. Once `false` it
    /// stays so, and is from the beginning where nothing lies ready and nothing passes.
    begins: bool,
    /// While it `begins`: requests so far, hyper's and ours.
    requests: u64,
    /// While it `begins`: each of them has been answered, and what hyper wrote has gone out.
    settled: bool,
    /// Itself, where a request is held first: see [`Held`].
    shared: Option<Weak<Mutex<Self>>>,
    /// Requests may be passed on to upstream; then nothing lies ready.
    passes: bool,
    /// Nothing is read before hyper has done what it can about what it was handed.
    pauses: bool,
    held: Option<Held>,
    /// Whose connection it is, and has something to do when what was held can't be answered by another task.
    task: Waker,
}

/// A plain GET that is not answered yet, and that hyper has not seen.
struct Held {
    bytes: Vec<u8>,
    until: Until,
}

/// What is held waits for something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// That the other connections of the thread that have something to read are read from, too: what their answers lie in is then fetched at the same time.
    Turn(Ticket),
    /// An answer from upstream.
    Passed,
    /// That hyper takes it: nothing lies ready for it.
    Taken,
}

/// An answer on its way out.
#[derive(Default)]
struct Answer {
    head: Vec<u8>,
    payload: &'static [u8],
    written: usize,
    under_way: bool,
}

/// What became of bytes that were read.
enum Taken {
    /// They were a request that has its answer now.
    Answered,
    /// They are held for a turn.
    Held,
    /// They are passed on.
    Passed,
    /// They are hyper's.
    No,
}

impl<I: AsyncRead + AsyncWrite + Unpin + Send + 'static> Shortcut<I> {
    pub(super) fn new(io: I, seat: Arc<Seat>) -> Self {
        let (is_ready, passes) = (seat.may_be_ready(), seat.may_pass());
        if !passes {
            seat.leave();
        }
        let gathers = is_ready && seat.gathers() && turn::may_be_waited_for();
        let lane = Lane {
            io,
            seat,
            answer: Answer::default(),
            begins: is_ready || passes,
            requests: 0,
            settled: true,
            shared: None,
            passes,
            pauses: false,
            held: None,
            task: Waker::noop().clone(),
        };
        if !gathers {
            return Shortcut::Alone(lane);
        }
        Shortcut::Together(Arc::new_cyclic(|shared| Mutex::new(Lane { shared: Some(shared.clone()), ..lane })))
    }

    /// The connection below, and what was read from it and has not gone on. It is ours alone: whoever answers for it has it only while he does so, in
    /// the same thread.
    pub(super) fn into_inner(self) -> Option<(I, Vec<u8>)> {
        let lane = match self {
            Shortcut::Alone(lane) => lane,
            Shortcut::Together(lane) => Arc::into_inner(lane)?.into_inner().unwrap_or_else(PoisonError::into_inner),
        };
        Some((lane.io, lane.held.map(|held| held.bytes).unwrap_or_default()))
    }

    fn with<T>(&mut self, poll: impl FnOnce(Pin<&mut Lane<I>>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let mut shared;
        let lane = match self {
            Shortcut::Alone(lane) => lane,
            Shortcut::Together(lane) => match lane.lock() {
                Ok(lane) => {
                    shared = lane;
                    &mut *shared
                }
                // A panic while it was answered for: this client's alone.
                Err(_) => return Poll::Ready(Err(io::Error::other("answering panicked"))),
            },
        };
        poll(Pin::new(lane))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin + Send + 'static> Lane<I> {
    /// Answers what was read, holds it, or leaves it to hyper.
    fn take(&mut self, came: &[u8], cx: &mut Context<'_>) -> Taken {
        if !self.begins || came.is_empty() {
            return Taken::No;
        }
        if self.passes {
            return self.pass(came, cx);
        }
        let known = OnceCell::new();
        let known = || *known.get_or_init(|| Came::of(came));
        // What hyper has not answered yet, or not written yet, comes before.
        let first = came::first_target(came).filter(|_| self.settled);
        let asked = first.and_then(|target| Some((target, self.seat.ticket(target)?)));
        let ready = asked.and_then(|(target, ticket)| {
            let is_plain = || known() == Came::Get(target);
            if let Some(shared) = self.shared.as_ref().filter(|_| is_plain()) {
                if self.seat.pulse.hold() {
                    turn::wait(ticket, shared.clone());
                    self.held = Some(Held { bytes: came.to_vec(), until: Until::Turn(ticket) });
                    self.task.clone_from(cx.waker());
                    return None;
                }
                self.seat.fetch(&[ticket]);
            }
            self.seat.ready(ticket, &is_plain, &mut self.answer.head)
        });
        if self.held.is_some() {
            return Taken::Held;
        }
        self.begins = known() != Came::Other;
        match ready.filter(|_| matches!(known(), Came::Get(_))) {
            Some(payload) => {
                self.answers(payload);
                self.seat.pulse.answered();
                Taken::Answered
            }
            None => {
                self.answer.head.clear();
                self.goes_on();
                Taken::No
            }
        }
    }

    /// Begins to pass what was read on, or leaves it, and all that comes, to hyper.
    fn pass(&mut self, came: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut begun = false;
        if self.settled && self.seat.pulse.may_hold() {
            Came::with(came, |target, fields| begun = self.seat.pass(target, fields, cx));
        }
        if begun {
            self.seat.pulse.hold();
            self.held = Some(Held { bytes: came.to_vec(), until: Until::Passed });
            return Taken::Passed;
        }
        self.leave();
        Taken::No
    }

    /// What is under way is hyper's to have the answer, and whatever comes behind it is hyper's.
    fn leave(&mut self) {
        self.seat.leave();
        (self.passes, self.begins) = (false, false);
        if let Some(held) = &mut self.held {
            held.until = Until::Taken;
        }
    }

    /// Ready when what is passed on has its answer, or is hyper's.
    fn poll_passed(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<()> {
        match self.seat.poll_pass(cx, &mut self.answer.head) {
            Progress::Answered => {
                self.held = None;
                self.answers(&[]);
                self.seat.pulse.answered_held();
            }
            Progress::Ends => return Poll::Pending,
            Progress::Waits if self.seat.pulse.may_hold() => {
                let before = buf.filled().len();
                // Who sends more, or leaves, does not wait for answers: hyper knows what to do.
                if Pin::new(&mut self.io).poll_read(cx, buf).is_pending() {
                    return Poll::Pending;
                }
                self.leave();
                if let Some(held) = &mut self.held {
                    held.bytes.extend_from_slice(&buf.filled()[before..]);
                }
                buf.set_filled(before);
                // Reading that there is no client any more, hyper would not even begin with its request, which upstream has.
                self.pauses = true;
            }
            Progress::Waits | Progress::Left => self.leave(),
        }
        Poll::Ready(())
    }

    /// Answers what is held for a turn, or lets it go on.
    fn release(&mut self) {
        let Some(Held { bytes, until: Until::Turn(ticket) }) = self.held.take_if(|held| held.is_for_turn()) else {
            return;
        };
        match self.seat.ready(ticket, &|| true, &mut self.answer.head) {
            Some(payload) => {
                self.answers(payload);
                self.seat.pulse.answered_held();
            }
            None => {
                self.answer.head.clear();
                self.goes_on();
                self.held = Some(Held { bytes, until: Until::Taken });
            }
        }
    }

    /// The same before its turn.
    fn release_alone(&mut self) {
        if let Some(Held { until: Until::Turn(ticket), .. }) = self.held {
            self.seat.fetch(&[ticket]);
            self.release();
        }
    }

    /// What was read while a request was held: whoever sends it does not wait for answers. It is hyper's, behind what is held if that is.
    fn overtaken(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        self.release_alone();
        let more = &buf.filled()[before..];
        if !more.is_empty() {
            self.begins = Came::of(more) != Came::Other;
            self.goes_on();
        }
        if let Some(held) = &mut self.held {
            held.bytes.extend_from_slice(&buf.filled()[before..]);
            buf.set_filled(before);
            self.hand_on(buf);
        }
    }

    /// A request has its answer now, which is this payload and a head that is there.
    fn answers(&mut self, payload: &'static [u8]) {
        self.requests += 1;
        (self.answer.payload, self.answer.under_way) = (payload, true);
    }

    /// A request is hyper's.
    fn goes_on(&mut self) {
        self.requests += 1;
        self.settled = false;
    }

    /// Whether something that was held has gone on.
    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let Some(held) = self.held.as_mut().filter(|held| held.until == Until::Taken) else { return false };
        let len = held.bytes.len().min(buf.remaining());
        buf.put_slice(&held.bytes[..len]);
        held.bytes.drain(..len);
        if held.bytes.is_empty() {
            self.held = None;
            self.seat.pulse.release();
        }
        true
    }

    /// Ready when no answer of ours is under way.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Answer { head, payload, written, under_way } = &mut self.answer;
        if !*under_way {
            return Poll::Ready(Ok(()));
        }
        while *written < head.len() + payload.len() {
            let parts = [&head[(*written).min(head.len())..], &payload[written.saturating_sub(head.len())..]];
            match ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &parts.map(IoSlice::new)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *written += more,
            }
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        head.clear();
        (*payload, *written, *under_way) = (&[], 0, false);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin + Send + 'static> AsyncRead for Lane<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let until = self.held.as_ref().map(|held| held.until);
            match until {
                Some(Until::Turn(_)) => self.release_alone(),
                Some(Until::Passed) => ready!(self.poll_passed(cx, buf)),
                Some(Until::Taken) | None => {}
            }
            ready!(self.poll_answer(cx))?;
            if until.is_some() && self.hand_on(buf) {
                return Poll::Ready(Ok(()));
            }
            if std::mem::take(&mut self.pauses) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let before = buf.filled().len();
            let read = Pin::new(&mut self.io).poll_read(cx, buf);
            if read.is_pending() && self.passes {
                self.seat.poll_idle(cx);
            }
            ready!(read)?;
            let taken = self.take(&buf.filled()[before..], cx);
            match taken {
                Taken::Answered | Taken::Passed => buf.set_filled(before),
                Taken::Held => {
                    buf.set_filled(before);
                    // Whoever answers does not read: this task does, when there is more.
                    let more = Pin::new(&mut self.io).poll_read(cx, buf);
                    if more.is_ready() {
                        self.overtaken(buf, before);
                    }
                    return more;
                }
                Taken::No => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin + Send + 'static> AsyncWrite for Lane<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_answer(cx))?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_answer(cx))?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(cx))?;
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        // A request ends when hyper has the end of its answer, and hyper writes what it has before it flushes.
        self.settled = self.seat.pulse.has_answered(self.requests);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin + Send + 'static> Waits for Mutex<Lane<I>> {
    fn fetch(&self, tickets: &[Ticket]) {
        own(self).seat.fetch(tickets);
    }

    fn answer(&self) {
        let mut lane = own(self);
        if lane.held.is_none() {
            return;
        }
        lane.release();
        let all = lane.poll_answer(&mut Context::from_waker(Waker::noop()));
        if lane.held.is_some() || !matches!(all, Poll::Ready(Ok(()))) {
            lane.task.wake_by_ref();
        }
    }

    fn give_up(&self) {
        own(self).task.wake_by_ref();
    }
}

impl Held {
    fn is_for_turn(&self) -> bool {
        matches!(self.until, Until::Turn(_))
    }
}

fn own<T>(lane: &Mutex<T>) -> MutexGuard<'_, T> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<I: AsyncRead + AsyncWrite + Unpin + Send + 'static> AsyncRead for Shortcut<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|lane| lane.poll_read(cx, buf))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin + Send + 'static> AsyncWrite for Shortcut<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|lane| lane.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|lane| lane.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Shortcut::Alone(lane) => lane.is_write_vectored(),
            Shortcut::Together(lane) => own(lane).is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|lane| lane.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|lane| lane.poll_shutdown(cx))
    }
}
